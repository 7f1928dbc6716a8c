//! What all partitions of a node share: what they read and write, and what is counted of it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::core::Options;
use super::entity::Verdict;
use super::memory::Memory;
use crate::actors::clocks::Clocks;
use crate::actors::halted::Halted;
use crate::actors::inspect::Directory;
use crate::actors::router::owned::{Owned, Owner};
use crate::actors::trace::Traces;
use crate::actors::watermarks::Watermarks;
use crate::actors::wire::{Entity, Ephemeral, NodeId, ToGateway};
use crate::actors::workers::relay::Owed;
use crate::env::Env;
use crate::health::Check;
use crate::ids::{Offset, Partition};
use crate::metrics::Metrics;
use crate::storage::journal::{AppendError, Appended, Journal};
use crate::storage::store::Store;

/// What all partitions of a node share.
pub struct Context {
    /// Clock and ids.
    pub env: Env,
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// How far each partition is folded here.
    pub(crate) applied: Arc<Watermarks>,
    /// How far each partition is handed out, the barriers at its end left out: nobody waits for rows of those.
    pub(crate) meant: Arc<Watermarks>,
    /// Up to where nothing but barriers was seen behind what is verified. One that an earlier life of this node had sent may come
    /// last, and then nothing covers it: nobody waits for that.
    pub(crate) barriers: Arc<Watermarks>,
    /// How far each partition is stored.
    pub(crate) stored: Arc<Watermarks>,
    /// Sends a frame of an owner to a node's gateway.
    pub(crate) to_gateway: Box<dyn Fn(Owner, NodeId, ToGateway) + Send + Sync>,
    /// Sends something ephemeral to the listeners of another stream.
    pub(crate) to_room: Box<dyn Fn(Entity, Ephemeral) + Send + Sync>,
    /// The partitions of this node.
    pub(crate) owned: Arc<Owned>,
    /// Rooms and users in memory at most, in all of them.
    pub resident: usize,
    /// Partitions that go no further.
    pub(crate) halted: Halted,
    /// What the relay has still to tell, by who caused it.
    pub(crate) owed: Arc<Owed>,
    /// Streams that may be told from the journal at a time.
    pub(crate) retelling: Semaphore,
    /// Bytes that rooms and users in memory may take.
    pub(crate) memory: Arc<Memory>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Down once a partition is halted.
    pub health: Check,
    /// Whether the journal's clock can be believed.
    pub(crate) clocks: Clocks,
    /// What actors publish.
    pub(crate) directory: Arc<Directory>,
    /// The way of a few commands.
    pub trails: Arc<Traces>,
    /// Rules and bounds.
    pub options: Options,
}

impl Context {
    /// Rooms and users in memory at most, in one of the partitions that are here now: at least one.
    pub(in crate::actors) fn resident_share(&self) -> usize {
        self.resident.div_ceil(self.owned.count()).max(1)
    }

    /// The partitions here of which the store lacks something that was folded, and up to where that lies.
    pub(in crate::actors) fn unstored(&self) -> impl Iterator<Item = (Partition, Offset)> {
        let ends = self.owned.iter().map(|partition| {
            let end = self.applied.get(partition).min(self.meant.get(partition));
            (partition, end)
        });
        ends.filter(|(partition, end)| *end > self.stored.get(*partition))
    }

    /// Enqueues records in the journal, and counts what comes of it. `done` is called on the journal's thread.
    pub(super) fn enqueue(
        self: &Arc<Self>,
        partition: Partition,
        records: Vec<Bytes>,
        done: impl FnOnce(Result<Appended, AppendError>) + Send + 'static,
    ) {
        let (begun, count) = (Instant::now(), records.len() as u64);
        let bytes = records.iter().map(|record| record.len() as u64).sum();
        let followed = self.trails.among(&records);
        let context = Arc::clone(self);
        let count_and_tell = move |report: Result<Appended, AppendError>| {
            match &report {
                Ok(_) => {
                    context.trails.appended(&followed);
                    context.metrics.append_seconds.record(begun.elapsed());
                    context.metrics.appended_records.inc_by(count);
                    context.metrics.appended_bytes.inc_by(bytes);
                }
                Err(error) => {
                    let reason = match error {
                        AppendError::Refused(_) => "refused",
                        AppendError::Unknown(_) => "unknown",
                        AppendError::Closed(_) => "closed",
                    };
                    context.metrics.append_errors.inc(reason);
                }
            }
            done(report);
        };
        self.journal.enqueue(partition, records, Box::new(count_and_tell));
    }

    /// Counts a decision.
    pub fn count(&self, verdict: Verdict) {
        match verdict {
            Verdict::Accepted => self.metrics.messages_accepted.inc(),
            Verdict::Duplicate => self.metrics.messages_duplicate.inc(),
            Verdict::Rejected(reject) => self.metrics.messages_rejected.inc(reject.name()),
            Verdict::Ignored => {}
        }
    }
}
