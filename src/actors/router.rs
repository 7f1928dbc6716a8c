//! The only way to the owners of partitions: commands, listening, fetches, queries and what passes by are frames, each to the
//! mailbox of the partition's actor, behind permits. It keeps the one table of what is asked and not answered yet.
//!
//! It decides nothing about a record, and never waits for an owner: a frame that is not taken is refused at once.
//!
//! | file | holds |
//! |---|---|
//! | here | from a frame to the mailbox, and back to who asked |
//! | [`pending`] | open questions |
//! | [`owned`] | which partitions are this node's |

pub(crate) mod owned;
pub(crate) mod pending;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use ractor::ActorRef;

use self::owned::{Owned, Owner, OwnerEpoch, Tenure};
use self::pending::{OpenQuestion, Pending};
use super::gateway::hub::{NotTaken, Owners};
use super::inspect::{ActorStats, Directory};
use super::partition::budget::Budget;
use super::partition::listeners::ListenerTable;
use super::partition::memory::Memory;
use super::partition::message::PartitionMessage;
use super::partition::question::{self, Question};
use super::trace::Traces;
use super::wire::{
    Answer, Entity, Ephemeral, FetchError, NodeId, Origin, Query, QueryAnswer, RequestId, StreamEvent, ToGateway,
    ToOwner,
};
use crate::env::Clock;
use crate::ids::{Generation, Partition, Seq};
use crate::limits;
use crate::metrics::Metrics;

/// Events that were fetched, with their generation.
pub(crate) type Fetched = Result<(Generation, Arc<[StreamEvent]>), FetchError>;

/// What a router is made of.
pub struct Deps {
    /// The node.
    pub(crate) node: NodeId,
    /// The partitions that it owns from the start.
    pub(crate) owned: Owned,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Bytes that rooms and users in memory may take: behind them no command is taken.
    pub memory: usize,
}

/// See the module.
pub struct Router {
    node: NodeId,
    slots: Box<[Slot]>,
    owned: Arc<Owned>,
    pending: Arc<Pending>,
    closed: AtomicBool,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    memory: Arc<Memory>,
    directory: Arc<Directory>,
    traces: Arc<Traces>,
}

/// One for each partition; an actor that was started again takes its predecessor's place.
struct Slot {
    actor: RwLock<Option<(OwnerEpoch, ActorRef<PartitionMessage>)>>,
    budget: Arc<Budget>,
    listeners: Arc<ListenerTable>,
    stats: Arc<ActorStats>,
}

/// The answer to a command, when it comes. Dropping it gives the answer up, not the command.
#[derive(Debug)]
pub struct PendingAnswer(pub(super) Option<OpenQuestion>);

impl PendingAnswer {
    /// Waits for it: at most twice [`limits::QUESTION_MS`]. If nothing is heard in time it is [`Answer::Unknown`].
    pub async fn get(self) -> Answer {
        let Some(asked) = self.0 else {
            return Answer::Unavailable { retry_after_ms: limits::NOT_TAKEN_RETRY_MS };
        };
        match asked.answer().await {
            Some(ToGateway::Answer { answer, .. }) => answer,
            // Given up: it may be written.
            _ => Answer::Unknown,
        }
    }
}

impl Router {
    /// A router to partitions without actors yet.
    #[must_use]
    pub(crate) fn new(deps: Deps) -> Self {
        let Deps { node, owned, clock, metrics, memory } = deps;
        let directory = Arc::new(Directory::new(Arc::clone(&clock)));
        let slot = |partition| Slot {
            actor: RwLock::new(None),
            budget: Arc::new(Budget::new(limits::PARTITION_QUEUE_BYTES)),
            listeners: Arc::default(),
            stats: Arc::clone(directory.partition(partition)),
        };
        Self {
            node,
            slots: Partition::all().map(slot).collect(),
            owned: Arc::new(owned),
            pending: Arc::default(),
            closed: AtomicBool::new(false),
            clock,
            metrics,
            memory: Arc::new(Memory::new(memory)),
            directory,
            traces: Arc::default(),
        }
    }

    /// Appends a record to its partition. The frame has gone out, or not, when this returns: two calls of one caller reach
    /// the partition in their order.
    pub fn command(&self, partition: Partition, record: Bytes) -> PendingAnswer {
        PendingAnswer(self.ask(|request| ToOwner::Command { request, partition, record }))
    }

    /// Events of a stream, `from` to `to`, both included, and perhaps fewer than that. Who may see them is the caller's to
    /// know.
    ///
    /// # Errors
    /// They are gone, or can't be had now.
    pub(crate) async fn fetch(&self, stream: Entity, from: Seq, to: Seq) -> Fetched {
        let asked = self.ask(|request| ToOwner::Fetch { request, stream, from, to });
        match asked.ok_or(FetchError::Unavailable)?.answer().await {
            Some(ToGateway::Fetched { generation, events, .. }) => Ok((generation, events?)),
            _ => Err(FetchError::Unavailable),
        }
    }

    /// Asks about the folded state of a room or user, making it resident if need be. The answer is
    /// [`QueryAnswer::Unavailable`] if it does not come within [`limits::QUERY_MS`].
    pub async fn query(&self, stream: Entity, query: Query) -> QueryAnswer {
        let Some(asked) = self.ask(|request| ToOwner::Query { request, stream, query }) else {
            return QueryAnswer::Unavailable;
        };
        match tokio::time::timeout(Duration::from_millis(limits::QUERY_MS), asked.answer()).await {
            Ok(Some(ToGateway::Queried { answer, .. })) => answer,
            _ => QueryAnswer::Unavailable,
        }
    }

    /// Sends something without a place in the stream to everybody who listens, on all nodes. It may be lost.
    ///
    /// # Errors
    /// Nobody takes it now: it is lost.
    pub(crate) fn ephemeral(&self, stream: Entity, event: Ephemeral) -> Result<(), NotTaken> {
        self.send(ToOwner::Ephemeral { stream, event })
    }

    fn ask(&self, frame: impl FnOnce(RequestId) -> ToOwner) -> Option<OpenQuestion> {
        self.pending.send(self, frame)
    }

    /// A frame of an owner for the gateway of a node. What was asked through this router is answered; the rest is given back
    /// for the gateway's hub. How things stood with an owner that has gone meanwhile is not passed on.
    pub(crate) fn receive(&self, from: Owner, to: NodeId, frame: ToGateway) -> Option<ToGateway> {
        if frame.is_view() && !self.owned.speaks(from) {
            self.pending.withdraw(&frame);
            return None;
        }
        if let ToGateway::Answer { request, answer } = &frame {
            self.traces.answered(to, *request, answer);
        }
        self.pending.take(frame)
    }

    /// What a gateway asks of an owner that is here.
    fn deliver(&self, from: NodeId, frame: ToOwner) -> Result<(), NotTaken> {
        let partition = frame.partition();
        let question = |request, asked| Question { from, request, asked };
        let message = match frame {
            ToOwner::Command { request, record, .. } => return self.submit(from, request, partition, record),
            ToOwner::Listen { request, stream: entity, user, open } => {
                let question = question(request, question::QuestionBody::Listen { user, open });
                PartitionMessage::Ask { entity, question }
            }
            ToOwner::Fetch { request, stream: entity, from, to } => PartitionMessage::Ask {
                entity,
                question: question(request, question::QuestionBody::Fetch { from, to }),
            },
            ToOwner::Query { request, stream: entity, query } => {
                PartitionMessage::Ask { entity, question: question(request, question::QuestionBody::Query(query)) }
            }
            ToOwner::Unlisten { request, stream: entity } => PartitionMessage::Unlisten { entity, node: from, request },
            ToOwner::Ephemeral { stream, event } => PartitionMessage::Ephemeral { stream, event },
        };
        match self.owned.tenure(partition) {
            Tenure::Here(epoch) if self.cast_to(Owner { partition, epoch }, message) => Ok(()),
            _ => Err(NotTaken),
        }
    }

    /// A command, if the partition and the node's memory have room for it.
    fn submit(&self, from: NodeId, request: RequestId, partition: Partition, record: Bytes) -> Result<(), NotTaken> {
        let weight = u32::try_from(record.len()).map_err(|_| NotTaken)?;
        if self.closed.load(Ordering::Acquire) {
            return Err(NotTaken);
        }
        if !self.memory.has_room(record.len()) {
            self.metrics.memory_refused.inc();
            return Err(NotTaken);
        }
        let budget = self.budget(partition);
        if !budget.take(weight) {
            return Err(NotTaken);
        }
        // Behind the budget: whoever lets the partition go waits for what was taken before.
        if let Tenure::Here(epoch) = self.owned.tenure(partition) {
            let origin = Origin { node: from, request, weight };
            self.traces.received(partition, origin, &record);
            let since = self.clock.steady();
            if self.cast_to(Owner { partition, epoch }, PartitionMessage::Submit { origin, record, since }) {
                return Ok(());
            }
        }
        budget.give(weight);
        Err(NotTaken)
    }

    /// The node.
    #[must_use]
    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// The partitions of this node.
    #[must_use]
    pub(crate) fn owned(&self) -> &Arc<Owned> {
        &self.owned
    }

    /// What the actors behind it publish.
    #[must_use]
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The way of a few commands.
    #[must_use]
    pub(crate) fn traces(&self) -> &Arc<Traces> {
        &self.traces
    }

    /// Bytes that rooms and users in memory may take.
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// The bytes that may wait in a partition.
    pub(crate) fn budget(&self, partition: Partition) -> &Arc<Budget> {
        &self.slots[partition.index()].budget
    }

    /// Who listens to the streams of a partition.
    pub(crate) fn listeners(&self, partition: Partition) -> &Arc<ListenerTable> {
        &self.slots[partition.index()].listeners
    }

    /// The actor of an owner, from now on.
    pub(crate) fn set(&self, owner: Owner, actor: ActorRef<PartitionMessage>) {
        let slot = &self.slots[owner.partition.index()];
        *slot.actor.write().unwrap_or_else(PoisonError::into_inner) = Some((owner.epoch, actor));
    }

    /// The partition has no actor any more. Gives the one that it had.
    pub(crate) fn clear(&self, partition: Partition) -> Option<ActorRef<PartitionMessage>> {
        let slot = &self.slots[partition.index()];
        slot.actor.write().unwrap_or_else(PoisonError::into_inner).take().map(|(_, actor)| actor)
    }

    /// Tells a partition something. Says whether it has an actor that takes it.
    pub(crate) fn cast(&self, partition: Partition, message: PartitionMessage) -> bool {
        self.cast_if(partition, |_| true, message)
    }

    /// The same, if the partition's actor is that of this owner, and not of one before it.
    fn cast_to(&self, owner: Owner, message: PartitionMessage) -> bool {
        self.cast_if(owner.partition, |epoch| epoch == owner.epoch, message)
    }

    fn cast_if(
        &self,
        partition: Partition,
        is_meant: impl FnOnce(OwnerEpoch) -> bool,
        message: PartitionMessage,
    ) -> bool {
        let slot = &self.slots[partition.index()];
        let actor = slot.actor.read().unwrap_or_else(PoisonError::into_inner);
        actor.as_ref().is_some_and(|(epoch, actor)| {
            if !is_meant(*epoch) {
                return false;
            }
            if !matches!(message, PartitionMessage::Tick) {
                slot.stats.sent();
            }
            actor.cast(message).is_ok()
        })
    }

    /// Time has passed: questions that are open for too long are given up.
    pub(crate) fn tick(&self) {
        self.pending.tick(self.clock.steady());
    }

    #[cfg(test)]
    pub(crate) fn open_questions(&self) -> usize {
        self.pending.open()
    }

    /// Takes no more commands.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The owners have ended: who still waits for an answer learns that none comes.
    pub(crate) fn give_up(&self) {
        self.pending.give_up();
    }

    /// Waits until every command that was taken is answered.
    pub(crate) async fn quiet(&self) {
        for partition in self.owned.iter() {
            self.answered(partition).await;
        }
    }

    /// Waits until every command of a partition that was taken is answered.
    pub(crate) async fn answered(&self, partition: Partition) {
        while self.budget(partition).used() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Owners for Router {
    fn send(&self, frame: ToOwner) -> Result<(), NotTaken> {
        match self.owned.tenure(frame.partition()) {
            Tenure::Here(_) => self.deliver(self.node, frame),
            // Another node's, or between two: whoever comes with a link to its owner hands the frame to it here.
            Tenure::Coming(_) | Tenure::Leaving(_) | Tenure::Elsewhere { .. } => Err(NotTaken),
        }
    }

    fn next_request(&self) -> RequestId {
        self.pending.next_request()
    }
}
