//! From the verified prefix to the entities.
//!
//! Each record of a journal that is folded anew may name another room or user, and ten million of them must not be in memory
//! at a time. So a record of the replay whose entity would be one too many waits, and all behind it wait with it, until the
//! projector has stored what others did and these can leave. Whatever was appended later never waits: its entity was in
//! memory when it was appended, and a store that is away must not hold up rooms that are there.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Action, Core, command_key};
use crate::actors::digest::Chain;
use crate::actors::fold;
use crate::actors::partition::item::{Batch, Item};
use crate::actors::partition::verified::Verified;
use crate::actors::wire::Entity;
use crate::ids::{Offset, Timestamp};
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::Envelope;

impl Core {
    /// Hands out what is verified, as far as there are places for it in memory.
    pub(super) fn dispatch(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        self.hand_out(now, out);
        while self.is_full && self.make_room(out) {
            self.hand_out(now, out);
        }
    }

    /// Hands every verified record to its entity, in offset order. A record that can't be read halts the partition behind
    /// those before it: each entity gets all of its own up to there, and then nothing any more. One whose entity has to wait
    /// for a place in memory stays where it is.
    fn hand_out(&mut self, at: Timestamp, out: &mut Vec<Action>) {
        let partition = self.partition;
        let of_place = |offset: Offset, error| format!("partition {partition} offset {offset}: {error}");
        let mut unreadable = self.clock.check().err().map(|error| of_place(self.folded.end, error));
        let mut groups: Vec<(Entity, Vec<Verified<Item>>)> = Vec::new();
        // Looked up, never iterated: entities are told in the order of their first records.
        let mut places: HashMap<Entity, usize> = HashMap::new();
        let mut newcomers = 0;
        self.is_full = false;
        while unreadable.is_none()
            && let Some(next) = self.reader.pending().front()
        {
            let has_place = |entity: &Entity| self.residents.contains_key(entity) || places.contains_key(entity);
            if next.record.offset < self.replay_to.min(self.reader.verified())
                && self.residents.len() + newcomers >= self.resident
                && let Some(envelope) = &next.envelope
                && fold::entity_in(self.partition, envelope).is_some_and(|entity| !has_place(&entity))
            {
                self.is_full = true;
                break;
            }
            let Some((record, envelope, prefix)) = self.reader.take_verified() else { break };
            let StoredRecord { offset, time, .. } = *record.get();
            let read = envelope.map_or_else(|| Envelope::decode_record(&record.get().bytes), Ok);
            let read = read.and_then(|envelope| Ok((self.clock.advance(offset, time, &envelope)?, envelope)));
            let (now, envelope) = match read {
                Ok(read) => read,
                Err(error) => {
                    unreadable = Some(of_place(offset, error));
                    break;
                }
            };
            self.folded = prefix;
            self.note_cover(offset, &envelope, at);
            let origin = if self.waiting.is_empty() { None } else { self.waiting.remove(&command_key(&envelope)) };
            match fold::entity_in(self.partition, &envelope) {
                Some(entity) => {
                    let item = record.map(|_| Item { offset, now, envelope, origin });
                    let place = *places.entry(entity).or_insert_with_key(|entity| {
                        newcomers += usize::from(!self.residents.contains_key(entity));
                        groups.push((entity.clone(), Vec::new()));
                        groups.len() - 1
                    });
                    groups[place].1.push(item);
                }
                None => {
                    let to = self.progress.complete([(offset, None)]);
                    out.extend(to.map(|to| Action::Applied { to }));
                }
            }
        }
        self.reader.settle(self.folded.end);
        for (entity, items) in groups {
            self.deliver(entity, Arc::new(Batch::new(items)), at, out);
        }
        self.cover_later(out);
        if let Some(reason) = unreadable {
            self.halt(reason, out);
        }
    }

    /// The projector has stored more: what waits for a place in memory may have one now.
    pub(super) fn go_on_if_full(&mut self, now: Timestamp, out: &mut Vec<Action>) {
        if !self.is_full || self.halted {
            return;
        }
        self.dispatch(now, out);
        if self.tail_rests {
            self.follow(out);
        }
    }

    /// The store has everything below `to` now, and these chains of some entities, each after the record at this offset. If
    /// one is not the own one, the partition halts (I10).
    pub(crate) fn stored(&mut self, to: Offset, chains: Vec<(Offset, Chain)>, now: Timestamp, out: &mut Vec<Action>) {
        if let Err(divergence) = chains.into_iter().try_for_each(|(at, there)| self.progress.compare(at, there)) {
            return self.halt(divergence.to_string(), out);
        }
        self.stored = self.stored.max(to);
        self.go_on_if_full(now, out);
        self.give_places(out);
    }

    /// Whether what is folded anew waits for a place in memory.
    #[cfg(test)]
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }
}
