//! The room: commands, events, and the pure fold that turns one into the other.
//!
//! The fold is total and pure (I1): no clock, no randomness, no I/O, no hash-map order, no floats, no configuration.
//! `now` is the record's fold time: the maximum of the append times of its partition up to and including this record.
//! A decision that fails is an [`Outcome`], never an error.
//!
//! | file | holds |
//! |---|---|
//! | [`commands`] | what a room may be asked: one verb a file, with its payload, its bounds and its decision |
//! | [`payload`] | commands as journal records |
//! | [`outcome`] | what the fold answers |
//! | [`state`] | the state, and what the decisions are made of |
//! | [`members`], [`window`], `lookup` | who is in; the recent events by which duplicates and authors are known |
//! | `awake` | rooms whose windows sleep but for their ends |
//! | [`snapshot`] | the state as plain data, to be kept and restored |

mod awake;
pub mod commands;
mod lookup;
pub mod members;
pub mod outcome;
pub mod payload;
pub(crate) mod snapshot;
pub mod state;
#[cfg(test)]
pub(crate) mod tests;
pub mod window;

pub use commands::{Command, RoomCommand};
pub use outcome::Outcome;
pub(crate) use snapshot::{RoomMeta, RoomSnapshot};
pub(crate) use state::RoomState;
