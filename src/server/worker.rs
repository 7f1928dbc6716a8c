//! A worker as a process of its own, beside nodes whose journal is in Kafka and whose rows are in PostgreSQL: what it opens, and
//! in which order it starts and stops. It owns no partition, and reads what the records themselves say is verified.
//!
//! Several of a kind at once do no harm, and any may be killed at any moment: rows, cursors and what others are told move in
//! transactions that are guarded by where they were. Those that make rows share the partitions out among themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::hinting::Hinting;
use super::notifying::{self, Followed, Notifying};
use super::process::{BindError, bind};
use super::storage::{self, Storage};
use super::{Deps, StartError};
use crate::actors::node;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::Running;
use crate::actors::workers::marks::{self, MarksStatus};
use crate::actors::workers::notification::worker::Acknowledged;
use crate::actors::workers::persistence::worker::{self as projector, ProjectorStatus};
use crate::actors::workers::prefix::{self, PrefixStatus};
use crate::actors::workers::relay::append_straight;
use crate::api::http::{self, Listener, Options};
use crate::config::{Config, Database, Loaded};
use crate::env::Env;
use crate::health::{Check, Health};
use crate::ids::{Offset, Partition};
use crate::limits;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::journal::kafka::membership::{Membership, Share};
use crate::storage::journal::record::Prefix;
use crate::storage::journal::{Journal, JournalError};
use crate::storage::store::Store;
use crate::storage::store::rows::WatermarkRow;

/// How often its health and figures are brought up to date.
const LOOK: Duration = Duration::from_secs(1);

/// What a worker does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WorkerKind {
    /// Makes the rows of what the journal holds.
    Persistence,
    /// Tells people who do not look of messages that they have not seen.
    Notification,
}

impl WorkerKind {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Persistence => "persistence",
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
        let work = match kind {
            WorkerKind::Persistence => Work::Persistence(Persistence::start(&storage, &rows, &deps)?),
            WorkerKind::Notification => Work::Notification(Notification::start(&storage, &deps).await?),
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
    Persistence(Persistence),
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
            Work::Persistence(work) => work.stop().await,
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

/// The projector, over what is verified of this worker's share, until it is stopped.
struct Persistence {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Persistence {
    fn start(storage: &Storage, rows: &[WatermarkRow], deps: &Deps) -> Result<Self, StartError> {
        for row in rows {
            node::check(&*storage.journal, row.partition, row.next_offset)?;
        }
        let (stop, stopping) = watch::channel(false);
        let health = deps.health.check("rows");
        let (journal, store) = (Arc::clone(&storage.journal), Arc::clone(&storage.store));
        let sharing = Sharing { journal, store, health, metrics: Arc::clone(&deps.metrics) };
        let task = match storage::join(&deps.config, WorkerKind::Persistence.name())? {
            Some(member) => tokio::spawn(sharing.take_turns(member, stopping)),
            None => tokio::spawn(sharing.projecting(rows).look_after(sharing.health, sharing.metrics, stopping)),
        };
        Ok(Self { stop, task })
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the worker died while it was stopped; the next start goes on where it was");
        }
    }
}

/// What a share is worked on with.
struct Sharing {
    journal: Arc<dyn Journal>,
    store: Arc<dyn Store>,
    health: Check,
    metrics: Arc<Metrics>,
}

impl Sharing {
    /// Works on the share that a member of the kind has, anew whenever that changes, until it is told to stop.
    async fn take_turns(self, member: Membership, mut stopping: watch::Receiver<bool>) {
        let mut share = member.share();
        let mut is_over = false;
        while !is_over {
            let mine = share.borrow_and_update().clone();
            let (ends, ended) = watch::channel(false);
            let work = match self.rows(&mine).await {
                Ok(rows) => {
                    self.metrics.worker_partitions.set(i64::try_from(rows.len()).unwrap_or(i64::MAX));
                    let work = self.projecting(&rows);
                    Some(tokio::spawn(work.look_after(self.health.clone(), Arc::clone(&self.metrics), ended)))
                }
                Err(why) => {
                    self.health.down(why);
                    None
                }
            };
            let has_work = work.is_some();
            is_over = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => true,
                changed = share.changed() => changed.is_err(),
                () = tokio::time::sleep(LOOK), if !has_work => false,
            };
            ends.send_replace(true);
            if let Some(work) = work
                && let Err(error) = work.await
            {
                tracing::error!(%error, "the worker died; it goes on where it was");
            }
        }
        // It waits for its thread.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(member)).await {
            tracing::error!(%error, "leaving the workers of the kind");
        }
    }

    /// Where the rows of a share are, or why there is nothing to work on now.
    async fn rows(&self, share: &Share) -> Result<Vec<WatermarkRow>, String> {
        if let Some(why) = &share.is_out {
            return Err(format!(
                "another worker has the name of this one, which has no work any more (server.name): {why}"
            ));
        }
        if !share.is_told {
            return Err("it waits for its share of the partitions".to_owned());
        }
        let rows = self.store.watermarks().await.map_err(|error| error.to_string())?;
        Ok(rows.into_iter().filter(|row| share.partitions.contains(&row.partition)).collect())
    }

    fn projecting(&self, rows: &[WatermarkRow]) -> Projecting {
        Projecting::start(Arc::clone(&self.journal), Arc::clone(&self.store), rows)
    }
}

struct Projecting {
    deps: projector::Deps,
    reader: Running<PrefixStatus>,
}

impl Projecting {
    /// Of partitions whose rows are there.
    fn start(journal: Arc<dyn Journal>, store: Arc<dyn Store>, rows: &[WatermarkRow]) -> Self {
        let (verified, stored) = (Arc::new(Watermarks::new()), Arc::new(Watermarks::new()));
        rows.iter().for_each(|row| stored.raise(row.partition, row.next_offset));
        let starts = rows.iter().map(|row| (row.partition, Prefix { end: row.next_offset, hash: row.log_hash }));
        let reader = prefix::spawn(Arc::clone(&journal), starts.collect(), Arc::clone(&verified));
        // Nobody here can say that he waits for rows: they never linger for long.
        let linger = Duration::from_millis(limits::WORKER_LINGER_MS);
        let options = projector::Options { linger, ..projector::Options::default() };
        let (outbox, report) = (Arc::default(), Arc::new(|_, _, _| ()));
        Self { deps: projector::Deps { journal, store, applied: verified, stored, outbox, report, options }, reader }
    }

    /// Starts the projector, again if it dies, and says how it is, until it is told to stop.
    async fn look_after(self, health: Check, metrics: Arc<Metrics>, mut stopping: watch::Receiver<bool>) {
        let mut projector = projector::spawn(self.deps.clone());
        while !*stopping.borrow() {
            if projector.is_finished() {
                tracing::error!("the projector died and is started again");
                metrics.actor_restarts.inc();
                projector = projector::spawn(self.deps.clone());
            }
            let trouble = trouble(&self.reader.status().borrow(), &projector.status().borrow());
            match trouble {
                Some(trouble) => health.down(trouble),
                None => health.up(),
            }
            self.measure(&metrics);
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
        }
        for ended in [projector.stop().await, self.reader.stop().await] {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the worker died while it was stopped");
            }
        }
    }

    fn measure(&self, metrics: &Metrics) {
        metrics.upkeep();
        let projector::Deps { applied, stored, .. } = &self.deps;
        let lag = |partition: Partition, to: Offset| to.0.saturating_sub(stored.get(partition).0);
        let behind: u64 = applied.beyond(stored).map(|(partition, to)| lag(partition, to)).sum();
        metrics.projector_lag_records.set(i64::try_from(behind).unwrap_or(i64::MAX));
    }
}

/// The notification worker, behind what others have stored. What is stored is verified.
struct Notification {
    notifying: Option<Notifying>,
    marks: Running<MarksStatus>,
    upkeep: JoinHandle<()>,
}

impl Notification {
    async fn start(storage: &Storage, deps: &Deps) -> Result<Self, StartError> {
        let (journal, store) = (Arc::clone(&storage.journal), Arc::clone(&storage.store));
        let hinting = Hinting::connect(deps).await?;
        if hinting.is_none() {
            tracing::warn!(
                "no Redis is named (REDIS_HOST): what devices acknowledge is not heard of here, so all are notified"
            );
        }
        let told = hinting.map(|hinting| hinting.acknowledgements);
        let stored = Arc::new(Watermarks::new());
        let marks = marks::spawn(marks::Deps {
            store: Arc::clone(&store),
            stored: Arc::clone(&stored),
            outbox: Arc::default(),
            is_behind: Arc::new(|| true),
            report: Arc::new(|_, _, _| ()),
        });
        let followed = Followed { append: append_straight(Arc::clone(&journal)), journal, store, stored };
        let acknowledged = Acknowledged { here: None, told };
        let notifying = Notifying::start(deps, followed, &storage.connections, acknowledged).await?;
        let metrics = Arc::clone(&deps.metrics);
        let upkeep = tokio::spawn(async move {
            loop {
                metrics.upkeep();
                tokio::time::sleep(LOOK).await;
            }
        });
        Ok(Self { notifying, marks, upkeep })
    }

    async fn stop(self) {
        if let Some(notifying) = self.notifying {
            notifying.stop().await;
        }
        self.upkeep.abort();
        if let Err(error) = self.marks.stop().await {
            tracing::error!(%error, "a part of the worker died while it was stopped");
        }
    }
}

/// What is wrong, for the operator.
fn trouble(reader: &PrefixStatus, projector: &ProjectorStatus) -> Option<String> {
    let halted = reader.halted.iter().map(|(partition, why)| format!("partition {partition} is halted: {why}"));
    let stuck = projector
        .halted
        .iter()
        .map(|(partition, why)| format!("partition {partition} is not stored any further: {why}"));
    let unread = reader.failing.values().next().map(|why| format!("the journal: {why}"));
    halted.chain(stuck).next().or(unread).or_else(|| projector.failing.clone())
}
