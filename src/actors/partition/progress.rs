//! How far a partition is folded, and the hash chain over what was decided (I10).
//!
//! Entities finish their records in any order; the chain takes them by offset. Workers read up to [`Progress::applied`]:
//! no record is persisted before its effects were sent here, so an entity that has to be rebuilt never finds its
//! unfinished records in the store already.

use std::collections::{BTreeMap, VecDeque};

use crate::actors::digest::Chain;
use crate::ids::Offset;

/// Chain values kept for comparison: more than a projector lags in good times.
const KEPT: usize = 1_024;

/// Applied offset and chain of one partition.
#[derive(Clone, Debug)]
pub struct Progress {
    applied: Offset,
    chain: Chain,
    ahead: BTreeMap<Offset, u64>,
    kept: VecDeque<(Offset, Chain)>,
}

/// Two folders of one prefix disagree. The partition halts; it never heals by overwriting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the fold of this partition and its projection disagree before offset {at}: {here:?} here, {there:?} there")]
pub struct Divergence {
    /// The end of the prefix that was compared.
    pub at: Offset,
    /// The owner's chain.
    pub here: Chain,
    /// The other's.
    pub there: Chain,
}

impl Progress {
    /// Goes on from a watermark and the chain that was stored with it.
    #[must_use]
    pub fn new(applied: Offset, chain: Chain) -> Self {
        Self { applied, chain, ahead: BTreeMap::new(), kept: VecDeque::from([(applied, chain)]) }
    }

    /// One past the last record of the gapless prefix that is folded.
    #[must_use]
    pub fn applied(&self) -> Offset {
        self.applied
    }

    /// The chain at [`Self::applied`].
    #[must_use]
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// A record was decided with this digest. Repetitions are ignored. Says whether the prefix grew.
    pub fn complete(&mut self, offset: Offset, digest: u64) -> bool {
        if offset < self.applied {
            return false;
        }
        if offset > self.applied {
            self.ahead.insert(offset, digest);
            return false;
        }
        self.push(offset, digest);
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() == self.applied) {
            let (offset, digest) = entry.remove_entry();
            self.push(offset, digest);
        }
        true
    }

    fn push(&mut self, offset: Offset, digest: u64) {
        self.chain = self.chain.next(offset, digest);
        self.applied = offset.next();
        self.kept.push_back((self.applied, self.chain));
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Compares with what another folder of the same partition has at `at`. An offset that is not kept any more, or not
    /// reached yet, compares equal.
    ///
    /// # Errors
    /// The two differ.
    pub fn compare(&self, at: Offset, there: Chain) -> Result<(), Divergence> {
        match self.kept.binary_search_by_key(&at, |(offset, _)| *offset) {
            Ok(place) if self.kept[place].1 != there => Err(Divergence { at, here: self.kept[place].1, there }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_decided_otherwise_differs_at_every_offset_from_there_on() {
        let (mut here, mut there) = (Progress::new(Offset(7), Chain(1)), Progress::new(Offset(7), Chain(1)));
        for offset in 7..20 {
            here.complete(Offset(offset), offset);
            there.complete(Offset(offset), if offset == 12 { 0 } else { offset });
            let compared = here.compare(there.applied(), there.chain());
            let differ = Divergence { at: there.applied(), here: here.chain(), there: there.chain() };
            assert_eq!(compared, if offset < 12 { Ok(()) } else { Err(differ) });
        }
    }

    #[test]
    fn what_is_not_reached_or_not_kept_any_more_compares_equal() {
        let mut progress = Progress::new(Offset(0), Chain(1));
        assert_eq!(progress.compare(Offset(1), Chain(9)), Ok(()));
        (0..KEPT as u64 + 1).for_each(|offset| _ = progress.complete(Offset(offset), 5));
        assert_eq!(progress.compare(Offset(1), Chain(9)), Ok(()));
        assert!(progress.compare(Offset(2), Chain(9)).is_err(), "the oldest that is kept");
    }
}
