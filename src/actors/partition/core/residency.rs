//! Which entities are in memory, what waits for them, and when they may go.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::{Action, Core, Queued};
use crate::actors::partition::hydration::Loaded;
use crate::actors::partition::item::Batch;
use crate::actors::partition::memory::{RESIDENT_BYTES, Share, Taken};
use crate::actors::partition::question::Question;
use crate::actors::wire::{Answer, Entity};
use crate::ids::{Offset, Timestamp};
use crate::limits;

/// Where an entity stands.
pub(super) enum Residency {
    Loading {
        held: VecDeque<Parked>,
        must: bool,
        replay_to: Offset,
    },
    /// `applied` is one past the last record that the entity got.
    Ready {
        last_used: Timestamp,
        applied: Offset,
        batches: VecDeque<Arc<Batch>>,
        taken: Taken,
        /// How often its head is still announced.
        announcements: u8,
    },
}

impl Residency {
    /// Bytes that it takes; none before it is there.
    fn bytes(&self) -> usize {
        match self {
            Self::Loading { .. } => 0,
            Self::Ready { taken, .. } => taken.bytes(),
        }
    }
}

/// What waits for an entity that is being loaded.
pub(super) enum Parked {
    Command(Queued),
    Batch(Arc<Batch>),
    Question(Question),
}

impl Core {
    /// A question to the entity: it comes behind what was delivered before.
    pub(crate) fn ask(&mut self, entity: Entity, question: Question, now: Timestamp, out: &mut Vec<Action>) {
        if self.halted {
            out.push(Action::Send { to: question.from, frame: question.refusal(entity) });
            return;
        }
        match self.residents.get_mut(&entity) {
            Some(Residency::Ready { last_used, .. }) => {
                *last_used = now;
                out.push(Action::Hand { entity, question });
            }
            Some(Residency::Loading { held: queue, .. }) => queue.push_back(Parked::Question(question)),
            None => self.load(entity, Parked::Question(question), now, out),
        }
    }

    /// Loads an entity for what came first. A command or a question waits if there is no place for the entity, and is refused
    /// if there are no bytes for it; records come in at once, as they have to be folded.
    pub(super) fn load(&mut self, entity: Entity, first: Parked, now: Timestamp, out: &mut Vec<Action>) {
        if matches!(first, Parked::Batch(_)) {
            let mut held = self.for_place.remove(&entity);
            held.push_front(first);
            self.load_holding(entity, held, true, Offset::ZERO, out);
        } else if self.for_place.has(&entity) || self.memory.has_room(RESIDENT_BYTES) {
            self.wait_for_place(entity, first, now, out);
        } else {
            self.refuse_for_memory(&entity, [first], out);
        }
    }

    pub(super) fn load_holding(
        &mut self,
        entity: Entity,
        held: VecDeque<Parked>,
        must: bool,
        replay_to: Offset,
        out: &mut Vec<Action>,
    ) {
        let (share, listeners) = (Share::new(&self.memory), self.listeners.of(&entity));
        out.push(Action::Load { entity: entity.clone(), replay_to, listeners, share });
        self.residents.insert(entity, Residency::Loading { held, must, replay_to });
    }

    pub(super) fn refuse_held(&mut self, entity: &Entity, held: Parked, out: &mut Vec<Action>) {
        match held {
            Parked::Command(queued) => self.refuse(&queued, out),
            Parked::Question(question) => {
                out.push(Action::Send { to: question.from, frame: question.refusal(entity.clone()) });
            }
            // It may be written: nobody is told that it is not.
            Parked::Batch(batch) => {
                let origins = batch.items().iter().filter_map(|item| item.get().origin);
                out.extend(origins.map(|origin| Action::Answer { origin, answer: Answer::Unknown }));
            }
        }
    }

    fn is_loading(&self, entity: &Entity) -> bool {
        matches!(self.residents.get(entity), Some(Residency::Loading { .. }))
    }

    /// The entity's state is there.
    ///
    /// It is of use only if its snapshot does not lie before what the store is known to have had: restored from a backup the
    /// store may have fallen back, and then this core is over, and the next one begins where the store is. Where others own the
    /// partition, too, or workers by themselves make the rows, the snapshot may be ahead of this core: the entity passes over
    /// what it has already. If its rows say that something else was decided than was decided here, the partition halts (I10).
    pub(crate) fn loaded(&mut self, entity: &Entity, loaded: Loaded, now: Timestamp, out: &mut Vec<Action>) {
        // One that comes after a halt, or after its like, is nobody's.
        if let Some((held, must, replay_to)) = self.take_loading(entity) {
            let differs = loaded.chain.and_then(|(at, there)| self.progress.compare(at, there).err());
            let unusable = self.unusable(&loaded, replay_to);
            if differs.is_none() && unusable.is_none() {
                self.becomes_ready(entity, loaded, replay_to, now, out);
                for held in held {
                    match held {
                        Parked::Command(queued) => self.queue.push_back(queued),
                        Parked::Question(question) => out.push(Action::Hand { entity: entity.clone(), question }),
                        Parked::Batch(batch) => self.deliver(entity.clone(), batch, now, out),
                    }
                }
                self.give_places(out);
                return self.pump(out);
            }
            // It is answered with the rest.
            self.residents.insert(entity.clone(), Residency::Loading { held, must, replay_to });
            if let Some(divergence) = differs {
                self.halt(divergence.to_string(), out);
            } else {
                self.stop(out);
                out.extend(unusable.map(|reason| Action::Restart { reason }));
            }
        }
        drop(loaded);
        self.forget_listeners(entity);
    }

    fn take_loading(&mut self, entity: &Entity) -> Option<(VecDeque<Parked>, bool, Offset)> {
        if self.halted || !self.is_loading(entity) {
            return None;
        }
        match self.residents.remove(entity) {
            Some(Residency::Loading { held, must, replay_to }) => Some((held, must, replay_to)),
            _ => None,
        }
    }

    fn becomes_ready(
        &mut self,
        entity: &Entity,
        loaded: Loaded,
        applied: Offset,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        let Loaded { core, share, .. } = loaded;
        let (taken, batches) = (share.taken(), VecDeque::new());
        let announcements = self.leaving.remove(entity).unwrap_or(0);
        let ready = Residency::Ready { last_used: now, applied, batches, taken, announcements };
        self.residents.insert(entity.clone(), ready);
        out.push(Action::Spawn { entity: entity.clone(), core, share });
    }

    /// The entity can't be had now. What comes for it meanwhile waits with the rest, so that a store that is away is not
    /// asked again for each command.
    pub(crate) fn load_failed(&mut self, entity: &Entity, out: &mut Vec<Action>) {
        if self.is_loading(entity) {
            out.push(Action::Rest { entity: entity.clone(), ms: limits::LOAD_RETRY_MS });
        } else {
            self.forget_listeners(entity);
        }
    }

    /// The rest after a failed load is over: what may be refused is refused. An entity with records to fold is asked for
    /// again, and so is one that died above the store's watermark: loaded later, without the replay, it would lack what it
    /// had folded.
    pub(crate) fn rested(&mut self, entity: &Entity, out: &mut Vec<Action>) {
        let Some((held, must, replay_to)) = self.take_loading(entity) else { return };
        let (kept, refused): (VecDeque<_>, VecDeque<_>) =
            held.into_iter().partition(|held| matches!(held, Parked::Batch(_)));
        refused.into_iter().for_each(|held| self.refuse_held(entity, held, out));
        if must || !kept.is_empty() || replay_to > Offset::ZERO {
            self.load_holding(entity.clone(), kept, true, replay_to, out);
        } else {
            self.forget_listeners(entity);
            self.give_places(out);
        }
    }

    /// Why a snapshot can't be gone on from.
    fn unusable(&self, loaded: &Loaded, replay_to: Offset) -> Option<&'static str> {
        let snapshot = loaded.watermark;
        if loaded.is_newer {
            // The next core says by which version, and halts.
            Some("a newer program's store is ahead")
        } else if replay_to == Offset::ZERO && snapshot < self.settled {
            Some("the store has fallen back")
        } else {
            None
        }
    }

    pub(super) fn deliver(&mut self, entity: Entity, batch: Arc<Batch>, now: Timestamp, out: &mut Vec<Action>) {
        match self.residents.get_mut(&entity) {
            Some(Residency::Ready { last_used, applied, batches, announcements, .. }) => {
                *last_used = now;
                *announcements = limits::HEAD_ANNOUNCEMENTS;
                *applied = batch.items().last().map_or(*applied, |item| item.get().offset.next());
                while batches.front().is_some_and(|batch| batch.is_finished()) {
                    batches.pop_front();
                }
                batches.push_back(Arc::clone(&batch));
                out.push(Action::Deliver { entity, batch });
            }
            Some(Residency::Loading { held, must, .. }) => {
                *must = true;
                held.push_back(Parked::Batch(batch));
            }
            None => self.load(entity, Parked::Batch(batch), now, out),
        }
    }

    /// Lets every entity go that has nothing to do and whose records are all stored, however short it has been idle.
    pub(crate) fn let_go(&mut self, now: Timestamp, stored: Offset, out: &mut Vec<Action>) {
        self.passivate(now, stored, 0, 0, out);
    }

    /// Lets one entity go, if it has nothing to do and all that it applied is stored. Says whether it went.
    pub(crate) fn let_one_go(&mut self, entity: &Entity, stored: Offset, out: &mut Vec<Action>) -> bool {
        let Some(Residency::Ready { applied, batches, .. }) = self.residents.get(entity) else { return false };
        if *applied > stored || batches.iter().any(|batch| !batch.is_finished()) {
            return false;
        }
        self.let_idle_go(entity.clone(), out);
        true
    }

    pub(super) fn passivate(
        &mut self,
        now: Timestamp,
        stored: Offset,
        resident: usize,
        idle_ms: u64,
        out: &mut Vec<Action>,
    ) {
        let mut over = self.residents.len().saturating_sub(resident);
        for (last_used, entity) in self.idle(stored) {
            if over == 0 && now.since(last_used) < idle_ms {
                break;
            }
            over = over.saturating_sub(1);
            self.let_idle_go(entity, out);
        }
    }

    /// Lets the entities go that have been idle for longest, until they have given back this partition's part of what all
    /// take too much: as many as there are with nothing to do and all of them stored.
    pub(super) fn relieve(&mut self, stored: Offset, out: &mut Vec<Action>) {
        if self.memory.excess() == 0 {
            return;
        }
        let own = self.residents.values().map(Residency::bytes).sum();
        let mut bytes = self.memory.excess_of(own);
        for (_, entity) in self.idle(stored) {
            if bytes == 0 {
                break;
            }
            bytes = bytes.saturating_sub(self.residents.get(&entity).map_or(0, Residency::bytes));
            self.let_idle_go(entity, out);
        }
    }

    /// Entities that may go, the longest idle first. One with a command under way stays, as its record would only bring it
    /// back; but not if what is folded anew waits for its place, for the record is behind that.
    pub(super) fn idle(&mut self, stored: Offset) -> Vec<(Timestamp, Entity)> {
        let mut idle: Vec<(Timestamp, Entity)> = Vec::new();
        let under_way = self.waiting.keys().filter(|_| !self.is_full);
        let busy: HashSet<&[u8]> = under_way.map(|(_, key)| &key[..]).collect();
        for (entity, residency) in &mut self.residents {
            if let Residency::Ready { last_used, applied, batches, .. } = residency {
                while batches.front().is_some_and(|batch| batch.is_finished()) {
                    batches.pop_front();
                }
                if batches.is_empty() && *applied <= stored && !busy.contains(entity.record_key()) {
                    idle.push((*last_used, entity.clone()));
                }
            }
        }
        idle.sort_unstable();
        idle
    }

    pub(super) fn let_idle_go(&mut self, entity: Entity, out: &mut Vec<Action>) {
        // A command that waits for its append comes back to a resident entity or loads it again: either is right.
        if let Some(Residency::Ready { applied, announcements, .. }) = self.residents.remove(&entity) {
            self.settled = self.settled.max(applied);
            self.still_announced(&entity, announcements);
        }
        self.deaths.remove(&entity);
        out.push(Action::Passivate { entity });
    }

    /// Entities that are resident or being made so.
    #[must_use]
    pub(crate) fn residents(&self) -> usize {
        self.residents.len()
    }
}
