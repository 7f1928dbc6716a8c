//! A PostgreSQL of one's own: a fresh cluster in a temporary folder, reached by a socket in it, gone when dropped.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// See the module.
pub(crate) struct Server {
    /// Where it is reached.
    pub url: String,
    child: Child,
    _folder: tempfile::TempDir,
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
fn unprivileged() -> Option<(u32, u32)> {
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
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

impl Server {
    /// Makes and starts one, and waits until it answers.
    pub(crate) fn start() -> Self {
        let (programs, user) = (programs(), unprivileged());
        let folder = tempfile::Builder::new().prefix("kervan-pg").tempdir_in("/tmp").unwrap();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let made = command(&programs.join("initdb"), folder.path(), user)
            .args(["--auth=trust", "--username=kervan", "--encoding=UTF8", "--no-sync"])
            // As most servers have it: an order of texts that is not that of their bytes.
            .args(["--locale-provider=icu", "--icu-locale=en-US", "--pgdata"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = folder.path().join("log");
        let child = command(&programs.join("postgres"), folder.path(), user)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB", "-k"])
            .arg(folder.path())
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let url = format!("postgres://kervan@localhost/postgres?host={}", folder.path().display());
        let mut server = Self { url, child, _folder: folder };
        server.wait_until_it_answers(&programs, user, &log);
        server
    }

    fn wait_until_it_answers(&mut self, programs: &Path, user: Option<(u32, u32)>, log: &Path) {
        let since = Instant::now();
        loop {
            let folder = self._folder.path();
            let asked = command(&programs.join("pg_isready"), folder, user).arg("-qh").arg(folder).status().unwrap();
            if asked.success() {
                return;
            }
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || since.elapsed() > PATIENCE {
                panic!("postgres does not answer ({ended:?}):\n{}", std::fs::read_to_string(log).unwrap_or_default());
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
