//! A worker as a process of its own, beside nodes whose journal is in Kafka and whose rows are in PostgreSQL: what it opens, and
//! in which order it starts and stops. It owns no partition, and reads what the records themselves say is verified.
//!
//! Several of a kind at once do no harm, and any may be killed at any moment: rows, cursors and what others are told move in
//! transactions that are guarded by where they were. They share the partitions out among themselves.
//!
//! | file | holds |
//! |---|---|
//! | here | what each is started with, and how it ends |
//! | `sharing` | works on the share of the partitions that a worker of several has, anew whenever that changes |
//! | `persistence`, `realtime`, `notification` | the three kinds |
//! | `journal_clock` | the journal's clock, as one who only appends now and then knows it |

mod journal_clock;
mod notification;
mod persistence;
mod realtime;
mod sharing;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use self::notification::Notification;
use self::persistence::Persistence;
use self::realtime::Realtime;
use self::sharing::Shared;
use super::notifying;
use super::process::{BindError, bind};
use super::storage::{self, Storage};
use super::{Deps, StartError};
use crate::actors::node;
use crate::api::http::{self, Listener, Options};
use crate::config::{Config, Database, Loaded};
use crate::env::Env;
use crate::health::{Check, Health};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::journal::JournalError;

/// What a worker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkerKind {
    /// Makes the rows of what the journal holds.
    Persistence,
    /// Tells the partitions of users and rooms what happened in others, and ends rooms whose time is over.
    Realtime,
    /// Tells people who do not look of messages that they have not seen.
    Notification,
}

impl WorkerKind {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Persistence => "persistence",
            Self::Realtime => "realtime",
            Self::Notification => "notification",
        }
    }
}

/// A worker that holds its addresses, and says on them that it starts.
pub struct Worker {
    deps: Deps,
    starting: Check,
    listening: Listening,
    address: SocketAddr,
}

/// Its listeners: health on the public address, metrics and health on the admin one.
struct Listening {
    stop: Shutdown,
    tasks: [JoinHandle<()>; 2],
}

impl Worker {
    /// What a configuration lacks for a worker that stands alone, with the way to say it. `None` if it lacks nothing.
    #[must_use]
    pub fn lacks(config: &Config, kind: WorkerKind) -> Option<String> {
        if kind == WorkerKind::Notification && !notifying::is_wanted(&config.notifications) {
            return Some(
                "[notifications] names no way out: set notifications.log, webhook_url or fcm_account, or start no such \
                 worker"
                    .to_owned(),
            );
        }
        let mut lacks = Vec::new();
        if config.journal.kafka_brokers.is_none() {
            lacks.push("the journal in Kafka (KAFKA_BROKERS=host:9092)");
        }
        if !matches!(config.database(), Database::Postgres(_)) {
            lacks.push("the rows in PostgreSQL (DATABASE_URL=postgres://…)");
        }
        (!lacks.is_empty()).then(|| {
            let lacks = lacks.join(", and ");
            format!("a worker by itself needs {lacks}: without them `kervan serve` does all of it in one process")
        })
    }

    /// Takes the addresses of a configuration.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(loaded: &Loaded, env: Env) -> Result<Self, BindError> {
        let config = Arc::new(loaded.config.clone());
        let public = bind(config.server.public_address(), "port", "--port or PORT").await?;
        let admin = bind(config.server.admin_address(), "admin port", "KERVAN_SERVER__ADMIN_PORT").await?;
        let (shutdown, stop, metrics) = (Shutdown::new(), Shutdown::new(), Arc::new(Metrics::new()));
        let health = Health::new(shutdown.clone());
        let (starting, address) = (health.check("worker"), public.address());
        let serve = |listener: Listener, routes, options| {
            tokio::spawn(listener.serve(routes, options, Arc::clone(&metrics), stop.clone()))
        };
        let tasks = [
            serve(public, http::worker(health.clone(), Arc::clone(&metrics)), Options::public(&config.limits)),
            serve(admin, http::worker_admin(health.clone(), Arc::clone(&metrics)), Options::admin(&config.limits)),
        ];
        let deps = Deps { config, env, health, metrics, shutdown };
        Ok(Self { deps, starting, listening: Listening { stop, tasks }, address })
    }

    /// Where its health is asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens journal and rows, and starts.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(self, kind: WorkerKind) -> Result<RunningWorker, StartError> {
        let Self { deps, starting, listening, .. } = self;
        let (storage, rows) = Storage::open_beside(&deps.config, &deps.env).await?;
        for row in &rows {
            node::check(&*storage.journal, row.partition, row.next_offset)?;
        }
        let member = || storage::join(&deps.config, kind.name());
        let work = match kind {
            WorkerKind::Persistence => Work::Shared(Persistence::start(&storage, &deps, member()?)),
            WorkerKind::Realtime => Work::Realtime(Realtime::start(&storage, &deps, member()?)),
            WorkerKind::Notification => Work::Notification(Notification::start(&storage, &deps, member()?).await?),
        };
        starting.up();
        Ok(RunningWorker { deps, listening, storage, work })
    }
}

/// A worker that works.
pub struct RunningWorker {
    deps: Deps,
    listening: Listening,
    storage: Storage,
    work: Work,
}

enum Work {
    Shared(Shared),
    Realtime(Realtime),
    Notification(Notification),
}

impl RunningWorker {
    /// Finishes what is under way, closes everything, and ends the listeners.
    ///
    /// # Errors
    /// The journal could not be closed.
    pub async fn stop(self) -> Result<(), JournalError> {
        self.deps.shutdown.begin();
        match self.work {
            Work::Shared(work) => work.stop().await,
            Work::Realtime(work) => work.stop().await,
            Work::Notification(work) => work.stop().await,
        }
        self.storage.close().await?;
        self.listening.stop.begin();
        for task in self.listening.tasks {
            if let Err(error) = task.await {
                tracing::warn!(%error, "a listener has failed");
            }
        }
        Ok(())
    }
}
