//! Works on the share of the partitions that a worker of several has, anew whenever that changes.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Deps, Storage};
use crate::actors::workers::LOOK;
use crate::health::Check;
use crate::ids::Partition;
use crate::metrics::Metrics;
use crate::storage::journal::kafka::membership::{Membership, Share};
use crate::storage::store::Store;
use crate::storage::store::rows::WatermarkRow;

/// What a kind of worker does with a share.
pub(super) trait Turn: Send + Sync + 'static {
    /// Begins with the partitions that stand there in the rows. What it gives ends soon after `ended` says so, behind what it
    /// has begun.
    fn begin(&self, rows: &[WatermarkRow], ended: watch::Receiver<bool>) -> JoinHandle<()>;
}

/// A worker on its share, until it is stopped.
pub(super) struct Shared {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Shared {
    /// As a member of its kind; without a membership all of the partitions are its share.
    pub(super) fn start(
        turn: impl Turn,
        storage: &Storage,
        deps: &Deps,
        health: Check,
        member: Option<Membership>,
    ) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (store, metrics) = (Arc::clone(&storage.store), Arc::clone(&deps.metrics));
        let sharing = Sharing { turn, store, health, metrics };
        Self { stop, task: tokio::spawn(sharing.take_turns(member, stopping)) }
    }

    /// Ends it, behind what it has begun.
    pub(super) async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the worker died while it was stopped; the next start goes on where it was");
        }
    }
}

struct Sharing<T> {
    turn: T,
    store: Arc<dyn Store>,
    health: Check,
    metrics: Arc<Metrics>,
}

impl<T: Turn> Sharing<T> {
    async fn take_turns(self, member: Option<Membership>, mut stopping: watch::Receiver<bool>) {
        let all = Share { partitions: Partition::all().collect(), is_told: true, is_out: None };
        // Kept until the end: a share that nobody can change any more is over.
        let (_alone, everything) = watch::channel(all);
        let mut share = member.as_ref().map_or(everything, Membership::share);
        let mut is_over = false;
        while !is_over {
            let mine = share.borrow_and_update().clone();
            let (ends, ended) = watch::channel(false);
            let work = match self.rows(&mine).await {
                Ok(rows) => {
                    self.metrics.worker_partitions.set(i64::try_from(rows.len()).unwrap_or(i64::MAX));
                    Some(self.turn.begin(&rows, ended))
                }
                Err(why) => {
                    self.health.down(why);
                    None
                }
            };
            let has_work = work.is_some();
            is_over = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => true,
                changed = share.changed() => changed.is_err(),
                () = tokio::time::sleep(LOOK), if !has_work => false,
            };
            ends.send_replace(true);
            if let Some(work) = work
                && let Err(error) = work.await
            {
                tracing::error!(%error, "the worker died; it goes on where it was");
            }
        }
        // It waits for its thread.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(member)).await {
            tracing::error!(%error, "leaving the workers of the kind");
        }
    }

    /// Where the rows of a share are, or why there is nothing to work on now.
    async fn rows(&self, share: &Share) -> Result<Vec<WatermarkRow>, String> {
        if let Some(why) = &share.is_out {
            return Err(format!(
                "another worker has the name of this one, which has no work any more (server.name): {why}"
            ));
        }
        if !share.is_told {
            return Err("it waits for its share of the partitions".to_owned());
        }
        let rows = self.store.watermarks().await.map_err(|error| error.to_string())?;
        Ok(rows.into_iter().filter(|row| share.partitions.contains(&row.partition)).collect())
    }
}
