//! A child `kervan serve` with a folder of its own, and tokens for it. Killed when it is dropped, and the folder removed if
//! it was made for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kervan::api::auth::{TokenRequest, issue_token};
use kervan::config::{DEVELOPMENT_SECRET, Secret};
use kervan::env::SystemClock;
use kervan::ids::UserId;

/// The running child.
pub(crate) struct Server {
    child: Child,
    /// What is removed in the end.
    dir: Option<PathBuf>,
    /// Host and port of the public listener.
    pub address: String,
    /// Of the admin listener.
    admin: String,
}

impl Server {
    /// Starts the program on a free port and waits until it is ready.
    ///
    /// # Errors
    /// It does not start in time.
    pub(crate) fn start(program: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("kervan-loadtest-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let mut server = Self::spawn(program, &dir)?;
        server.dir = Some(dir);
        let begun = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(30), "the server is not up after 30 s");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Starts the program on a free port with this data folder, which stays, and does not wait for it.
    ///
    /// # Errors
    /// There is no such program.
    pub(crate) fn spawn(program: &str, dir: &Path) -> Result<Self> {
        // Both at once, so that they differ.
        let free = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [port, admin] = [free[0].local_addr()?.port(), free[1].local_addr()?.port()];
        drop(free);
        let child = Command::new(program)
            .args(["serve", "--data-dir"])
            .arg(dir)
            .args(["--port", &port.to_string()])
            .env("KERVAN_SERVER__ADMIN_PORT", admin.to_string())
            .env("KERVAN_LIMITS__MESSAGES_PER_MINUTE", "0")
            .env("KERVAN_LIMITS__CHANGES_PER_MINUTE", "0")
            .env("KERVAN_LIMITS__QUESTIONS_PER_MINUTE", "0")
            .env("KERVAN_LIMITS__CONNECTIONS_PER_ADDRESS", "0")
            // Short, so that what is idle is seen to leave within a measurement.
            .env("KERVAN_LIMITS__IDLE", "10s")
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("{program} does not start; cargo build --release first"))?;
        Ok(Self { child, dir: None, address: format!("127.0.0.1:{port}"), admin: format!("127.0.0.1:{admin}") })
    }

    /// A counter of its metrics.
    ///
    /// # Errors
    /// It has none of that name.
    pub(crate) fn metric(&self, name: &str) -> Result<u64> {
        let mut stream = TcpStream::connect(&self.admin)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.admin)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.with_context(|| format!("no metric {name}"))?.trim().parse().context(name.to_owned())
    }

    /// The child's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing better can be done about a failure here than to go on.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(dir) = &self.dir {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// A token of development mode.
///
/// # Errors
/// No such user can be.
pub(crate) fn token(user: &str) -> Result<String> {
    let (secret, user) = (Secret::new(DEVELOPMENT_SECRET), UserId::new(user)?);
    let request = TokenRequest {
        user: Some(&user),
        channel: None,
        ttl: Some(Duration::from_secs(3600)),
        audience: None,
        issuer: None,
        sign_in: None,
    };
    Ok(issue_token(&secret, &request, &SystemClock::default())?)
}
