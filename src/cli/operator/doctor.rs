//! `kervan doctor`: each thing that the server rests on, checked and told in a line, whether a server runs or not. Nothing is
//! changed but a probe file, which is removed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::api::auth::{AuthOptions, Verifier};
use crate::config::{Config, Database};
use crate::env::SystemClock;
use crate::server::JOURNAL_DIR;
use clap::Args;
use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

use super::admin_client::{Server, json as write_json};
use super::csv::csv;
use super::table::{As, Column, names};
use super::{Here, Output, Run, brokers, database, redis_nodes};
use crate::cli::terminal::Colours;
use crate::cli::{print, rights, sources};

/// Free bytes below which a day of chatting may fill the disk.
const FREE: u64 = 1024 * 1024 * 1024;
/// A sync that takes longer makes each acknowledgement slow.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// Open files below which connections are refused soon.
const FILES: u64 = 4_096;
/// Syncs that are measured.
const SYNCS: usize = 32;

/// Check what the server rests on, a line each.
#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    here: Here,
}

/// How well something is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Ok,
    /// It works, and should be known.
    Warn,
    Fail,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

const COLUMNS: [Column; 3] =
    [("check", "/check", As::Plain), ("verdict", "/verdict", As::State), ("message", "/message", As::Plain)];

pub(super) struct Line {
    what: &'static str,
    pub verdict: Verdict,
    pub says: String,
}

pub(super) fn line(what: &'static str, verdict: Verdict, says: impl Into<String>) -> Line {
    Line { what, verdict, says: says.into() }
}

impl Run for Doctor {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let loaded = sources::load(&self.here.settings)?;
        let config = &loaded.config;
        let overview = Server::holding(&config.data.dir).and_then(|server| server.get("overview")).ok();
        let folder = existing(&config.data.dir);
        let mut lines = vec![
            configuration(loaded.file.as_deref(), &loaded.warnings),
            data_folder(&config.data.dir, &folder),
            rights(config),
            space(&folder),
            syncs(&folder),
            files(),
        ];
        lines.extend(ports(config, overview.is_some()));
        lines.extend([
            clock(&folder),
            keys(config),
            store(config, overview.as_ref()),
            journal(config, overview.as_ref()),
        ]);
        lines.extend(brokers::lines(&loaded));
        lines.extend(database::lines(&loaded));
        lines.extend(redis_nodes::lines(&loaded));
        lines.push(server(overview.as_ref()));
        self.write(&lines)?;
        let failed = lines.iter().any(|line| line.verdict == Verdict::Fail);
        Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
    }

    fn output(&self) -> Output {
        self.here.output
    }
}

impl Doctor {
    fn write(&self, lines: &[Line]) -> anyhow::Result<()> {
        let item = |line: &Line| json!({ "check": line.what, "verdict": line.verdict.name(), "message": line.says });
        let items: Vec<Value> = lines.iter().map(item).collect();
        let colours = Colours::of(self.here.color);
        let text = |line: &Line| {
            let verdict = line.verdict.name();
            let blank = 5 - verdict.len();
            format!("{}{:blank$} {:<14} {}\n", colours.state(verdict), "", line.what, line.says)
        };
        match self.here.output {
            Output::Csv => print(&csv(&items, &COLUMNS)),
            Output::Json => write_json(&json!({ "items": items })),
            Output::Names => print(&names(&items, &COLUMNS)),
            Output::Table => print(&lines.iter().map(text).collect::<String>()),
        }
    }
}

/// The folder, or what there is of the way to it.
fn existing(dir: &Path) -> PathBuf {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    dir.ancestors().find(|dir| dir.is_dir()).map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// What stands on the way to the folder, or in its place, and is none.
fn in_the_way(dir: &Path) -> Option<PathBuf> {
    let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    dir.ancestors().find(|path| path.symlink_metadata().is_ok()).filter(|path| !path.is_dir()).map(Path::to_owned)
}

fn configuration(file: Option<&Path>, warnings: &[String]) -> Line {
    let file = file.map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    if warnings.is_empty() {
        return line("configuration", Verdict::Ok, file);
    }
    line("configuration", Verdict::Warn, format!("{file}; {}", warnings.join("; ")))
}

fn rights(config: &Config) -> Line {
    match &rights::exposed(config)[..] {
        [] => line("rights", Verdict::Ok, "what is kept is this user's alone"),
        exposed => line("rights", Verdict::Warn, exposed.join("; ")),
    }
}

fn data_folder(dir: &Path, folder: &Path) -> Line {
    let probed = probe(folder).and_then(|(path, file)| {
        drop(file);
        std::fs::remove_file(path)
    });
    if let Some(file) = in_the_way(dir) {
        return line("data folder", Verdict::Fail, format!("{} is no folder", file.display()));
    }
    match probed {
        Ok(()) if dir.is_dir() => line("data folder", Verdict::Ok, format!("{}, can be written", dir.display())),
        Ok(()) => line("data folder", Verdict::Ok, format!("{} will be made by the first start", dir.display())),
        Err(error) => line("data folder", Verdict::Fail, format!("{} can't be written: {error}", folder.display())),
    }
}

fn probe(folder: &Path) -> io::Result<(PathBuf, File)> {
    let path = folder.join(format!(".kervan-doctor-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    Ok((path, file))
}

fn space(folder: &Path) -> Line {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let all = disk.f_blocks.saturating_mul(disk.f_frsize).max(1);
            let verdict = if free < FREE { Verdict::Warn } else { Verdict::Ok };
            let gib = |bytes: u64| bytes as f64 / FREE as f64;
            line("disk space", verdict, format!("{:.1} GiB free of {:.1} GiB", gib(free), gib(all)))
        }
        Err(error) => line("disk space", Verdict::Warn, format!("it can't be told: {error}")),
    }
}

/// As the journal does it: a few bytes, and to disk with them.
fn syncs(folder: &Path) -> Line {
    match measure_syncs(folder) {
        Ok(median) => {
            let verdict = if median > SLOW_SYNC { Verdict::Warn } else { Verdict::Ok };
            line("fsync", verdict, format!("{median:.1?}, the median of {SYNCS}: each acknowledgement waits for one"))
        }
        Err(error) => line("fsync", Verdict::Fail, error.to_string()),
    }
}

/// The median time of a small write with its sync, in this folder.
pub(super) fn measure_syncs(folder: &Path) -> io::Result<Duration> {
    let (path, mut file) = probe(folder)?;
    let measured = (0..SYNCS).map(|_| {
        let begun = Instant::now();
        file.write_all(&[0; 512])?;
        file.sync_data()?;
        Ok(begun.elapsed())
    });
    let measured: io::Result<Vec<Duration>> = measured.collect();
    std::fs::remove_file(path)?;
    let mut times = measured?;
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

fn files() -> Line {
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < FILES => {
            line("open files", Verdict::Warn, format!("{most} at most: that many connections; raise it (ulimit -Hn)"))
        }
        Some(most) => line("open files", Verdict::Ok, format!("{most} at most")),
        None => line("open files", Verdict::Ok, "no limit"),
    }
}

fn ports(config: &Config, served: bool) -> Vec<Line> {
    let of = |what, address: SocketAddr| match TcpListener::bind(address) {
        Err(_) if served => line(what, Verdict::Ok, format!("{address}, held by the server")),
        Ok(_) if served => line(what, Verdict::Ok, format!("{address} is free: the server was told another one")),
        Ok(_) => line(what, Verdict::Ok, format!("{address} is free")),
        Err(error) => line(what, Verdict::Fail, format!("{address}: {error}")),
    };
    vec![of("public port", config.server.public_address()), of("admin port", config.server.admin_address())]
}

/// What lies in the data folder can't be of the future.
fn clock(folder: &Path) -> Line {
    let changed = |entry: io::Result<std::fs::DirEntry>| entry.ok()?.metadata().ok()?.modified().ok();
    let last = std::fs::read_dir(folder).ok().and_then(|entries| entries.filter_map(changed).max());
    match last.and_then(|last| last.duration_since(SystemTime::now()).ok()) {
        Some(ahead) if ahead > Duration::from_secs(60) => {
            let says = format!("it is {} s behind files in {}: was it set back?", ahead.as_secs(), folder.display());
            line("clock", Verdict::Warn, says)
        }
        _ => line("clock", Verdict::Ok, "not behind what lies in the data folder"),
    }
}

fn keys(config: &Config) -> Line {
    let verifier = Verifier::new(AuthOptions::from(&config.auth), Arc::new(SystemClock::default()));
    match verifier {
        Err(error) => line("keys", Verdict::Fail, format!("[auth]: {error}")),
        Ok(_) if config.auth.is_development() => line("keys", Verdict::Warn, "the published development secret"),
        Ok(_) => line("keys", Verdict::Ok, "tokens can be checked"),
    }
}

/// A check of the running server.
fn checked(what: &'static str, overview: &Value) -> Line {
    match overview["checks"][what].as_str() {
        Some(why) => line(what, Verdict::Fail, why),
        None => line(what, Verdict::Ok, "the server uses it"),
    }
}

fn store(config: &Config, overview: Option<&Value>) -> Line {
    if let Some(overview) = overview {
        return checked("store", overview);
    }
    let Database::Sqlite(path) = config.database() else {
        return line("store", Verdict::Ok, "in PostgreSQL, see \"database\"");
    };
    let mut head = [0; 16];
    match File::open(&path).and_then(|mut file| io::Read::read_exact(&mut file, &mut head)) {
        Ok(()) if head == *b"SQLite format 3\0" => line("store", Verdict::Ok, path.display().to_string()),
        Ok(()) => line("store", Verdict::Fail, format!("{} is no SQLite database", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            line("store", Verdict::Ok, format!("{} will be made by the next start", path.display()))
        }
        Err(error) => line("store", Verdict::Fail, format!("{}: {error}", path.display())),
    }
}

fn journal(config: &Config, overview: Option<&Value>) -> Line {
    if let Some(overview) = overview {
        return checked("journal", overview);
    }
    if config.journal.kafka_brokers.is_some() {
        return line("journal", Verdict::Ok, "in Kafka, see \"broker\"");
    }
    let dir = config.data.dir.join(JOURNAL_DIR);
    let sizes = std::fs::read_dir(&dir).map(|entries| {
        entries
            .filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len()))
            .fold((0, 0), |(n, sum), len| (n + 1, sum + len))
    });
    match sizes {
        Ok((files, bytes)) => line("journal", Verdict::Ok, format!("{files} files, {} MiB", bytes / (1024 * 1024))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            line("journal", Verdict::Ok, "will be made by the next start")
        }
        Err(error) => line("journal", Verdict::Fail, format!("{}: {error}", dir.display())),
    }
}

fn server(overview: Option<&Value>) -> Line {
    match overview.map(|overview| (overview["status"].as_str().unwrap_or("unknown"), &overview["uptime_ms"])) {
        None => line("server", Verdict::Ok, "none runs with this data folder"),
        Some(("ok", uptime)) => {
            line("server", Verdict::Ok, format!("ready, for {} s", uptime.as_u64().unwrap_or(0) / 1_000))
        }
        Some((status, _)) => line("server", Verdict::Fail, status),
    }
}
