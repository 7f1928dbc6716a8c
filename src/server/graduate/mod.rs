//! Moves the data folder of one node to Kafka, PostgreSQL and the configured place of uploads; the same rooms go on there with
//! the same seqs, and clients with the positions that they have.
//!
//! | file | holds |
//! |---|---|
//! | here | the move: step after step, each noted when it is done |
//! | `plan` | pure: the steps, what is still to be written, what stands against it |
//! | `survey` | what would be moved and how long that takes; changes nothing |
//! | `seal` | the note in the data folder, by which servers refuse it |
//! | `records`, `rows`, `uploads` | each carried over, and compared |
//!
//! Offsets stay what they were: `docs/decisions/0033-graduation-keeps-offsets.md` says why. It must never delete or change
//! anything of the source but its seal, go on after a difference, or open a topic that was not compared to its end.

mod plan;
mod records;
mod rows;
mod seal;
mod survey;
mod uploads;

use std::sync::Arc;

use uuid::Uuid;

use self::plan::Step;
pub use self::seal::SealError;
pub(super) use self::seal::refusal;
use self::seal::{Destination, Seal};
pub use self::survey::Survey;
use super::storage::{self, Storage};
use super::{JOURNAL_DIR, StartError};
use crate::actors::workers::persistence::rows::RowsError;
use crate::config::{Config, Database};
use crate::env::Env;
use crate::metrics::Metrics;
use crate::storage::journal::kafka::{self, load};
use crate::storage::journal::{JournalError, ReadError, embedded};
use crate::storage::retention;
use crate::storage::store::StoreError;
use crate::storage::uploads::UploadError;

/// Why a folder is not moved, or not yet.
#[derive(Debug, thiserror::Error)]
pub enum GraduateError {
    /// It can't be moved like this. Nothing was changed.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// What was copied is not what it was copied from.
    #[error("{0}")]
    Differs(String),
    /// The folder's journal or database does not open, or that of the target.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A database could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Rows of a room or user can't be.
    #[error("{0}")]
    Rows(String),
    /// A file could not be read or written.
    #[error("uploads: {0}")]
    Uploads(String),
    /// The note in the data folder.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl From<ReadError> for GraduateError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Journal(error) => Self::Journal(error),
            trimmed @ ReadError::Trimmed { .. } => Self::Differs(trimmed.to_string()),
        }
    }
}

impl From<RowsError> for GraduateError {
    fn from(error: RowsError) -> Self {
        Self::Rows(error.to_string())
    }
}

impl From<UploadError> for GraduateError {
    fn from(error: UploadError) -> Self {
        Self::Uploads(error.to_string())
    }
}

impl GraduateError {
    /// Whether it can't work as asked, and nothing was changed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Start(error) => error.is_refusal(),
            _ => false,
        }
    }
}

/// Hears what is done, in words.
pub type Told<'a> = &'a (dyn Fn(&str) + Sync);

/// A data folder, and where it is to go. The caller holds the folder.
pub struct Graduation {
    source: Config,
    target: Config,
    kafka: kafka::Options,
    env: Env,
}

impl Graduation {
    /// Of what `source` says of the folder and `target` says of the engines.
    ///
    /// # Errors
    /// [`GraduateError::Refused`]: the configurations alone say that it can't be.
    pub fn new(source: Config, target: Config, env: Env) -> Result<Self, GraduateError> {
        let mut against = Vec::new();
        if kafka::Options::of(&source.journal).is_some() {
            against.push("the source keeps its journal in Kafka already (--config)".to_owned());
        }
        if !source.data.dir.join(JOURNAL_DIR).exists() {
            let dir = source.data.dir.display();
            against.push(format!("there is nothing to move in {dir}; --data-dir names another"));
        }
        match source.database() {
            Database::Sqlite(file) if !file.exists() => {
                against.push(format!(
                    "there is no database {}: --config names the file that says where it is",
                    file.display()
                ));
            }
            Database::Sqlite(_) => {}
            elsewhere @ Database::Postgres(_) => {
                against.push(format!("the rows are in {elsewhere:?} already: this moves them out of SQLite only"));
            }
        }
        let absolute = |config: &Config| std::path::absolute(&config.data.dir).ok();
        if absolute(&source) == absolute(&target) {
            let dir = source.data.dir.display();
            against.push(format!(
                "the new server would have the data folder {dir}, too, which is sealed then: set data.dir in the file that \
                 --to names"
            ));
        }
        let Some(kafka) = kafka::Options::of(&target.journal) else {
            against.push(
                "no brokers are named: journal.kafka_brokers in the file that --to names, or KAFKA_BROKERS".into(),
            );
            return Err(GraduateError::Refused(against));
        };
        if !matches!(target.database(), Database::Postgres(_)) {
            against
                .push("no PostgreSQL is named: store.database_url in the file that --to names, or DATABASE_URL".into());
        }
        if against.is_empty() { Ok(Self { source, target, kafka, env }) } else { Err(GraduateError::Refused(against)) }
    }

    fn destination(&self) -> Destination {
        let kafka::Options { brokers, topic, control_topic, .. } = &self.kafka;
        Destination {
            journal: format!("Kafka at {brokers}, topics {topic} and {control_topic}"),
            rows: format!("{:?}", self.target.database()),
            uploads: uploads::place(&self.target),
        }
    }

    /// Opens the folder's journal and database, as a start would.
    async fn open_source(&self) -> Result<Storage, GraduateError> {
        Ok(Storage::open_sealed(&self.source, &self.env, &Arc::new(Metrics::new())).await?)
    }

    /// What would be moved, and what stands against it. Changes nothing.
    ///
    /// # Errors
    /// Something can't be looked at.
    pub async fn survey(&self) -> Result<Survey, GraduateError> {
        let source = self.open_source().await?;
        let survey = self.look(&source).await;
        source.close().await?;
        survey
    }

    /// Moves it, or goes on with that. `told` hears, in words, what is done.
    ///
    /// # Errors
    /// See [`GraduateError`]. It can be run again, and goes on.
    pub async fn run(&self, told: Told<'_>) -> Result<(), GraduateError> {
        let source = self.open_source().await?;
        let moved = self.run_from(&source, told).await;
        let closed = source.close().await;
        moved.and(closed.map_err(GraduateError::from))
    }

    async fn run_from(&self, source: &Storage, told: Told<'_>) -> Result<(), GraduateError> {
        let survey = self.look(source).await?;
        if !survey.against.is_empty() {
            return Err(GraduateError::Refused(survey.against));
        }
        let (data, id) = (&self.source.data.dir, source.maintenance.id());
        let mut seal = match Seal::load(data)? {
            Some(seal) => seal,
            None => Seal::new(id, self.destination(), self.env.now()),
        };
        seal.store(data)?;
        while let Some(step) = Step::after(seal.done) {
            self.take(step, source, id, told).await?;
            seal.done = Some(step);
            seal.store(data)?;
            told(&step.to_string());
        }
        Ok(())
    }

    async fn take(&self, step: Step, source: &Storage, id: Uuid, told: Told<'_>) -> Result<(), GraduateError> {
        match step {
            Step::Topics => Ok(load::begin(&self.kafka, id).await?),
            Step::Records => records::copy(source, &self.kafka).await,
            Step::Compare => records::compare(source, &self.kafka).await,
            Step::Trim => records::trim(source, &self.kafka).await,
            Step::Rows | Step::States => {
                let (connections, store) = storage::rows(&self.target).await?;
                let done = match step {
                    Step::Rows => rows::copy(source, &connections, &*store, id, told).await,
                    _ => rows::compare_states(source, &connections, &*store).await,
                };
                store.close().await;
                done
            }
            Step::Uploads => uploads::copy(source, &self.source, &self.target, told).await,
            // That it is noted is all of it.
            Step::Seal => Ok(()),
            Step::Open => Ok(load::open(&self.kafka).await?),
        }
    }
}

/// Gives a sealed folder back to its server. Whether it had been moved for good: then its journal has a new identity, because
/// what comes now is another history than what came over there. The caller holds the folder.
///
/// # Errors
/// [`GraduateError::Refused`] if it is not sealed; else it stays sealed.
pub async fn back(source: &Config, env: &Env) -> Result<bool, GraduateError> {
    let data = &source.data.dir;
    let Some(seal) = Seal::load(data)? else {
        let why = format!("the data folder {} is not sealed: nothing of it was moved", data.display());
        return Err(GraduateError::Refused(vec![why]));
    };
    if seal.is_moved() {
        let (_, store) = storage::rows(source).await?;
        let id = env.ids.next();
        let renamed = retention::of_journal(&*store, id).await;
        store.close().await;
        renamed?;
        // If this does not come to be, the folder is still sealed, and the same again gives both a new name.
        embedded::renew(&data.join(JOURNAL_DIR), id)?;
    }
    Seal::remove(data)?;
    Ok(seal.is_moved())
}
