//! How long something took lately, as one number: a histogram knows only all that ever was.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A mean that forgets: each new value counts for an eighth. Of one writer.
#[derive(Debug, Default)]
pub(crate) struct Recent(AtomicU64);

impl Recent {
    /// It took so long this time.
    pub(crate) fn observe(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let before = self.0.load(Relaxed);
        self.0.store(if before == 0 { nanos } else { before - before / 8 + nanos / 8 }, Relaxed);
    }

    /// The mean; zero before the first value.
    #[must_use]
    pub(crate) fn mean(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_follows_what_is_new_and_forgets_what_was() {
        let recent = Recent::default();
        recent.observe(Duration::from_millis(80));
        assert_eq!(recent.mean(), Duration::from_millis(80));
        recent.observe(Duration::ZERO);
        assert_eq!(recent.mean(), Duration::from_millis(70));
        (0..200).for_each(|_| recent.observe(Duration::from_millis(1)));
        assert_eq!(recent.mean().as_millis(), 1);
    }
}
