//! `kervan restore DIR`: puts a backup into a data folder that has nothing in it, after reading all of it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::env::Env;
use crate::server::JOURNAL_DIR;
use crate::storage::backup::{BackupError, restore};
use crate::storage::lock::DataLock;
use anyhow::Context as _;
use clap::Args;

use super::{Refused, Settings, print, sources};

#[derive(Args)]
pub(super) struct Request {
    /// The backup.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    settings: Settings,
}

/// What an empty data folder may hold: what taking it leaves behind.
const ALLOWED: [&str; 1] = ["LOCK"];

pub(super) fn run(request: &Request) -> anyhow::Result<ExitCode> {
    let loaded = sources::load(&request.settings)?;
    let config = &loaded.config;
    let data = &config.data.dir;
    let database = config.database();
    let _lock = DataLock::acquire(data).map_err(|error| Refused(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the async runtime")?;
    let (store, id) = (&config.store, Env::system().ids.next());
    match runtime.block_on(restore(&request.dir, data, JOURNAL_DIR, &database, store, &ALLOWED, id)) {
        Ok(made) => {
            print(&format!("restored {} records to {}; `kervan serve` serves them\n", made.records, data.display()))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) if error.is_refusal() => Err(Refused(format!("{error}{}", hint(&error))).into()),
        Err(error) => Err(error.into()),
    }
}

/// What to do about it.
fn hint(error: &BackupError) -> &'static str {
    match error {
        BackupError::NotEmpty { .. } | BackupError::Exists(_) => "; a restore goes into a new data folder: --data-dir",
        BackupError::NoBackup(_) => "; name the folder that `kervan backup` wrote",
        BackupError::Incompatible { .. } | BackupError::RowsElsewhere(_) => "",
        BackupError::Store(_) => "; for a PostgreSQL, restore the dump that was taken before this backup, first",
        BackupError::Apart(_) => "; a dump of a database is taken before the backup of its journal",
        _ => "; restore another backup",
    }
}
