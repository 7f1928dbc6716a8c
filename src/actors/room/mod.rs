//! The room: commands, events, and the pure fold that turns one into the other.
//!
//! The fold is total and pure (I1): no clock, no randomness, no I/O, no hash-map order, no floats, no configuration.
//! `now` is the record's fold time: the maximum of the append times of its partition up to and including this record.
//! A decision that fails is an [`Outcome`], never an error.
//!
//! | file | holds |
//! |---|---|
//! | [`command`], [`payload`] | what a room may be asked, and as records |
//! | [`outcome`] | what the fold answers |
//! | [`state`], `decide_*`, `bounds` | the state and the decisions |
//! | [`members`], [`window`] | who is in; the recent events by which duplicates and authors are known |
//! | [`parts`] | the state as plain data, to be kept and restored |

pub(in crate::actors) mod bounds;
pub mod command;
mod decide_create;
mod decide_members;
mod decide_message;
mod decide_settings;
mod hash;
pub mod members;
pub mod outcome;
pub mod parts;
pub mod payload;
pub mod state;
#[cfg(test)]
pub(crate) mod tests;
pub mod window;

pub use command::{Command, RoomCommand};
pub use outcome::Outcome;
pub use parts::{PartsError, RoomMeta, RoomParts, Status};
pub use state::RoomState;
