//! A window whose middle sleeps: of the events between its beginning and its end only hashes of their keys are left, a
//! tenth of the memory. What only appends needs no more than that: where no hash fits, the key is new.
//!
//! A fold must never look at what sleeps. Whoever puts a window to sleep asks [`super::super::RoomState::is_awake_for`]
//! before each decision, and makes the room anew from its rows if it is not.

use super::{Lookup, PackedClientId, Window};
use crate::ids::{ClientId, Seq, Timestamp, UserId};
use std::hash::Hash;
use uuid::Uuid;

/// The part of a window that sleeps.
#[derive(Clone, Debug)]
pub(super) struct Sleeping {
    /// How many entries lie before it.
    pub(super) before: usize,
    /// How many sleep.
    pub(super) len: usize,
    /// Fold time of the first of them.
    first_at: Timestamp,
    /// Hashes of their keys, sorted.
    keys: Box<[u32]>,
}

impl Window {
    /// How many entries there are, asleep or not.
    pub(super) fn len(&self) -> usize {
        self.entries.len() + self.sleeping.as_ref().map_or(0, |sleeping| sleeping.len)
    }

    /// Bytes in memory, about.
    pub(in crate::actors::room) fn bytes(&self) -> usize {
        let keys = self.sleeping.as_ref().map_or(0, |sleeping| sleeping.keys.len());
        self.entries.len() * super::ENTRY_BYTES + keys * size_of::<u32>()
    }

    /// Where the entry lies that is so far from the first one; `None` if it sleeps.
    pub(super) fn place(&self, index: usize) -> Option<usize> {
        match &self.sleeping {
            Some(sleeping) if index >= sleeping.before => {
                index.checked_sub(sleeping.len).filter(|place| *place >= sleeping.before)
            }
            _ => Some(index),
        }
    }

    /// Puts all but so many of the first and of the last entries to sleep. Nothing of it may sleep already.
    pub(in crate::actors::room) fn doze(&mut self, awake: usize) {
        let asleep: Vec<_> = self.entries.drain(awake..self.entries.len() - awake).collect();
        let mut keys: Vec<u32> = asleep.iter().map(|entry| self.lookup.hash(entry.id)).collect();
        keys.extend(asleep.iter().filter_map(|entry| Some(self.lookup.hash(entry.sent_as()?))));
        keys.sort_unstable();
        self.sleeping = asleep.first().map(|entry| Sleeping {
            before: awake,
            len: asleep.len(),
            first_at: entry.at,
            keys: keys.into(),
        });
        self.entries.shrink_to_fit();
        self.lookup = Lookup::of(self.entries.iter(), &self.lookup);
    }

    /// Whether a part of it sleeps.
    pub(in crate::actors::room) fn is_dozing(&self) -> bool {
        self.sleeping.is_some()
    }

    /// How many events appended at `now` push out none that sleeps.
    pub(in crate::actors::room) fn room_to_append(&self, now: Timestamp) -> usize {
        match &self.sleeping {
            None => usize::MAX,
            Some(sleeping) if now.since(sleeping.first_at) <= self.bounds.age_ms => sleeping.before,
            Some(_) => 0,
        }
    }

    /// Whether the entry at `seq`, and all that came after it, is awake; also if there is none yet.
    pub(in crate::actors::room) fn is_awake_from(&self, seq: Seq) -> bool {
        let (Some(sleeping), Some(first)) = (&self.sleeping, self.first()) else { return true };
        seq >= first.plus((sleeping.before + sleeping.len) as u64)
    }

    /// Whether no sleeping event was made by the command with this id.
    pub(in crate::actors::room) fn no_sleeper_is_made_by(&self, command: Uuid) -> bool {
        !self.may_sleep(command)
    }

    /// Whether no sleeping event was made by `sender` under this client id.
    pub(in crate::actors::room) fn no_sleeper_is(&self, sender: &UserId, client_id: Option<&ClientId>) -> bool {
        client_id.is_none_or(|client_id| !self.may_sleep((sender, &PackedClientId::from(client_id))))
    }

    fn may_sleep(&self, key: impl Hash) -> bool {
        let hash = self.lookup.hash(key);
        self.sleeping.as_ref().is_some_and(|sleeping| sleeping.keys.binary_search(&hash).is_ok())
    }
}
