//! Hints that processes leave for each other in Redis. Each of them may vanish at any moment, and so may all of Redis: what is
//! missing costs a push that nobody needed, never a message. Nothing is kept for a Redis that does not answer, and nobody waits
//! for it longer than [`limits::REDIS_WAIT_MS`](crate::limits).
//!
//! | file | holds |
//! |---|---|
//! | [`redis_client`] | the client of one server or a cluster: bounded waits, one warning |
//! | `nodes` | what the nodes say of themselves, for who sets Redis up |
//! | [`acknowledgements`] | how far a user's devices have a room |

pub(crate) mod acknowledgements;
mod nodes;
mod redis_client;
#[cfg(test)]
mod tests;

pub use nodes::{RedisNode, RedisState};
pub use redis_client::{Redis, RedisError, look};
