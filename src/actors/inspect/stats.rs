//! What one actor publishes about itself: a few atomics, 32 bytes. Each is stored by one writer, so nothing needs more than
//! relaxed loads and stores; a reader gets numbers that were true a moment ago, not all at the same moment.

use std::sync::atomic::{
    AtomicU8, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// How an actor is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(crate) enum State {
    /// Not started yet.
    Starting = 0,
    /// It takes messages.
    Running = 1,
    /// It died and is being made anew.
    Restarting = 2,
    /// A partition that goes no further until an operator has looked.
    Halted = 3,
    /// It has ended.
    Stopped = 4,
}

impl State {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Starting, Self::Running, Self::Restarting, Self::Halted, Self::Stopped];

    /// Its name for the outside.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Halted => "halted",
            Self::Stopped => "stopped",
        }
    }
}

/// See the module. Times are seconds of the directory's clock.
#[derive(Debug, Default)]
pub(crate) struct ActorStats {
    handled: AtomicU64,
    sent: AtomicU32,
    /// `handled` at the last sample, its low half: written by the sampler.
    seen: AtomicU32,
    /// Thousandths of a message in a second, between the last two samples.
    rate: AtomicU32,
    last: AtomicU32,
    born: AtomicU32,
    restarts: AtomicU16,
    state: AtomicU8,
    /// Who may write here yet.
    holders: AtomicU8,
}

/// A look at an actor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Figures {
    /// How it is.
    pub state: State,
    /// Messages in its mailbox that others have sent.
    pub depth: u32,
    /// Messages handled since it was made first.
    pub handled: u64,
    /// Thousandths of a message in a second.
    pub rate_milli: u32,
    /// Seconds since it handled one; since it was made, if none yet.
    pub quiet_s: u32,
    /// Seconds since it was made, or made anew.
    pub age_s: u32,
    /// Times that it was made anew.
    pub restarts: u16,
}

impl ActorStats {
    /// It runs from now on. A further time counts as a restart.
    pub(crate) fn started(&self, now: u32) {
        if self.state.swap(State::Running as u8, Relaxed) != State::Starting as u8 {
            self.restarts.store(self.restarts.load(Relaxed).saturating_add(1), Relaxed);
        }
        // What its predecessor had in its mailbox went with it.
        self.sent.store(self.handled.load(Relaxed) as u32, Relaxed);
        self.born.store(now, Relaxed);
        self.last.store(now, Relaxed);
    }

    /// It is something else than running.
    pub(crate) fn becomes(&self, state: State) {
        self.state.store(state as u8, Relaxed);
    }

    /// Somebody sends it a message; called before it is sent. Of several writers.
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// It takes a message that [`Self::sent`] announced.
    pub(crate) fn handled(&self, now: u32) {
        self.handled.store(self.handled.load(Relaxed) + 1, Relaxed);
        self.last.store(now, Relaxed);
    }

    /// It does what the clock asks for: it is alive, and that is no work.
    pub(crate) fn ticked(&self, now: u32) {
        self.last.store(now, Relaxed);
    }

    /// It does a piece of work that was in no mailbox.
    pub(crate) fn worked(&self, now: u32) {
        self.sent();
        self.handled(now);
    }

    /// A worker without a mailbox tells how many pieces of work it has done.
    pub(crate) fn has_done(&self, pieces: u64, now: u32) {
        if self.handled.swap(pieces, Relaxed) != pieces {
            self.last.store(now, Relaxed);
        }
        self.sent.store(pieces as u32, Relaxed);
    }

    pub(super) fn hold(&self) {
        self.holders.fetch_add(1, Relaxed);
    }

    /// What was written before is seen by whoever finds the place free.
    pub(super) fn release(&self) {
        self.holders.fetch_sub(1, Release);
    }

    pub(super) fn is_held(&self) -> bool {
        self.holders.load(Acquire) > 0
    }

    /// As new, for another actor. Nobody holds it.
    pub(super) fn reset(&self) {
        self.handled.store(0, Relaxed);
        for number in [&self.sent, &self.seen, &self.rate, &self.last, &self.born] {
            number.store(0, Relaxed);
        }
        self.restarts.store(0, Relaxed);
        self.state.store(State::Starting as u8, Relaxed);
    }

    /// How it is at the time `now`.
    #[must_use]
    pub(crate) fn figures(&self, now: u32) -> Figures {
        let handled = self.handled.load(Relaxed);
        // The two are not read at one moment: what was taken meanwhile must not look like a mailbox of four thousand million.
        let depth = self.sent.load(Relaxed).wrapping_sub(handled as u32) as i32;
        let state = State::ALL[usize::from(self.state.load(Relaxed)).min(State::ALL.len() - 1)];
        Figures {
            state,
            depth: u32::try_from(depth).unwrap_or(0),
            handled,
            rate_milli: self.rate.load(Relaxed),
            quiet_s: now.saturating_sub(self.last.load(Relaxed)),
            age_s: now.saturating_sub(self.born.load(Relaxed)),
            restarts: self.restarts.load(Relaxed),
        }
    }

    /// Notes the rate since the last sample, `over_ms` ago. One at a time.
    pub(super) fn sample(&self, now: u32, over_ms: u64) {
        let handled = self.handled.load(Relaxed) as u32;
        let seen = self.seen.swap(handled, Relaxed);
        let age_ms = u64::from(now.saturating_sub(self.born.load(Relaxed)) + 1) * 1_000;
        // A worker that was started again counts from 0: less than before is nothing, and no rate of thousands of millions.
        let new = u32::try_from(handled.wrapping_sub(seen) as i32).unwrap_or(0);
        let rate = u64::from(new) * 1_000_000 / over_ms.min(age_ms).max(1);
        self.rate.store(u32::try_from(rate).unwrap_or(u32::MAX), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_publishes_in_32_bytes() {
        assert_eq!(size_of::<ActorStats>(), 32);
    }

    #[test]
    fn what_was_sent_and_not_handled_is_the_depth() {
        let stats = ActorStats::default();
        stats.started(10);
        (0..3).for_each(|_| stats.sent());
        stats.handled(12);
        let seen = stats.figures(15);
        assert_eq!((seen.depth, seen.handled, seen.quiet_s, seen.age_s, seen.restarts), (2, 1, 3, 5, 0));
        assert_eq!(seen.state, State::Running);
        stats.becomes(State::Restarting);
        stats.started(16);
        let seen = stats.figures(16);
        assert_eq!((seen.depth, seen.handled, seen.age_s, seen.restarts), (0, 1, 0, 1));
    }

    #[test]
    fn a_rate_is_what_came_between_two_samples() {
        let stats = ActorStats::default();
        stats.started(0);
        (0..50).for_each(|_| stats.worked(1));
        stats.sample(10, 5_000);
        assert_eq!(stats.figures(10).rate_milli, 10_000);
        stats.worked(11);
        stats.sample(12, 2_000);
        assert_eq!(stats.figures(12).rate_milli, 500);
        stats.sample(13, 1_000);
        assert_eq!(stats.figures(13).rate_milli, 0);
    }

    #[test]
    fn a_worker_that_counts_anew_has_no_wild_rate() {
        let stats = ActorStats::default();
        stats.started(0);
        stats.has_done(500, 1);
        stats.sample(10, 10_000);
        stats.has_done(20, 11);
        stats.sample(11, 1_000);
        assert_eq!((stats.figures(11).rate_milli, stats.figures(11).depth), (0, 0));
        stats.has_done(30, 12);
        stats.sample(12, 1_000);
        assert_eq!(stats.figures(12).rate_milli, 10_000);
    }
}
