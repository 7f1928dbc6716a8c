//! The relay: what a record of one partition means for others, appended there. Across partitions nothing is atomic, so it
//! is told one way, at least once, and numbered by its source: the target drops what it knows.
//!
//! The projector writes the outbox in the transaction of the rows behind it; the relay takes turns over the users who caused what is
//! in it, appends, and removes after the delivery report. A fact for all members of a large room is one row: its members get
//! rows of their own in pages of [`limits::RELAY_MEMBERS`](crate::limits::RELAY_MEMBERS), and the row remembers how far that
//! came. Until it is through, later rows of the same source partition are not read.
//!
//! | file | holds |
//! |---|---|
//! | [`turns`] | pure: which rows of the outbox are told next |
//! | `rounds` | pure: what is read, removed and given in a round, and how far ahead of the store |
//! | [`worker`] | carries the rounds out over store and journal |
//! | [`Owed`] | whose facts wait, for admission |
//! | [`owing`] | the same where another process relays: counted in the outbox |
//! | `expiry_rounds` | pure: when rooms whose time is over are asked for, and which are told |
//! | [`expiry`] | carries that out |

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::ids::Partition;
use crate::storage::journal::{AppendError, Appended, Journal};

pub(crate) mod expiry;
pub(crate) mod expiry_rounds;
mod owed;
pub(crate) mod owing;
pub(crate) mod rounds;
#[cfg(test)]
mod tests;
pub mod turns;
#[cfg(test)]
mod turns_tests;
pub mod worker;

pub(crate) use owed::Owed;

/// How a worker appends: encoded records to a partition, in order. Each has a result of its own, `Ok` when it is durable, as
/// an owner may take some and refuse others. The node gives it, by way of the partition's owner.
pub(crate) type Append =
    Arc<dyn Fn(Partition, Vec<Bytes>) -> BoxFuture<'static, Vec<Result<(), AppendError>>> + Send + Sync>;

/// How a worker appends that stands alone: straight into the journal, for whichever owner reads it there. `heard` is told of
/// each report before the result is given.
pub(crate) fn append_straight(
    journal: Arc<dyn Journal>,
    heard: impl Fn(Partition, Appended) + Send + Sync + 'static,
) -> Append {
    let heard = Arc::new(heard);
    Arc::new(move |partition, records| {
        let (journal, heard) = (Arc::clone(&journal), Arc::clone(&heard));
        async move {
            let count = records.len();
            let report = journal.append(partition, records).await;
            vec![report.map(|report| heard(partition, report)); count]
        }
        .boxed()
    })
}
