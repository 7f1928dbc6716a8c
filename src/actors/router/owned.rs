//! The partitions that this node owns, each with the epoch at which it came here.
//!
//! Two nodes that both take a partition for theirs are harmless: both fold the same log to the same result. So nothing about
//! a record is decided by what stands here; it says who takes commands and who folds.

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

/// See the module.
#[derive(Debug)]
pub struct Owned {
    tenures: Box<[RwLock<Tenure>]>,
    changed: watch::Sender<u64>,
}

impl Owned {
    /// These are served from the start, all at one epoch.
    #[must_use]
    pub fn new(partitions: impl IntoIterator<Item = Partition>, epoch: OwnerEpoch) -> Self {
        let elsewhere = || RwLock::new(Tenure::Elsewhere { folded: Offset::ZERO });
        let owned = Self { tenures: Partition::all().map(|_| elsewhere()).collect(), changed: watch::Sender::new(0) };
        for partition in partitions {
            owned.set(partition, Tenure::Here(epoch));
        }
        owned
    }

    /// How this node stands to a partition.
    #[must_use]
    pub fn tenure(&self, partition: Partition) -> Tenure {
        *self.tenures[partition.index()].read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether commands of the partition are taken here.
    #[must_use]
    pub fn serves(&self, partition: Partition) -> bool {
        matches!(self.tenure(partition), Tenure::Here(_))
    }

    /// Whether it is folded here: it is served, comes, or goes.
    #[must_use]
    pub fn has(&self, partition: Partition) -> bool {
        !matches!(self.tenure(partition), Tenure::Elsewhere { .. })
    }

    /// The partitions that are folded here, in order.
    pub fn iter(&self) -> impl Iterator<Item = Partition> {
        Partition::all().filter(|partition| self.has(*partition))
    }

    /// Waits until the partition is served here.
    pub async fn served(&self, partition: Partition) {
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
        *tenure = next(*tenure).ok_or(*tenure)?;
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
        assert_eq!(owned.change(other, |_| None), Err(Tenure::Elsewhere { folded: Offset::ZERO }));
    }
}
