//! The pure core of a resident room or user: folds its records, answers, tells the listeners, remembers recent events.
//!
//! Whoever drives it, the actor or the simulation, carries out what it emits, in order, and decides nothing.

use std::sync::Arc;

use super::item::{Batch, Item};
use super::listeners::Listeners;
use super::question::{Question, QuestionBody};
use super::ring::Ring;
use super::stored_fetch::StoredFetch;
use crate::actors::decisions::{Earlier, Known};
use crate::actors::digest::Chain;
use crate::actors::fold::{EntityOutcome, EntityState};
use crate::actors::room::Outcome;
use crate::actors::user::outcome::Quiet;
use crate::actors::user::outcome::UserOutcome;
use crate::actors::wire::{
    Answer, Denial, Entity, Ephemeral, EventBody, FetchError, NodeId, Origin, ReceiptStatus, Reject, RequestId,
    RoomKind, StreamEvent, ToGateway,
};
use crate::ids::{Generation, MessageNo, Offset, RoomId, Seq, Timestamp, UserId};
use crate::limits;

/// What an entity wants to have sent or noted.
#[derive(Clone, Debug)]
pub(crate) enum Emit {
    /// A frame for a gateway.
    Frame {
        /// Which.
        to: NodeId,
        /// What.
        frame: ToGateway,
    },
    /// Older events are wanted from the store, and sent with [`StoredFetch::answer`].
    Fetch(StoredFetch),
    /// Records were decided. It comes last: a record counts as applied when its effects are out.
    Decided(Vec<DecidedRecord>),
    /// The read mark of this user moved: the room should hear of it.
    ReadMoved {
        /// The room.
        stream: Entity,
        /// The receipt for its listeners.
        receipt: Ephemeral,
    },
}

/// What a record came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DecidedRecord {
    /// Its offset.
    pub offset: Offset,
    /// The entity's chain after it; `None` if the rows had it already, as nobody knows what it was in between.
    pub chain: Option<Chain>,
    /// What was decided, in a word, for the metrics.
    pub verdict: Verdict,
}

/// A decision in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Accepted.
    Accepted,
    /// Accepted before.
    Duplicate,
    /// Rejected, with the reason.
    Rejected(Reject),
    /// No effect.
    Ignored,
}

/// A resident room or user.
#[derive(Debug)]
pub(crate) struct EntityCore {
    entity: Entity,
    state: EntityState,
    ring: Ring,
    listeners: Arc<Listeners>,
    /// The rows that it was made of have all records below: whoever wrote them is ahead of this owner.
    above: Offset,
}

/// The first of these events that are given at a time: dense, and one at least if there are any.
#[must_use]
pub(crate) fn page(mut events: Vec<StreamEvent>) -> Vec<StreamEvent> {
    let mut bytes = 0;
    let fit = events.iter().take_while(|event| {
        let before = bytes;
        bytes += event.weight();
        before < limits::FETCH_BYTES
    });
    let fit = fit.count();
    events.truncate(fit);
    events
}

impl EntityCore {
    /// An entity as it was loaded, of rows that have all records below `above`.
    #[must_use]
    pub(crate) fn new(entity: Entity, state: EntityState, listeners: Arc<Listeners>, above: Offset) -> Self {
        let ring = Ring::new(limits::ROOM_RING_BYTES, limits::ROOM_RING_UNSTORED_BYTES);
        let core = Self { entity, state, ring, listeners, above };
        core.note_silenced();
        core
    }

    fn note_silenced(&self) {
        self.listeners.note_silenced(matches!(&self.state, EntityState::Room(room) if room.is_silenced()));
    }

    /// The folded state.
    #[must_use]
    pub(crate) fn state(&self) -> &EntityState {
        &self.state
    }

    /// Bytes of recent events held, about.
    #[must_use]
    pub(crate) fn ring_bytes(&self) -> usize {
        self.ring.bytes()
    }

    /// Bytes in memory, about.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        self.state.weight() + self.ring.bytes()
    }

    /// The stream of this entity.
    #[must_use]
    pub(crate) fn stream(&self) -> Entity {
        self.entity.clone()
    }

    /// Folds a record again that had its effects already, while the entity is rebuilt.
    pub(crate) fn replay(&mut self, item: &Item, stored: Offset) {
        if let Some(event) = self.state.fold(item.now, &item.envelope).event() {
            self.ring.push(item.offset, event, stored);
        }
        self.note_silenced();
    }

    /// Folds a batch and says what is to be sent. `stored` is the partition's watermark.
    ///
    /// What the rows had already is passed over. Whoever asked for it is told what the state knows of it, and if it knows too
    /// little, that it may be written: the next attempt is decided as a repeat. Who listens is told where the head is, and fetches what lies between from the rows.
    pub(crate) fn apply(&mut self, batch: &Batch, stored: Offset, out: &mut Vec<Emit>) {
        let mut events: Vec<StreamEvent> = Vec::new();
        let mut decided = Vec::with_capacity(batch.items().len());
        for item in batch.items() {
            let item = item.get();
            if item.offset < self.above {
                if let Some(Origin { node, request, .. }) = item.origin {
                    let answer = answer_from(self.state.answered(item.now, &item.envelope), item.offset);
                    out.push(Emit::Frame { to: node, frame: ToGateway::Answer { request, answer } });
                }
                decided.push(DecidedRecord { offset: item.offset, chain: None, verdict: Verdict::Ignored });
                continue;
            }
            let outcome = self.state.fold(item.now, &item.envelope);
            if let Some(event) = outcome.event() {
                self.ring.push(item.offset, event.clone(), stored);
                events.push(event);
            }
            if let Some(Origin { node, request, .. }) = item.origin {
                let answer = answer_of(&outcome, item.offset);
                out.push(Emit::Frame { to: node, frame: ToGateway::Answer { request, answer } });
            }
            if let EntityOutcome::User(UserOutcome::Quiet(Quiet::Read { room, to })) = &outcome
                && let Entity::User(user) = &self.entity
            {
                self.read_moved(user.clone(), *room, to.seq, to.no, out);
            }
            let (chain, verdict) = (Some(self.state.chain()), verdict_of(&outcome));
            decided.push(DecidedRecord { offset: item.offset, chain, verdict });
        }
        self.note_silenced();
        if batch.first() < self.above {
            self.announce(stored, out);
        }
        if !events.is_empty() {
            self.publish(events.into(), out);
        }
        out.push(Emit::Decided(decided));
    }

    fn publish(&self, events: Arc<[StreamEvent]>, out: &mut Vec<Emit>) {
        self.listeners.note_head(self.state.generation(), self.state.head());
        for to in self.listeners.nodes() {
            let frame = ToGateway::Events {
                stream: self.stream(),
                generation: self.state.generation(),
                events: Arc::clone(&events),
            };
            out.push(Emit::Frame { to, frame });
        }
    }

    fn read_moved(&self, user: UserId, room: RoomId, seq: Seq, no: MessageNo, out: &mut Vec<Emit>) {
        for to in self.listeners.nodes() {
            let event = Ephemeral::ReadMark { room, seq, no };
            out.push(Emit::Frame { to, frame: ToGateway::Ephemeral { stream: self.stream(), event } });
        }
        let receipt = Ephemeral::Receipt { user, status: ReceiptStatus::Read, seq };
        out.push(Emit::ReadMoved { stream: Entity::Room(room), receipt });
    }

    /// Answers a question. `now` says what is too old to be had: that ends without a record, too.
    pub(crate) fn hand(&mut self, question: Question, now: Timestamp, out: &mut Vec<Emit>) {
        let Question { from: node, request, asked } = question;
        let frame = match asked {
            QuestionBody::Listen { user, open } => return self.listen(node, request, &user, open, now, out),
            QuestionBody::Query(query) => ToGateway::Queried { request, answer: self.answer(&query, now) },
            QuestionBody::Fetch { from, to } => match self.fetch(from, to, now) {
                Some(events) => {
                    ToGateway::Fetched { request, stream: self.stream(), generation: self.generation(), events }
                }
                None => return out.push(Emit::Fetch(self.fetch_stored((node, request), from, to))),
            },
        };
        out.push(Emit::Frame { to: node, frame });
    }

    /// What the store has to be asked for, as the ring does not reach back to it.
    fn fetch_stored(&self, (node, request): (NodeId, RequestId), from: Seq, to: Seq) -> StoredFetch {
        let first_held = self.ring_first();
        let last_stored = Seq(to.0.min(first_held.0.saturating_sub(1)));
        let (entity, generation) = (self.stream(), self.generation());
        let rest = self.ring.range(first_held, to).unwrap_or_default();
        let deleted = self.ring.deleted();
        StoredFetch { to: node, request, entity, from, last_stored, generation, rest, deleted }
    }

    /// Somebody wants to listen: decided by the state as of now, in the order of the events that are sent. `open`: asked
    /// for by an open channel's name. `now` says what is too old to be had: that ends without a record, too.
    pub(crate) fn listen(
        &mut self,
        from: NodeId,
        request: RequestId,
        user: &UserId,
        open: bool,
        now: Timestamp,
        out: &mut Vec<Emit>,
    ) {
        let stream = self.stream();
        let denial = match &self.state {
            EntityState::Room(room) => match (room.exists(), open) {
                (false, true) => None,
                (false, false) => Some(Denial::NoRoom),
                (true, _) if open != (room.kind() == Some(RoomKind::Open)) => Some(Denial::NoRoom),
                (true, _) if !room.may_listen(user) => Some(Denial::NotMember),
                (true, _) => None,
            },
            EntityState::User(own) if own.user() != user => Some(Denial::NotMember),
            EntityState::User(_) => None,
        };
        let frame = match denial {
            Some(reason) => ToGateway::Denied { request, stream, reason },
            None => {
                self.listeners.add(from, request);
                let (generation, head, floor) = (self.state.generation(), self.state.head(), self.state.floor_at(now));
                ToGateway::Granted { request, stream, generation, head, floor }
            }
        };
        out.push(Emit::Frame { to: from, frame });
    }

    /// The events asked for, if they are all in memory (up to the head), or the reason why they are gone for good. `None`
    /// if the store has to be asked. `now` as in [`Self::listen`].
    #[must_use]
    pub(crate) fn fetch(&self, from: Seq, to: Seq, now: Timestamp) -> Option<Result<Arc<[StreamEvent]>, FetchError>> {
        let floor = self.state.floor_at(now);
        if from < floor {
            return Some(Err(FetchError::Gone { floor }));
        }
        if from > self.state.head() {
            return Some(Ok(Arc::from([])));
        }
        self.ring.range(from, to).map(|events| Ok(page(events).into()))
    }

    /// The first seq in memory; one above the head if there is none.
    #[must_use]
    pub(crate) fn ring_first(&self) -> Seq {
        self.ring.first().unwrap_or_else(|| self.state.head().next())
    }

    /// The end, in the partition, of what is in memory: a store that has come to it lacks none of these events.
    #[must_use]
    pub(crate) fn ring_end(&self) -> Offset {
        self.ring.end()
    }

    /// Recent events in memory from `from` on, as far as the ring reaches back.
    #[must_use]
    pub(crate) fn recent(&self, from: Seq) -> Vec<StreamEvent> {
        let from = from.max(self.ring_first());
        self.ring.range(from, self.state.head()).unwrap_or_default()
    }

    /// The generation of the stream.
    #[must_use]
    pub(crate) fn generation(&self) -> Generation {
        self.state.generation()
    }

    /// Tells every listening node where the head is, and lets go of what the store has, below `stored`.
    pub(crate) fn announce(&mut self, stored: Offset, out: &mut Vec<Emit>) {
        self.listeners.note_head(self.state.generation(), self.state.head());
        let frames = self.listeners.announcements(&self.stream());
        out.extend(frames.into_iter().map(|(to, frame)| Emit::Frame { to, frame }));
        self.ring.shrink(stored);
    }
}

fn answer_of(outcome: &EntityOutcome, offset: Offset) -> Answer {
    match outcome {
        EntityOutcome::Room(Outcome::Accepted(event)) => {
            let no = match event.body {
                EventBody::Message { no, .. } => Some(no),
                _ => None,
            };
            Answer::Accepted { seq: event.seq, id: event.id, at: event.at, no, duplicate: false, offset }
        }
        EntityOutcome::Room(Outcome::Duplicate { seq, id, at }) => {
            Answer::Accepted { seq: *seq, id: *id, at: *at, no: None, duplicate: true, offset }
        }
        EntityOutcome::User(UserOutcome::Event(event)) => {
            Answer::Accepted { seq: event.seq, id: uuid::Uuid::nil(), at: event.at, no: None, duplicate: false, offset }
        }
        EntityOutcome::User(UserOutcome::Duplicate { seq, at }) => {
            Answer::Accepted { seq: *seq, id: uuid::Uuid::nil(), at: *at, no: None, duplicate: true, offset }
        }
        EntityOutcome::Room(Outcome::Rejected(reject)) | EntityOutcome::User(UserOutcome::Rejected(reject)) => {
            Answer::Rejected(*reject)
        }
        EntityOutcome::Room(Outcome::Noted | Outcome::Ignored)
        | EntityOutcome::User(UserOutcome::Unchanged | UserOutcome::Quiet(_)) => {
            let at = Timestamp::ZERO;
            let duplicate = !matches!(outcome, EntityOutcome::User(UserOutcome::Quiet(_)));
            Answer::Accepted { seq: Seq::ZERO, id: uuid::Uuid::nil(), at, no: None, duplicate, offset }
        }
    }
}

/// The answer on a record that the rows had already.
fn answer_from(known: Option<Result<Known, Reject>>, offset: Offset) -> Answer {
    match known {
        None => Answer::Unknown,
        Some(Err(reject)) => Answer::Rejected(reject),
        Some(Ok(Known { earlier: Earlier { seq, id, at }, is_repeat: duplicate })) => {
            Answer::Accepted { seq, id, at, no: None, duplicate, offset }
        }
    }
}

fn verdict_of(outcome: &EntityOutcome) -> Verdict {
    match outcome {
        EntityOutcome::Room(Outcome::Accepted(_) | Outcome::Noted)
        | EntityOutcome::User(UserOutcome::Event(_) | UserOutcome::Quiet(_)) => Verdict::Accepted,
        EntityOutcome::Room(Outcome::Duplicate { .. }) | EntityOutcome::User(UserOutcome::Duplicate { .. }) => {
            Verdict::Duplicate
        }
        EntityOutcome::Room(Outcome::Rejected(reject)) | EntityOutcome::User(UserOutcome::Rejected(reject)) => {
            Verdict::Rejected(*reject)
        }
        EntityOutcome::Room(Outcome::Ignored) | EntityOutcome::User(UserOutcome::Unchanged) => Verdict::Ignored,
    }
}
