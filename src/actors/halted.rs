//! Partitions that are not folded or not stored any further until an operator has looked. What waits for all partitions
//! must not wait for these.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::ids::Partition;

/// A flag for each partition that only goes up while the process lives.
#[derive(Debug)]
pub struct Halted {
    flags: Box<[AtomicBool]>,
    changed: watch::Sender<u64>,
}

impl Default for Halted {
    fn default() -> Self {
        Self { flags: Partition::all().map(|_| AtomicBool::new(false)).collect(), changed: watch::Sender::new(0) }
    }
}

impl Halted {
    /// The partition is halted. Wakes who waits for it.
    pub fn mark(&self, partition: Partition) {
        if !self.flags[partition.index()].swap(true, Ordering::AcqRel) {
            self.changed.send_modify(|version| *version += 1);
        }
    }

    /// Whether it is.
    #[must_use]
    pub fn is(&self, partition: Partition) -> bool {
        self.flags[partition.index()].load(Ordering::Acquire)
    }

    /// Waits until it is; most partitions never are.
    pub async fn until(&self, partition: Partition) {
        let mut changes = self.changed.subscribe();
        while !self.is(partition) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
