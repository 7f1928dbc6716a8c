//! A journal in memory, for tests and the simulation. It forgets everything when it is dropped.
//!
//! [`MemoryLog`] is the synchronous, deterministic core: one for each simulated cluster, driven on one thread, without
//! a clock, a thread or a random number of its own. [`MemoryJournal`] puts the async [`Journal`](super::Journal) in
//! front of one, for tests of whole nodes. Neither is ever used by a production node.

mod journal;
mod log;

pub use journal::MemoryJournal;
pub use log::Node;
pub(crate) use log::{Fate, MemoryLog, Ticket, Written};

#[cfg(test)]
mod tests;
