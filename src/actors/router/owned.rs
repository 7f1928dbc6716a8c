//! The partitions that this node owns, each with the epoch at which it came here.
//!
//! Two nodes that both take a partition for theirs are harmless: both fold the same log to the same result. So nothing about
//! a record is decided by what stands here; it says who takes commands and who folds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use tokio::sync::watch;

use crate::ids::{Offset, Partition};

/// Counts the times that a partition changed hands. Grows with each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct OwnerEpoch(pub u64);

/// How this node stands to a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tenure {
    /// Another node's, or nobody's.
    Elsewhere {
        /// One past the last record that was folded here, if it was ever here.
        folded: Offset,
    },
    /// It came here: what the journal holds is folded first, commands are refused.
    Coming(OwnerEpoch),
    /// It is served.
    Here(OwnerEpoch),
    /// It goes: commands that were taken are answered, others are refused.
    Leaving(OwnerEpoch),
}

impl Tenure {
    /// The epoch at which the partition came here, if it is here.
    #[must_use]
    pub(crate) fn epoch(self) -> Option<OwnerEpoch> {
        match self {
            Self::Elsewhere { .. } => None,
            Self::Coming(epoch) | Self::Here(epoch) | Self::Leaving(epoch) => Some(epoch),
        }
    }
}

/// An owner of a partition, from when it came to when it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Owner {
    /// What it owns.
    pub partition: Partition,
    /// Since when.
    pub epoch: OwnerEpoch,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Owned {
    tenures: Box<[RwLock<Tenure>]>,
    /// How many are folded here.
    count: AtomicUsize,
    changed: watch::Sender<u64>,
}

impl Owned {
    /// These are served from the start, all at one epoch.
    #[must_use]
    pub(crate) fn new(partitions: impl IntoIterator<Item = Partition>, epoch: OwnerEpoch) -> Self {
        let elsewhere = || RwLock::new(Tenure::Elsewhere { folded: Offset::ZERO });
        let tenures = Partition::all().map(|_| elsewhere()).collect();
        let owned = Self { tenures, count: AtomicUsize::new(0), changed: watch::Sender::new(0) };
        for partition in partitions {
            owned.set(partition, Tenure::Here(epoch));
        }
        owned
    }

    /// How this node stands to a partition.
    #[must_use]
    pub(crate) fn tenure(&self, partition: Partition) -> Tenure {
        *self.tenures[partition.index()].read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether commands of the partition are taken here.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn serves(&self, partition: Partition) -> bool {
        matches!(self.tenure(partition), Tenure::Here(_))
    }

    /// Whether it is folded here: it is served, comes, or goes.
    #[must_use]
    pub(crate) fn has(&self, partition: Partition) -> bool {
        self.tenure(partition).epoch().is_some()
    }

    /// The partitions that are folded here, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Partition> {
        Partition::all().filter(|partition| self.has(*partition))
    }

    /// How many partitions are folded here; at least one, so that what they share can be divided.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed).max(1)
    }

    /// Whether what an owner here said of how things stand still counts: its partition is not gone, nor has it gone and come
    /// back meanwhile.
    #[must_use]
    pub(crate) fn speaks(&self, owner: Owner) -> bool {
        match self.tenure(owner.partition) {
            Tenure::Here(epoch) | Tenure::Leaving(epoch) => epoch == owner.epoch,
            Tenure::Coming(_) | Tenure::Elsewhere { .. } => false,
        }
    }

    /// Waits until the partition is served here.
    #[cfg(test)]
    pub(crate) async fn served(&self, partition: Partition) {
        let mut changes = self.changed.subscribe();
        while !self.serves(partition) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Goes from one tenure to the next if `next` gives one; says from which.
    pub(crate) fn change(
        &self,
        partition: Partition,
        next: impl FnOnce(Tenure) -> Option<Tenure>,
    ) -> Result<(), Tenure> {
        let mut tenure = self.tenures[partition.index()].write().unwrap_or_else(PoisonError::into_inner);
        let before = *tenure;
        *tenure = next(before).ok_or(before)?;
        match (before.epoch(), tenure.epoch()) {
            (None, Some(_)) => _ = self.count.fetch_add(1, Ordering::Relaxed),
            (Some(_), None) => _ = self.count.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        drop(tenure);
        self.changed.send_modify(|version| *version += 1);
        Ok(())
    }

    pub(crate) fn set(&self, partition: Partition, tenure: Tenure) {
        // It always has one to go to.
        let _ = self.change(partition, |_| Some(tenure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_from_the_start_is_owned_and_nothing_else_is() {
        let [one, other] = [7, 8].map(|n| Partition::new(n).unwrap());
        let owned = Owned::new([one], OwnerEpoch(3));
        assert_eq!(owned.iter().collect::<Vec<_>>(), [one]);
        assert!(owned.serves(one) && !owned.serves(other));
        owned.set(one, Tenure::Leaving(OwnerEpoch(3)));
        assert!(owned.has(one) && !owned.serves(one), "it is still folded here");
        let owner = |epoch| Owner { partition: one, epoch: OwnerEpoch(epoch) };
        assert!(owned.speaks(owner(3)) && !owned.speaks(owner(2)));
        assert_eq!(owned.count(), 1);
        owned.set(other, Tenure::Coming(OwnerEpoch(4)));
        assert_eq!(owned.count(), 2);
        owned.set(one, Tenure::Elsewhere { folded: Offset(9) });
        assert_eq!((owned.count(), owned.speaks(owner(3))), (1, false));
        owned.set(other, Tenure::Elsewhere { folded: Offset::ZERO });
        assert_eq!(owned.change(other, |_| None), Err(Tenure::Elsewhere { folded: Offset::ZERO }));
    }
}
