//! The only composition root: which journal, store and rows a server has, who is given what, and in which order things
//! start and stop. The process, the benchmarks and the tests start it alike. Nothing is decided here.
//!
//! | file | holds |
//! |---|---|
//! | here | the engine: journal, store, node, hub, sessions, operations and routes, without a listener |
//! | `storage` | the concrete journal and store, opened |
//! | `background` | what runs beside the engine until it drains |
//! | `hinting` | Redis, if it is wanted |
//! | `notifying` | the notification worker, if it is wanted, here or by itself |
//! | `graduate` | moves a data folder to Kafka and PostgreSQL |
//! | `worker` | a worker as a process of its own |
//! | `process` | the listeners around the engine: bind, start, serve, drain |

mod background;
pub mod graduate;
mod hinting;
mod notifying;
mod process;
mod storage;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::Arc;

use tokio::task::JoinHandle;

pub use self::process::{BindError, DrainError, Server, Serving, Started};
pub use self::storage::{AtRestError, JOURNAL_DIR, backup_at_rest};
pub use self::worker::{RunningWorker, Worker, WorkerKind};

use self::background::Checks;
use self::hinting::Hinting;
use self::notifying::{Followed, Notifiers, Notifying};
use self::storage::Storage;
use crate::actors::gateway::hub::Hub;
use crate::actors::hints::RedisError;
use crate::actors::moment::FoldVersion;
use crate::actors::node::{self, Node};
use crate::actors::partition;
use crate::actors::partition::verified::Rule;
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::router::{self, Router};
use crate::actors::wire::NodeId;
use crate::actors::workers::notification::worker::Acknowledged;
use crate::api::accounts::{self, Accounts};
use crate::api::admin::Live;
use crate::api::auth::{AuthOptions, Keyring, Revoked, Verifier};
use crate::api::development;
use crate::api::http::Origins;
use crate::api::operations::{self, Handlers};
use crate::api::rest::{self, Rest};
use crate::api::session::{self, ProtocolEncoder};
use crate::api::streams;
use crate::api::websocket;
use crate::config::{Config, Role};
use crate::env::Env;
use crate::epoch::History;
use crate::health::Health;
use crate::ids::{Partition, RoomId, UserId, millis};
use crate::limits;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::accounts::{AccountError, AccountRows};
use crate::storage::analytics::Analytics;
use crate::storage::journal::JournalError;
use crate::storage::notifications::Notifications;
use crate::storage::notifications::outbox::NotificationOutbox;
use crate::storage::retention::Retention;
use crate::storage::same_log::OtherLog;
use crate::storage::store::StoreError;

/// What the engine is given.
#[derive(Clone)]
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
    sessions: Arc<session::Server>,
    accounts: Arc<Accounts>,
    rest: Rest,
    retention: Arc<Retention>,
    outbox: NotificationOutbox,
    notifying: Option<Notifying>,
    /// Ended before the node stops: what they do needs it.
    background: Vec<JoinHandle<()>>,
    /// Ended after the node has stopped: answers still go out by it.
    ticker: JoinHandle<()>,
}

/// Why the engine does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal does not open.
    #[error("the journal in {place}: {error}")]
    Journal {
        /// Its folder, or the brokers that have it.
        place: String,
        /// Why.
        error: JournalError,
    },
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal is another one than the rows were made from.
    #[error(transparent)]
    OtherLog(OtherLog),
    /// The node does not start.
    #[error(transparent)]
    Node(#[from] node::StartError),
    /// A key or an address of [auth] can't be used.
    #[error("[auth]: {0}")]
    Auth(String),
    /// The folder or bucket of uploads can't be used.
    #[error("[uploads]: {0}")]
    Uploads(String),
    /// Redis does not answer.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// A provider of [notifications] can't be used.
    #[error("[notifications]: {0}")]
    Notifications(String),
    /// The data folder moves, or has moved, elsewhere.
    #[error("{0}")]
    Graduated(String),
    /// A restore was cut short.
    #[error("a restore into {0} did not finish: empty the folder, and restore again")]
    Unrestored(String),
}

impl From<AccountError> for StartError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => Self::Store(error),
            other => Self::Auth(other.to_string()),
        }
    }
}

impl StartError {
    /// Whether it can't work as asked, however often it is tried: what was given does not fit, and nothing is broken.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Incompatible(_)),
            Self::OtherLog(_)
            | Self::Auth(_)
            | Self::Uploads(_)
            | Self::Notifications(_)
            | Self::Graduated(_)
            | Self::Unrestored(_) => true,
            Self::Journal { error, .. } => matches!(error, JournalError::Incompatible(_)),
            Self::Redis(error) => matches!(error, RedisError::Address(_)),
            Self::Node(_) => false,
        }
    }
}

impl Engine {
    /// Opens journal and store and starts everything. Returns when all that the journal held is folded.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(deps: Deps) -> Result<Self, StartError> {
        let auth = Auth::open(&deps)?;
        let checks = Checks::of(&deps.health);
        let hinting = Hinting::connect(&deps).await?;
        let Deps { config, env, shutdown, .. } = &deps;
        let storage = Storage::open(config, env, &deps.metrics).await?;
        let (node, hub) = start_node(&deps, &storage).await?;
        let ticker = tokio::spawn(Arc::clone(&hub).run());
        node.replayed().await;

        let rows = storage.connections.clone();
        let (notifications, analytics) = (Notifications::new(rows.clone()), Analytics::new(rows.clone()));
        let outbox = NotificationOutbox::new(rows.clone());
        let uploads = Arc::new(storage.uploads(config, env.clone())?);
        let options = accounts::Options::from(&**config);
        let (keyring, revoked) = (auth.keyring, auth.revoked);
        let accounts =
            Accounts::open(AccountRows::new(rows), keyring, revoked, Arc::clone(&hub), env.clone(), options).await?;
        let accounts = Arc::new(accounts);

        let told = hinting.as_ref().map(|hinting| Arc::clone(&hinting.acknowledgements));
        let handlers = Arc::new(handlers(config, &node, &hub).telling(told.clone()));
        let history = History::of(storage.maintenance.id());
        let sessions = Arc::new(session::Server::new(
            Arc::clone(&hub),
            Arc::clone(node.router()),
            Arc::clone(&auth.verifier),
            Arc::clone(&handlers),
            env.clone(),
            Arc::clone(&deps.metrics),
            session::Options::new(config, history),
            shutdown.clone(),
        ));
        let notified = Arc::clone(&handlers);
        let here = Arc::new(move |user: &UserId, room: RoomId| notified.delivered_to(user, room));
        let acknowledged = Acknowledged { here: Some(here), told };
        let is_alone = config.server.role == Role::All;
        let notifying = match is_alone {
            true => Notifiers::prepare(&deps, Followed::of(&node), &storage.connections, acknowledged).await?,
            false => None,
        };
        let notifying = notifying.map(Notifiers::start_alone);
        let mut retention = storage.retention(config, env.clone());
        // Where others read the same journal, one of them may notify.
        if notifying.is_some() || config.journal.kafka_brokers.is_some() {
            retention = retention.behind(outbox.clone());
        }
        let retention = Arc::new(retention);
        if let Err(error) = retention.remember().await {
            tracing::warn!(%error, "when the last backup was taken is not known yet");
        }
        background::look(&node, &storage.maintenance, &checks).await;
        let mut background = vec![
            tokio::spawn(background::say_goodbye(
                Arc::clone(&hub),
                shutdown.clone(),
                config.server.shutdown_grace / 10,
            )),
            tokio::spawn(background::watch(Arc::clone(&node), storage.maintenance, checks, Arc::clone(&retention))),
            tokio::spawn(background::trim(Arc::clone(&retention))),
            tokio::spawn(background::keep(Arc::clone(&accounts))),
            tokio::spawn(background::sweep(Arc::clone(&uploads), analytics.clone(), Arc::clone(&env.clock))),
        ];
        background.extend(hinting.map(|hinting| hinting.run()));
        let (served, known, config) = (Arc::clone(&sessions), Arc::clone(&accounts), Arc::clone(config));
        let rest =
            Rest::new(handlers, auth.verifier, served, known, uploads, notifications, analytics, Arc::clone(&config));
        Ok(Self { config, node, hub, sessions, accounts, rest, retention, outbox, notifying, background, ticker })
    }

    /// The routes of the public listener.
    pub fn routes(&self) -> axum::Router {
        let origins = Origins::new(Arc::clone(&self.config));
        let streams = streams::routes(Arc::clone(&self.sessions), origins.clone());
        websocket::routes(Arc::clone(&self.sessions), origins.clone())
            .merge(rest::allowing(streams, &origins))
            .merge(rest::routes(self.rest.clone(), &origins))
    }

    /// Accounts and sign-ins.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn accounts(&self) -> &Arc<Accounts> {
        &self.accounts
    }

    /// Users of the development mode with a room and something in it, if there are none yet.
    ///
    /// # Errors
    /// What was to be made could not be made now.
    pub(crate) async fn provide_development(&self) -> Result<(), development::NotMade> {
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
    pub(crate) fn history(&self) -> History {
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
            outbox: self.outbox.clone(),
            notifies: self.notifying.is_some(),
        }
    }

    /// Backups and trimming.
    #[must_use]
    pub(crate) fn retention(&self) -> &Arc<Retention> {
        &self.retention
    }

    /// After the sockets are gone: what was taken is answered and stored, the journal is flushed, everything stops.
    ///
    /// # Errors
    /// The journal could not be flushed.
    pub async fn drain(self) -> Result<(), JournalError> {
        self.background.iter().for_each(JoinHandle::abort);
        if let Some(notifying) = self.notifying {
            notifying.stop().await;
        }
        let done = self.node.stop(self.config.server.shutdown_grace).await;
        self.ticker.abort();
        done
    }
}

/// Who may come in: the signing keys, whose tokens are void, and what checks a token.
struct Auth {
    keyring: Arc<Keyring>,
    revoked: Arc<Revoked>,
    verifier: Arc<Verifier>,
}

impl Auth {
    fn open(deps: &Deps) -> Result<Self, StartError> {
        let config = &deps.config;
        let keyring = Keyring::open(config.auth.keys_file.as_deref(), config.auth.hmac_secret.clone());
        let keyring = Arc::new(keyring.map_err(|error| StartError::Auth(error.to_string()))?);
        let revoked = Arc::new(Revoked::default());
        let verifier = Verifier::new(AuthOptions::from(&config.auth), Arc::clone(&deps.env.clock));
        let verifier = verifier.map_err(|error| StartError::Auth(error.to_string()))?;
        let verifier = verifier.with(Arc::clone(&keyring), Arc::clone(&revoked)).explaining(!config.server.production);
        Ok(Self { keyring, revoked, verifier: Arc::new(verifier) })
    }
}

/// The way to the partitions, the hub that asks by it, and the node whose actors answer. Replay goes on.
async fn start_node(deps: &Deps, storage: &Storage) -> Result<(Arc<Node>, Arc<Hub>), StartError> {
    let Deps { config, env, health, metrics, .. } = deps;
    let router = Arc::new(Router::new(router::Deps {
        // More than one comes with the cluster; until then it has all partitions, and nothing is left of its earlier lives.
        node: NodeId { number: 0, life: env.now().0 },
        owned: Owned::new(Partition::all(), OwnerEpoch(1)),
        clock: Arc::clone(&env.clock),
        metrics: Arc::clone(metrics),
        memory: config.limits.room_memory.0,
    }));
    router.traces().follow_one_in(config.admin.trace_every);
    let (owners, encoder, clock) = (Arc::clone(&router), Arc::new(ProtocolEncoder), Arc::clone(&env.clock));
    let hub = Arc::new(Hub::new(owners, encoder, clock, Arc::clone(metrics)));
    let gateway: Arc<dyn node::Gateway> = Arc::<Hub>::clone(&hub);
    let node = Node::start(node::Deps {
        env: env.clone(),
        journal: Arc::clone(&storage.journal),
        store: Arc::clone(&storage.store),
        metrics: Arc::clone(metrics),
        health: health.clone(),
        options: partition_options(config),
        router,
        resident: config.limits.resident_rooms as usize + config.limits.resident_users as usize,
        rows: if config.server.role == Role::Api { node::RowsMadeBy::Worker } else { node::RowsMadeBy::Node },
        gateway,
    });
    Ok((Arc::new(node.await?), hub))
}

fn handlers(config: &Config, node: &Arc<Node>, hub: &Arc<Hub>) -> Handlers {
    let online = Arc::clone(hub);
    let online = Arc::new(move |user: &UserId| online.sessions().is_online(user));
    Handlers::new(Arc::clone(node), operations::Options::new(config), online)
}

fn partition_options(config: &Config) -> partition::core::Options {
    partition::core::Options {
        // A broker may show a record that is lost later.
        rule: if config.journal.kafka_brokers.is_some() { Rule::OwnReports } else { Rule::ReadableIsDurable },
        unknown_after_ms: 5_000,
        retry_after_ms: limits::NOT_TAKEN_RETRY_MS,
        idle_ms: millis(config.limits.idle),
        cover_after_ms: (config.server.role == Role::Api).then_some(limits::COVER_AFTER_MS),
        knows: FoldVersion::KNOWN,
    }
}
