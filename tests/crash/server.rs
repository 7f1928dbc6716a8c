//! A child `kervan serve` with a data folder of its own. Ends only what it started.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use jsonwebtoken::{EncodingKey, Header};
use kervan_devcluster::ports::Port;
use kervan_devcluster::process::{Process, Starter, bound_to_parent};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use serde_json::json;

/// Signs the tokens of the run; goes into the server's configuration.
const SECRET: &str = "the secret of a test run, long enough for HS256";

/// Which binary is tried: `KERVAN_BIN`; else the release build if it is as new as the one of this test; else that one.
pub(crate) fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("KERVAN_BIN") {
        return path.into();
    }
    let built = PathBuf::from(env!("CARGO_BIN_EXE_kervan"));
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/kervan");
    let age = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if age(&release) >= age(&built) { release } else { built }
}

/// A token that names `user`, good for an hour.
pub(crate) fn token(user: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({ "sub": user, "exp": now + 3600, "iat": now });
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// Whether what listens on a port of this machine says that it is ready.
pub(crate) fn is_ready(port: u16) -> io::Result<bool> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    // Pauses: the bound of one look.
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_millis(200))?;
    // Pauses: the bound of one look.
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = [0; 12];
    socket.read_exact(&mut answer)?;
    Ok(answer.ends_with(b" 200"))
}

/// How the child is started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Setup {
    /// More lines of configuration: whole sections, but `[auth]`, `[limits]`, `[server]` and `[[channels]]`.
    pub more: String,
    /// Whether the child is made to see too large writes fail, as a full disk does, instead of being ended by a signal.
    pub files_may_be_limited: bool,
    /// Variables of the child's environment.
    pub environment: Vec<(String, String)>,
}

/// The child, or the place where it will be started again. It ends with this program.
pub(crate) struct Server {
    pub data: PathBuf,
    config: PathBuf,
    log: PathBuf,
    setup: Setup,
    port: Port,
    // Before the starter: it is to have ended when its thread does.
    process: Option<Process>,
    starter: Starter,
}

impl Server {
    /// Starts a child that keeps its data in `folder/data`. Its log and configuration stand beside.
    pub(crate) fn start(folder: &Path, setup: Setup) -> Self {
        let config = folder.join("kervan.toml");
        let text = format!(
            "[server]\nadmin_port = 0\n[auth]\nhmac_secret = \"{SECRET}\"\n\
             [limits]\nmessages_per_minute = 0\nchanges_per_minute = 0\nquestions_per_minute = 0\nconnections_per_address = 0\n\
             [[channels]]\nnamespace = \"\"\nhistory_size = 1000000\nhistory_ttl = \"1h\"\n{}",
            setup.more
        );
        fs::write(&config, text).unwrap();
        let (data, log) = (folder.join("data"), folder.join("kervan.log"));
        let (port, starter) = (Port::free().unwrap(), Starter::new().unwrap());
        let mut server = Self { data, config, log, setup, port, process: None, starter };
        server.restart();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/connection/websocket", self.port.number())
    }

    /// A command with the child's environment and configuration, arguments to follow: only what is said here configures
    /// it, because Kervan reads its environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = bound_to_parent(program);
        command.env_clear().envs(std::env::vars().filter(|(name, _)| ["PATH", "RUST_LOG"].contains(&name.as_str())));
        command.envs(self.setup.environment.iter().cloned());
        command
    }

    /// Starts the child again, on the same port and data.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let mut command = self.command(&binary());
        if self.setup.files_may_be_limited {
            command = self.command(Path::new("sh"));
            command.arg("-c").arg("trap '' XFSZ; exec \"$0\" \"$@\"").arg(binary());
        }
        command.arg("serve").arg("--config").arg(&self.config).arg("--data-dir").arg(&self.data);
        command.arg("--port").arg(self.port.number().to_string());
        self.process = Some(Process::start(&self.starter, "the server", command, &self.log).unwrap());
    }

    /// Waits until the child says that it is ready, at most `patience`.
    pub(crate) fn wait_ready(&mut self, patience: Duration) {
        // Pauses: the bound of the wait below.
        let end = Instant::now() + patience;
        while !is_ready(self.port.number()).unwrap_or(false) {
            let status = self.process.as_mut().and_then(|process| process.ended().unwrap());
            assert!(status.is_none(), "the server ended by itself, {status:?}: {}", self.log_tail());
            assert!(Instant::now() < end, "not ready after {patience:?}: {}", self.log_tail());
            // Pauses: between looks, within a bound.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn running(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    /// SIGKILL. Panics if the child had ended before by itself: nobody asked it to.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            let before = process.ended().unwrap();
            assert!(before.is_none(), "the server ended by itself, {before:?}: {}", self.log_tail());
            process.kill().unwrap();
        }
    }

    /// SIGSTOP: it keeps its connections, and does nothing.
    pub(crate) fn pause(&mut self) {
        self.running().pause().unwrap();
    }

    /// SIGCONT.
    pub(crate) fn resume(&mut self) {
        self.running().resume().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&mut self) {
        self.running().signal(Signal::TERM).unwrap();
    }

    /// Waits for the child's end, at most `patience`.
    pub(crate) fn wait_end(&mut self, patience: Duration) -> ExitStatus {
        // Pauses: the bound of the wait below.
        let end = Instant::now() + patience;
        loop {
            if let Some(status) = self.running().ended().unwrap() {
                self.process = None;
                return status;
            }
            assert!(Instant::now() < end, "still there after {patience:?}: {}", self.log_tail());
            // Pauses: between looks, within a bound.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Forbids the running child to write beyond `bytes` in any file, or allows it again.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let pid = self.process.as_ref().expect("it runs").pid();
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Pid::from_raw(pid.try_into().unwrap()), Resource::Fsize, limit).unwrap();
    }

    /// The last lines of the child's log.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }
}
