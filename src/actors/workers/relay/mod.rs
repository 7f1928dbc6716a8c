//! The relay: what a record of one partition means for others, appended there. Across partitions nothing is atomic, so it
//! is told one way, at least once, and numbered by its source: the target drops what it knows.
//!
//! The projector writes the outbox in the transaction of the rows behind it; the relay takes it in the order of each source
//! partition, appends, and removes after the delivery report. A fact for all members of a room is one row however large the
//! room is: its members are read in pages of [`limits::RELAY_MEMBERS`](crate::limits::RELAY_MEMBERS), and the row remembers
//! how far it came. Until it is through, later facts of the same source partition wait.
//!
//! | file | holds |
//! |---|---|
//! | [`step`] | the pure core: rows of the outbox to appends, and what is noted after them |
//! | [`worker`] | the shell: reads the outbox, appends, removes, tries again |
//! | [`expiry`] | asks for rooms whose time is over and appends `expire` for them |

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::ids::Partition;
use crate::storage::journal::AppendError;

pub mod expiry;
pub mod step;
#[cfg(test)]
mod tests;
pub mod worker;

/// How a worker appends: encoded records to a partition, in order, `Ok` when they are durable. The node gives it, by way of
/// the partition's owner.
pub type Append = Arc<dyn Fn(Partition, Vec<Bytes>) -> BoxFuture<'static, Result<(), AppendError>> + Send + Sync>;
