//! The actor around a resident room or user: takes what it is told in order, carries out what its pure core emits, and
//! decides nothing.
//!
//! It may panic: the partition makes it anew from the store and gives it its unfinished batches again.

use std::sync::Arc;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, MessagingErr};

use super::budget::Budget;
use super::context::Context;
use super::entity::{Emit, EntityCore};
use super::item::Batch;
use super::memory::Share;
use super::message::WantedAnew;
use super::progress::SharedProgress;
use super::question::Question;
use super::stored_fetch::StoredFetch;
use crate::actors::inspect::StatsHandle;
use crate::actors::kinds;
use crate::actors::router::owned::Owner;
use crate::actors::trace::Stage;
use crate::actors::wire::Entity;
use crate::metrics::Counted;

/// What an entity's actor is told.
pub enum Message {
    /// Fold these.
    Deliver(Arc<Batch>),
    /// Something beside records.
    Hand(Question),
    /// Tell the listeners where the head is.
    Announce,
    /// An operator restarts it: it handles what is before this message, then ends as if it had failed, and its partition
    /// makes it anew.
    Restart,
    /// For tests: die here.
    #[cfg(test)]
    Panic,
}

/// What an entity shares with its partition.
#[derive(Clone)]
pub(crate) struct Ties {
    /// The node's.
    pub context: Arc<Context>,
    /// The owner of the partition.
    pub owner: Owner,
    /// How far it is folded.
    pub progress: SharedProgress,
    /// Bytes of commands in it.
    pub budget: Arc<Budget>,
}

/// A resident, as its partition knows it.
pub(crate) struct ResidentRef {
    /// The actor.
    pub actor: ActorRef<Message>,
    /// What it publishes.
    pub stats: StatsHandle,
}

impl ResidentRef {
    /// Which one it is.
    #[must_use]
    pub(crate) fn get_id(&self) -> ActorId {
        self.actor.get_id()
    }

    /// Tells it something.
    ///
    /// # Errors
    /// It is dead.
    pub(crate) fn cast(&self, message: Message) -> Result<(), MessagingErr<Message>> {
        self.stats.sent();
        self.actor.cast(message)
    }

    /// Lets it end behind what it has been told.
    ///
    /// # Errors
    /// It is dead.
    pub(crate) fn drain(&self) -> Result<(), MessagingErr<()>> {
        self.actor.drain()
    }
}

/// The actor.
pub(crate) struct Resident;

/// Its state.
pub(crate) struct ResidentState {
    core: EntityCore,
    ties: Ties,
    emits: Vec<Emit>,
    stats: StatsHandle,
    share: Share,
    _counted: Counted,
}

impl Actor for Resident {
    type Msg = Message;
    type State = ResidentState;
    type Arguments = (Entity, EntityCore, Ties, StatsHandle, Share);

    async fn pre_start(
        &self,
        _: ActorRef<Message>,
        (entity, core, ties, stats, share): Self::Arguments,
    ) -> Result<ResidentState, ActorProcessingErr> {
        let metrics = &ties.context.metrics;
        let counted = Counted::new(match entity {
            Entity::Room(_) => &metrics.resident_rooms,
            Entity::User(_) => &metrics.resident_users,
        });
        share.set(core.weight());
        Ok(ResidentState { core, ties, emits: Vec::new(), stats, share, _counted: counted })
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut ResidentState,
    ) -> Result<(), ActorProcessingErr> {
        state.stats.handled(state.ties.context.directory.now());
        match message {
            Message::Deliver(batch) => state.deliver(&batch),
            Message::Hand(held) => {
                let now = state.ties.context.env.now();
                state.core.hand(held, now, &mut state.emits);
                state.flush();
            }
            Message::Announce => {
                let stored = state.ties.context.stored.get(state.ties.owner.partition);
                state.core.announce(stored, &mut state.emits);
                state.flush();
            }
            Message::Restart => return Err(WantedAnew.into()),
            #[cfg(test)]
            Message::Panic => panic!("asked to"),
        }
        state.share.set(state.core.weight());
        Ok(())
    }
}

impl ResidentState {
    fn deliver(&mut self, batch: &Batch) {
        let stored = self.ties.context.stored.get(self.ties.owner.partition);
        self.core.apply(batch, stored, &mut self.emits);
        self.ties.context.trails.reached(Stage::Folded, batch);
        self.flush();
        if batch.items().iter().any(|item| kinds::is_awaited(item.get().envelope.kind)) {
            self.ties.context.stored.want();
        }
        self.ties.context.trails.reached(Stage::Delivered, batch);
        batch.finish();
        self.ties.budget.give(batch.weight());
    }

    fn flush(&mut self) {
        let Ties { context, owner, progress, .. } = &self.ties;
        for emit in self.emits.drain(..) {
            match emit {
                Emit::Frame { to, frame } => (context.to_gateway)(*owner, to, frame),
                Emit::ReadMoved { stream, receipt } => (context.to_room)(stream, receipt),
                Emit::Fetch(fetch) => read(Arc::clone(context), *owner, fetch),
                Emit::Decided(decided) => {
                    decided.iter().for_each(|decision| context.count(decision.verdict));
                    let decided = decided.iter().map(|decision| (decision.offset, decision.chain));
                    if let Some(applied) = progress.complete(decided) {
                        context.applied.raise(owner.partition, applied);
                    }
                }
            }
        }
    }
}

/// Reads older events beside the actor, which goes on, and sends them.
fn read(context: Arc<Context>, owner: Owner, fetch: StoredFetch) {
    tokio::spawn(async move {
        let stored = context.stored_events(&fetch.entity, fetch.from, fetch.last_stored).await;
        (context.to_gateway)(owner, fetch.to, fetch.answer(stored));
    });
}
