//! Bounds on what is only passed on: how often somebody's typing is, and that a receipt says something new.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::ids::{RoomId, Seq, Timestamp, UserId};

/// Milliseconds in which one typing is passed on; the rest says nothing new.
const TYPING_MS: u64 = 1_000;
/// Pairs of user and room that are remembered: about 6 MB.
const PAIRS: usize = 32_768;

/// When each user was last said to be typing in a room.
#[derive(Debug, Default)]
pub(crate) struct TypingThrottle(Mutex<HashMap<(UserId, RoomId), Timestamp>>);

impl TypingThrottle {
    /// Whether this one is to be passed on.
    pub(crate) fn allow(&self, user: &UserId, room: RoomId, now: Timestamp) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (user.clone(), room);
        // A clock that was set back must not silence anybody.
        let recent = |at: &Timestamp| at.0.abs_diff(now.0) < TYPING_MS;
        if last.get(&key).is_some_and(recent) {
            return false;
        }
        if last.len() >= PAIRS {
            last.retain(|_, at| recent(at));
            if last.len() >= PAIRS {
                return false;
            }
        }
        last.insert(key, now);
        true
    }
}

/// Up to where each user's deliveries in a room were passed on.
#[derive(Debug, Default)]
pub(crate) struct Delivered(Mutex<HashMap<(UserId, RoomId), Seq>>);

impl Delivered {
    /// Whether this receipt says something new: there are never more of them than events in the room.
    pub(crate) fn advance(&self, user: &UserId, room: RoomId, seq: Seq) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (user.clone(), room);
        if let Some(known) = last.get_mut(&key) {
            return seq > std::mem::replace(known, seq.max(*known));
        }
        if last.len() >= PAIRS {
            // Some receipts are passed on twice then, which changes nothing for who gets them; and some users are notified of
            // what a device of theirs has.
            last.clear();
        }
        last.insert(key, seq);
        true
    }

    /// How far a user has acknowledged a room, if that is remembered.
    pub(crate) fn to(&self, user: &UserId, room: RoomId) -> Option<Seq> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.get(&(user.clone(), room)).copied()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn pair(n: u128) -> (UserId, RoomId) {
        (UserId::new("u").unwrap(), RoomId(Uuid::from_u128(n)))
    }

    #[test]
    fn typing_is_passed_on_once_a_second() {
        let (pace, (user, room)) = (TypingThrottle::default(), pair(1));
        assert!(pace.allow(&user, room, Timestamp(5_000)));
        assert!(!pace.allow(&user, room, Timestamp(5_999)));
        assert!(pace.allow(&user, pair(2).1, Timestamp(5_999)));
        assert!(pace.allow(&user, room, Timestamp(6_000)));
        assert!(pace.allow(&user, room, Timestamp(1_000)), "a clock that went back silences nobody");
    }

    #[test]
    fn memory_for_typing_is_bounded_and_comes_free_again() {
        let pace = TypingThrottle::default();
        for n in 0..PAIRS as u128 {
            let (user, room) = pair(n);
            assert!(pace.allow(&user, room, Timestamp(0)));
        }
        let (user, room) = pair(u128::MAX);
        assert!(!pace.allow(&user, room, Timestamp(999)));
        assert!(pace.allow(&user, room, Timestamp(1_000)));
        assert_eq!(pace.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_receipt_that_says_nothing_new_is_not_passed_on() {
        let (delivered, (user, room)) = (Delivered::default(), pair(1));
        assert!(delivered.advance(&user, room, Seq(4)));
        assert!(!delivered.advance(&user, room, Seq(4)));
        assert!(!delivered.advance(&user, room, Seq(2)));
        assert!(delivered.advance(&user, room, Seq(5)));
        assert!(!delivered.advance(&user, room, Seq(5)));
    }
}
