//! `kervan backup mark` and `kervan backup marks ls`: backups of the database beside a journal in Kafka. They ask the brokers and the
//! copy, and no server.

use std::process::ExitCode;

use crate::config::{Flag, Loaded};
use crate::env::Env;
use crate::ids::Timestamp;
use crate::storage::journal::JournalError;
use crate::storage::journal::kafka::Options;
use crate::storage::journal::kafka::marks::{MarkError, Marked, marked, register};
use crate::storage::journal::marks::{BackupMark, CopyRefused};
use crate::storage::sql::copy;
use crate::storage::store::StoreError;
use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_client::json as write_json;
use super::csv::csv;
use super::table::{As, Column, date, names, table};
use super::{Here, Output, Run};
use crate::cli::terminal::Colours;
use crate::cli::{Refused, Settings, print, sources};

/// Register a copy of the database as a backup that the journal in Kafka may be trimmed behind.
#[derive(Args)]
pub(crate) struct Mark {
    /// The copy itself, not the database in use: a dump that was restored somewhere, as postgres://…, or a copied SQLite file.
    #[arg(value_name = "URL")]
    copy: String,
    /// What to call it; without it, the copy's address.
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// Backups that were registered.
#[derive(Args)]
pub(crate) struct Marks {
    #[command(subcommand)]
    what: MarksWhat,
}

#[derive(Subcommand)]
enum MarksWhat {
    /// List them, the newest last, and whether each can still be gone on from.
    Ls {
        #[command(flatten)]
        here: Here,
    },
}

const COLUMNS: [Column; 6] = [
    ("id", "/id", As::Plain),
    ("name", "/name", As::Plain),
    ("marked", "/marked_at", As::Date),
    ("reaches", "/reaches", As::Date),
    ("behind", "/behind", As::Plain),
    ("state", "/state", As::Plain),
];

impl Run for Mark {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let live = sources::load_to_find(&self.settings)?;
        let options = brokers(&live)?;
        let flag = Flag { name: "URL", key: ("store", "database_url"), value: self.copy.clone() };
        let database = sources::load_to_find_with(&self.settings, vec![flag])?.config.database();
        if database == live.config.database() {
            let why = "that is the database in use, and no copy of it: restore the backup somewhere, and name that";
            return Err(Refused(why.to_owned()).into());
        }
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("the async runtime")?;
        let copy = runtime.block_on(copy::look(&database, live.config.store.pooler)).map_err(|error| match error {
            StoreError::Incompatible(_) => Refused(error.to_string()).into(),
            error => anyhow::Error::new(error),
        })?;
        let name = self.name.clone().unwrap_or_else(|| format!("{database:?}").trim_matches('"').to_owned());
        let mark = register(&options, &copy, Env::system().ids.next(), &name).map_err(|error| failed(error, &live))?;
        let lacks = marked(&options).map_or(0, |found| mark.lag(&found.bounds));
        print(&format!(
            "marked {}: it has all up to {}, and lacks {lacks} records, which stay in the journal\n",
            mark.name,
            date(mark.reaches.0)
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Run for Marks {
    fn run(&self) -> anyhow::Result<ExitCode> {
        let MarksWhat::Ls { here } = &self.what;
        let loaded = sources::load_to_find(&here.settings)?;
        let options = brokers(&loaded)?;
        let Marked { marks, bounds } = marked(&options).map_err(|error| failed(error.into(), &loaded))?;
        let item = |mark: &BackupMark| {
            let fits = mark.fits(&bounds);
            json!({
                "id": mark.id,
                "name": mark.name,
                "marked_at": mark.marked_at,
                "reaches": (mark.reaches > Timestamp::ZERO).then_some(mark.reaches),
                "behind": mark.lag(&bounds),
                "state": match fits {
                    Ok(()) => "good",
                    Err(CopyRefused::Trimmed { .. }) => "outlived",
                    Err(_) => "ahead",
                },
                "why": fits.err().map(|why| why.to_string()),
            })
        };
        let items: Vec<Value> = marks.iter().map(item).collect();
        match here.output {
            Output::Csv => print(&csv(&items, &COLUMNS))?,
            Output::Json => write_json(&json!({ "items": items }))?,
            Output::Names => print(&names(&items, &COLUMNS))?,
            Output::Table if items.is_empty() => print("there is none: nothing is trimmed\n")?,
            Output::Table => print(&table(&items, &COLUMNS, Colours::of(here.color)))?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn output(&self) -> Output {
        let MarksWhat::Ls { here } = &self.what;
        here.output
    }
}

fn brokers(loaded: &Loaded) -> Result<Options, Refused> {
    Options::of(&loaded.config.journal).ok_or_else(|| {
        let why = "marks are for a journal in Kafka, and no brokers are named (journal.kafka_brokers); `kervan backup DIR` backs a \
                   data folder up, and notes it by itself";
        Refused(why.to_owned())
    })
}

fn failed(error: MarkError, loaded: &Loaded) -> anyhow::Error {
    let text = format!("{error}\n{}", loaded.about_brokers());
    match error {
        MarkError::Refused(_) => Refused(error.to_string()).into(),
        MarkError::Journal(JournalError::Incompatible(_)) => Refused(text).into(),
        MarkError::Journal(_) => anyhow::Error::msg(text),
    }
}
