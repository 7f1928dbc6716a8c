//! A hash that grows by one (offset, digest) at a time.
//!
//! Each room and user has a chain of its own (I10), over every outcome that changed what is kept of it: it lies in the
//! entity's row beside the offset up to which it counts. An owner that makes the entity from its row goes on with it, so two
//! folders of one entity can be compared after any of its changes, whoever began when, and a row that was flipped is found
//! by the one entity that it belongs to. Outcomes that change nothing (refusals, repetitions) are not in it, because no row
//! is written for them; nor are read marks, which have rows of their own, and many.

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::Offset;

/// The chain's value after some offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chain(pub u64);

impl Chain {
    /// Before the first outcome.
    pub(crate) const START: Self = Self(0);

    /// The chain with what has this digest at `offset` added.
    #[must_use]
    pub(crate) fn next(self, offset: Offset, digest: u64) -> Self {
        let mut bytes = [0u8; 24];
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&offset.0.to_le_bytes());
        bytes[16..].copy_from_slice(&digest.to_le_bytes());
        Self(xxh3_64(&bytes))
    }
}
