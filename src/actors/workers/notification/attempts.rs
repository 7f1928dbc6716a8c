//! What follows from an attempt at a provider: pure. A failure that may pass is tried again, later each time and never at the
//! same moment as others; one that will not, or one too many, is dead until an operator says otherwise.

use std::time::Duration;

use super::providers::SendError;
use crate::actors::workers::back_off;
use crate::ids::{Timestamp, millis};
use crate::limits;
use crate::storage::notifications::outbox::{OutgoingNotification, Settled};

/// What came of an attempt at `now`, for a notification that is given up after `most` attempts. `chance` is any number.
pub(super) fn settled(
    one: &OutgoingNotification,
    result: Result<(), SendError>,
    most: u32,
    now: Timestamp,
    chance: u64,
) -> Settled {
    let attempts = one.attempts.saturating_add(1);
    match result {
        Ok(()) => Settled::Sent,
        // Nobody can be told there any more, and nobody need look at it.
        Err(SendError::Gone(_)) => Settled::Sent,
        Err(SendError::Never(why)) => Settled::Dead { attempts, at: now, why },
        Err(SendError::Later { why, .. }) if attempts >= most => Settled::Dead { attempts, at: now, why },
        Err(SendError::Later { why, after }) => {
            let wait = millis(wait(one.attempts, after, chance));
            Settled::Later { attempts, at: Timestamp(now.0.saturating_add(wait)), why }
        }
    }
}

/// Half of it is certain, the other half is chance: a provider that comes back is not met by everybody at once.
fn wait(failures: u32, asked: Option<Duration>, chance: u64) -> Duration {
    let longest = Duration::from_millis(limits::NOTIFY_RETRY_MOST_MS);
    let whole = millis(back_off(Duration::from_millis(limits::NOTIFY_RETRY_FIRST_MS), failures, longest));
    let own = Duration::from_millis(whole / 2 + chance % (whole / 2 + 1));
    asked.map_or(own, |asked| asked.min(longest).max(own))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{RoomId, Seq, UserId};

    fn one(attempts: u32) -> OutgoingNotification {
        OutgoingNotification {
            id: Uuid::from_u128(1),
            channel: "webhook".to_owned(),
            device: String::new(),
            user: UserId::new("bob").unwrap(),
            room: RoomId(Uuid::from_u128(2)),
            seq: Seq(3),
            kind: "message".to_owned(),
            by: None,
            row: Uuid::from_u128(4),
            at: Timestamp(0),
            attempts,
            next_at: Timestamp(0),
        }
    }

    fn later(after: Option<u64>) -> Result<(), SendError> {
        Err(SendError::Later { why: "503".to_owned(), after: after.map(Duration::from_secs) })
    }

    fn waits(attempts: u32, after: Option<u64>, chance: u64) -> u64 {
        match settled(&one(attempts), later(after), 100, Timestamp(1_000), chance) {
            Settled::Later { at, attempts: now, .. } if now == attempts + 1 => at.0 - 1_000,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_wait_is_about_twice_the_one_before_and_no_two_are_the_same() {
        for attempts in 0..9 {
            let (low, high) = (waits(attempts, None, 0), waits(attempts, None, 2_500 << attempts));
            assert_eq!((low, high), (2_500 << attempts, 5_000 << attempts));
        }
        assert!((1_800_000..=3_600_000).contains(&waits(90, None, u64::MAX)));
    }

    #[test]
    fn a_provider_may_ask_for_more_time_and_not_for_ever() {
        assert_eq!(waits(0, Some(60), 0), 60_000);
        assert_eq!(waits(0, Some(0), 0), 2_500, "never at once");
        assert_eq!(waits(0, Some(1_000_000), 0), 3_600_000);
    }

    #[test]
    fn it_ends_with_the_last_attempt_or_with_a_refusal() {
        let dead = |attempts, why: &str| Settled::Dead { attempts, at: Timestamp(7), why: why.to_owned() };
        assert_eq!(settled(&one(9), later(None), 10, Timestamp(7), 0), dead(10, "503"));
        let refused = Err(SendError::Never("400".to_owned()));
        assert_eq!(settled(&one(0), refused, 10, Timestamp(7), 0), dead(1, "400"));
        assert_eq!(settled(&one(9), Ok(()), 10, Timestamp(7), 0), Settled::Sent);
        let gone = Err(SendError::Gone("404".to_owned()));
        assert_eq!(settled(&one(0), gone, 10, Timestamp(7), 0), Settled::Sent, "nobody is there to be told");
    }
}
