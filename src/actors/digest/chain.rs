//! The hash chain of a partition (I10): over (offset, outcome) of every record from offset 0 on, the same whichever rooms
//! are resident. Two folders of one prefix whose chains differ halt that partition; nothing is ever healed by overwriting.

use xxhash_rust::xxh3::xxh3_64;

use crate::ids::Offset;

/// The chain's value after some offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Chain(pub u64);

impl Chain {
    /// Before offset 0.
    pub const START: Self = Self(0);

    /// The chain with the record at `offset` added, whose outcome has this digest.
    #[must_use]
    pub fn next(self, offset: Offset, digest: u64) -> Self {
        let mut bytes = [0u8; 24];
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&offset.0.to_le_bytes());
        bytes[16..].copy_from_slice(&digest.to_le_bytes());
        Self(xxh3_64(&bytes))
    }
}
