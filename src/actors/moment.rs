//! Where and when a record is decided: all that a fold knows besides the record and the state.

use crate::ids::{Offset, Timestamp};

/// Which rules the folds follow. Every change of what a fold decides is a new version; it holds in a partition behind the
/// version barrier that names it (`fold::version_barrier`), and what lies before is decided by the old rules for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct FoldVersion(pub u32);

impl FoldVersion {
    /// In force from the first record on.
    pub const FIRST: Self = Self(1);
    /// The highest that this program knows.
    pub(crate) const KNOWN: Self = Self::FIRST;
    /// One that only tests know.
    #[cfg(test)]
    pub(crate) const SECOND: Self = Self(2);
}

/// A record's place in its partition, the version in force there, and its two times. A clock that was wrong for one record must neither turn the order
/// of times round nor judge the records after it, so what is told goes by one and what is judged by the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// The record's offset. For the chain of what was decided; no decision rests on it.
    pub offset: Offset,
    /// The rules to decide by.
    pub version: FoldVersion,
    /// Fold time: the highest append time of the partition up to this record. For what is told and kept: when something
    /// happened, when a time to live begins. Never goes back.
    pub fold: Timestamp,
    /// The record's own append time, by the journal's clock. For what is judged: whether something is over by now. May be
    /// below the fold time, never above it.
    pub append: Timestamp,
}

impl From<Timestamp> for Moment {
    /// A record of a journal whose clock was never wrong; whether it is the first one matters to nobody.
    fn from(at: Timestamp) -> Self {
        Self { offset: Offset::ZERO, version: FoldVersion::KNOWN, fold: at, append: at }
    }
}
