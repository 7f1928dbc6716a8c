//! An offset for each partition, and a way to wait for it: how far is folded here, how far is stored. It grows, except where
//! a partition begins again.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::ids::{Offset, PARTITIONS, Partition};

/// One offset for each of the 256 partitions.
#[derive(Debug)]
pub(crate) struct Watermarks {
    offsets: Box<[AtomicU64]>,
    changed: watch::Sender<u64>,
}

impl Default for Watermarks {
    fn default() -> Self {
        Self::new()
    }
}

impl Watermarks {
    /// All at zero.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self { offsets: (0..PARTITIONS).map(|_| AtomicU64::new(0)).collect(), changed: watch::Sender::new(0) }
    }

    /// The partition's offset.
    #[must_use]
    pub(crate) fn get(&self, partition: Partition) -> Offset {
        Offset(self.offsets[partition.index()].load(Ordering::Acquire))
    }

    /// Moves a partition's offset forward; a lower one changes nothing. Wakes who waits.
    pub(crate) fn raise(&self, partition: Partition, to: Offset) {
        if self.offsets[partition.index()].fetch_max(to.0, Ordering::AcqRel) < to.0 {
            self.changed.send_modify(|version| *version += 1);
        }
    }

    /// A partition begins again here: its offset falls, if it was beyond.
    pub(crate) fn begin(&self, partition: Partition, at: Offset) {
        self.offsets[partition.index()].store(at.0, Ordering::Release);
        self.changed.send_modify(|version| *version += 1);
    }

    /// The partitions in which these are further than others, and how far.
    pub(crate) fn beyond(&self, others: &Self) -> impl Iterator<Item = (Partition, Offset)> {
        let both = Partition::all().map(|partition| (partition, self.get(partition), others.get(partition)));
        both.filter(|(_, this, other)| this > other).map(|(partition, this, _)| (partition, this))
    }

    /// A counter that changes with every move.
    #[must_use]
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits until the partition's offset is at least `to`.
    pub(crate) async fn reach(&self, partition: Partition, to: Offset) {
        let mut changes = self.changed.subscribe();
        while self.get(partition) < to {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}
