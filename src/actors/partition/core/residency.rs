//! Which entities are in memory, what waits for them, and when they may go.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Action, Core, Queued};
use crate::actors::partition::item::Batch;
use crate::actors::wire::Entity;
use crate::ids::{Offset, Timestamp};

/// Where an entity stands.
pub(super) enum Residency<H> {
    Loading {
        held: VecDeque<Parked<H>>,
        must: bool,
        replay_to: Offset,
    },
    /// `applied` is one past the last record that the entity got.
    Ready {
        last_used: Timestamp,
        applied: Offset,
        batches: VecDeque<Arc<Batch>>,
    },
}

/// What waits for an entity that is being loaded.
pub(super) enum Parked<H> {
    Command(Queued),
    Batch(Arc<Batch>),
    Other(H),
}

impl<H> Core<H> {
    /// Something for the entity that is no record: it comes behind what was delivered before.
    pub fn pass(&mut self, entity: Entity, held: H, now: Timestamp, out: &mut Vec<Action<H>>) {
        if self.halted {
            out.push(Action::Refuse { entity, held });
            return;
        }
        match self.residents.get_mut(&entity) {
            Some(Residency::Ready { last_used, .. }) => {
                *last_used = now;
                out.push(Action::Hand { entity, held });
            }
            Some(Residency::Loading { held: queue, .. }) => queue.push_back(Parked::Other(held)),
            None => self.load(entity, Parked::Other(held), false, out),
        }
    }

    pub(super) fn load(&mut self, entity: Entity, first: Parked<H>, must: bool, out: &mut Vec<Action<H>>) {
        let replay_to = Offset::ZERO;
        out.push(Action::Load { entity: entity.clone(), replay_to, must });
        self.residents.insert(entity, Residency::Loading { held: VecDeque::from([first]), must, replay_to });
    }

    /// Whether this entity was asked for and is not there yet. Whatever else a load brings is of no use to anybody.
    #[must_use]
    pub fn is_loading(&self, entity: &Entity) -> bool {
        matches!(self.residents.get(entity), Some(Residency::Loading { .. }))
    }

    /// The entity's state is there, made of the store's rows at this watermark; or it can't be had now (`None`). In the
    /// latter case what may be refused is refused; an entity with records to fold is asked for again by the shell.
    ///
    /// A snapshot is of use only if it lies between what the store is known to have had and what is to be folded next.
    /// Where others own the partition, too, the store may be ahead of this core; where it was restored from a backup it may
    /// have fallen back. In both cases this core is over, and the next one begins where the store is.
    pub fn loaded(&mut self, entity: &Entity, snapshot: Option<Offset>, now: Timestamp, out: &mut Vec<Action<H>>) {
        if self.halted {
            return;
        }
        let Some(Residency::Loading { held, must, replay_to }) = self.residents.remove(entity) else { return };
        let Some(snapshot) = snapshot else {
            self.not_loaded(entity, held, must, replay_to, out);
            return;
        };
        if let Some(reason) = self.unusable(snapshot, &held, replay_to) {
            self.residents.insert(entity.clone(), Residency::Loading { held, must, replay_to });
            self.stop(out);
            out.push(Action::Restart { reason });
            return;
        }
        self.residents
            .insert(entity.clone(), Residency::Ready { last_used: now, applied: replay_to, batches: VecDeque::new() });
        for held in held {
            match held {
                Parked::Command(queued) => self.queue.push_back(queued),
                Parked::Other(held) => out.push(Action::Hand { entity: entity.clone(), held }),
                Parked::Batch(batch) => self.deliver(entity.clone(), batch, now, out),
            }
        }
        self.pump(out);
    }

    /// Why a snapshot at this watermark can't be gone on from.
    fn unusable(&self, snapshot: Offset, held: &VecDeque<Parked<H>>, replay_to: Offset) -> Option<&'static str> {
        let first_held = held.iter().find_map(|held| match held {
            Parked::Batch(batch) => Some(batch.first()),
            _ => None,
        });
        let next = self.pending.front().map_or(self.next, |pending| pending.record.offset);
        if snapshot > first_held.unwrap_or(next) {
            Some("the store is ahead")
        } else if replay_to == Offset::ZERO && snapshot < self.settled {
            Some("the store has fallen back")
        } else {
            None
        }
    }

    fn not_loaded(
        &mut self,
        entity: &Entity,
        held: VecDeque<Parked<H>>,
        must: bool,
        replay_to: Offset,
        out: &mut Vec<Action<H>>,
    ) {
        let mut kept = VecDeque::new();
        for held in held {
            match held {
                Parked::Command(queued) => self.refuse(&queued, out),
                Parked::Other(held) => out.push(Action::Refuse { entity: entity.clone(), held }),
                batch @ Parked::Batch(_) => kept.push_back(batch),
            }
        }
        // One that died above the store's watermark is asked for until it is there: loaded later, without the replay, it
        // would lack what it had folded.
        if must || !kept.is_empty() || replay_to > Offset::ZERO {
            out.push(Action::Load { entity: entity.clone(), replay_to, must: true });
            self.residents.insert(entity.clone(), Residency::Loading { held: kept, must: true, replay_to });
        }
    }

    /// The entity died and is made anew from the store. Batches that it had not finished are given to it again.
    pub fn died(&mut self, entity: &Entity, out: &mut Vec<Action<H>>) {
        if self.halted {
            return;
        }
        let (batches, applied) = match self.residents.remove(entity) {
            Some(Residency::Ready { batches, applied, .. }) => (batches, applied),
            // It was let go and is being loaded again: what died is nobody any more.
            Some(loading) => {
                self.residents.insert(entity.clone(), loading);
                return;
            }
            None => return,
        };
        let unfinished: Vec<_> = batches.into_iter().filter(|b| !b.is_finished()).collect();
        let replay_to = unfinished.first().map_or(applied, |batch| batch.first());
        let held: VecDeque<_> = unfinished.into_iter().map(Parked::Batch).collect();
        let must = !held.is_empty();
        out.push(Action::Load { entity: entity.clone(), replay_to, must: true });
        self.residents.insert(entity.clone(), Residency::Loading { held, must, replay_to });
    }

    /// The first unfinished offset of an entity, for judging whether one record kills it again and again.
    #[must_use]
    pub fn unfinished(&self, entity: &Entity) -> Option<Offset> {
        match self.residents.get(entity)? {
            Residency::Ready { batches, .. } => batches.iter().find(|b| !b.is_finished()).map(|b| b.first()),
            Residency::Loading { .. } => None,
        }
    }

    pub(super) fn deliver(&mut self, entity: Entity, batch: Arc<Batch>, now: Timestamp, out: &mut Vec<Action<H>>) {
        match self.residents.get_mut(&entity) {
            Some(Residency::Ready { last_used, applied, batches }) => {
                *last_used = now;
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
            None => self.load(entity, Parked::Batch(batch), true, out),
        }
    }

    /// Lets every entity go that has nothing to do and whose records are all stored, however short it has been idle.
    pub fn let_go(&mut self, now: Timestamp, stored: Offset, out: &mut Vec<Action<H>>) {
        self.passivate(now, stored, 0, 0, out);
    }

    /// Lets one entity go, if it has nothing to do and all that it applied is stored. Says whether it went.
    pub fn let_one_go(&mut self, entity: &Entity, stored: Offset, out: &mut Vec<Action<H>>) -> bool {
        let Some(Residency::Ready { applied, batches, .. }) = self.residents.get(entity) else { return false };
        if *applied > stored || batches.iter().any(|batch| !batch.is_finished()) {
            return false;
        }
        self.settled = self.settled.max(*applied);
        self.residents.remove(entity);
        out.push(Action::Passivate { entity: entity.clone() });
        true
    }

    pub(super) fn passivate(
        &mut self,
        now: Timestamp,
        stored: Offset,
        resident: usize,
        idle_ms: u64,
        out: &mut Vec<Action<H>>,
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

    /// Lets the entities go that have been idle for longest, until `bytes` are free: as many as there are with nothing to
    /// do and all of them stored. `weigh` says what one takes.
    pub fn relieve(
        &mut self,
        stored: Offset,
        mut bytes: usize,
        weigh: impl Fn(&Entity) -> usize,
        out: &mut Vec<Action<H>>,
    ) {
        for (_, entity) in self.idle(stored) {
            if bytes == 0 {
                break;
            }
            bytes = bytes.saturating_sub(weigh(&entity));
            self.let_idle_go(entity, out);
        }
    }

    /// Entities that may go, the longest idle first.
    fn idle(&mut self, stored: Offset) -> Vec<(Timestamp, Entity)> {
        let mut idle: Vec<(Timestamp, Entity)> = Vec::new();
        for (entity, residency) in &mut self.residents {
            if let Residency::Ready { last_used, applied, batches } = residency {
                while batches.front().is_some_and(|batch| batch.is_finished()) {
                    batches.pop_front();
                }
                if batches.is_empty() && *applied <= stored {
                    idle.push((*last_used, entity.clone()));
                }
            }
        }
        idle.sort_unstable();
        idle
    }

    fn let_idle_go(&mut self, entity: Entity, out: &mut Vec<Action<H>>) {
        // A command that waits for its append comes back to a resident entity or loads it again: either is right.
        if let Some(Residency::Ready { applied, .. }) = self.residents.remove(&entity) {
            self.settled = self.settled.max(applied);
        }
        out.push(Action::Passivate { entity });
    }

    /// Entities that are resident or being made so.
    #[must_use]
    pub fn residents(&self) -> usize {
        self.residents.len()
    }
}
