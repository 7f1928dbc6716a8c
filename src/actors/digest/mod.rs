//! Digests of a partition's log and of what the folds decide and hold: equal prefixes give equal digests (I1), and two whose
//! digests differ halt the partition (I10). A digest must never depend on which rooms are resident.
//!
//! | file | holds |
//! |---|---|
//! | `canonical` | the one encoding under every digest |
//! | `chain` | a value that grows by (offset, digest): of an entity over its outcomes, of a log over its records |
//! | `log` | the running hash of a log, and its comparison with what the records say of their writers |

mod canonical;
mod chain;
mod log;
#[cfg(test)]
mod tests;

use self::canonical::digest;
pub(crate) use self::chain::Chain;
pub(crate) use self::log::Misfit;
pub use self::log::RunningHash;
use super::room::{Outcome, RoomState};
use super::user::{UserOutcome, UserState};

impl Outcome {
    /// The outcome's digest for the chain.
    #[must_use]
    pub fn digest(&self) -> u64 {
        digest("room", self)
    }
}

impl UserOutcome {
    /// The outcome's digest for the chain.
    #[must_use]
    pub fn digest(&self) -> u64 {
        digest("user", self)
    }
}

impl RoomState {
    /// A digest of everything that the fold needs. Walks the whole state: for checkpoints and tests, not for every record.
    #[must_use]
    pub(crate) fn hash(&self) -> u64 {
        digest("room state", self)
    }
}

impl UserState {
    /// As [`RoomState::hash`].
    #[must_use]
    pub(crate) fn hash(&self) -> u64 {
        digest("user state", self)
    }
}
