//! When a record is decided: all that a fold knows of time.

use crate::ids::Timestamp;

/// The two times of a record. A clock that was wrong for one record must neither turn the order of times round nor judge
/// the records after it, so what is told goes by one and what is judged by the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Fold time: the highest append time of the partition up to this record. For what is told and kept: when something
    /// happened, when a time to live begins. Never goes back.
    pub fold: Timestamp,
    /// The record's own append time, by the journal's clock. For what is judged: whether something is over by now. May be
    /// below the fold time, never above it.
    pub append: Timestamp,
}

impl From<Timestamp> for Moment {
    /// A record of a journal whose clock was never wrong.
    fn from(at: Timestamp) -> Self {
        Self { fold: at, append: at }
    }
}
