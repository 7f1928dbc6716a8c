//! Which journal, store, rows and objects a server has: the only file that names concrete ones. It opens them, and refuses
//! what does not belong together; it starts nothing.

use std::path::Path;
use std::sync::Arc;

use super::{StartError, graduate};
use crate::api::uploads::Uploads;
use crate::config::Config;
use crate::env::Env;
use crate::metrics::Metrics;
use crate::storage::backup::{self, BackupError, Manifest};
use crate::storage::journal::embedded::{EmbeddedJournal, Options};
use crate::storage::journal::kafka::membership::Membership;
use crate::storage::journal::kafka::{self, KafkaJournal};
use crate::storage::journal::maintenance::Maintenance;
use crate::storage::journal::{Journal, JournalError};
use crate::storage::retention::{self, Retention};
use crate::storage::same_log::{SameLogError, same_log};
use crate::storage::sql::Connections;
use crate::storage::store::Store;
use crate::storage::store::rows::WatermarkRow;
use crate::storage::store::sql::SqlStore;
use crate::storage::uploads::{Objects, UploadRows};

/// The folder of the journal in the data folder.
pub const JOURNAL_DIR: &str = "journal";

/// What a server keeps, open.
pub(super) struct Storage {
    pub journal: Arc<dyn Journal>,
    /// Backups, trimming, identity.
    pub maintenance: Maintenance,
    /// To the database, for the store and for the rows that are written beside the journal.
    pub connections: Connections,
    pub store: Arc<dyn Store>,
}

impl Storage {
    /// Opens journal and store of a data folder, which the caller holds.
    ///
    /// # Errors
    /// The folder moves, or has moved, elsewhere; one of them does not open, or the store is made from another journal.
    pub(crate) async fn open(config: &Config, env: &Env, metrics: &Arc<Metrics>) -> Result<Self, StartError> {
        match graduate::refusal(&config.data.dir) {
            Ok(None) => Self::open_sealed(config, env, metrics).await,
            Ok(Some(why)) => Err(StartError::Graduated(why)),
            Err(error) => Err(StartError::Graduated(error.to_string())),
        }
    }

    /// The same for whoever moves the folder.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) async fn open_sealed(config: &Config, env: &Env, metrics: &Arc<Metrics>) -> Result<Self, StartError> {
        let (journal, maintenance) = match kafka::Options::of(&config.journal) {
            Some(options) => in_kafka(options, env).await?,
            None => embedded(config, env, metrics).await?,
        };
        let connections = connect(config).await?;
        let store: Arc<dyn Store> = Arc::new(SqlStore::new(connections.clone()));
        retention::same_journal(&*store, maintenance.id()).await?;
        must_be_its_log(&store.watermarks().await?, &*journal, &maintenance).await?;
        Ok(Self { journal, maintenance, connections, store })
    }

    /// Opens journal and rows beside others who write both, and says where the rows were before: so the journal, as it is known
    /// here, has all that they have.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(super) async fn open_beside(config: &Config, env: &Env) -> Result<(Self, Vec<WatermarkRow>), StartError> {
        let connections = connect(config).await?;
        let store: Arc<dyn Store> = Arc::new(SqlStore::new(connections.clone()));
        let rows = store.watermarks().await?;
        let (journal, maintenance) = match kafka::Options::of(&config.journal) {
            Some(options) => in_kafka(options, env).await?,
            None => embedded(config, env, &Arc::new(Metrics::new())).await?,
        };
        retention::same_journal(&*store, maintenance.id()).await?;
        must_be_its_log(&rows, &*journal, &maintenance).await?;
        Ok((Self { journal, maintenance, connections, store }, rows))
    }

    /// Ends what it does, and closes it.
    ///
    /// # Errors
    /// The journal's disk failed.
    pub(super) async fn close(self) -> Result<(), JournalError> {
        self.journal.close().await?;
        self.store.close().await;
        Ok(())
    }

    /// Uploaded files: their bytes in the folder or bucket of the configuration, their rows in the database.
    ///
    /// # Errors
    /// The folder or bucket can't be used.
    pub(crate) fn uploads(&self, config: &Config, env: Env) -> Result<Uploads, StartError> {
        let objects = Objects::open(&config.uploads, &config.upload_folder());
        let objects = objects.map_err(|error| StartError::Uploads(error.to_string()))?;
        Ok(Uploads::new(UploadRows::new(self.connections.clone()), objects, env, config))
    }

    /// Backups and trimming of both.
    pub(crate) fn retention(&self, config: &Config, env: Env) -> Retention {
        let keep = config.data.journal_retention;
        let keep = (!keep.is_zero()).then_some(keep);
        Retention::new(self.maintenance.clone(), Arc::clone(&self.store), env, keep)
    }
}

/// Refuses rows that were made from another log.
async fn must_be_its_log(
    rows: &[WatermarkRow],
    journal: &dyn Journal,
    maintenance: &Maintenance,
) -> Result<(), StartError> {
    same_log(rows, journal, maintenance).await.map_err(|error| match error {
        SameLogError::Other(other) => StartError::OtherLog(other),
        SameLogError::Journal(error) => {
            StartError::Journal { place: "which the rows were made from".to_owned(), error }
        }
    })
}

/// A backup of what lies in a data folder that no server has open. The caller holds the folder.
///
/// # Errors
/// Journal or store do not open, or the backup fails.
pub async fn backup_at_rest(config: &Config, to: &Path) -> Result<Manifest, AtRestError> {
    let env = Env::system();
    let storage = Storage::open(config, &env, &Arc::new(Metrics::new())).await?;
    let done = storage.retention(config, env).backup(to).await;
    storage.journal.close().await.map_err(BackupError::Journal)?;
    storage.store.close().await;
    Ok(done?)
}

/// Why there is no backup of a data folder at rest.
#[derive(Debug, thiserror::Error)]
pub enum AtRestError {
    /// Journal or store do not open.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The backup failed.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// The journal in the brokers of the configuration.
async fn in_kafka(options: kafka::Options, env: &Env) -> Result<(Arc<dyn Journal>, Maintenance), StartError> {
    let (name, env) = (format!("Kafka at {} (journal.kafka_brokers)", options.brokers), env.clone());
    let failed = |error| StartError::Journal { place: name.clone(), error };
    kafka::topics::check(&options).await.map_err(failed)?;
    let opened = tokio::task::spawn_blocking(move || KafkaJournal::open(options, env)).await;
    let journal = opened.unwrap_or_else(|panic| Err(JournalError::Io(panic.to_string()))).map_err(failed)?;
    tracing::info!(place = name, id = %journal.maintenance().id(), "the journal is open");
    let maintenance = journal.maintenance().into();
    Ok((Arc::new(journal), maintenance))
}

/// The journal in the data folder.
async fn embedded(
    config: &Config,
    env: &Env,
    metrics: &Arc<Metrics>,
) -> Result<(Arc<dyn Journal>, Maintenance), StartError> {
    if backup::is_unfinished(&config.data.dir) {
        return Err(StartError::Unrestored(config.data.dir.display().to_string()));
    }
    let dir = config.data.dir.join(JOURNAL_DIR);
    let mut options = Options::new(env.clone());
    options.segment_bytes = config.data.segment_size.0 as u64;
    let synced = Arc::clone(metrics);
    options.on_sync = Some(Arc::new(move |took| {
        synced.fsync_seconds.record(took);
        synced.fsync_recent.observe(took);
    }));
    let name = dir.display().to_string();
    let opened = tokio::task::spawn_blocking(move || EmbeddedJournal::open(&dir, options)).await;
    let opened = opened.unwrap_or_else(|panic| Err(JournalError::Io(panic.to_string())));
    let (journal, report) = opened.map_err(|error| StartError::Journal { place: name, error })?;
    tracing::info!(
        records = report.records,
        segments = report.segments,
        torn_bytes = report.torn_bytes,
        ms = report.duration.as_millis(),
        "the journal is open"
    );
    let maintenance = journal.maintenance().into();
    Ok((Arc::new(journal), maintenance))
}

async fn connect(config: &Config) -> Result<Connections, StartError> {
    Ok(Connections::with(&config.database(), &config.store).await?)
}

/// Joins the workers of a kind, to get a share of the partitions. `None` if the journal is none that several share.
///
/// # Errors
/// The client that joins can't be made.
pub(super) fn join(config: &Config, kind: &str) -> Result<Option<Membership>, StartError> {
    let Some(options) = kafka::Options::of(&config.journal) else { return Ok(None) };
    let (group, name) = (format!("{}.{kind}", options.topic), own_name(config));
    let joined = Membership::join(&options, &group, &name);
    let member = joined.map_err(|error| StartError::Journal { place: format!("the group {group}"), error })?;
    tracing::info!(group, name, "joined the workers of the kind");
    Ok(Some(member))
}

/// The name of a process among those of its kind.
fn own_name(config: &Config) -> String {
    let machine = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let by_machine = || format!("{}-{}", machine().trim(), config.server.public_address().port());
    config.server.name.clone().unwrap_or_else(by_machine)
}

/// The database alone.
///
/// # Errors
/// It does not open.
pub(super) async fn rows(config: &Config) -> Result<(Connections, Arc<dyn Store>), StartError> {
    let connections = connect(config).await?;
    let store = Arc::new(SqlStore::new(connections.clone()));
    Ok((connections, store))
}
