//! A resident room or user in simulated time: its mailbox, what its core emits, its loading from the store, its death. It
//! decides nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::{OwnerId, What};
use super::fault_plan::Fault;
use super::owner::Owner;
use super::world::World;
use crate::actors::partition::entity::{Emit, EntityCore};
use crate::actors::partition::hydration::{Hydration, Loaded};
use crate::actors::partition::item::Batch;
use crate::actors::partition::listeners::Listeners;
use crate::actors::partition::memory::Share;
use crate::actors::partition::question::Question;
use crate::actors::partition::replay::{JournalReplay, ReplayError};
use crate::actors::partition::stored_fetch::StoredFetch;
use crate::actors::wire::{Entity, FetchError, StreamEvent, ToGateway, ToOwner};
use crate::actors::workers::persistence::rows;
use crate::ids::Offset;
use crate::limits;
use crate::storage::store::SeqRange;

/// What waits in a mailbox.
pub(crate) enum Message {
    /// Fold these.
    Deliver(Arc<Batch>),
    /// Something beside records.
    Hand(Question),
    /// Tell the listeners where the head is.
    Announce,
}

/// A room or user in memory.
pub(crate) struct Resident {
    /// Its pure core.
    pub core: EntityCore,
    /// What waits.
    pub inbox: VecDeque<Message>,
    /// It dies over its next message.
    pub doomed: bool,
    /// It has died, and its owner does not know yet.
    pub dead: bool,
    share: Share,
}

impl Resident {
    /// As it was loaded.
    pub(crate) fn new(core: EntityCore, share: Share) -> Self {
        share.set(core.weight());
        Self { core, inbox: VecDeque::new(), doomed: false, dead: false, share }
    }
}

impl World<'_> {
    /// Puts a message into a mailbox.
    pub(crate) fn post(&mut self, owner: &mut Owner, entity: &Entity, message: Message) {
        if let Some(resident) = owner.residents.get_mut(entity).filter(|resident| !resident.dead) {
            resident.inbox.push_back(message);
            self.after(2, What::Resident { owner: owner.id, entity: entity.clone() });
        }
    }

    /// A resident's turn.
    pub(crate) fn resident_turn(&mut self, id: OwnerId, entity: &Entity) {
        let Some(mut owner) = self.take_owner(id) else { return };
        self.run_resident(&mut owner, entity);
        let index = self.index(id.node);
        self.nodes[index].owners.insert(id.partition, owner);
    }

    /// One message of a resident.
    pub(crate) fn run_resident(&mut self, owner: &mut Owner, entity: &Entity) {
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
        let now = self.clock(self.index(owner.id.node));
        let mut emits = Vec::new();
        match message {
            Message::Deliver(batch) => {
                let emits = self.fold(owner, entity, &batch);
                self.flush(owner, emits);
                batch.finish();
            }
            Message::Hand(question) => resident.core.hand(question, now, &mut emits),
            Message::Announce => {
                let stored = self.nodes[self.index(owner.id.node)].stored.get(owner.id.partition);
                resident.core.announce(stored, &mut emits);
            }
        }
        if let Some(resident) = owner.residents.get(entity) {
            resident.share.set(resident.core.weight());
            self.check_page(resident, &emits);
        }
        self.flush(owner, emits);
    }

    /// A page out of memory holds nothing that was deleted by then.
    fn check_page(&mut self, resident: &Resident, emits: &[Emit]) {
        let head = resident.core.state().head();
        for emit in emits {
            if let Emit::Frame { frame: ToGateway::Fetched { stream, events: Ok(events), .. }, .. } = emit
                && let Err(why) = self.truth.check_redacted(stream, events, head)
            {
                self.fail(why);
            }
        }
    }

    fn fold(&mut self, owner: &mut Owner, entity: &Entity, batch: &Batch) -> Vec<Emit> {
        let stored = self.nodes[self.index(owner.id.node)].stored.get(owner.id.partition);
        let mut emits = Vec::new();
        if let Some(resident) = owner.residents.get_mut(entity) {
            resident.core.apply(batch, stored, &mut emits);
        }
        emits
    }

    fn flush(&mut self, owner: &Owner, emits: Vec<Emit>) {
        for emit in emits {
            match emit {
                Emit::Frame { to, frame } => self.send_to_gateway(owner.id.node, to, frame),
                Emit::ReadMoved { stream, receipt } => {
                    self.send_to_owner(owner.id.node, ToOwner::Ephemeral { stream, event: receipt });
                }
                Emit::Fetch(fetch) => self.after(10, What::Fetch { owner: owner.id, fetch }),
                Emit::Decided(decided) => {
                    decided.iter().for_each(|decision| self.check_decision(owner, decision));
                    let decided = decided.iter().map(|decision| (decision.offset, decision.chain));
                    if let Some(applied) = owner.core.progress().complete(decided) {
                        self.applied(owner, applied);
                    }
                }
            }
        }
    }

    /// A resident ends behind what it was told before.
    pub(crate) fn end_resident(&mut self, owner: &mut Owner, entity: &Entity) {
        while owner.residents.get(entity).is_some_and(|resident| !resident.dead && !resident.inbox.is_empty()) {
            self.run_resident(owner, entity);
        }
        owner.residents.remove(entity);
        owner.core.ended(entity);
    }

    /// Older events, from the store.
    pub(crate) fn fetch_stored(&mut self, id: OwnerId, fetch: StoredFetch) {
        if !self.healing && self.plan.faults.contains(&Fault::StoreDown) && self.rng.chance(800) {
            // Of all moments at this one.
            self.store.down_until = self.now + self.rng.between(100, 2_000);
        }
        let stored = self.stored_events(id, &fetch);
        self.stats.fetched += u64::from(stored.is_ok());
        let to = fetch.to;
        self.send_to_gateway(id.node, to, fetch.answer(stored));
    }

    fn stored_events(&mut self, id: OwnerId, fetch: &StoredFetch) -> Result<Vec<StreamEvent>, FetchError> {
        let range = SeqRange::new(fetch.from, fetch.last_stored);
        let Some(store) = self.store.get() else { return self.retold(id, fetch) };
        let events: Result<Vec<_>, _> = match &fetch.entity {
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
    fn retold(&mut self, id: OwnerId, fetch: &StoredFetch) -> Result<Vec<StreamEvent>, FetchError> {
        if self.log.bounds(id.partition).start > Offset::ZERO {
            return Err(FetchError::Unavailable);
        }
        self.stats.retold += 1;
        let applied = self.nodes[self.index(id.node)].applied.get(id.partition);
        let mut story = JournalReplay::new(fetch.entity.clone(), self.nodes[self.index(id.node)].knows);
        let told =
            self.log.read(id.partition, Offset::ZERO, usize::MAX).map_err(ReplayError::from).and_then(|records| {
                records
                    .iter()
                    .take_while(|record| record.offset < applied)
                    .try_for_each(|record| story.take(record))?;
                story.events(fetch.from, fetch.last_stored)
            });
        told.map_err(|why| {
            if !self.is_outdated(id.node, id.partition) {
                self.fail(format!("{:?} can't be told from the journal: {why}", fetch.entity));
            }
            FetchError::Unavailable
        })
    }

    /// A snapshot is taken of the store, and the partition's tail folded on top of it up to `replay_to`.
    pub(crate) fn load(
        &mut self,
        id: OwnerId,
        entity: Entity,
        replay_to: Offset,
        listeners: Arc<Listeners>,
        share: Share,
    ) {
        let knows = self.nodes[self.index(id.node)].knows;
        let hydration = match self.store.snapshot(&entity).transpose() {
            Ok(snapshot) => {
                snapshot.map(|snapshot| Hydration::new(entity.clone(), snapshot, listeners, replay_to, knows))
            }
            Err(why) => return self.fail(why),
        };
        let stored = self.nodes[self.index(id.node)].stored.get(id.partition);
        let mut loaded = None;
        if let Some(mut hydration) = hydration {
            while let Some(from) = hydration.wants() {
                self.stats.replayed += 1;
                let records = match &self.nodes[self.index(id.node)].tails {
                    Some(tails) => tails.client.read(&self.log, id.partition, from, usize::MAX),
                    None => self.log.read(id.partition, from, usize::MAX),
                };
                let records = records.map_err(|error| error.to_string());
                if records.as_ref().is_ok_and(Vec::is_empty) {
                    return self.fail(format!("{id:?} lacks what it has applied, from {from} on"));
                }
                let taken = records.and_then(|records| hydration.take(records, stored).map_err(|e| e.to_string()));
                if let Err(why) = taken {
                    // An old program can't make what a newer one has written on top of.
                    if self.is_outdated(id.node, id.partition) {
                        return self.after(5, What::Loaded { owner: id, entity, loaded: None });
                    }
                    return self.fail(why);
                }
            }
            loaded = Some(hydration.finish(share));
        }
        self.after(5, What::Loaded { owner: id, entity, loaded });
    }

    /// What a load brought has reached the owner.
    pub(crate) fn loaded(&mut self, id: OwnerId, entity: &Entity, loaded: Option<Loaded>) {
        self.with_owner(id, |owner, now, out| match loaded {
            Some(loaded) => owner.core.loaded(entity, loaded, now, out),
            None => owner.core.load_failed(entity, out),
        });
    }
}
