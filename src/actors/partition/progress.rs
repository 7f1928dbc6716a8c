//! How far a partition is folded, and the chains over what was decided (I10).
//!
//! Entities finish their records in any order; progress takes them by offset. Workers read up to [`Progress::applied`]:
//! no record is persisted before its effects were sent here, so an entity that has to be rebuilt never finds its
//! unfinished records in the store already.
//!
//! An offset belongs to one entity, so its chain after that record is found by the offset alone. Whoever has folded the
//! same record, a projector or what was made of its rows, compares there. Chains grow with every change, so a difference
//! that is not kept any more shows at the entity's next one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::actors::digest::Chain;
use crate::ids::Offset;

/// Chain values kept for comparison: more than a projector lags in good times.
const KEPT: usize = 1_024;

/// Applied offset of one partition, and the chains at the last records.
#[derive(Clone, Debug)]
pub struct Progress {
    applied: Offset,
    ahead: BTreeMap<Offset, Option<Chain>>,
    kept: VecDeque<(Offset, Option<Chain>)>,
}

/// The progress of a partition, as it and its entities share it: they decide beside each other.
#[derive(Clone, Debug)]
pub(crate) struct SharedProgress(Arc<Mutex<Progress>>);

impl SharedProgress {
    /// Goes on from a watermark.
    pub(crate) fn new(applied: Offset) -> Self {
        Self(Arc::new(Mutex::new(Progress::new(applied))))
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These records were decided, with the chains of their entities if those are known, and their effects are out. Gives
    /// [`Progress::applied`] if it grew.
    pub(crate) fn complete(&self, decided: impl IntoIterator<Item = (Offset, Option<Chain>)>) -> Option<Offset> {
        let mut progress = self.lock();
        let mut grew = false;
        for (offset, chain) in decided {
            grew |= progress.complete(offset, chain);
        }
        grew.then(|| progress.applied())
    }

    /// See [`Progress::compare`].
    ///
    /// # Errors
    /// The two differ.
    pub(crate) fn compare(&self, at: Offset, there: Chain) -> Result<(), Divergence> {
        self.lock().compare(at, there)
    }

    /// [`Progress::applied`].
    #[cfg(test)]
    pub(crate) fn applied(&self) -> Offset {
        self.lock().applied()
    }
}

/// Two folders of one entity disagree. The partition halts; it never heals by overwriting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the fold of this partition and its projection disagree about the room or user of offset {at}: {here:?} here, {there:?} there"
)]
pub struct Divergence {
    /// The record after which they were compared.
    pub at: Offset,
    /// The owner's chain.
    pub(crate) here: Chain,
    /// The other's.
    pub(crate) there: Chain,
}

impl Progress {
    /// Goes on from a watermark.
    #[must_use]
    pub fn new(applied: Offset) -> Self {
        Self { applied, ahead: BTreeMap::new(), kept: VecDeque::new() }
    }

    /// One past the last record of the gapless prefix that is folded.
    #[must_use]
    pub fn applied(&self) -> Offset {
        self.applied
    }

    /// A record was decided; `chain` is that of its entity now, if it is known. Repetitions are ignored. Says whether the prefix grew.
    pub(crate) fn complete(&mut self, offset: Offset, chain: Option<Chain>) -> bool {
        if offset < self.applied {
            return false;
        }
        if offset > self.applied {
            self.ahead.insert(offset, chain);
            return false;
        }
        self.push(offset, chain);
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() == self.applied) {
            let (offset, chain) = entry.remove_entry();
            self.push(offset, chain);
        }
        true
    }

    fn push(&mut self, offset: Offset, chain: Option<Chain>) {
        self.applied = offset.next();
        self.kept.push_back((offset, chain));
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Compares with the chain that another folder has of the same entity after the record at `at`. One that is not kept any
    /// more, or not reached yet, compares equal.
    ///
    /// # Errors
    /// The two differ.
    pub(crate) fn compare(&self, at: Offset, there: Chain) -> Result<(), Divergence> {
        match self.kept.binary_search_by_key(&at, |(offset, _)| *offset) {
            Ok(place) => match self.kept[place].1 {
                Some(here) if here != there => Err(Divergence { at, here, there }),
                _ => Ok(()),
            },
            Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entity_that_was_decided_otherwise_differs_and_its_neighbours_do_not() {
        let mut here = Progress::new(Offset(7));
        (7..20).for_each(|offset| _ = here.complete(Offset(offset), Some(Chain(offset))));
        for at in 7..20 {
            let there = if at == 12 { Chain(0) } else { Chain(at) };
            let differ = Divergence { at: Offset(at), here: Chain(at), there };
            assert_eq!(here.compare(Offset(at), there), if at == 12 { Err(differ) } else { Ok(()) });
        }
    }

    #[test]
    fn what_the_rows_had_already_compares_equal() {
        let mut progress = Progress::new(Offset(0));
        assert!(progress.complete(Offset(0), None) && progress.complete(Offset(1), Some(Chain(5))));
        assert_eq!(progress.compare(Offset(0), Chain(9)), Ok(()));
        assert!(progress.compare(Offset(1), Chain(9)).is_err());
    }

    #[test]
    fn what_is_not_reached_or_not_kept_any_more_compares_equal() {
        let mut progress = Progress::new(Offset(0));
        assert_eq!(progress.compare(Offset(0), Chain(9)), Ok(()));
        (0..KEPT as u64 + 1).for_each(|offset| _ = progress.complete(Offset(offset), Some(Chain(5))));
        assert_eq!(progress.compare(Offset(0), Chain(9)), Ok(()));
        assert!(progress.compare(Offset(1), Chain(9)).is_err(), "the oldest that is kept");
    }
}
