//! The projector, over what is verified of this worker's share.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::sharing::{Shared, Turn};
use super::{Deps, Storage};
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::persistence::worker::{self as projector, ProjectorStatus};
use crate::actors::workers::prefix::{self, PrefixMarks, PrefixStatus};
use crate::actors::workers::{self, LOOK, Running};
use crate::health::Check;
use crate::ids::{Offset, Partition};
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::Journal;
use crate::storage::journal::kafka::membership::Membership;
use crate::storage::journal::record::Prefix;
use crate::storage::store::Store;
use crate::storage::store::rows::WatermarkRow;

/// What a share is worked on with.
pub(super) struct Persistence {
    journal: Arc<dyn Journal>,
    store: Arc<dyn Store>,
    health: Check,
    metrics: Arc<Metrics>,
}

impl Persistence {
    /// Starts it, until it is stopped.
    pub(super) fn start(storage: &Storage, deps: &Deps, member: Option<Membership>) -> Shared {
        let health = deps.health.check("rows");
        let (journal, store) = (Arc::clone(&storage.journal), Arc::clone(&storage.store));
        let this = Self { journal, store, health: health.clone(), metrics: Arc::clone(&deps.metrics) };
        Shared::start(this, storage, deps, health, member)
    }
}

impl Turn for Persistence {
    fn begin(&self, rows: &[WatermarkRow], ended: watch::Receiver<bool>) -> JoinHandle<()> {
        let work = Projecting::start(Arc::clone(&self.journal), Arc::clone(&self.store), rows);
        tokio::spawn(work.look_after(self.health.clone(), Arc::clone(&self.metrics), ended))
    }
}

struct Projecting {
    deps: projector::Deps,
    reader: Running<PrefixStatus>,
    awaited: Arc<Watermarks>,
}

impl Projecting {
    /// Of partitions whose rows are there.
    fn start(journal: Arc<dyn Journal>, store: Arc<dyn Store>, rows: &[WatermarkRow]) -> Self {
        let (verified, stored) = (Arc::new(Watermarks::new()), Arc::new(Watermarks::new()));
        rows.iter().for_each(|row| stored.raise(row.partition, row.next_offset));
        let starts = rows.iter().map(|row| (row.partition, Prefix { end: row.next_offset, hash: row.log_hash }));
        let read = PrefixMarks { verified: Arc::clone(&verified), ..PrefixMarks::default() };
        let awaited = Arc::clone(&read.awaited);
        let reader = prefix::spawn(Arc::clone(&journal), starts.collect(), read);
        // Who reads his own writes can't say here that he waits for rows: they never linger for long.
        let linger = Duration::from_millis(limits::WORKER_LINGER_MS);
        let options = projector::Options { linger, ..projector::Options::default() };
        let (outbox, report) = (Arc::default(), Arc::new(|_, _, _| ()));
        let deps = projector::Deps { journal, store, applied: verified, stored, outbox, report, options };
        Self { deps, reader, awaited }
    }

    /// Starts the projector, again if it dies, and says how it is, until it is told to stop.
    async fn look_after(self, health: Check, metrics: Arc<Metrics>, mut stopping: watch::Receiver<bool>) {
        let mut projector = projector::spawn(self.deps.clone());
        let hurrying = tokio::spawn(hurry(Arc::clone(&self.awaited), Arc::clone(&self.deps.stored)));
        while !*stopping.borrow() {
            projector.revive("projector", &metrics, || projector::spawn(self.deps.clone()));
            let trouble = trouble(&self.reader.status().borrow(), &projector.status().borrow());
            match trouble {
                Some(trouble) => health.down(trouble),
                None => health.up(),
            }
            self.measure(&metrics);
            workers::pause(LOOK, &mut stopping).await;
        }
        hurrying.abort();
        projector.end("projector").await;
        self.reader.end("reader of the journal").await;
    }

    fn measure(&self, metrics: &Metrics) {
        metrics.upkeep();
        let projector::Deps { applied, stored, .. } = &self.deps;
        let lag = |partition: Partition, to: Offset| to.0.saturating_sub(stored.get(partition).0);
        let behind = applied.beyond(stored).map(|(partition, to)| (partition, lag(partition, to))).collect();
        metrics.stores_less(&behind);
    }
}

/// Rows of which others are told do not linger.
async fn hurry(awaited: Arc<Watermarks>, stored: Arc<Watermarks>) {
    let mut reads = awaited.changes();
    while reads.changed().await.is_ok() {
        if awaited.beyond(&stored).next().is_some() {
            stored.want();
        }
    }
}

/// What is wrong, for the operator.
fn trouble(reader: &PrefixStatus, projector: &ProjectorStatus) -> Option<String> {
    let stuck = projector.halted.first();
    let stuck = stuck.map(|(partition, why)| format!("partition {partition} is not stored any further: {why}"));
    reader.halt().or(stuck).or_else(|| reader.unread()).or_else(|| projector.failing.clone())
}
