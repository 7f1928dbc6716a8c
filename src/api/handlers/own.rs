//! What each user was told to have written and the store may not have yet, so that a list read from the store includes
//! one's own acknowledged writes.
//!
//! An acknowledgement notes (partition, end of the journal there) under the user's id; a read waits until the store has
//! reached all of it. The note is dropped once it has. Kept per user, not per connection: what one device was told, the
//! other may rely on. What was acknowledged before this process started is covered by the ends that the journal had then.
//!
//! In a partition that is halted the store never catches up. What users were told by this process is known by user; of what
//! was acknowledged before it started, that a room was made in the halted stretch can't be known from rows, so its creator
//! gets a list without it until an operator has looked.
//!
//! Bounded: when a shard holds too many users that the store is behind for, their notes become everybody's. That waits
//! longer than it must, and is never wrong.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::actors::halted::Halted;
use crate::actors::marks::Marks;
use crate::ids::{Offset, Partition, UserId};

/// How long a read waits for the store.
const DEADLINE: Duration = Duration::from_secs(2);
const SHARDS: usize = 16;
/// Users with notes in one shard: 16 shards of about 100 bytes each make 1.6 MB.
const SHARD_USERS: usize = 1_024;

type Notes = HashMap<UserId, Vec<(Partition, Offset)>>;

/// The notes.
#[derive(Debug)]
pub struct OwnWrites {
    shards: [Mutex<Notes>; SHARDS],
    hasher: RandomState,
    /// What everybody waits for.
    common: Marks,
}

/// The store did not catch up in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store is behind the caller's own writes")]
pub struct Behind;

impl OwnWrites {
    /// No notes but the ends that the journal has at the start.
    #[must_use]
    pub fn new(ends: impl IntoIterator<Item = (Partition, Offset)>) -> Self {
        let common = Marks::new();
        for (partition, end) in ends {
            common.raise(partition, end);
        }
        Self { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new(), common }
    }

    /// The user was told of a write that lies below `end`. `stored` is how far the store is.
    pub fn wrote(&self, user: &UserId, partition: Partition, end: Offset, stored: &Marks) {
        if stored.get(partition) >= end {
            return;
        }
        let mut notes = self.shard(user);
        if let Some(list) = notes.get_mut(user) {
            list.retain(|(partition, end)| stored.get(*partition) < *end);
            match list.iter_mut().find(|(other, _)| *other == partition) {
                Some((_, noted)) => *noted = end.max(*noted),
                None => list.push((partition, end)),
            }
            return;
        }
        if notes.len() >= SHARD_USERS {
            self.make_room(&mut notes, stored);
        }
        notes.insert(user.clone(), vec![(partition, end)]);
    }

    fn make_room(&self, notes: &mut Notes, stored: &Marks) {
        notes.retain(|_, list| list.iter().any(|(partition, end)| stored.get(*partition) < *end));
        // Half full at least: the next sweep is that many users away.
        if notes.len() > SHARD_USERS / 2 {
            for (partition, end) in notes.drain().flat_map(|(_, list)| list) {
                self.common.raise(partition, end);
            }
        }
    }

    /// Waits until the store has what the user wrote. What is everybody's is not waited for in a halted partition, which
    /// would not come, but by the user who lives there; see [`Self::is_cut`] for the rooms.
    ///
    /// # Errors
    /// It does not within two seconds.
    pub async fn read(&self, user: &UserId, stored: &Marks, halted: &Halted) -> Result<(), Behind> {
        let own = self.shard(user).get(user).cloned().unwrap_or_default();
        let home = user.partition();
        let common = Partition::all().filter(|partition| *partition == home || !halted.is(*partition));
        let common = common.map(|partition| (partition, self.common.get(partition)));
        let behind: Vec<_> = own.into_iter().chain(common).filter(|(p, end)| stored.get(*p) < *end).collect();
        let all = async {
            for (partition, end) in behind {
                stored.reach(partition, end).await;
            }
        };
        tokio::time::timeout(DEADLINE, all).await.map_err(|_| Behind)
    }

    /// Whether the store lacks something of this partition that anybody may have written, and will not get it: a line of
    /// a room there may not show it.
    #[must_use]
    pub fn is_cut(&self, partition: Partition, stored: &Marks, halted: &Halted) -> bool {
        halted.is(partition) && stored.get(partition) < self.common.get(partition)
    }

    fn shard(&self, user: &UserId) -> MutexGuard<'_, Notes> {
        let index = self.hasher.hash_one(user) as usize % SHARDS;
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn users(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn partition(number: u16) -> Partition {
        Partition::new(number).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_halted_partition_keeps_only_those_who_live_or_wrote_there() {
        let (stored, halted) = (Marks::new(), Halted::default());
        let (here, there) = (user("a").partition(), user("b").partition());
        assert_ne!(here, there);
        let own = OwnWrites::new([(here, Offset(5))]);
        assert_eq!(own.read(&user("b"), &stored, &halted).await, Err(Behind), "it may still come");
        assert!(!own.is_cut(here, &stored, &halted));
        halted.mark(here, "a test");
        assert_eq!(own.read(&user("b"), &stored, &halted).await, Ok(()));
        assert_eq!(own.read(&user("a"), &stored, &halted).await, Err(Behind), "his own stream is in it");
        own.wrote(&user("b"), here, Offset(6), &stored);
        assert_eq!(own.read(&user("b"), &stored, &halted).await, Err(Behind), "he was told of a write there");
        assert!(own.is_cut(here, &stored, &halted) && !own.is_cut(there, &stored, &halted));
        stored.raise(here, Offset(6));
        assert!(!own.is_cut(here, &stored, &halted), "the store has all of it");
    }

    #[tokio::test(start_paused = true)]
    async fn one_waits_for_ones_own_writes_and_for_nobody_elses() {
        let (own, stored) = (OwnWrites::new([]), Arc::new(Marks::new()));
        own.wrote(&user("a"), partition(3), Offset(5), &stored);
        assert_eq!(own.read(&user("b"), &stored, &Halted::default()).await, Ok(()));
        assert_eq!(own.read(&user("a"), &stored, &Halted::default()).await, Err(Behind));
        stored.raise(partition(3), Offset(4));
        assert_eq!(own.read(&user("a"), &stored, &Halted::default()).await, Err(Behind));
        let (later, raised) = (Arc::clone(&stored), partition(3));
        tokio::spawn(async move {
            // Pauses: the reader waits already; this runs on one thread, in a paused time.
            tokio::task::yield_now().await;
            later.raise(raised, Offset(5));
        });
        assert_eq!(own.read(&user("a"), &stored, &Halted::default()).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_acknowledged_before_the_start_is_waited_for_by_everybody() {
        let stored = Marks::new();
        let own = OwnWrites::new([(partition(7), Offset(2))]);
        assert_eq!(own.read(&user("a"), &stored, &Halted::default()).await, Err(Behind));
        stored.raise(partition(7), Offset(2));
        assert_eq!(own.read(&user("a"), &stored, &Halted::default()).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_notes_become_everybodys_and_none_is_lost() {
        let (own, stored) = (OwnWrites::new([]), Marks::new());
        for n in 0..40_000u64 {
            own.wrote(&user(&format!("u{n}")), partition((n % 256) as u16), Offset(n + 1), &stored);
        }
        assert!(own.users() <= SHARDS * SHARD_USERS);
        for n in [0, 1, 39_999] {
            let name = user(&format!("u{n}"));
            assert_eq!(own.read(&name, &stored, &Halted::default()).await, Err(Behind), "{name}");
        }
        for n in 0..256 {
            stored.raise(partition(n), Offset(40_000));
        }
        assert_eq!(own.read(&user("u0"), &stored, &Halted::default()).await, Ok(()));
    }

    #[test]
    fn a_note_that_the_store_has_is_not_kept() {
        let (own, stored) = (OwnWrites::new([]), Marks::new());
        own.wrote(&user("a"), partition(1), Offset(1), &stored);
        stored.raise(partition(1), Offset(9));
        own.wrote(&user("a"), partition(1), Offset(9), &stored);
        own.wrote(&user("a"), partition(2), Offset(9), &stored);
        assert_eq!(own.shard(&user("a")).get(&user("a")).unwrap(), &vec![(partition(2), Offset(9))]);
    }
}
