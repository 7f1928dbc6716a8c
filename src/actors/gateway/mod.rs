//! The gateway of a node: what stands between owners of rooms and the sockets of this node.
//!
//! It alone guarantees that a client sees each stream in exact order (I5): official SDKs neither drop duplicates nor look
//! for gaps. It never decides anything that a fold decides.
//!
//! | module | holds |
//! |---|---|
//! | [`feed`] | one stream with listeners, pure |
//! | [`hub`] | all feeds, questions, connections and rates of a node |
//! | [`outbox`] | what waits for one connection |
//! | [`order`] | what others want of a connection |
//! | [`session`] | what a connection does with what its client says, pure |

pub mod feed;
pub mod hub;
pub mod order;
pub mod outbox;
pub(crate) mod session;
