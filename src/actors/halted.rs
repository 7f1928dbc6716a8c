//! Partitions that are not folded or not stored any further until an operator has looked. What waits for all partitions
//! must not wait for these.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::ids::Partition;

/// A flag for each partition that only goes up while the process lives.
#[derive(Debug)]
pub(crate) struct Halted {
    flags: Box<[AtomicBool]>,
    reasons: Mutex<BTreeMap<Partition, String>>,
    changed: watch::Sender<u64>,
}

impl Default for Halted {
    fn default() -> Self {
        let flags = Partition::all().map(|_| AtomicBool::new(false)).collect();
        Self { flags, reasons: Mutex::default(), changed: watch::Sender::new(0) }
    }
}

impl Halted {
    /// The partition is halted, for a reason that is for operators. Wakes who waits for it. The first reason stays.
    pub(crate) fn mark(&self, partition: Partition, reason: &str) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.entry(partition).or_insert_with(|| reason.to_owned());
        drop(reasons);
        if !self.flags[partition.index()].swap(true, Ordering::AcqRel) {
            self.changed.send_modify(|version| *version += 1);
        }
    }

    /// Why it is, if it is.
    #[must_use]
    pub(crate) fn reason(&self, partition: Partition) -> Option<String> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner).get(&partition).cloned()
    }

    /// Whether it is.
    #[must_use]
    pub(crate) fn is(&self, partition: Partition) -> bool {
        self.flags[partition.index()].load(Ordering::Acquire)
    }

    /// Waits until it is; most partitions never are.
    pub(crate) async fn until(&self, partition: Partition) {
        let mut changes = self.changed.subscribe();
        while !self.is(partition) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
