//! Commands and questions for rooms and users for which there is no place in memory now.
//!
//! They wait in the order in which they came, until others leave. If none can, as the store lacks what they did last, or as
//! all of them are busy, who has waited long enough comes in all the same: rooms that are busy must not shut out the others
//! for ever. The bytes that all may take bound that; without any left, what waits is refused.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::residency::Parked;
use super::{Action, Core};
use crate::actors::partition::memory::RESIDENT_BYTES;
use crate::actors::wire::Entity;
use crate::ids::{Offset, Timestamp};
use crate::limits;

/// Who waits for a place, in order. None of them is in memory or being loaded.
#[derive(Default)]
pub(super) struct PlaceQueue {
    waiting: HashMap<Entity, Waiting>,
    turns: BTreeMap<u64, Entity>,
    next_turn: u64,
}

struct Waiting {
    turn: u64,
    since: Timestamp,
    held: VecDeque<Parked>,
}

impl PlaceQueue {
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Whether something waits for this entity.
    pub(super) fn has(&self, entity: &Entity) -> bool {
        self.waiting.contains_key(entity)
    }

    /// Adds what came for the entity to what waits for it already, or makes the entity the last one.
    fn push(&mut self, entity: Entity, held: Parked, now: Timestamp) {
        let turn = self.next_turn;
        let waiting = self.waiting.entry(entity).or_insert_with_key(|entity| {
            self.turns.insert(turn, entity.clone());
            self.next_turn += 1;
            Waiting { turn, since: now, held: VecDeque::new() }
        });
        waiting.held.push_back(held);
    }

    /// What waits for the entity, which waits no longer.
    pub(super) fn remove(&mut self, entity: &Entity) -> VecDeque<Parked> {
        let Some(waiting) = self.waiting.remove(entity) else { return VecDeque::new() };
        self.turns.remove(&waiting.turn);
        waiting.held
    }

    /// Takes out the entity that waits for longest.
    pub(super) fn pop(&mut self) -> Option<(Entity, VecDeque<Parked>)> {
        let (_, entity) = self.turns.pop_first()?;
        let held = self.waiting.remove(&entity).map(|waiting| waiting.held).unwrap_or_default();
        Some((entity, held))
    }

    /// Since when the first one waits.
    fn since(&self) -> Option<Timestamp> {
        let (_, first) = self.turns.first_key_value()?;
        self.waiting.get(first).map(|waiting| waiting.since)
    }
}

impl Core {
    /// Makes a place for the entity, or lets what came for it wait for one.
    pub(super) fn wait_for_place(&mut self, entity: Entity, first: Parked, now: Timestamp, out: &mut Vec<Action>) {
        let is_first = self.for_place.is_empty();
        self.for_place.push(entity, first, now);
        // Behind others it would find no place either, and the search looks at everybody.
        if is_first {
            self.give_places(out);
        }
    }

    /// Gives the places that are free, or can be made so, to whoever waits. What is folded anew goes first.
    pub(super) fn give_places(&mut self, out: &mut Vec<Action>) {
        while !self.halted && !self.is_full && !self.for_place.is_empty() && self.make_room(out) {
            self.let_first_in(out);
        }
        if !self.for_place.is_empty() {
            out.push(Action::WantRows);
        }
    }

    /// Lets in who has waited for long enough, above the number of places.
    pub(super) fn let_late_in(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        while self.for_place.since().is_some_and(|since| now.since(since) >= limits::PLACE_WAIT_MS) {
            self.let_first_in(out);
        }
    }

    fn let_first_in(&mut self, out: &mut Vec<Action>) {
        let Some((entity, held)) = self.for_place.pop() else { return };
        if self.memory.has_room(RESIDENT_BYTES) {
            self.load_holding(entity, held, false, Offset::ZERO, out);
        } else {
            self.refuse_for_memory(&entity, held, out);
        }
    }

    pub(super) fn refuse_for_memory(
        &mut self,
        entity: &Entity,
        held: impl IntoIterator<Item = Parked>,
        out: &mut Vec<Action>,
    ) {
        for held in held {
            out.push(Action::NoMemory);
            self.refuse_held(entity, held, out);
        }
    }

    /// If every place in memory is taken, lets some go of those that have been idle for longest. Says whether there is a place.
    pub(super) fn make_room(&mut self, out: &mut Vec<Action>) -> bool {
        if self.residents.len() >= self.resident {
            // Some at a time: to find them, all are looked at.
            let keep = self.resident - (self.resident / 8).max(1);
            let over = self.residents.len() - keep;
            for (_, entity) in self.idle(self.stored).into_iter().take(over) {
                self.let_idle_go(entity, out);
            }
        }
        self.residents.len() < self.resident
    }
}
