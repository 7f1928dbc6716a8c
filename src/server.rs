//! The engine as a whole, put together: journal, store, node, workers, hub. The process and the tests start it alike.
//!
//! Nothing is decided here; it only knows who is given what, and in which order things start and stop.

use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use axum::Router;
use tokio::task::JoinHandle;

use crate::actors::gateway::hub::{Hub, Overload};
use crate::actors::node::{self, Node};
use crate::actors::partition::core::Options;
use crate::actors::partition::verified::Rule;
use crate::actors::wire::ToOwner;
use crate::api::accounts::{self, Accounts};
use crate::api::admin::Live;
use crate::api::auth::{AuthOptions, Keyring, Revoked, Verifier};
use crate::api::development;
use crate::api::http::Origins;
use crate::api::operations::{self, Handlers};
use crate::api::protocol::codes::Disconnect;
use crate::api::rest::{self, Rest};
use crate::api::session::{self, ProtocolEncoder, Server};
use crate::api::streams;
use crate::api::uploads::{self, Uploads};
use crate::api::websocket;
use crate::config::{self, Config, Database};
use crate::env::{Clock, Env};
use crate::epoch::History;
use crate::health::{Check, Health};
use crate::ids::{PARTITIONS, Partition, Timestamp, UserId};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::accounts::{AccountError, AccountRows};
use crate::storage::analytics::Analytics;
use crate::storage::backup::{self, BackupError, Manifest};
use crate::storage::journal::embedded::{self, EmbeddedJournal, Maintenance, OpenReport};
use crate::storage::journal::{Journal, JournalError};
use crate::storage::notifications::Notifications;
use crate::storage::retention::{self, Retention};
use crate::storage::sql::Connections;
use crate::storage::store::sql::SqlStore;
use crate::storage::store::{Store, StoreError};
use crate::storage::uploads::{Objects, UploadRows};

/// The folder of the journal in the data folder.
pub const JOURNAL_DIR: &str = "journal";
/// How often it is looked whether the journal can be trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether the signing keys have changed.
const KEEP_EVERY: Duration = Duration::from_secs(2);

/// How long events for analysis are kept.
const EVENTS_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// What the engine is given.
pub struct Deps {
    /// The configuration.
    pub config: Arc<Config>,
    /// Clock and ids.
    pub env: Env,
    /// Where its parts say how they are.
    pub health: Health,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// When to say goodbye.
    pub shutdown: Shutdown,
}

/// The running engine.
pub struct Engine {
    config: Arc<Config>,
    node: Arc<Node>,
    hub: Arc<Hub>,
    sessions: Arc<Server>,
    accounts: Arc<Accounts>,
    rest: Rest,
    sweeper: JoinHandle<()>,
    keeper: JoinHandle<()>,
    ticker: JoinHandle<()>,
    goodbye: JoinHandle<()>,
    watcher: JoinHandle<()>,
    trimmer: JoinHandle<()>,
    retention: Arc<Retention>,
    /// What was found in the journal.
    pub opened: OpenReport,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal does not open.
    #[error("the journal in {dir}: {error}")]
    Journal {
        /// Its folder.
        dir: String,
        /// Why.
        error: JournalError,
    },
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] node::StartError),
    /// A key or an address of [auth] can't be used.
    #[error("[auth]: {0}")]
    Auth(String),
    /// The folder or bucket of uploads can't be used.
    #[error("[uploads]: {0}")]
    Uploads(String),
    /// A restore was cut short.
    #[error("a restore into {0} did not finish: empty the folder, and restore again")]
    Unrestored(String),
    /// A configuration that this version can't serve.
    #[error("{0}")]
    Unsupported(String),
}

impl StartError {
    /// Whether it can't work as asked, however often it is tried: what was given does not fit, and nothing is broken.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Incompatible(_)),
            Self::Auth(_) | Self::Uploads(_) | Self::Unrestored(_) | Self::Unsupported(_) => true,
            Self::Journal { .. } | Self::Node(_) => false,
        }
    }
}

impl Engine {
    /// Opens journal and store and starts everything. Returns when all that the journal held is folded.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(deps: Deps) -> Result<Self, StartError> {
        let Deps { config, env, health, metrics, shutdown } = deps;
        let (keyring, revoked) = (Arc::new(keyring(&config.auth)?), Arc::new(Revoked::default()));
        let verifier = Verifier::new(AuthOptions::from(&config.auth), Arc::clone(&env.clock));
        let verifier = verifier.map_err(|error| StartError::Auth(error.to_string()))?;
        let verifier =
            Arc::new(verifier.with(Arc::clone(&keyring), Arc::clone(&revoked)).explaining(!config.server.production));
        let checks =
            Checks { journal: health.check("journal"), store: health.check("store"), clock: health.check("clock") };
        let (journal, opened) = open_journal(&config, &env, &metrics).await?;
        tracing::info!(
            records = opened.records,
            segments = opened.segments,
            torn_bytes = opened.torn_bytes,
            ms = opened.duration.as_millis(),
            "the journal is open"
        );
        let maintenance = journal.maintenance();
        let connections = connect(&config).await?;
        let store = open_store(&connections);
        retention::same_journal(&*store, maintenance.id()).await?;
        let slot: Arc<OnceLock<Weak<Hub>>> = Arc::default();
        let hub_of_node = Arc::clone(&slot);
        let parts = node::Parts {
            env: env.clone(),
            journal: Arc::new(journal),
            store: Arc::clone(&store),
            metrics: Arc::clone(&metrics),
            health: health.clone(),
            options: options(&config),
            memory: config.limits.room_memory.0,
            // One node has them all.
            owned: node::Owned::new(Partition::all(), node::OwnerEpoch(1)),
            gateway: Arc::new(move |frame| {
                if let Some(hub) = hub_of_node.get().and_then(Weak::upgrade) {
                    hub.receive(frame);
                }
            }),
        };
        let node = Arc::new(Node::start(parts).await?);
        node.context().trails.follow_one_in(config.admin.trace_every);
        let owners = Arc::downgrade(&node);
        let owners = move |frame: ToOwner| owners.upgrade().map_or(Err(Overload), |node| node.to_owner(frame));
        let hub = Arc::new(Hub::new(
            Arc::new(owners),
            Arc::new(ProtocolEncoder),
            Arc::clone(&env.clock),
            Arc::clone(&metrics),
        ));
        let _ = slot.set(Arc::downgrade(&hub));
        let ticker = tokio::spawn(Arc::clone(&hub).run());
        node.replayed().await;
        let online = Arc::clone(&hub);
        let online = Arc::new(move |user: &UserId| online.sessions().is_online(user));
        let handlers = Arc::new(Handlers::new(Arc::clone(&node), operations::Options::new(&config), online));
        let (notifications, analytics) = (Notifications::new(connections.clone()), Analytics::new(connections.clone()));
        let uploads = Arc::new(open_uploads(&config, connections.clone(), env.clone())?);
        let rows = AccountRows::new(connections);
        let accounts = open_accounts(&config, rows, keyring, revoked, Arc::clone(&hub), env.clone()).await?;
        let (methods, keys) = (Arc::new(Arc::clone(&handlers)), Arc::clone(&verifier));
        let options = session::Options::new(&config, History::of(maintenance.id()));
        let clocks = env.clone();
        let spread = config.server.shutdown_grace / 10;
        let goodbye = tokio::spawn(say_goodbye(Arc::clone(&hub), shutdown.clone(), spread));
        let sessions = Server::new(Arc::clone(&hub), verifier, methods, env, metrics, options, shutdown);
        look(&node, &maintenance, &checks).await;
        let retention = Arc::new(retention_of(&config, maintenance.clone(), store, clocks));
        retention.remember().await?;
        let watcher = tokio::spawn(watch(Arc::clone(&node), maintenance, checks, Arc::clone(&retention)));
        let trimmer = tokio::spawn(trim(Arc::clone(&retention)));
        let sessions = Arc::new(sessions);
        let keeper = tokio::spawn(keep(Arc::clone(&accounts)));
        let sweeper = tokio::spawn(sweep(Arc::clone(&uploads), analytics.clone(), sessions.clock()));
        let (served, known) = (Arc::clone(&sessions), Arc::clone(&accounts));
        let rest = Rest::new(handlers, keys, served, known, uploads, notifications, analytics, Arc::clone(&config));
        Ok(Self {
            rest,
            accounts,
            sweeper,
            keeper,
            config,
            node,
            hub,
            sessions,
            ticker,
            goodbye,
            watcher,
            trimmer,
            retention,
            opened,
        })
    }

    /// The routes of the public listener.
    pub fn routes(&self) -> Router {
        let origins = Origins::new(Arc::clone(&self.config));
        let streams = streams::routes(Arc::clone(&self.sessions), origins.clone());
        websocket::routes(Arc::clone(&self.sessions), origins.clone())
            .merge(rest::allowing(streams, &origins))
            .merge(rest::routes(self.rest.clone(), &origins))
    }

    /// Accounts and sign-ins.
    #[must_use]
    pub fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Users of the development mode with a room and something in it, if there are none yet.
    ///
    /// # Errors
    /// What was to be made could not be made now.
    pub async fn provide_development(&self) -> Result<(), development::NotMade> {
        development::provide(&self.accounts, self.rest.handlers()).await
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The handlers, as sessions and REST call them.
    #[must_use]
    pub fn handlers(&self) -> &Arc<Handlers> {
        self.rest.handlers()
    }

    /// The history that positions belong to.
    #[must_use]
    pub fn history(&self) -> History {
        self.sessions.history()
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// What the operator's routes see of it.
    #[must_use]
    pub fn live(&self) -> Live {
        Live {
            node: Arc::clone(&self.node),
            hub: Arc::clone(&self.hub),
            retention: Arc::clone(&self.retention),
            accounts: Arc::clone(&self.accounts),
            history: self.history(),
            handlers: Arc::clone(self.handlers()),
        }
    }

    /// Backups and trimming.
    #[must_use]
    pub fn retention(&self) -> &Arc<Retention> {
        &self.retention
    }

    /// After the sockets are gone: what was taken is answered and stored, the journal is flushed, everything stops.
    ///
    /// # Errors
    /// The journal could not be flushed.
    pub async fn drain(self) -> Result<(), JournalError> {
        self.watcher.abort();
        self.trimmer.abort();
        self.keeper.abort();
        self.sweeper.abort();
        self.goodbye.abort();
        let done = self.node.stop(self.config.server.shutdown_grace).await;
        self.ticker.abort();
        done
    }
}

/// A backup of what lies in a data folder that no server has open. The caller holds the folder.
///
/// # Errors
/// Journal or store do not open, or the backup fails.
pub async fn backup_at_rest(config: &Config, to: &Path) -> Result<Manifest, AtRestError> {
    let env = Env::system();
    let (journal, _) = open_journal(config, &env, &Arc::new(Metrics::new())).await?;
    let (maintenance, store) = (journal.maintenance(), open_store(&connect(config).await?));
    retention::same_journal(&*store, maintenance.id()).await.map_err(StartError::Store)?;
    let done = retention_of(config, maintenance, Arc::clone(&store), env).backup(to).await;
    journal.close().await.map_err(BackupError::Journal)?;
    store.close().await;
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

fn retention_of(config: &Config, journal: Maintenance, store: Arc<dyn Store>, env: Env) -> Retention {
    let keep = config.data.journal_retention;
    Retention::new(journal, store, env, (!keep.is_zero()).then_some(keep))
}

/// Trims the journal now and then: what a backup covers grows old by itself.
async fn trim(retention: Arc<Retention>) {
    let mut ticks = tokio::time::interval(TRIM_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = retention.trim().await {
            tracing::warn!(%error, "the journal could not be trimmed; the next try is in a minute");
        }
    }
}

async fn open_journal(
    config: &Config,
    env: &Env,
    metrics: &Arc<Metrics>,
) -> Result<(EmbeddedJournal, OpenReport), StartError> {
    if backup::is_unfinished(&config.data.dir) {
        return Err(StartError::Unrestored(config.data.dir.display().to_string()));
    }
    let dir = config.data.dir.join(JOURNAL_DIR);
    let mut options = embedded::Options::new(env.clone());
    options.segment_bytes = config.data.segment_size.0 as u64;
    let synced = Arc::clone(metrics);
    options.on_sync = Some(Arc::new(move |took| {
        synced.fsync_seconds.observe(took.as_secs_f64());
        synced.fsync_recent.observe(took);
    }));
    let name = dir.display().to_string();
    let opened = tokio::task::spawn_blocking(move || EmbeddedJournal::open(&dir, options)).await;
    let opened = opened.unwrap_or_else(|panic| Err(JournalError::Io(panic.to_string())));
    opened.map_err(|error| StartError::Journal { dir: name, error })
}

fn keyring(auth: &config::Auth) -> Result<Keyring, StartError> {
    let ring = Keyring::open(auth.keys_file.as_deref(), auth.hmac_secret.clone());
    ring.map_err(|error| StartError::Auth(error.to_string()))
}

async fn open_accounts(
    config: &Config,
    rows: AccountRows,
    keyring: Arc<Keyring>,
    revoked: Arc<Revoked>,
    hub: Arc<Hub>,
    env: Env,
) -> Result<Arc<Accounts>, StartError> {
    let options = accounts::Options::from(config);
    let opened = Accounts::open(rows, keyring, revoked, hub, env, options).await;
    Ok(Arc::new(opened.map_err(|error| match error {
        AccountError::Store(error) => StartError::Store(error),
        other => StartError::Auth(other.to_string()),
    })?))
}

fn open_uploads(config: &Config, connections: Connections, env: Env) -> Result<Uploads, StartError> {
    let objects = Objects::open(&config.uploads, &config.upload_folder());
    let objects = objects.map_err(|error| StartError::Uploads(error.to_string()))?;
    Ok(Uploads::new(UploadRows::new(connections), objects, env, config))
}

/// Deletes bytes that have no row, and events that are old, now and then.
async fn sweep(uploads: Arc<Uploads>, analytics: Analytics, clock: Arc<dyn Clock>) {
    let mut ticks = tokio::time::interval(uploads::SWEEP_EVERY);
    loop {
        ticks.tick().await;
        match uploads.sweep().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "uploads that a crash left half done are swept"),
            Err(error) => tracing::warn!(%error, "uploads can't be swept; the next try is in a day"),
        }
        let before = Timestamp(clock.now().0.saturating_sub(EVENTS_KEPT_MS));
        if let Err(error) = analytics.sweep(before).await {
            tracing::warn!(%error, "old events can't be swept; the next try is in a day");
        }
    }
}

/// Looks after keys and sign-ins.
async fn keep(accounts: Arc<Accounts>) {
    let mut ticks = tokio::time::interval(KEEP_EVERY);
    loop {
        ticks.tick().await;
        accounts.upkeep().await;
    }
}

/// The one place that decides which databases are served from.
async fn connect(config: &Config) -> Result<Connections, StartError> {
    let database = config.database();
    if matches!(database, Database::Postgres(_)) {
        let why = "PostgreSQL comes with the cluster; this version stores in SQLite";
        return Err(StartError::Unsupported(why.to_owned()));
    }
    Ok(Connections::open(&database).await?)
}

fn open_store(connections: &Connections) -> Arc<dyn Store> {
    Arc::new(SqlStore::new(connections.clone()))
}

fn options(config: &Config) -> Options {
    let resident = u64::from(config.limits.resident_rooms) + u64::from(config.limits.resident_users);
    Options {
        rule: Rule::ReadableIsDurable,
        unknown_after_ms: 5_000,
        retry_after_ms: 100,
        idle_ms: u64::try_from(config.limits.idle.as_millis()).unwrap_or(u64::MAX),
        resident: usize::try_from(resident.div_ceil(u64::from(PARTITIONS))).unwrap_or(usize::MAX),
    }
}

/// Sends everybody away when the drain begins, over the time of `spread`, and also who authenticated meanwhile.
async fn say_goodbye(hub: Arc<Hub>, shutdown: Shutdown, spread: Duration) {
    shutdown.draining().await;
    loop {
        hub.sessions().disconnect_all(Disconnect::SHUTDOWN.code, spread).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the engine says of its own health.
struct Checks {
    journal: Check,
    store: Check,
    clock: Check,
}

/// Keeps health and gauges up to date, once a second.
async fn watch(node: Arc<Node>, journal: Maintenance, checks: Checks, retention: Arc<Retention>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        look(&node, &journal, &checks).await;
        let taken = retention.last_backup().map_or(0, |at| at.0 / 1_000);
        node.context().metrics.backup_last_seconds.set(i64::try_from(taken).unwrap_or(i64::MAX));
    }
}

async fn look(node: &Node, journal: &Maintenance, checks: &Checks) {
    match journal.failure() {
        None => checks.journal.up(),
        Some(why) => checks.journal.down(why),
    }
    match node.store().health().await {
        Ok(()) => checks.store.up(),
        Err(error) => checks.store.down(error.to_string()),
    }
    node.measure().await;
    match node.context().clocks.trouble() {
        None => checks.clock.up(),
        Some(trouble) => checks.clock.warn(trouble.to_string()),
    }
}
