//! A PostgreSQL on the loopback interface, with failures on request.
//!
//! It does not run as root: if that is who we are, it is the user `postgres` that Debian's package makes.

mod programs;

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use crate::engine::{Engine, at};
use crate::ports::Port;
use crate::process::{self, Process, Starter};
use crate::random;
use crate::settings::POSTGRES;
use programs::Programs;

/// The user that owns everything in it, and the database that is made.
const NAME: &str = "kervan";

/// How long `initdb` may take.
const MAKE: Duration = Duration::from_secs(120);

/// How long a server may take to start: one that was killed reads its log again.
const START: Duration = Duration::from_secs(120);

/// How long a server may take to write what it holds when it is told to end.
const STOP: Duration = Duration::from_secs(60);

/// Whether there is a PostgreSQL on this machine.
#[must_use]
pub fn is_installed() -> bool {
    Programs::find().is_ok()
}

/// Whether the user as whom PostgreSQL runs may enter the folder, which exists.
///
/// # Errors
/// There is no PostgreSQL, or no such user.
pub fn can_enter(folder: &Path) -> anyhow::Result<bool> {
    Programs::find()?.can_enter(folder)
}

/// A running PostgreSQL: server number 1.
#[derive(Debug)]
pub struct Server {
    programs: Programs,
    folder: PathBuf,
    password: String,
    // Before the starter: it is to have ended when its thread does.
    processes: Vec<Process>,
    starter: Starter,
    port: Port,
}

impl Server {
    /// Starts it with its data in `dir` (made if it is new; otherwise it goes on with what is there) at the given port, or at
    /// a free one; returns when it answers. It logs to `dir/log`; the password is in `dir/password`.
    ///
    /// # Errors
    /// No PostgreSQL, a port that is taken, a folder that its user can't reach, or a server that does not start: its log's
    /// end is told.
    pub fn start(dir: &Path, port: Option<u16>) -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let folder = dir.canonicalize()?;
        ensure!(
            programs.can_enter(&folder)?,
            "the user `postgres`, as whom PostgreSQL runs, may not enter {}: take a folder that everybody may enter",
            folder.display()
        );
        let port = port.map_or_else(Port::free, Port::exactly)?;
        let made = folder.join("made");
        let password =
            if made.exists() { std::fs::read_to_string(folder.join("password"))? } else { random::digits()? };
        let mut server = Self { programs, folder, password, processes: Vec::new(), starter: Starter::new()?, port };
        if !made.exists() {
            server.make()?;
        }
        let process = server.process()?;
        server.processes.push(process);
        server.until_started(1)?;
        if !made.exists() {
            server.query_in("postgres", &format!("CREATE DATABASE {NAME}"))?;
            server.query("CREATE EXTENSION pg_stat_statements")?;
            std::fs::write(&made, "")?;
        }
        Ok(server)
    }

    /// Where it is reached, with user and password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://{NAME}:{}@127.0.0.1:{}/{NAME}", self.password, self.port.number())
    }

    /// What `psql` says to a statement: a line for each row, with `|` between columns.
    ///
    /// # Errors
    /// The server does not answer, or refuses it.
    pub fn query(&self, statement: &str) -> anyhow::Result<String> {
        self.query_in(NAME, statement)
    }

    fn query_in(&self, database: &str, statement: &str) -> anyhow::Result<String> {
        let mut psql = Command::new(self.programs.path("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", NAME, "-d", database]);
        psql.args(["-p", &self.port.number().to_string(), "-c", statement]);
        let run = psql.env("PGPASSWORD", &self.password).stdin(Stdio::null()).output().context("psql")?;
        ensure!(run.status.success(), "psql: {}", String::from_utf8_lossy(&run.stderr).trim_end());
        Ok(String::from_utf8_lossy(&run.stdout).trim_end().to_owned())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The data folder, and the password's file.
    fn make(&self) -> anyhow::Result<()> {
        let (data, password) = (self.data(), self.folder.join("password"));
        if data.exists() {
            // One whose making was cut short: nothing was ever kept in it.
            std::fs::remove_dir_all(&data)?;
        }
        if password.exists() {
            std::fs::remove_file(&password)?;
        }
        std::fs::create_dir(&data)?;
        let mut file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&password)?;
        file.write_all(self.password.as_bytes())?;
        if let Some((user, group)) = self.programs.user() {
            chown(&data, Some(user), Some(group))?;
            chown(&password, Some(user), Some(group))?;
        }
        let mut initdb = self.programs.command("initdb", &self.folder);
        initdb.args(["--auth=scram-sha-256", "--encoding=UTF8", "--username", NAME]);
        // As most servers have it: an order of texts that is not that of their bytes.
        initdb.args(["--locale-provider=icu", "--icu-locale=en-US"]);
        initdb.arg("--pwfile").arg(&password).arg("--pgdata").arg(&data);
        Process::start(&self.starter, "initdb", initdb, &self.folder.join("log"))?.until_done(MAKE)
    }

    fn process(&self) -> anyhow::Result<Process> {
        let mut postgres = self.programs.command("postgres", &self.folder);
        postgres.arg("-D").arg(self.data());
        let own = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &self.port.number().to_string()),
            ("unix_socket_directories", ""),
        ];
        for (name, value) in own.iter().chain(POSTGRES) {
            postgres.arg("-c").arg(format!("{name}={value}"));
        }
        Process::start(&self.starter, "PostgreSQL", postgres, &self.folder.join("log"))
    }
}

impl Engine for Server {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    fn port(&self, _number: usize) -> u16 {
        self.port.number()
    }

    fn launch(&mut self, number: usize) -> anyhow::Result<()> {
        self.must_have_ended(number)?;
        self.processes[at(number)] = self.process()?;
        Ok(())
    }

    fn until_started(&mut self, number: usize) -> anyhow::Result<()> {
        let mut ready = Command::new(self.programs.path("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.number().to_string()]).stdin(Stdio::null());
        self.processes[at(number)].until("answered", START, |_| Ok(ready.status().context("pg_isready")?.success()))
    }

    /// Its "fast" way: connections are cut, and everything is written.
    fn stop(&mut self) -> anyhow::Result<bool> {
        process::end_all(&mut self.processes, Signal::INT, STOP)
    }
}
