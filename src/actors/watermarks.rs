//! An offset for each partition, and a way to wait for it: how far is folded here, how far is stored. It grows, except where
//! a partition begins again.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

use crate::ids::{Offset, PARTITIONS, Partition};

/// One offset for each of the 256 partitions.
#[derive(Debug)]
pub(crate) struct Watermarks {
    offsets: Box<[AtomicU64]>,
    changed: watch::Sender<u64>,
    wanted: Notify,
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
        let offsets = (0..PARTITIONS).map(|_| AtomicU64::new(0)).collect();
        Self { offsets, changed: watch::Sender::new(0), wanted: Notify::new() }
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

    /// Somebody waits for them: whoever raises them is not to put it off.
    pub(crate) fn want(&self) {
        self.wanted.notify_one();
    }

    /// Waits until somebody waits for them, or has since the last call.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Waits until the partition's offset is at least `to`.
    pub(crate) async fn reach(&self, partition: Partition, to: Offset) {
        let mut changes = self.changed.subscribe();
        while self.get(partition) < to {
            self.want();
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// The same for each of these.
    pub(crate) async fn reach_all(&self, ends: impl IntoIterator<Item = (Partition, Offset)>) {
        for (partition, to) in ends {
            self.reach(partition, to).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::within;

    #[tokio::test]
    async fn whoever_waits_for_a_mark_says_so_until_it_is_reached() {
        let marks = Watermarks::new();
        let raises = async {
            for to in 1..=3 {
                within("the mark is wanted", marks.wanted()).await;
                marks.raise(Partition::FIRST, Offset(to));
            }
        };
        tokio::join!(raises, within("the mark is reached", marks.reach(Partition::FIRST, Offset(3))));
    }
}
