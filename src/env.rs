//! What the outside world gives: time and fresh ids, passed in as values so that tests and the simulation own them.
//!
//! Nothing else in the crate may read a clock or make a random id where the result reaches a record.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::ids::{Timestamp, millis};

/// A source of wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since the Unix epoch. May jump: code that needs monotone time takes the maximum it has seen.
    fn now(&self) -> Timestamp;

    /// Milliseconds since some moment, the same while the process runs. Never goes back and never jumps: for measuring how
    /// long something takes or waits, never for what reaches a record. A clock of tests may let both be one.
    fn steady(&self) -> Timestamp {
        self.now()
    }
}

/// A source of ids that never repeat.
pub trait IdSource: Send + Sync + 'static {
    /// A fresh UUIDv7 (its first 48 bits are the time in milliseconds).
    fn next(&self) -> Uuid;
}

/// Clock and ids together, cheap to clone.
#[derive(Clone)]
pub struct Env {
    /// Wall clock.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Arc<dyn IdSource>,
}

impl Env {
    /// The machine's own clock and random ids.
    #[must_use]
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock::default()), ids: Arc::new(SystemIds) }
    }

    /// Shorthand for `self.clock.now()`.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Shorthand for `self.clock.steady()`.
    #[must_use]
    pub(crate) fn steady(&self) -> Timestamp {
        self.clock.steady()
    }
}

/// The machine's clocks.
pub struct SystemClock {
    made: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { made: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(millis(since))
    }

    fn steady(&self) -> Timestamp {
        Timestamp(millis(self.made.elapsed()))
    }
}

/// Random UUIDv7s.
pub(crate) struct SystemIds;

impl IdSource for SystemIds {
    fn next(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// A clock that stands still until it is moved; for tests and the simulation.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct ManualClock(AtomicU64);

#[cfg(test)]
impl ManualClock {
    /// A clock that shows `at`.
    #[must_use]
    pub(crate) fn new(at: Timestamp) -> Self {
        Self(AtomicU64::new(at.0))
    }

    /// Sets the time, forwards or backwards.
    pub(crate) fn set(&self, at: Timestamp) {
        self.0.store(at.0, Ordering::Relaxed);
    }

    /// Moves the time forwards by `ms` milliseconds.
    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Ids counted from a start value; the same in every run. For tests and the simulation.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct CountedIds(AtomicU64);

#[cfg(test)]
impl CountedIds {
    /// Ids from `start` on.
    #[must_use]
    pub(crate) fn new(start: u64) -> Self {
        Self(AtomicU64::new(start))
    }
}

#[cfg(test)]
impl IdSource for CountedIds {
    fn next(&self) -> Uuid {
        Uuid::from_u64_pair(0x7000, 0x8000_0000_0000_0000 | self.0.fetch_add(1, Ordering::Relaxed))
    }
}
