//! The actor around a resident room or user: takes batches in order, carries out what its pure core wants sent.
//!
//! It may panic: the partition makes it anew from the store and gives it its unfinished batches again.

use std::sync::{Arc, Mutex, PoisonError};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, MessagingErr};

use super::budget::Budget;
use super::context::Context;
use super::entity::{Emit, EntityCore, page};
use super::item::Batch;
use super::memory::{Share, Taken};
use super::message::WantedAnew;
use super::progress::Progress;
use super::question::{Asked, Question};
use crate::actors::inspect::StatsHandle;
use crate::actors::router::owned::Owner;
use crate::actors::trace::Stage;
use crate::actors::wire::{Entity, FetchError, NodeId, RequestId, StreamEvent, ToGateway};
use crate::ids::Seq;
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
    #[cfg(any(test, feature = "sim"))]
    Panic,
}

/// What an entity shares with its partition.
#[derive(Clone)]
pub struct Ties {
    /// The node's.
    pub context: Arc<Context>,
    /// The owner of the partition.
    pub owner: Owner,
    /// How far it is folded.
    pub progress: Arc<Mutex<Progress>>,
    /// Bytes of commands in it.
    pub budget: Arc<Budget>,
}

/// A resident, as its partition knows it.
pub struct ResidentRef {
    /// The actor.
    pub actor: ActorRef<Message>,
    /// What it publishes.
    pub vitals: StatsHandle,
    /// Bytes that it takes.
    pub taken: Taken,
}

impl ResidentRef {
    /// Which one it is.
    #[must_use]
    pub fn get_id(&self) -> ActorId {
        self.actor.get_id()
    }

    /// Tells it something.
    ///
    /// # Errors
    /// It is dead.
    pub fn cast(&self, message: Message) -> Result<(), MessagingErr<Message>> {
        self.vitals.sent();
        self.actor.cast(message)
    }

    /// Lets it end behind what it has been told.
    ///
    /// # Errors
    /// It is dead.
    pub fn drain(&self) -> Result<(), MessagingErr<()>> {
        self.actor.drain()
    }
}

/// The actor.
pub struct Resident;

/// Its state.
pub struct ResidentState {
    entity: Entity,
    core: EntityCore,
    ties: Ties,
    emits: Vec<Emit>,
    vitals: StatsHandle,
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
        (entity, core, ties, vitals, share): Self::Arguments,
    ) -> Result<ResidentState, ActorProcessingErr> {
        let metrics = &ties.context.metrics;
        let counted = Counted::new(match entity {
            Entity::Room(_) => &metrics.resident_rooms,
            Entity::User(_) => &metrics.resident_users,
        });
        share.set(core.weight());
        Ok(ResidentState { entity, core, ties, emits: Vec::new(), vitals, share, _counted: counted })
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        state: &mut ResidentState,
    ) -> Result<(), ActorProcessingErr> {
        state.vitals.handled(state.ties.context.directory.now());
        match message {
            Message::Deliver(batch) => state.deliver(&batch),
            Message::Hand(question) => state.hand(&question),
            Message::Announce => {
                state.core.announce(&mut state.emits);
                state.core.stored(state.ties.context.stored.get(state.ties.owner.partition));
                state.flush();
            }
            Message::Restart => return Err(WantedAnew.into()),
            #[cfg(any(test, feature = "sim"))]
            Message::Panic => panic!("asked to"),
        }
        state.share.set(state.core.weight());
        Ok(())
    }
}

impl ResidentState {
    fn deliver(&mut self, batch: &Batch) {
        let stored = self.ties.context.stored.get(self.ties.owner.partition);
        self.emits.clear();
        self.core.apply(batch, stored, &mut self.emits);
        self.ties.context.trails.reached(Stage::Folded, batch);
        self.flush();
        self.ties.context.trails.reached(Stage::Delivered, batch);
        batch.finish();
        let weight = batch.items().iter().filter_map(|item| item.get().origin).map(|origin| origin.weight).sum();
        self.ties.budget.give(weight);
    }

    /// Sends first and notes the progress afterwards: a record counts as applied when its effects are out.
    fn flush(&mut self) {
        let Ties { context, owner, progress, .. } = &self.ties;
        for emit in &self.emits {
            match emit {
                Emit::Frame { to, frame } => (context.to_gateway)(*owner, *to, frame.clone()),
                Emit::ReadMoved { stream, receipt } => (context.to_room)(stream.clone(), receipt.clone()),
                Emit::Decided { verdict, .. } => context.count(*verdict),
            }
        }
        let mut grown = None;
        {
            let mut progress = progress.lock().unwrap_or_else(PoisonError::into_inner);
            for emit in self.emits.drain(..) {
                if let Emit::Decided { offset, chain, .. } = emit
                    && progress.complete(offset, chain)
                {
                    grown = Some(progress.applied());
                }
            }
        }
        if let Some(applied) = grown {
            context.applied.raise(owner.partition, applied);
        }
    }

    fn hand(&mut self, question: &Question) {
        let now = self.ties.context.env.now();
        let (to, request) = (question.from, question.request);
        match &question.asked {
            Asked::Listen { user, open } => self.core.listen(to, request, user, *open, now, &mut self.emits),
            Asked::Query(query) => {
                let frame = ToGateway::Queried { request, answer: self.core.answer(query, now) };
                self.emits.push(Emit::Frame { to, frame });
            }
            Asked::Fetch { from, to: last } => match self.core.fetch(*from, *last, now) {
                Some(events) => {
                    let frame = self.core.fetched(request, events);
                    self.emits.push(Emit::Frame { to, frame });
                }
                None => self.fetch_stored(to, request, *from, *last),
            },
        }
        self.flush();
    }

    /// Older events: from the store, and what the ring has from there on.
    fn fetch_stored(&self, node: NodeId, request: RequestId, from: Seq, to: Seq) {
        let below = self.core.ring_first();
        let rest = if to >= below { self.core.recent(below) } else { Vec::new() };
        let (context, owner) = (Arc::clone(&self.ties.context), self.ties.owner);
        let (entity, generation) = (self.entity.clone(), self.core.generation());
        tokio::spawn(async move {
            let last_stored = Seq(to.0.min(below.0.saturating_sub(1)));
            let events = match context.stored_events(&entity, from, last_stored).await {
                Ok(mut events) => {
                    let next = events.last().map_or(from, |event: &StreamEvent| event.seq().next());
                    if next == below {
                        events.extend(rest.into_iter().take_while(|event| event.seq() <= to));
                    }
                    if events.is_empty() { Err(FetchError::Unavailable) } else { Ok(page(events).into()) }
                }
                Err(error) => Err(error),
            };
            let frame = ToGateway::Fetched { request, stream: entity, generation, events };
            (context.to_gateway)(owner, node, frame);
        });
    }
}
