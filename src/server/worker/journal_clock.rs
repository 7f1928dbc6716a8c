//! The journal's clock, as one who only appends now and then knows it: what its last report said, and the time since then.

use std::sync::{Arc, Mutex, PoisonError};

use crate::env::Clock;
use crate::ids::Timestamp;

/// See the module. Before the first report it shows what this machine's clock does.
pub(super) struct JournalClock {
    clock: Arc<dyn Clock>,
    /// The time of a record, and when it was reported, by the clock that never jumps.
    reported: Mutex<Option<(Timestamp, Timestamp)>>,
}

impl JournalClock {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, reported: Mutex::new(None) }
    }

    /// A record that was appended just now has this time.
    pub(super) fn heard(&self, time: Timestamp) {
        *self.reported.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, self.clock.steady()));
    }

    /// What it shows now.
    pub(super) fn now(&self) -> Timestamp {
        let reported = *self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let shown =
            |(time, at): (Timestamp, Timestamp)| Timestamp(time.0.saturating_add(self.clock.steady().since(at)));
        reported.map_or_else(|| self.clock.now(), shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::ManualClock;

    #[test]
    fn it_shows_what_the_last_report_said_and_the_time_since_then() {
        let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
        let journal = JournalClock::new(clock.clone());
        assert_eq!(journal.now(), Timestamp(1_000_000));
        journal.heard(Timestamp(5_000_000));
        clock.advance(700);
        assert_eq!(journal.now(), Timestamp(5_000_700));
    }
}
