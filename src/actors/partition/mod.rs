//! A partition's owner: appends commands, reads the partition back, and hands verified records to rooms and users.
//!
//! The log talks to the room; the room never talks to the log. What must never happen here: an effect of a record at or
//! beyond the end of the verified prefix (I4). [`verified`] is the one place that decides it.
//!
//! [`core`] and [`entity`] are pure: the simulation drives the very same code that the actors run.

mod answer;
pub mod budget;
pub mod context;
pub mod core;
pub mod entity;
pub mod entity_actor;
mod follow;
pub mod hydrate;
pub mod item;
pub mod listeners;
pub mod memory;
pub mod message;
pub mod progress;
pub mod question;
pub mod replay;
pub mod ring;
pub mod shell;
#[cfg(test)]
mod tests;
pub mod verified;
