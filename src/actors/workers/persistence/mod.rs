//! The persistence projector: folds verified records from the state in its own rows and writes what they did.
//!
//! | file | holds |
//! |---|---|
//! | [`rows`] | rows to folded states and events, and back. Hydration uses it, too |
//! | [`projector`] | the pure core: records in, one [`Commit`](crate::storage::store::Commit) out |
//! | `commit_builder`, `cache` | the rows that a batch has changed; the states kept between batches |
//! | `pieces` | stretches of a room's recent events that came to their end |
//! | [`outbox`] | what other partitions must be told of an outcome |
//! | `hydrate` | reads the states that a round needs and that are not kept |
//! | [`rounds`] | pure: what is read when, and when a batch is full |
//! | `failures` | pure: what is tried again and when, which partition halts |
//! | [`worker`] | carries the rounds out over journal and store |
//!
//! It folds from rows and never from what an actor says, so its hash chain is a second opinion on the owner's (I10).

mod cache;
mod commit_builder;
mod decision_rows;
mod failures;
mod hydrate;
mod notify;
pub mod outbox;
mod pieces;
pub mod projector;
pub(crate) mod rounds;
pub mod rows;
#[cfg(test)]
mod tests;
pub mod worker;
