//! Whether the journal's clock can be believed: what a node knows of clocks that jump.
//!
//! Nothing that a fold decides goes by this. It keeps rooms from expiring early for everybody, and tells operators.

use std::mem::discriminant;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::{info, warn};

use crate::ids::Timestamp;
use crate::limits;
use crate::metrics::Metrics;

/// What is wrong with the journal's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum ClockTrouble {
    /// It jumped, and has not stayed so for long enough to be believed.
    #[error(
        "the clock jumped by {} s: no room expires until it is set right, or has stayed so for {} minutes",
        .by_ms / 1_000, limits::CLOCK_SETTLE_MS / 60_000
    )]
    Jumped {
        /// By so many milliseconds, forward if positive.
        by_ms: i64,
    },
    /// It is behind a time that a record has: it is wrong now, or was wrong then.
    #[error(
        "the clock is {} s behind the latest time in the journal: events bear that time until the clock has reached it, \
         and what begins now expires by so much later",
        .by_ms / 1_000
    )]
    Behind {
        /// By so many milliseconds.
        by_ms: u64,
    },
}

/// The node's own clock: what the journal's showed at some moment, and the time since then by the clock that never jumps.
#[derive(Clone, Copy, Debug)]
struct Own {
    journal: Timestamp,
    steady: Timestamp,
}

impl Own {
    fn at(self, steady: Timestamp) -> Timestamp {
        Timestamp(self.journal.0.saturating_add(steady.since(self.steady)))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    own: Option<Own>,
    started: Timestamp,
    /// What the journal's clock was set to, and when.
    set: Option<Own>,
    trouble: Option<ClockTrouble>,
}

/// See the module. Looked at now and then by the node, read by everybody.
#[derive(Debug, Default)]
pub(crate) struct Clocks {
    latest: AtomicU64,
    state: Mutex<State>,
}

impl Clocks {
    /// A record of the journal has this append time.
    pub(crate) fn saw(&self, append: Timestamp) {
        self.latest.fetch_max(append.0, Ordering::Relaxed);
    }

    /// Looks at what the journal's clock and the one that never jumps show now. Gives what is wrong, and whether that is
    /// news.
    pub(crate) fn look(&self, journal: Timestamp, steady: Timestamp) -> (Option<ClockTrouble>, bool) {
        let mut state = self.lock();
        let here = Own { journal, steady };
        let own = match state.own {
            Some(own) => own,
            None => {
                state.started = steady;
                here
            }
        };
        let right = own.at(steady);
        let off = right.since(journal).max(journal.since(right));
        let behind = Timestamp(self.latest.load(Ordering::Relaxed)).since(journal);
        if off <= limits::CLOCK_TRUST_MS {
            // Small steps are followed.
            (state.own, state.set) = (Some(here), None);
        } else {
            // Where it was set to, unless it was set again since.
            let set = state.set.filter(|set| {
                let shown = set.at(steady);
                shown.since(journal).max(journal.since(shown)) <= limits::CLOCK_TRUST_MS
            });
            let set = set.unwrap_or(here);
            let settled = steady.since(set.steady) >= limits::CLOCK_SETTLE_MS;
            (state.own, state.set) = if settled { (Some(here), None) } else { (Some(own), Some(set)) };
        }
        let before = state.trouble;
        state.trouble = if state.set.is_some() {
            let by_ms = i64::try_from(journal.0).unwrap_or(i64::MAX) - i64::try_from(right.0).unwrap_or(i64::MAX);
            Some(ClockTrouble::Jumped { by_ms })
        } else {
            (behind > limits::CLOCK_TRUST_MS).then_some(ClockTrouble::Behind { by_ms: behind })
        };
        (state.trouble, before.as_ref().map(discriminant) != state.trouble.as_ref().map(discriminant))
    }

    /// The same, and tells the operator what is new.
    pub(crate) fn watch(&self, journal: Timestamp, steady: Timestamp, metrics: &Metrics) {
        let (trouble, is_news) = self.look(journal, steady);
        let error_ms = match trouble {
            None => 0,
            Some(ClockTrouble::Jumped { by_ms }) => by_ms,
            Some(ClockTrouble::Behind { by_ms }) => i64::try_from(by_ms).map_or(i64::MIN, |by_ms| -by_ms),
        };
        metrics.clock_error_seconds.set(error_ms / 1_000);
        match trouble {
            Some(trouble) if is_news => warn!(error_ms, "{trouble}"),
            None if is_news => info!("the clock is right again"),
            _ => {}
        }
    }

    /// What was wrong when it was looked at last.
    #[must_use]
    pub(crate) fn trouble(&self) -> Option<ClockTrouble> {
        self.lock().trouble
    }

    /// Whether rooms may expire by what the journal's clock shows: it agrees with the node's own, and the node runs for long
    /// enough to know.
    #[must_use]
    pub(crate) fn may_expire(&self, steady: Timestamp) -> bool {
        let state = self.lock();
        state.own.is_some() && state.set.is_none() && steady.since(state.started) >= limits::CLOCK_START_MS
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    /// Looks once a second from `from` to `to`, with a clock that is off by `off_ms`; gives what was said last.
    fn run(clocks: &Clocks, from: u64, to: u64, off_ms: i64) -> Option<ClockTrouble> {
        let look = |ms: u64| {
            let shown = Timestamp((T0 + ms).saturating_add_signed(off_ms));
            clocks.look(shown, Timestamp(ms)).0
        };
        (from..=to).step_by(1_000).map(look).last().flatten()
    }

    #[test]
    fn a_clock_that_goes_right_lets_rooms_expire_a_minute_after_the_start() {
        let clocks = Clocks::default();
        assert!(!clocks.may_expire(Timestamp(0)), "nobody has looked");
        assert_eq!(run(&clocks, 0, 59_000, 0), None);
        assert!(!clocks.may_expire(Timestamp(59_000)));
        assert_eq!(run(&clocks, 60_000, 61_000, 0), None);
        assert!(clocks.may_expire(Timestamp(61_000)));
    }

    #[test]
    fn while_a_clock_is_wrong_no_room_expires_and_when_it_is_right_again_they_do() {
        for by_ms in [61_000, HOUR as i64, 24 * HOUR as i64, -61_000, -(HOUR as i64), -24 * (HOUR as i64)] {
            let clocks = Clocks::default();
            run(&clocks, 0, 100_000, 0);
            assert_eq!(run(&clocks, 101_000, 101_000, by_ms), Some(ClockTrouble::Jumped { by_ms }));
            assert!(!clocks.may_expire(Timestamp(101_000)));
            assert_eq!(run(&clocks, 102_000, 110_000, by_ms), Some(ClockTrouble::Jumped { by_ms }));
            assert_eq!(run(&clocks, 111_000, 112_000, 0), None);
            assert!(clocks.may_expire(Timestamp(112_000)));
        }
    }

    #[test]
    fn a_clock_that_was_set_is_believed_after_an_hour_and_small_steps_at_once() {
        let clocks = Clocks::default();
        run(&clocks, 0, 100_000, 0);
        assert_eq!(run(&clocks, 101_000, 200_000, 59_000), None);
        let by_ms = 2 * HOUR as i64;
        assert!(run(&clocks, 201_000, 201_000 + HOUR - 1_000, by_ms).is_some());
        assert!(!clocks.may_expire(Timestamp(200_000 + HOUR)));
        assert_eq!(run(&clocks, 201_000 + HOUR, 202_000 + HOUR, by_ms), None);
        assert!(clocks.may_expire(Timestamp(202_000 + HOUR)));
    }

    #[test]
    fn a_clock_that_is_behind_the_journal_is_told_of_and_stops_nothing() {
        let clocks = Clocks::default();
        clocks.saw(Timestamp(T0 + HOUR));
        clocks.saw(Timestamp(T0));
        let look = |ms: u64| clocks.look(Timestamp(T0 + ms), Timestamp(ms));
        assert_eq!(look(0), (Some(ClockTrouble::Behind { by_ms: HOUR }), true));
        assert_eq!(look(70_000), (Some(ClockTrouble::Behind { by_ms: HOUR - 70_000 }), false));
        assert!(clocks.may_expire(Timestamp(70_000)));
        assert_eq!(clocks.trouble(), Some(ClockTrouble::Behind { by_ms: HOUR - 70_000 }));
        assert_eq!(look(HOUR), (None, true));
    }
}
