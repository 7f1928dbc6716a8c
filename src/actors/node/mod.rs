//! A node: its partitions, its workers, and the way in for gateways.
//!
//! Nothing here is global: two nodes in one process do not see each other. The tree of supervision is node -> partitions
//! -> rooms and users, and node -> workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::actors::clocks::Clocks;
use crate::actors::gateway::hub::Hub;
use crate::actors::halted::Halted;
use crate::actors::inspect::{Directory, Part};
use crate::actors::partition::context::Context;
use crate::actors::partition::core::Options;
use crate::actors::partition::message::PartitionMessage;
use crate::actors::router::Router;
use crate::actors::watermarks::Watermarks;
use crate::actors::wire::{Entity, ToGateway};
use crate::actors::workers::relay::{Append, Owed};
use crate::env::Env;
use crate::health::Health;
use crate::ids::{Offset, Partition};
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::{Journal, JournalError};
use crate::storage::store::{Store, StoreError};

mod clocks;
mod moving;
mod supervisor;
#[cfg(test)]
mod tests;
mod workers;

pub use moving::MoveError;
use supervisor::Tree;

/// How long a start waits for the journal's records before it says so.
const SLOW_REPLAY: Duration = Duration::from_secs(10);
/// How long a partition may take to say whether an entity went.
const LET_GO_DEADLINE: Duration = Duration::from_secs(5);

/// A node's gateway, as its owners see it.
pub(crate) trait Gateway: Send + Sync + 'static {
    /// An owner tells it something.
    fn receive(&self, frame: ToGateway);

    /// The owner of this partition's streams is another now, or none: who listens has to ask again.
    fn owner_changed(&self, partition: Partition);
}

impl Gateway for Hub {
    fn receive(&self, frame: ToGateway) {
        Self::receive(self, frame);
    }

    fn owner_changed(&self, partition: Partition) {
        self.owners_changed(|changed| changed == partition);
    }
}

/// Who makes the rows of what is folded here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowsMadeBy {
    /// The node's own projector; the relay and the expiry scanner run here as well.
    Node,
    /// A process that stands alone: the store is asked how far it is. Another one relays and looks for rooms whose time is over.
    Worker,
}

/// What a node is made of.
pub struct Deps {
    /// Clock and ids.
    pub env: Env,
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether it is ready.
    pub health: Health,
    /// Rules and bounds of the partitions.
    pub options: Options,
    /// The way to its partitions, and which those are.
    pub(crate) router: Arc<Router>,
    /// Rooms and users in memory at most, in all of its partitions.
    pub resident: usize,
    /// Who makes the rows.
    pub rows: RowsMadeBy,
    /// What is told of its partitions' streams, but answers to what was asked through the router.
    pub(crate) gateway: Arc<dyn Gateway>,
}

/// A running node.
pub struct Node {
    env: Env,
    router: Arc<Router>,
    gateway: Arc<dyn Gateway>,
    context: Arc<Context>,
    rows: RowsMadeBy,
    tree: Tree,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal and the store do not belong together.
    #[error(
        "the store has partition {partition} up to offset {watermark}, the journal holds {start} to {end}: \
         {hint}"
    )]
    Mismatch {
        /// The partition.
        partition: Partition,
        /// The store's watermark.
        watermark: Offset,
        /// The journal's first offset.
        start: Offset,
        /// The journal's end.
        end: Offset,
        /// What to do.
        hint: &'static str,
    },
    /// An actor does not start.
    #[error("an actor does not start: {0}")]
    Actor(String),
}

impl Node {
    /// Starts the partitions at the store's watermarks and the workers. Returns when the actors run; replay goes on, see
    /// [`Self::replayed`].
    ///
    /// # Errors
    /// The store does not answer, or journal and store do not belong together.
    pub async fn start(deps: Deps) -> Result<Self, StartError> {
        let watermarks = deps.store.watermarks().await?;
        for row in &watermarks {
            check(&*deps.journal, row.partition, row.next_offset)?;
        }
        let (applied, stored) = (Arc::new(Watermarks::new()), Arc::new(Watermarks::new()));
        for row in &watermarks {
            applied.raise(row.partition, row.next_offset);
            stored.raise(row.partition, row.next_offset);
        }
        let Deps { env, journal, store, metrics, health, options, router, resident, rows, gateway } = deps;
        let (answers, passers, frames) = (Arc::clone(&router), Arc::clone(&router), Arc::clone(&gateway));
        let health = health.check("partitions");
        let context = Arc::new(Context {
            env: env.clone(),
            journal,
            store,
            applied,
            meant: Arc::new(Watermarks::new()),
            barriers: Arc::new(Watermarks::new()),
            stored,
            to_gateway: Box::new(move |from, to, frame| {
                if let Some(frame) = answers.receive(from, to, frame) {
                    frames.receive(frame);
                }
            }),
            to_room: Box::new(move |stream, event| {
                // Lost like anything ephemeral if nobody takes it.
                let _ = passers.ephemeral(stream, event);
            }),
            owned: Arc::clone(router.owned()),
            resident,
            halted: Halted::default(),
            owed: Arc::default(),
            retelling: Semaphore::new(limits::RETELLINGS),
            memory: Arc::clone(router.memory()),
            metrics,
            health: health.clone(),
            clocks: Clocks::default(),
            directory: Arc::clone(router.directory()),
            trails: Arc::clone(router.traces()),
            options,
        });
        // Before the actors: one that halts at once has the last word.
        health.up();
        let tree = Tree::start(Arc::clone(&context), Arc::clone(&router), rows, watermarks).await?;
        Ok(Self { env, router, gateway, context, rows, tree })
    }

    /// The way to its partitions.
    #[must_use]
    pub fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// Waits until everything that the journal held at the start is folded, but in partitions that are halted: the others
    /// are served.
    ///
    /// What keeps it waiting is logged every [`SLOW_REPLAY`].
    pub(crate) async fn replayed(&self) {
        let mut done = std::pin::pin!(self.reached(&self.context.applied));
        while tokio::time::timeout(SLOW_REPLAY, &mut done).await.is_err() {
            let Context { journal, applied, .. } = &*self.context;
            let behind = self.router.owned().iter().filter_map(|partition| {
                let (at, end) = (applied.get(partition), journal.bounds(partition).end);
                (at < end).then(|| format!("{partition} at {at} of {end}"))
            });
            let behind: Vec<_> = behind.collect();
            let first = behind.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
            tracing::warn!(partitions = behind.len(), first, "the journal's records are still awaited");
        }
    }

    /// Waits until all own partitions that are not halted have come to the journal's end.
    async fn reached(&self, marks: &Watermarks) {
        for partition in self.router.owned().iter() {
            self.comes_to_the_end(partition, marks).await;
        }
    }

    /// Clock and ids.
    #[must_use]
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.context.store
    }

    /// The store, once it has what was folded here before the question, for operators: not waited for longer than
    /// [`limits::OPERATOR_ROWS_MS`], as the store may be away, nor for what is halted.
    pub(crate) async fn rows(&self) -> &Arc<dyn Store> {
        let Context { stored, store, .. } = &*self.context;
        let behind: Vec<_> = self.context.unstored().collect();
        let come = async {
            for (partition, end) in behind {
                self.comes_to(partition, stored, end).await;
            }
        };
        // What does not come is not shown.
        _ = tokio::time::timeout(Duration::from_millis(limits::OPERATOR_ROWS_MS), come).await;
        store
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Arc<dyn Journal> {
        &self.context.journal
    }

    /// How far each partition is stored: for reading one's own writes.
    #[must_use]
    pub(crate) fn stored(&self) -> &Arc<Watermarks> {
        &self.context.stored
    }

    /// How far each partition is folded.
    #[must_use]
    pub(crate) fn applied(&self) -> &Arc<Watermarks> {
        &self.context.applied
    }

    /// Partitions that go no further until an operator has looked.
    #[must_use]
    pub(crate) fn halted(&self) -> &Halted {
        &self.context.halted
    }

    /// What the relay has still to tell, by who caused it.
    #[must_use]
    pub(crate) fn owed(&self) -> &Arc<Owed> {
        &self.context.owed
    }

    /// What its actors publish.
    #[must_use]
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.context.directory
    }

    /// What all partitions share.
    #[must_use]
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// One past the last record of a partition whose rows anybody may wait for: the journal's end, barriers there left out once
    /// all else is folded. Those mean nothing, and who makes rows by itself may never come to them.
    pub(crate) fn awaited_end(&self, partition: Partition) -> Offset {
        let Context { journal, applied, meant, barriers, .. } = &*self.context;
        let end = journal.bounds(partition).end;
        let known = applied.get(partition).max(barriers.get(partition));
        if known >= end { meant.get(partition) } else { end }
    }

    /// Records of a partition that the store lacks, of those that anybody may wait for.
    pub(crate) fn unstored(&self, partition: Partition) -> u64 {
        self.awaited_end(partition).0.saturating_sub(self.context.stored.get(partition).0)
    }

    /// Brings the gauges up to date.
    pub async fn measure(&self) {
        self.context.look_at_clocks();
        let Context { journal, stored, metrics, env, .. } = &*self.context;
        let (mut behind, mut oldest) = (BTreeMap::new(), None);
        for (partition, end) in self.context.unstored() {
            let next = stored.get(partition);
            behind.insert(partition, end.0.saturating_sub(next.0));
            match journal.read(partition, next, 1).await {
                Ok(records) => oldest = oldest.into_iter().chain(records.first().map(|record| record.time)).min(),
                Err(error) => tracing::debug!(%partition, %error, "the first record that the store lacks"),
            }
        }
        let age = oldest.map_or(0, |time| env.now().since(time) / 1_000);
        metrics.room_memory_bytes.set(i64::try_from(self.context.memory.used()).unwrap_or(i64::MAX));
        metrics.stores_less(&behind);
        metrics.watermark_age_seconds.set(i64::try_from(age).unwrap_or(i64::MAX));
    }

    /// Lets every idle entity go now that the store has.
    pub fn passivate_all(&self) {
        for partition in self.router.owned().iter() {
            self.router.cast(partition, PartitionMessage::Passivate);
        }
    }

    /// Lets a room or user go, if it has nothing to do and the store has all of it. Says whether it went.
    pub(crate) async fn let_go(&self, entity: Entity) -> bool {
        let (answer, answered) = oneshot::channel();
        self.router.cast(entity.partition(), PartitionMessage::LetGo(entity, answer));
        tokio::time::timeout(LET_GO_DEADLINE, answered).await.is_ok_and(|went| went.unwrap_or(false))
    }

    /// Lets every idle entity of a partition go now that the store has. Says whether the partition was told.
    pub fn passivate(&self, partition: Partition) -> bool {
        self.router.cast(partition, PartitionMessage::Passivate)
    }

    /// Has a partition made anew at the store's watermark, as if it had died. Says whether it was told.
    pub fn restart(&self, partition: Partition) -> bool {
        self.router.cast(partition, PartitionMessage::Restart(None))
    }

    /// Has a resident room or user made anew, as if it had died. Says whether its partition was told.
    pub(crate) fn restart_resident(&self, entity: Entity) -> bool {
        self.router.cast(entity.partition(), PartitionMessage::Restart(Some(entity)))
    }

    /// How workers beside the node append: by the owners of the partitions.
    #[must_use]
    pub(crate) fn append(&self) -> Append {
        workers::append_by(Arc::clone(&self.router))
    }

    /// The workers that run here.
    #[must_use]
    pub(crate) fn workers(&self) -> &'static [Part] {
        match self.rows {
            RowsMadeBy::Node => &[Part::Projector, Part::Relay, Part::Expiry],
            RowsMadeBy::Worker => &[Part::Projector],
        }
    }

    /// Has the workers made anew.
    pub(crate) fn restart_workers(&self) {
        self.tree.restart_workers();
    }

    /// Bytes of commands that a partition holds.
    #[must_use]
    pub(crate) fn queued_bytes(&self, partition: Partition) -> usize {
        self.router.budget(partition).used()
    }

    /// Rooms and users resident in a partition. 0 if it does not answer.
    pub async fn residents(&self, partition: Partition) -> usize {
        let (answer, answered) = oneshot::channel();
        self.router.cast(partition, PartitionMessage::Residents(answer));
        answered.await.unwrap_or(0)
    }

    /// For tests: lets a resident die as if it had panicked.
    #[cfg(test)]
    pub fn kill(&self, entity: Entity) {
        self.router.cast(entity.partition(), PartitionMessage::Kill(entity));
    }

    /// Stops: what was taken is appended and answered, the workers bring the store up to date, the journal is flushed.
    ///
    /// # Errors
    /// The journal could not be flushed.
    pub(crate) async fn stop(&self, grace: Duration) -> Result<(), JournalError> {
        self.router.close();
        let settled = async {
            self.router.quiet().await;
            // Whoever else makes the rows goes on without this node.
            if self.rows == RowsMadeBy::Node {
                self.reached(&self.context.stored).await;
            }
        };
        if tokio::time::timeout(grace, settled).await.is_err() {
            tracing::warn!("the store is behind the journal; it catches up at the next start");
        }
        self.tree.stop().await;
        self.router.give_up();
        self.context.journal.close().await?;
        self.context.store.close().await;
        Ok(())
    }
}

/// Journal and store belong together if the store's watermark lies inside what the journal holds.
///
/// # Errors
/// [`StartError::Mismatch`].
pub(crate) fn check(journal: &dyn Journal, partition: Partition, watermark: Offset) -> Result<(), StartError> {
    let bounds = journal.bounds(partition);
    let hint = if watermark < bounds.start {
        "the journal was trimmed beyond this store; put your last backup of it in its place: its store.db, or a dump that `kervan \
         backup marks ls` calls good; or restore all of it"
    } else if watermark > bounds.end {
        "the journal is shorter than the store; restore the journal that belongs to it, or a whole backup"
    } else {
        return Ok(());
    };
    Err(StartError::Mismatch { partition, watermark, start: bounds.start, end: bounds.end, hint })
}
