//! Digests of what the folds decide and hold: equal prefixes of a partition give equal digests (I1), and two folders whose
//! digests differ halt the partition (I10). A digest must never depend on which rooms are resident.

mod canonical;
mod chain;
#[cfg(test)]
mod tests;

use serde::Serialize;

use self::canonical::digest;
pub use self::chain::Chain;
use super::room::{Outcome, RoomState};
use super::user::{UserOutcome, UserState};
use super::wire::Reject;

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

/// The digest of a record that belongs to no room and no user: known control kinds (`reject` is `None`), and what can't be
/// understood.
#[must_use]
pub fn control_digest(kind: u32, reject: Option<Reject>) -> u64 {
    #[derive(Serialize)]
    struct Control {
        kind: u32,
        reject: Option<Reject>,
    }
    digest("control", &Control { kind, reject })
}

impl RoomState {
    /// A digest of everything that the fold needs. Walks the whole state: for checkpoints and tests, not for every record.
    #[must_use]
    pub fn hash(&self) -> u64 {
        digest("room state", self)
    }
}

impl UserState {
    /// As [`RoomState::hash`].
    #[must_use]
    pub fn hash(&self) -> u64 {
        digest("user state", self)
    }
}
