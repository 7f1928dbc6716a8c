//! The shell of a resident room or user in simulated time: its mailbox, its loading from the store, its death, as
//! `actors::partition::entity_actor` and `hydrate` do.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::{OwnerId, What};
use super::fault_plan::Fault;
use super::owner::Owner;
use super::world::World;
use crate::actors::fold::{self, FoldClock};
use crate::actors::partition::entity::{Emit, EntityCore};
use crate::actors::partition::item::{Batch, Item};
use crate::actors::partition::question::{Asked, Question};
use crate::actors::partition::replay::{JournalReplay, ReplayError};
use crate::actors::wire::{Entity, FetchError, NodeId, RequestId, StreamEvent, ToGateway, ToOwner};
use crate::actors::workers::persistence::rows;
use crate::ids::{Offset, Seq};
use crate::limits;
use crate::storage::journal::record::Envelope;
use crate::storage::store::SeqRange;

/// What waits in a mailbox.
pub enum Message {
    /// Fold these.
    Deliver(Arc<Batch>),
    /// Something beside records.
    Hand(Question),
    /// Tell the listeners where the head is.
    Announce,
}

/// A room or user in memory.
pub struct Resident {
    /// Its pure core.
    pub core: EntityCore,
    /// What waits.
    pub inbox: VecDeque<Message>,
    /// It dies over its next message.
    pub doomed: bool,
    /// It has died, and its owner does not know yet.
    pub dead: bool,
}

impl World<'_> {
    /// Puts a message into a mailbox.
    pub fn post(&mut self, owner: &mut Owner, entity: &Entity, message: Message) {
        if let Some(resident) = owner.residents.get_mut(entity).filter(|resident| !resident.dead) {
            resident.inbox.push_back(message);
            self.after(2, What::Resident { owner: owner.id, entity: entity.clone() });
        }
    }

    /// A resident's turn.
    pub fn resident_turn(&mut self, id: OwnerId, entity: &Entity) {
        let Some(mut owner) = self.take_owner(id) else { return };
        self.run_resident(&mut owner, entity);
        let index = self.index(id.node);
        self.nodes[index].owners.insert(id.partition, owner);
    }

    /// One message of a resident.
    pub fn run_resident(&mut self, owner: &mut Owner, entity: &Entity) {
        let Some(resident) = owner.residents.get_mut(entity).filter(|resident| !resident.dead) else { return };
        let Some(message) = resident.inbox.pop_front() else { return };
        if resident.doomed {
            // At any moment: before, in the middle, or when all is done but noted.
            let stage = self.rng.below(3);
            if let Message::Deliver(batch) = message
                && stage > 0
            {
                let emits = self.fold(owner, entity, &batch);
                let kept = if stage == 1 { self.rng.index(emits.len() + 1) } else { emits.len() };
                self.flush(owner, emits.into_iter().take(kept).collect());
            }
            if let Some(resident) = owner.residents.get_mut(entity) {
                resident.dead = true;
                resident.inbox.clear();
            }
            self.after(20, What::Died { owner: owner.id, entity: entity.clone() });
            return;
        }
        match message {
            Message::Deliver(batch) => {
                let emits = self.fold(owner, entity, &batch);
                self.flush(owner, emits);
                batch.finish();
            }
            Message::Hand(question) => self.hand(owner, entity, question),
            Message::Announce => {
                let index = self.index(owner.id.node);
                let stored = self.nodes[index].stored(owner.id.partition);
                let mut emits = Vec::new();
                resident.core.announce(&mut emits);
                resident.core.stored(stored);
                self.flush(owner, emits);
            }
        }
    }

    fn hand(&mut self, owner: &mut Owner, entity: &Entity, question: Question) {
        let Question { from: node, request, asked } = question;
        let now = self.clock(self.index(owner.id.node));
        let Some(resident) = owner.residents.get_mut(entity) else { return };
        match asked {
            Asked::Listen { user, open } => {
                let mut emits = Vec::new();
                resident.core.listen(node, request, &user, open, now, &mut emits);
                self.flush(owner, emits);
            }
            Asked::Fetch { from, to } => self.fetch(owner, entity, (node, request), from, to),
            Asked::Query(query) => {
                let frame = ToGateway::Queried { request, answer: resident.core.answer(&query, now) };
                self.send_to_gateway(owner.id.node, node, frame);
            }
        }
    }

    fn fold(&mut self, owner: &mut Owner, entity: &Entity, batch: &Batch) -> Vec<Emit> {
        let index = self.index(owner.id.node);
        let stored = self.nodes[index].stored(owner.id.partition);
        let mut emits = Vec::new();
        if let Some(resident) = owner.residents.get_mut(entity) {
            resident.core.apply(batch, stored, &mut emits);
        }
        emits
    }

    /// Sends first and notes the progress afterwards.
    fn flush(&mut self, owner: &mut Owner, emits: Vec<Emit>) {
        let mut decided = Vec::new();
        for emit in emits {
            match emit {
                Emit::Frame { to, frame } => self.send_to_gateway(owner.id.node, to, frame),
                Emit::ReadMoved { stream, receipt } => {
                    self.send_to_owner(owner.id.node, ToOwner::Ephemeral { stream, event: receipt });
                }
                Emit::Decided { offset, chain, .. } => decided.push((offset, chain)),
            }
        }
        for (offset, chain) in decided {
            self.complete(owner, offset, chain);
        }
    }

    fn fetch(&mut self, owner: &mut Owner, entity: &Entity, asker: (NodeId, RequestId), from: Seq, to: Seq) {
        let Some(resident) = owner.residents.get(entity) else { return };
        let now = self.clock(self.index(owner.id.node));
        if let Some(events) = resident.core.fetch(from, to, now) {
            let known = events
                .as_deref()
                .map_or(Ok(()), |events| self.truth.check_redacted(entity, events, resident.core.state().head()));
            let frame = resident.core.fetched(asker.1, events);
            if let Err(why) = known {
                self.fail(why);
            }
            self.send_to_gateway(owner.id.node, asker.0, frame);
            return;
        }
        let below = resident.core.ring_first();
        let rest = if to >= below { resident.core.recent(below) } else { Vec::new() };
        self.after(10, What::Fetch { owner: owner.id, entity: entity.clone(), asker, from, to, below, rest });
    }

    /// Older events: from the store, and what the ring has from there on.
    #[allow(clippy::too_many_arguments)]
    pub fn fetch_stored(
        &mut self,
        id: OwnerId,
        entity: &Entity,
        asker: (NodeId, RequestId),
        from: Seq,
        to: Seq,
        below: Seq,
        rest: Vec<StreamEvent>,
    ) {
        if !self.healing && self.plan.faults.contains(&Fault::StoreDown) && self.rng.chance(800) {
            // Of all moments at this one.
            self.store.down_until = self.now + self.rng.between(100, 2_000);
        }
        let last_stored = Seq(to.0.min(below.0.saturating_sub(1)));
        let events = match self.stored_events(id, entity, from, last_stored) {
            Ok(mut events) => {
                self.stats.fetched += 1;
                let next = events.last().map_or(from, |event| event.seq().next());
                if next == below {
                    events.extend(rest.into_iter().take_while(|event| event.seq() <= to));
                }
                if events.is_empty() { Err(FetchError::Unavailable) } else { Ok(events.into()) }
            }
            Err(error) => Err(error),
        };
        let generation = self.truth.stream(entity).state.generation();
        let frame = ToGateway::Fetched { request: asker.1, stream: entity.clone(), generation, events };
        self.send_to_gateway(id.node, asker.0, frame);
    }

    fn stored_events(
        &mut self,
        id: OwnerId,
        entity: &Entity,
        from: Seq,
        to: Seq,
    ) -> Result<Vec<StreamEvent>, FetchError> {
        if from > to {
            return Ok(Vec::new());
        }
        let Some(store) = self.store.get() else { return self.retold(id, entity, from, to) };
        let range = SeqRange::new(from, to);
        let events: Result<Vec<_>, _> = match entity {
            Entity::Room(room) => {
                let rows = store.events(*room, range, limits::HISTORY_PAGE);
                rows.into_iter().map(|row| rows::event(row).map(|e| StreamEvent::Room(Arc::new(e)))).collect()
            }
            Entity::User(user) => {
                let rows = store.user_events(user, range, limits::HISTORY_PAGE);
                rows.into_iter().map(|row| rows::user_event(row).map(|e| StreamEvent::User(Arc::new(e)))).collect()
            }
        };
        events.map_err(|error| {
            self.fail(format!("the store holds events that can't be: {error}"));
            FetchError::Unavailable
        })
    }

    /// While the store is down: from the journal, up to what is folded here.
    fn retold(&mut self, id: OwnerId, entity: &Entity, from: Seq, to: Seq) -> Result<Vec<StreamEvent>, FetchError> {
        if self.log.bounds(id.partition).start > Offset::ZERO {
            return Err(FetchError::Unavailable);
        }
        self.stats.retold += 1;
        let applied = self.nodes[self.index(id.node)].applied.get(&id.partition).copied().unwrap_or_default();
        let mut story = JournalReplay::new(entity.clone());
        let told =
            self.log.read(id.partition, Offset::ZERO, usize::MAX).map_err(ReplayError::from).and_then(|records| {
                records
                    .iter()
                    .take_while(|record| record.offset < applied)
                    .try_for_each(|record| story.take(record))?;
                story.events(from, to)
            });
        told.map_err(|why| {
            if !self.is_outdated(id.node, id.partition) {
                self.fail(format!("{entity:?} can't be told from the journal: {why}"));
            }
            FetchError::Unavailable
        })
    }

    /// A snapshot is taken of the store, and the partition's tail folded on top of it up to `replay_to`.
    pub fn load(&mut self, id: OwnerId, entity: Entity, replay_to: Offset) {
        let core = self.hydrate(id, &entity, replay_to);
        let wait = if core.is_some() { 5 } else { 200 };
        self.after(wait, What::Loaded { owner: id, entity, core: core.map(Box::new) });
    }

    fn hydrate(&mut self, id: OwnerId, entity: &Entity, replay_to: Offset) -> Option<(EntityCore, Offset)> {
        let listeners = self.owner(id).map(|owner| World::listeners_of(owner, entity))?;
        let (state, watermark) = match self.store.snapshot(entity)? {
            Ok(found) => found,
            Err(why) => {
                self.fail(why);
                return None;
            }
        };
        let mut core = EntityCore::new(entity.clone(), state, listeners);
        let stored = self.nodes[self.index(id.node)].stored(id.partition);
        let knows = self.nodes[self.index(id.node)].knows;
        let mut clock = FoldClock::after(&watermark, knows);
        if watermark.next_offset < replay_to {
            self.stats.replayed += 1;
            let records = match self.log.read(id.partition, watermark.next_offset, usize::MAX) {
                Ok(records) => records,
                Err(error) => {
                    self.fail(error.to_string());
                    return None;
                }
            };
            for record in records.into_iter().take_while(|record| record.offset < replay_to) {
                let Ok(envelope) = Envelope::decode_record(&record.bytes) else { continue };
                // An old program can't make what a newer one has written on top of.
                let now = clock.advance(record.offset, record.time, &envelope).ok()?;
                if fold::entity_of(&envelope).as_ref() == Some(entity) {
                    core.replay(&Item { offset: record.offset, now, envelope, origin: None }, stored);
                }
            }
        }
        Some((core, watermark.next_offset))
    }

    /// The snapshot has reached the owner.
    pub fn loaded(&mut self, id: OwnerId, entity: &Entity, core: Option<Box<(EntityCore, Offset)>>) {
        let snapshot = core.as_ref().map(|loaded| loaded.1);
        self.with_owner(id, |owner, now, out| {
            if let Some(loaded) = core {
                let resident = Resident { core: loaded.0, inbox: VecDeque::new(), doomed: false, dead: false };
                owner.residents.insert(entity.clone(), resident);
            }
            owner.core.loaded(entity, snapshot, now, out);
        });
    }
}
