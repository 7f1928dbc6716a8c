//! A PostgreSQL of one's own: a fresh cluster in a temporary folder, reached by a socket in it, gone when dropped.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to start.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Server {
    /// Where it is reached.
    pub url: String,
    pub(super) child: Child,
    pub(super) place: ServerFolder,
}

/// Where a server lies, and as whom it runs.
pub(super) struct ServerFolder {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    folder: tempfile::TempDir,
}

/// The folder of the newest installed PostgreSQL's programs.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").exists() && bin.join("postgres").exists())
        .max();
    match newest {
        Some((_, bin)) => bin,
        None => panic!("no PostgreSQL in /usr/lib/postgresql: `apt-get install postgresql`, as `make test` does"),
    }
}

/// PostgreSQL does not run as root: the user and group to be instead, if that is who we are.
pub(super) fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = fields.filter(|fields| fields.len() > 3).find(|fields| fields[0] == "postgres");
    let entry = entry.expect("Debian's package makes a user `postgres`");
    Some((entry[2].parse().unwrap(), entry[3].parse().unwrap()))
}

fn command(program: &Path, folder: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env_clear().env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    run_as(&mut command, user);
    command
}

pub(super) fn run_as(command: &mut Command, user: Option<(u32, u32)>) {
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
}

/// Whoever it runs as owns these.
pub(super) fn give_to(user: Option<(u32, u32)>, paths: &[&Path]) {
    if let Some((uid, gid)) = user {
        paths.iter().for_each(|path| std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap());
    }
}

impl ServerFolder {
    pub(super) fn new() -> Self {
        let (programs, user) = (programs(), unprivileged());
        let folder = tempfile::Builder::new().prefix("kervan-pg").tempdir_in("/tmp").unwrap();
        give_to(user, &[folder.path()]);
        Self { programs, user, folder }
    }

    pub(super) fn command(&self, program: &str) -> Command {
        command(&self.programs.join(program), self.folder(), self.user)
    }

    /// The folder that all of it is in, its socket among it.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the cluster.
    pub(super) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder().join("log")
    }

    fn make(&self) {
        let made = self
            .command("initdb")
            .args(["--auth=trust", "--username=kervan", "--encoding=UTF8", "--no-sync"])
            // As most servers have it: an order of texts that is not that of their bytes.
            .args(["--locale-provider=icu", "--icu-locale=en-US", "--pgdata"])
            .arg(self.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        // One user is asked for a password, which he does not have.
        let rules = "local all locked scram-sha-256\nlocal all all trust\nlocal replication all trust\n";
        std::fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
    }

    /// Starts what lies there. It may not answer yet.
    pub(super) fn run(&self) -> Child {
        self.command("postgres")
            .args([
                "-c",
                "listen_addresses=",
                "-c",
                "fsync=off",
                "-c",
                "shared_buffers=16MB",
                "-c",
                "max_connections=400",
                "-k",
            ])
            .arg(self.folder())
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(std::fs::File::options().append(true).create(true).open(self.log()).unwrap())
            .spawn()
            .unwrap()
    }
}

impl Server {
    /// Makes and starts one, and waits until it answers.
    pub(crate) fn start() -> Self {
        let place = ServerFolder::new();
        place.make();
        Self::at(place)
    }

    /// Starts what lies there, and waits until it answers.
    pub(super) fn at(place: ServerFolder) -> Self {
        let url = format!("postgres://kervan@localhost/postgres?host={}", place.folder().display());
        let mut server = Self { url, child: place.run(), place };
        server.wait_until_it_answers();
        server
    }

    pub(super) fn wait_until_it_answers(&mut self) {
        let since = Instant::now();
        loop {
            let asked = self.place.command("pg_isready").arg("-qh").arg(self.place.folder()).status().unwrap();
            if asked.success() {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || since.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.place.log()).unwrap_or_default();
                panic!("postgres does not answer ({ended:?}):\n{log}");
            }
            // Pauses: between looks at a server that starts, within a bound.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fast shutdown; nothing in it is worth a clean one. Its folder goes afterwards.
        let pid = rustix::process::Pid::from_child(&self.child);
        if rustix::process::kill_process(pid, rustix::process::Signal::INT).is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
