//! A partition's owner: appends commands, reads the partition back, and hands verified records to rooms and users.
//!
//! The log talks to the room; the room never talks to the log. What must never happen here: an effect of a record at or
//! beyond the end of the verified prefix (I4). [`verified`] is the one place that decides it.
//!
//! [`core`], [`entity`] and [`hydration`] are pure and decide; [`actor`] and [`entity_actor`] carry out. The simulation carries
//! out the same decisions over its own journal, store and network.

pub mod actor;
mod answer;
pub mod budget;
pub mod context;
pub mod core;
pub mod entity;
pub mod entity_actor;
mod follow;
pub(crate) mod hydrate;
pub(crate) mod hydration;
pub mod item;
pub mod listeners;
pub(crate) mod log_reader;
pub mod memory;
pub mod message;
pub mod progress;
pub mod question;
pub(crate) mod replay;
pub mod ring;
pub(crate) mod stored_fetch;
#[cfg(test)]
mod tests;
pub mod verified;
