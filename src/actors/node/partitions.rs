//! The way to the partitions of this node: permits first, mailbox afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use ractor::ActorRef;

use super::owned::Owned;
use crate::actors::gateway::hub::Overload;
use crate::actors::inspect::{ActorStats, Directory};
use crate::actors::partition::budget::Budget;
use crate::actors::partition::entity_actor::Held;
use crate::actors::partition::listeners::ListenerTable;
use crate::actors::partition::memory::Memory;
use crate::actors::partition::shell::PartitionMessage;
use crate::actors::trace::Traces;
use crate::actors::wire::{Entity, Ephemeral, NodeId, Origin, RequestId};
use crate::env::Clock;
use crate::ids::Partition;
use crate::limits;
use crate::metrics::Metrics;

/// One slot for each partition; an actor that was started again takes its predecessor's place.
pub struct Partitions {
    slots: Box<[Slot]>,
    closed: AtomicBool,
    trails: Arc<Traces>,
    clock: Arc<dyn Clock>,
    memory: Arc<Memory>,
    metrics: Arc<Metrics>,
    owned: Arc<Owned>,
}

struct Slot {
    actor: RwLock<Option<ActorRef<PartitionMessage>>>,
    budget: Arc<Budget>,
    listeners: Arc<ListenerTable>,
    vitals: Arc<ActorStats>,
}

impl Partitions {
    /// No actors yet.
    pub fn new(
        directory: &Directory,
        trails: Arc<Traces>,
        clock: Arc<dyn Clock>,
        memory: Arc<Memory>,
        metrics: Arc<Metrics>,
        owned: Arc<Owned>,
    ) -> Self {
        let slot = |partition| Slot {
            actor: RwLock::new(None),
            budget: Arc::new(Budget::new(limits::PARTITION_QUEUE_BYTES)),
            listeners: Arc::default(),
            vitals: Arc::clone(directory.partition(partition)),
        };
        Self {
            slots: Partition::all().map(slot).collect(),
            closed: AtomicBool::new(false),
            trails,
            clock,
            memory,
            metrics,
            owned,
        }
    }

    /// The bytes that may wait in a partition.
    pub fn budget(&self, partition: Partition) -> &Arc<Budget> {
        &self.slots[partition.index()].budget
    }

    /// Who listens to the streams of a partition.
    pub fn listeners(&self, partition: Partition) -> &Arc<ListenerTable> {
        &self.slots[partition.index()].listeners
    }

    /// The actor of a partition, from now on.
    pub fn set(&self, partition: Partition, actor: ActorRef<PartitionMessage>) {
        *self.slots[partition.index()].actor.write().unwrap_or_else(PoisonError::into_inner) = Some(actor);
    }

    /// The partition has no actor any more. Gives the one that it had.
    pub fn clear(&self, partition: Partition) -> Option<ActorRef<PartitionMessage>> {
        self.slots[partition.index()].actor.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The partitions of this node.
    pub fn owned(&self) -> &Owned {
        &self.owned
    }

    /// Tells a partition something. Says whether it has an actor that takes it.
    pub fn cast(&self, partition: Partition, message: PartitionMessage) -> bool {
        let slot = &self.slots[partition.index()];
        let actor = slot.actor.read().unwrap_or_else(PoisonError::into_inner);
        actor.as_ref().is_some_and(|actor| {
            if !matches!(message, PartitionMessage::Tick) {
                slot.vitals.sent();
            }
            actor.cast(message).is_ok()
        })
    }

    /// A command, if the partition is served here and it and the node's memory have room for it.
    pub fn submit(&self, partition: Partition, origin: Origin, record: Bytes) -> Result<(), Overload> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Overload);
        }
        if !self.memory.has_room(origin.weight as usize) {
            self.metrics.memory_refused.inc();
            return Err(Overload);
        }
        let budget = self.budget(partition);
        if !budget.take(origin.weight) {
            return Err(Overload);
        }
        // Behind the budget: whoever lets the partition go waits for what was taken before.
        if !self.owned.serves(partition) {
            budget.give(origin.weight);
            return Err(Overload);
        }
        self.trails.received(partition, origin, &record);
        let since = self.clock.steady();
        if self.cast(partition, PartitionMessage::Submit { origin, record, since }) {
            return Ok(());
        }
        budget.give(origin.weight);
        Err(Overload)
    }

    /// Something beside records. If the partition has no actor at the moment, the asker learns it by its deadline.
    pub fn pass(&self, entity: Entity, held: Held) {
        self.cast(entity.partition(), PartitionMessage::Pass { entity, held });
    }

    /// Something without a place in the stream, for whoever listens.
    pub fn ephemeral(&self, stream: Entity, event: Ephemeral) {
        self.cast(stream.partition(), PartitionMessage::Ephemeral { stream, event });
    }

    /// A node listens no more.
    pub fn unlisten(&self, entity: Entity, node: NodeId, request: RequestId) {
        self.cast(entity.partition(), PartitionMessage::Unlisten { entity, node, request });
    }

    /// Takes no more commands.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Waits until every command that was taken is answered.
    pub async fn quiet(&self) {
        for partition in Partition::all() {
            self.answered(partition).await;
        }
    }

    /// Waits until every command of a partition that was taken is answered.
    pub async fn answered(&self, partition: Partition) {
        while self.budget(partition).used() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
