//! Bytes of commands that one partition may hold: taken before the mailbox, because ractor's mailboxes have no bound.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A bounded count of bytes.
#[derive(Debug)]
pub(crate) struct Budget {
    used: AtomicUsize,
    max: usize,
}

impl Budget {
    /// A budget of `max` bytes.
    #[must_use]
    pub(crate) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// Takes `bytes`, if they fit. They come back with the answer.
    #[must_use]
    pub(crate) fn take(&self, bytes: u32) -> bool {
        let bytes = bytes as usize;
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
                (used + bytes <= self.max).then_some(used + bytes)
            })
            .is_ok()
    }

    /// Gives `bytes` back.
    pub(crate) fn give(&self, bytes: u32) {
        if bytes > 0 {
            // Saturating: what a partition held before it was started again may still come back.
            let less = |used: usize| Some(used.saturating_sub(bytes as usize));
            let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
        }
    }

    /// All are back: the partition was started again, and each caller that waited learns it by its deadline.
    pub(crate) fn reset(&self) {
        self.used.store(0, Ordering::Release);
    }

    /// Bytes taken at present.
    #[must_use]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }
}
