//! The user: read marks, blocks, devices, preferences, the list of rooms and the personal stream. A pure fold like that
//! of [`super::room`], under the same rules (I1).
//!
//! A room is the authority of its membership; what the user holds of it is relayed from the room's partition, numbered by
//! source (partition, offset), at least once: the highest number of each source is kept and the rest is dropped.

pub mod commands;
pub mod outcome;
pub mod payload;
pub(crate) mod snapshot;
pub mod state;
#[cfg(test)]
mod tests;

pub use commands::{UserCommand, UserCommandBody};
pub use outcome::{Quiet, UserOutcome};
pub(crate) use snapshot::{UserMeta, UserSnapshot};
pub(crate) use state::UserState;
