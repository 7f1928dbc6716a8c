//! `kervan backup DIR`: a backup of the data folder. If a server has the folder open, that server writes it, and goes on
//! serving meanwhile; else this process does.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::config::Config;
use crate::http_client;
use crate::server::{AtRestError, JOURNAL_DIR, backup_at_rest};
use crate::storage::lock::{DataLock, LockError};
use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::operator::{Mark, Marks, Output, Run as _};
use super::terminal::Progress;
use super::{Refused, Settings, admin_file, print, sources};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Request {
    /// Where to: a folder that is empty or not there. A server that writes it has its own view of the disk.
    #[arg(value_name = "DIR", required = true)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum What {
    #[command(about = "Register a copy of the database as a backup that the journal in Kafka may be trimmed behind")]
    Mark(Mark),
    #[command(about = "Backups that were registered")]
    Marks(Marks),
}

impl Request {
    /// How its answer is written.
    pub(super) fn output(&self) -> Output {
        match &self.what {
            Some(What::Marks(marks)) => marks.output(),
            _ => Output::Table,
        }
    }
}

pub(super) fn run(request: &Request) -> anyhow::Result<ExitCode> {
    match (&request.what, &request.dir) {
        (Some(What::Mark(mark)), _) => mark.run(),
        (Some(What::Marks(marks)), _) => marks.run(),
        (None, Some(dir)) => copy(request, dir),
        (None, None) => Err(Refused("name a folder for the backup".to_owned()).into()),
    }
}

fn copy(request: &Request, dir: &Path) -> anyhow::Result<ExitCode> {
    let loaded = sources::load_to_find(&request.settings)?;
    let config = &loaded.config;
    let (data, dir) = (&config.data.dir, std::path::absolute(dir)?);
    if !data.join(JOURNAL_DIR).exists() {
        return Err(
            Refused(format!("there is nothing to back up in {}; --data-dir names another", data.display())).into()
        );
    }
    let written = dir.clone();
    let progress =
        Progress::begin(move || format!("backup: {} MiB in {}", size(&written) / 1_048_576, written.display()));
    let made = match DataLock::acquire(data) {
        Ok(_lock) => at_rest(config, &dir)?,
        Err(held @ LockError::Held { .. }) => by_server(data, &dir, &held)?,
        Err(error) => return Err(Refused(error.to_string()).into()),
    };
    drop(progress);
    let Made { records, bytes, holds_rows } = made;
    print(&format!("backup of {} in {}: {records} records, {bytes} bytes\n", data.display(), dir.display()))?;
    if !holds_rows {
        print(
            "the rows are in PostgreSQL and not in it: a dump of the database that was taken before belongs to it; nothing \
             is trimmed\n",
        )?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was made.
struct Made {
    records: u64,
    bytes: u64,
    /// Else they are in a PostgreSQL.
    holds_rows: bool,
}

/// The bytes that are there by now, also if a server writes them: it is on this machine. What can't be read counts nothing.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => size(&entry.path()),
        Ok(facts) => facts.len(),
        Err(_) => 0,
    };
    entries.map(of).sum()
}

fn at_rest(config: &Config, dir: &Path) -> anyhow::Result<Made> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the async runtime")?;
    match runtime.block_on(backup_at_rest(config, dir)) {
        Ok(made) => Ok(Made {
            records: made.records,
            bytes: made.files.iter().map(|file| file.bytes).sum(),
            holds_rows: made.holds_rows(),
        }),
        Err(AtRestError::Backup(error)) if error.is_refusal() => Err(Refused(error.to_string()).into()),
        Err(AtRestError::Start(error)) if error.is_refusal() => Err(Refused(error.to_string()).into()),
        Err(error) => Err(error.into()),
    }
}

/// Asks the server that holds the data folder. It takes as long as it takes.
fn by_server(data: &Path, dir: &Path, held: &LockError) -> anyhow::Result<Made> {
    let Some((address, key)) = admin_file::find(data).with_context(|| format!("{held}; its address can't be read"))?
    else {
        return Err(
            Refused(format!("{held}, and it does not say where it listens: try again when it has started")).into()
        );
    };
    let dir = dir.to_str().ok_or_else(|| Refused("the path of the backup is not UTF-8".to_owned()))?;
    let client = http_client::blocking(|client| client.no_proxy())?;
    let request = client.post(format!("http://{address}/admin/backup")).bearer_auth(key).json(&json!({ "dir": dir }));
    let answer = request.send().with_context(|| format!("{held}; asking it at {address}"))?;
    let status = answer.status().as_u16();
    let body: Value = answer.json().with_context(|| format!("status {status} from {address}"))?;
    let number = |key: &str| body.get(key).and_then(Value::as_u64).unwrap_or(0);
    let why = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("it does not say why");
    match status {
        200 => Ok(Made {
            records: number("records"),
            bytes: number("bytes"),
            holds_rows: body.get("holds_rows").and_then(Value::as_bool).unwrap_or(true),
        }),
        400..500 => Err(Refused(why.to_owned()).into()),
        _ => Err(anyhow!("the server at {address} made no backup: {why}")),
    }
}
