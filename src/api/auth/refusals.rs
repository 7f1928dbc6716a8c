//! Why tokens are refused, for the log: each reason once a minute, with how many there were. A client that keeps coming
//! with a bad token costs a line a minute, and a back end that signs with another secret is found without a debug log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::error::TokenError;
use crate::env::Clock;
use crate::ids::Timestamp;

/// Between two lines with the same reason, in milliseconds.
const EVERY_MS: u64 = 60_000;

/// See the module. As many entries as there are reasons.
#[derive(Default)]
pub(super) struct Refusals(Mutex<BTreeMap<&'static str, Noted>>);

#[derive(Default)]
struct Noted {
    /// When the last line was written.
    at: Option<Timestamp>,
    /// How often it has been so since.
    since: u64,
}

impl Refusals {
    /// A token was refused. A request without a token is not counted: clients that have to sign in first come so.
    pub(crate) fn note(&self, error: TokenError, clock: &dyn Clock) {
        if error == TokenError::Missing {
            return;
        }
        if let Some(times) = self.due(error.hint(), clock.steady()) {
            tracing::info!(reason = %error, times, hint = error.hint(), "tokens are refused");
        }
    }

    /// A token without a user is good, and rarely meant.
    pub(crate) fn note_without_user(&self, clock: &dyn Clock) {
        const HINT: &str = "the user's id belongs into `sub`";
        if let Some(times) = self.due(HINT, clock.steady()) {
            tracing::info!(times, hint = HINT, "tokens without a user are taken: their connections are anonymous");
        }
    }

    /// How often it has been so since the last line, if another one is due.
    fn due(&self, reason: &'static str, now: Timestamp) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = all.entry(reason).or_default();
        noted.since += 1;
        if noted.at.is_some_and(|at| now.since(at) < EVERY_MS) {
            return None;
        }
        noted.at = Some(now);
        Some(std::mem::take(&mut noted.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_a_minute_with_its_count_whatever_others_are_told() {
        let refusals = Refusals::default();
        assert_eq!(refusals.due("a", Timestamp(0)), Some(1));
        assert_eq!(refusals.due("b", Timestamp(10)), Some(1));
        for at in [1, 2, 59_999] {
            assert_eq!(refusals.due("a", Timestamp(at)), None);
        }
        assert_eq!(refusals.due("a", Timestamp(60_000)), Some(4));
        assert_eq!(refusals.due("a", Timestamp(119_999)), None);
        assert_eq!(refusals.due("a", Timestamp(500_000)), Some(2));
    }
}
