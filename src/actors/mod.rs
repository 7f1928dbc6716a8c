//! Everything that lives and is supervised: the pure folds of rooms and users, the partitions that read and write the
//! journal, the gateway that hands events to sockets, and the workers that consume the journal.
//!
//! | module | holds |
//! |---|---|
//! | [`wire`] | what nodes say to each other: entities, events, frames; the lowest |
//! | `verbs`, `bounds` | what a verb says of itself, and how large its parts may be |
//! | [`kinds`] | the number of each record kind |
//! | [`decisions`] | what was decided on commands that left no event |
//! | [`fold`], [`chain`] | one way from a record to its decision for everyone who folds; the hash chain over decisions |
//! | [`room`], [`user`] | the pure folds: types, state, decisions. No tokio, no storage, no clock |
//! | [`partition`] | log reader and writer of one partition, the verified prefix, activation and passivation |
//! | [`gateway`] | feeds of rooms with listeners, outboxes |
//! | [`hints`] | what processes tell each other through Redis, and may lose |
//! | [`router`] | the only way to the owners of partitions, and the table of open questions |
//! | `workers` | persistence projector, relay |

pub(crate) mod bounds;
pub(crate) mod clocks;
pub mod decisions;
pub mod digest;
pub mod fold;
pub mod gateway;
pub mod halted;
pub mod hints;
pub(crate) mod inspect;
pub mod kinds;
pub mod moment;
pub mod node;
pub mod partition;
pub mod room;
pub mod router;
#[cfg(test)]
mod sim;
pub mod trace;
pub mod user;
mod verbs;
pub mod watermarks;
pub mod wire;
pub mod workers;
