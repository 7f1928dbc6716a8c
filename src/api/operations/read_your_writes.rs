//! What each user was told to have written and the store may not have yet, so that a list read from the store includes
//! one's own acknowledged writes.
//!
//! An acknowledgement notes (room, partition, end of the journal there) under the user's id, as long as the store has not
//! reached it; of such rooms the list takes the line from memory ([`super::lines`]) and waits for nobody. Kept per user, not
//! per connection: what one device was told, the other may rely on. What was acknowledged before this process started is
//! covered by the ends that the journal had then, which everybody waits for.
//!
//! In a halted partition the store never catches up. Acknowledgements of this process are noted by user and come from memory
//! all the same. Those of an earlier process are not: a room that was made in the halted stretch has no row yet, so it is
//! missing on its creator's list until an operator has ended the halt.
//!
//! Bounded: of a user who wrote to more than [`ROOMS`] rooms that the store lacks, the rest is waited for, by that user alone. When the
//! store is behind for too many users, their notes become everybody's. Both wait longer than they must, and
//! are never wrong.

use std::collections::HashMap;
use std::time::Duration;

use dashmap::DashMap;

use crate::actors::halted::Halted;
use crate::actors::watermarks::Watermarks;
use crate::ids::{Offset, Partition, RoomId, UserId};

/// How long a read waits for the store.
const DEADLINE: Duration = Duration::from_secs(2);
/// Users with notes: about 100 bytes each make 1.6 MB.
const USERS: usize = 16_384;

/// Rooms of one user whose lines come from memory.
const ROOMS: usize = 32;

/// What one user wrote.
#[derive(Clone, Debug, Default)]
struct Note {
    rooms: Vec<(RoomId, Partition, Offset)>,
    /// What this user waits for: writes to more rooms than are kept.
    rest: HashMap<Partition, Offset>,
    /// Where, in the user's own partition, ends what the user has read of notifications: lists of those wait for it, and no others.
    notifications: Option<(Partition, Offset)>,
}

impl Note {
    fn shrink(&mut self, stored: &Watermarks) {
        self.rooms.retain(|(_, partition, end)| stored.get(*partition) < *end);
        self.rest.retain(|partition, end| stored.get(*partition) < *end);
        self.notifications = self.notifications.filter(|(partition, end)| stored.get(*partition) < *end);
    }

    fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.rest.is_empty() && self.notifications.is_none()
    }

    fn add(&mut self, room: RoomId, partition: Partition, end: Offset) {
        let known = self.rooms.iter_mut().find(|(of, at, _)| *of == room && *at == partition);
        if let Some((_, _, noted)) = known {
            *noted = end.max(*noted);
        } else if self.rooms.len() < ROOMS {
            self.rooms.push((room, partition, end));
        } else {
            let noted = self.rest.entry(partition).or_default();
            *noted = end.max(*noted);
        }
    }

    fn ends(self) -> impl Iterator<Item = (Partition, Offset)> {
        self.rooms.into_iter().map(|(_, partition, end)| (partition, end)).chain(self.rest).chain(self.notifications)
    }
}

/// The notes.
#[derive(Debug)]
pub(crate) struct OwnWrites {
    notes: DashMap<UserId, Note>,
    /// What everybody waits for.
    common: Watermarks,
}

/// The store did not catch up in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store is behind the caller's own writes")]
pub(crate) struct Behind;

impl OwnWrites {
    /// No notes but the ends that the journal has at the start.
    #[must_use]
    pub(crate) fn new(ends: impl IntoIterator<Item = (Partition, Offset)>) -> Self {
        let common = Watermarks::new();
        for (partition, end) in ends {
            common.raise(partition, end);
        }
        Self { notes: DashMap::new(), common }
    }

    /// The user was told of a write that concerns a room and lies below `end`. `stored` is how far the store is.
    pub(crate) fn wrote(&self, user: &UserId, room: RoomId, partition: Partition, end: Offset, stored: &Watermarks) {
        if stored.get(partition) < end {
            self.note(user, stored, |note| note.add(room, partition, end));
        }
    }

    /// The user was told that notifications are read, by a record below `end` of the own partition.
    pub(crate) fn read_notifications(&self, user: &UserId, end: Offset, stored: &Watermarks) {
        let home = user.partition();
        if stored.get(home) < end {
            self.note(user, stored, |note| {
                let known = note.notifications.map_or(Offset::ZERO, |(_, known)| known);
                note.notifications = Some((home, end.max(known)));
            });
        }
    }

    /// Waits for what the user has read of notifications; not in a halted partition, where it would not come.
    ///
    /// # Errors
    /// It does not come within two seconds.
    pub(crate) async fn own_notifications(
        &self,
        user: &UserId,
        stored: &Watermarks,
        halted: &Halted,
    ) -> Result<(), Behind> {
        let home = user.partition();
        let own = self.notes.get(user).and_then(|note| note.notifications).map_or(Offset::ZERO, |(_, end)| end);
        let end = own.max(self.common.get(home));
        if halted.is(home) || stored.get(home) >= end {
            return Ok(());
        }
        tokio::time::timeout(DEADLINE, stored.reach_all([(home, end)])).await.map_err(|_| Behind)
    }

    fn note(&self, user: &UserId, stored: &Watermarks, add: impl FnOnce(&mut Note)) {
        if let Some(mut note) = self.notes.get_mut(user) {
            note.shrink(stored);
            return add(&mut note);
        }
        if self.notes.len() >= USERS {
            self.make_room(stored);
        }
        add(&mut self.notes.entry(user.clone()).or_default());
    }

    fn make_room(&self, stored: &Watermarks) {
        self.notes.retain(|_, note| {
            note.shrink(stored);
            !note.is_empty()
        });
        // Half full at least: the next sweep is that many users away.
        if self.notes.len() > USERS / 2 {
            // A note becomes everybody's before it leaves the map, so a reader always finds it in one of the two.
            self.notes.retain(|_, note| {
                std::mem::take(note).ends().for_each(|(partition, end)| self.common.raise(partition, end));
                false
            });
        }
    }

    /// The rooms whose lines the store may not have as the user was told. Waits for what else he must find in the store:
    /// what is everybody's, but not in a halted partition, which would not come, unless he lives there; see
    /// [`Self::is_cut`] for the rooms.
    ///
    /// # Errors
    /// It does not come within two seconds.
    pub(crate) async fn behind(
        &self,
        user: &UserId,
        stored: &Watermarks,
        halted: &Halted,
    ) -> Result<Vec<RoomId>, Behind> {
        let mut note = self.notes.get(user).map(|note| note.clone()).unwrap_or_default();
        note.shrink(stored);
        let home = user.partition();
        let common = self.common.beyond(stored).filter(|(partition, _)| *partition == home || !halted.is(*partition));
        // What is left of the note is what the store lacks.
        let behind: Vec<_> = note.rest.into_iter().chain(common).collect();
        tokio::time::timeout(DEADLINE, stored.reach_all(behind)).await.map_err(|_| Behind)?;
        let mut rooms: Vec<RoomId> = note.rooms.into_iter().map(|(room, ..)| room).collect();
        rooms.sort_unstable();
        rooms.dedup();
        Ok(rooms)
    }

    /// Whether the store lacks something of this partition that anybody may have written, and will not get it: a line of
    /// a room there may not show it.
    #[must_use]
    pub(crate) fn is_cut(&self, partition: Partition, stored: &Watermarks, halted: &Halted) -> bool {
        halted.is(partition) && stored.get(partition) < self.common.get(partition)
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

    fn room(n: u128) -> RoomId {
        RoomId(uuid::Uuid::from_u128(n))
    }

    #[tokio::test(start_paused = true)]
    async fn a_halted_partition_keeps_only_those_who_live_or_wrote_there() {
        let (stored, halted) = (Watermarks::new(), Halted::default());
        let (here, there) = (user("a").partition(), user("b").partition());
        assert_ne!(here, there);
        let own = OwnWrites::new([(here, Offset(5))]);
        assert_eq!(own.behind(&user("b"), &stored, &halted).await, Err(Behind), "it may still come");
        assert!(!own.is_cut(here, &stored, &halted));
        halted.mark(here, "a test");
        assert_eq!(own.behind(&user("b"), &stored, &halted).await, Ok(vec![]));
        assert_eq!(own.behind(&user("a"), &stored, &halted).await, Err(Behind), "his own stream is in it");
        own.wrote(&user("b"), room(1), here, Offset(6), &stored);
        assert_eq!(own.behind(&user("b"), &stored, &halted).await, Ok(vec![room(1)]), "he was told of a write there");
        assert!(own.is_cut(here, &stored, &halted) && !own.is_cut(there, &stored, &halted));
        stored.raise(here, Offset(6));
        assert!(!own.is_cut(here, &stored, &halted), "the store has all of it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_wrote_is_named_until_the_store_has_it_and_nobody_waits() {
        let (own, stored, halted) = (OwnWrites::new([]), Watermarks::new(), Halted::default());
        own.wrote(&user("a"), room(1), partition(3), Offset(5), &stored);
        own.wrote(&user("a"), room(1), partition(4), Offset(2), &stored);
        assert_eq!(own.behind(&user("b"), &stored, &halted).await, Ok(vec![]));
        assert_eq!(own.behind(&user("a"), &stored, &halted).await, Ok(vec![room(1)]));
        stored.raise(partition(3), Offset(5));
        assert_eq!(own.behind(&user("a"), &stored, &halted).await, Ok(vec![room(1)]), "his mark is not there");
        stored.raise(partition(4), Offset(2));
        assert_eq!(own.behind(&user("a"), &stored, &halted).await, Ok(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn who_wrote_to_too_many_rooms_waits_himself() {
        let (own, stored, halted) = (OwnWrites::new([]), Arc::new(Watermarks::new()), Halted::default());
        for n in 0..=ROOMS as u64 {
            own.wrote(&user("a"), room(n.into()), partition(n as u16), Offset(1), &stored);
        }
        assert_eq!(own.behind(&user("b"), &stored, &halted).await, Ok(vec![]));
        assert_eq!(own.behind(&user("a"), &stored, &halted).await, Err(Behind));
        let (later, raised) = (Arc::clone(&stored), partition(ROOMS as u16));
        tokio::spawn(async move {
            // Pauses: the reader waits already; this runs on one thread, in a paused time.
            tokio::task::yield_now().await;
            later.raise(raised, Offset(1));
        });
        assert_eq!(own.behind(&user("a"), &stored, &halted).await.unwrap().len(), ROOMS);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_acknowledged_before_the_start_is_waited_for_by_everybody() {
        let stored = Watermarks::new();
        let own = OwnWrites::new([(partition(7), Offset(2))]);
        assert_eq!(own.behind(&user("a"), &stored, &Halted::default()).await, Err(Behind));
        stored.raise(partition(7), Offset(2));
        assert_eq!(own.behind(&user("a"), &stored, &Halted::default()).await, Ok(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_notes_become_everybodys_and_none_is_lost() {
        let (own, stored) = (OwnWrites::new([]), Watermarks::new());
        for n in 0..40_000u64 {
            own.wrote(&user(&format!("u{n}")), room(1), partition((n % 256) as u16), Offset(n + 1), &stored);
        }
        assert!(own.notes.len() <= USERS);
        for n in [0, 1, 39_999] {
            let name = user(&format!("u{n}"));
            assert_eq!(own.behind(&name, &stored, &Halted::default()).await, Err(Behind), "{name}");
        }
        for n in 0..256 {
            stored.raise(partition(n), Offset(40_000));
        }
        assert_eq!(own.behind(&user("u0"), &stored, &Halted::default()).await, Ok(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn lists_of_notifications_wait_for_what_one_has_read_and_nothing_else_does() {
        let (stored, halted) = (Watermarks::new(), Halted::default());
        let (home, other) = (user("a").partition(), user("b").partition());
        let own = OwnWrites::new([(other, Offset(3))]);
        assert_eq!(own.own_notifications(&user("a"), &stored, &halted).await, Ok(()));
        own.read_notifications(&user("a"), Offset(5), &stored);
        own.read_notifications(&user("a"), Offset(4), &stored);
        stored.raise(other, Offset(3));
        assert_eq!(own.behind(&user("a"), &stored, &halted).await, Ok(vec![]), "the list of rooms is there");
        stored.raise(home, Offset(4));
        assert_eq!(own.own_notifications(&user("a"), &stored, &halted).await, Err(Behind));
        stored.raise(home, Offset(5));
        assert_eq!(own.own_notifications(&user("a"), &stored, &halted).await, Ok(()));
        let restarted = OwnWrites::new([(home, Offset(7))]);
        assert_eq!(
            restarted.own_notifications(&user("a"), &stored, &halted).await,
            Err(Behind),
            "read before the start"
        );
        halted.mark(home, "a test");
        assert_eq!(restarted.own_notifications(&user("a"), &stored, &halted).await, Ok(()), "it would not come");
    }

    #[test]
    fn a_note_that_the_store_has_is_not_kept() {
        let (own, stored) = (OwnWrites::new([]), Watermarks::new());
        own.wrote(&user("a"), room(1), partition(1), Offset(1), &stored);
        stored.raise(partition(1), Offset(9));
        own.wrote(&user("a"), room(1), partition(1), Offset(9), &stored);
        own.wrote(&user("a"), room(2), partition(2), Offset(9), &stored);
        let rooms = own.notes.get(&user("a")).unwrap().rooms.clone();
        assert_eq!(rooms, [(room(2), partition(2), Offset(9))]);
    }
}
