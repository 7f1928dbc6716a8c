//! The shell of the projector: reads the journal up to what the owner has applied, hydrates, commits, and tries again.
//!
//! It never drops a record: while the store is away it waits, longer each time, and then begins again at the watermark.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::hydrate::{HydrateError, hydrate};
use super::projector::{Chains, Halt, Moved, Projector, chains_of};
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::{Running, back_off};
use crate::ids::{PARTITIONS, Partition};
use crate::limits;
use crate::storage::journal::{Journal, JournalError, ReadError};
use crate::storage::store::rows::WatermarkRow;
use crate::storage::store::{Store, StoreError};

/// Hears the chains of each commit.
pub type Report = Arc<dyn Fn(Chains) + Send + Sync>;

/// What the worker works with.
#[derive(Clone)]
pub struct Deps {
    /// Where records come from.
    pub journal: Arc<dyn Journal>,
    /// Where rows go.
    pub store: Arc<dyn Store>,
    /// How far each partition may be read: what its owner has verified and applied.
    pub applied: Arc<Watermarks>,
    /// How far each partition is stored: raised after each commit. Never falls, also if the store falls back: it is then
    /// behind for a while, and the journal brings it up again.
    pub stored: Arc<Watermarks>,
    /// How far each partition is stored whose facts for others were stored with it: the relay has something to do.
    pub outbox: Arc<Watermarks>,
    /// Told of each commit's chains before [`Self::stored`] is raised, so that the owners can compare them (I10).
    pub report: Report,
    /// Bounds.
    pub options: Options,
}

/// Bounds of the worker.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Records of one commit at most, about.
    pub batch_records: usize,
    /// Bytes of records of one commit at most, about.
    pub batch_bytes: usize,
    /// How long records may gather before they are committed, unless a batch is full.
    pub gather: Duration,
    /// Bytes of states kept between batches, about.
    pub cache_bytes: u64,
    /// First wait after a failure of the store.
    pub retry_first: Duration,
    /// Longest wait after failures of the store.
    pub retry_most: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_records: limits::PROJECTOR_BATCH_RECORDS,
            batch_bytes: limits::PROJECTOR_BATCH_BYTES,
            gather: Duration::from_millis(limits::PROJECTOR_GATHER_MS),
            cache_bytes: limits::PROJECTOR_CACHE_BYTES,
            retry_first: Duration::from_millis(50),
            retry_most: Duration::from_secs(5),
        }
    }
}

/// How the worker is, for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectorStatus {
    /// The last failure of the store or the journal, until something succeeds again.
    pub failing: Option<String>,
    /// Partitions that are not projected any further, with the reason for the operator.
    pub halted: Vec<(Partition, String)>,
    /// Commits so far.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
}

/// Starts it.
#[must_use]
pub fn spawn(deps: Deps) -> Running<ProjectorStatus> {
    Running::start(|status, stopping| {
        ProjectorTask { deps, status, stopping, first: 0, isolate: false, halted: BTreeMap::new() }.run()
    })
}

/// Why a round came to nothing.
#[derive(Debug, thiserror::Error)]
enum ProjectorRoundError {
    /// Rows could not be read now. Nothing was folded, so what is cached is still what the rows say.
    #[error(transparent)]
    Unread(StoreError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Moved(#[from] Moved),
    #[error("the fold panicked: {0}")]
    Panic(String),
}

impl From<HydrateError> for ProjectorRoundError {
    fn from(error: HydrateError) -> Self {
        match error {
            HydrateError::Store(error) => Self::Unread(error),
            HydrateError::Moved(moved) => Self::Moved(moved),
        }
    }
}

impl ProjectorRoundError {
    /// Whether the states that are cached may be ahead of the rows, or behind them.
    fn spoils_the_cache(&self) -> bool {
        match self {
            Self::Unread(error) => !error.is_retryable(),
            Self::Store(_) | Self::Moved(_) | Self::Panic(_) => true,
        }
    }
}

struct ProjectorTask {
    deps: Deps,
    status: watch::Sender<ProjectorStatus>,
    stopping: watch::Receiver<bool>,
    /// The partition that is read first in the next round: none waits for ever behind a busy one.
    first: u16,
    /// After damage or a panic: one partition in a round, so that the one that causes it is found and only that one halts.
    isolate: bool,
    /// What is halted for good.
    halted: BTreeMap<Partition, Halt>,
}

impl ProjectorTask {
    async fn run(mut self) {
        let Some(watermarks) = self.watermarks().await else { return };
        let mut projector = Projector::new(watermarks, self.deps.options.cache_bytes);
        let mut changes = self.deps.applied.changes();
        let (mut failures, mut gathered) = (0, false);
        loop {
            changes.borrow_and_update();
            let full = self.collect(&mut projector).await;
            self.tell_halted(&projector);
            let (records, _) = projector.pending();
            if records == 0 {
                self.isolate = false;
                if self.is_stopping() {
                    return;
                }
                // What could not be read may be readable later, also if nothing new comes.
                let unread = self.status.borrow().failing.is_some();
                tokio::select! {
                    _ = changes.changed() => {}
                    () = tokio::time::sleep(self.deps.options.retry_most), if unread => {}
                    _ = self.stopping.changed() => {}
                }
                self.pause(self.deps.options.gather).await;
                continue;
            }
            // What nobody waits for gathers twice: half as many commits.
            if !full && !gathered && !projector.is_awaited() && !self.is_stopping() {
                gathered = true;
                self.pause(self.deps.options.gather).await;
                continue;
            }
            gathered = false;
            let (back, error) = match self.round(projector).await {
                (Some(back), Ok(())) => (back, None),
                (back, done) => (back.unwrap_or_else(|| self.again(Vec::new())), done.err()),
            };
            projector = back;
            self.tell_halted(&projector);
            let Some(error) = error else {
                failures = 0;
                self.status.send_modify(|status| {
                    (status.commits, status.records) = (status.commits + 1, status.records + records as u64);
                    status.failing = None;
                });
                if !full && !self.is_stopping() {
                    self.pause(self.deps.options.gather).await;
                }
                continue;
            };
            tracing::warn!(%error, "rows were not written; trying again");
            self.status.send_modify(|status| status.failing = Some(error.to_string()));
            if self.is_stopping() {
                return;
            }
            self.back_off(&mut failures).await;
            if error.spoils_the_cache() {
                let Some(watermarks) = self.watermarks().await else { return };
                projector = self.again(watermarks);
            }
        }
    }

    /// A projector at these watermarks. Halted partitions stay halted.
    fn again(&self, watermarks: Vec<WatermarkRow>) -> Projector {
        let mut projector = Projector::new(watermarks, self.deps.options.cache_bytes);
        for (partition, why) in &self.halted {
            projector.halt(*partition, why.clone());
        }
        projector
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits after one more failure in a row.
    async fn back_off(&mut self, failures: &mut u32) {
        let Options { retry_first, retry_most, .. } = self.deps.options;
        self.pause(back_off(retry_first, *failures, retry_most)).await;
        *failures = failures.saturating_add(1);
    }

    /// Waits, but not beyond the stop.
    async fn pause(&mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            _ = self.stopping.wait_for(|stop| *stop) => {}
        }
    }

    /// The store's watermarks, as soon as it gives them; `None` when told to stop before.
    async fn watermarks(&mut self) -> Option<Vec<WatermarkRow>> {
        let mut failures = 0;
        loop {
            match self.deps.store.watermarks().await {
                Ok(rows) => {
                    for row in &rows {
                        self.deps.stored.raise(row.partition, row.next_offset);
                    }
                    return Some(rows);
                }
                Err(error) => {
                    tracing::warn!(%error, "the store does not give its watermarks");
                    self.status.send_modify(|status| status.failing = Some(error.to_string()));
                }
            }
            if self.is_stopping() {
                return None;
            }
            self.back_off(&mut failures).await;
        }
    }

    /// Reads what is applied and not projected yet, up to a batch. Says whether there is more.
    async fn collect(&mut self, projector: &mut Projector) -> bool {
        let Options { batch_records, batch_bytes, .. } = self.deps.options;
        for step in 0..PARTITIONS {
            let Some(partition) = Partition::new((self.first + step) % PARTITIONS) else { continue };
            while let Some(from) = projector.next_offset(partition) {
                let applied = self.deps.applied.get(partition);
                let (records, bytes) = projector.pending();
                if from >= applied {
                    break;
                }
                if records >= batch_records || bytes >= batch_bytes {
                    self.first = partition.get();
                    return true;
                }
                match self.deps.journal.read(partition, from, batch_bytes - bytes).await {
                    Ok(mut read) => {
                        read.retain(|record| record.offset < applied);
                        read.truncate(batch_records - records);
                        if read.is_empty() {
                            break;
                        }
                        projector.push(partition, read);
                    }
                    Err(ReadError::Journal(JournalError::Io(error))) => {
                        tracing::warn!(%partition, %error, "the journal does not give its records");
                        self.status.send_modify(|status| status.failing = Some(error));
                        break;
                    }
                    Err(error) => projector.halt(partition, Halt::Journal(error.to_string())),
                }
            }
            if self.isolate && projector.pending().0 > 0 {
                self.first = (partition.get() + 1) % PARTITIONS;
                return true;
            }
        }
        self.first = (self.first + 1) % PARTITIONS;
        false
    }

    /// Hydrates, folds and commits what is pending. Gives the projector back unless the fold panicked; that is an error,
    /// too.
    async fn round(&mut self, mut projector: Projector) -> (Option<Projector>, Result<(), ProjectorRoundError>) {
        if let Err(error) = hydrate(self.deps.store.as_ref(), &mut projector).await {
            return (Some(projector), Err(error.into()));
        }
        let partitions = projector.pending_partitions();
        // Some ten milliseconds of work for a full batch: not on a thread that serves sockets.
        let folded = tokio::task::spawn_blocking(move || {
            let commit = projector.fold();
            (projector, commit)
        });
        let (mut projector, commit) = match folded.await {
            Ok(folded) => folded,
            Err(panic) => {
                self.suspect(&partitions, Halt::Panic);
                return (None, Err(ProjectorRoundError::Panic(panic.to_string())));
            }
        };
        let Some(commit) = commit else { return (Some(projector), Ok(())) };
        let chains = chains_of(&commit);
        let told: BTreeSet<Partition> = commit.outbox.iter().map(|row| row.source).collect();
        if let Err(error) = self.deps.store.commit(commit).await {
            if let StoreError::Damaged(why) = &error {
                self.suspect(&partitions, Halt::Store(why.clone()));
            }
            return (Some(projector), Err(error.into()));
        }
        let moved = projector.committed();
        (self.deps.report)(chains);
        for row in moved {
            if told.contains(&row.partition) {
                self.deps.outbox.raise(row.partition, row.next_offset);
            }
            self.deps.stored.raise(row.partition, row.next_offset);
        }
        (Some(projector), Ok(()))
    }

    /// Something is wrong with one of these, and trying again does not help. If it is certain which one, that one halts.
    fn suspect(&mut self, partitions: &[Partition], why: Halt) {
        match partitions {
            [partition] => _ = self.halted.insert(*partition, why),
            _ => self.isolate = true,
        }
    }

    fn tell_halted(&mut self, projector: &Projector) {
        for (partition, why) in projector.halted() {
            self.halted.entry(partition).or_insert_with(|| why.clone());
        }
        let halted: Vec<_> = self.halted.iter().map(|(partition, why)| (*partition, why.to_string())).collect();
        self.status.send_if_modified(|status| {
            if status.halted == halted {
                return false;
            }
            for (partition, reason) in halted.iter().filter(|entry| !status.halted.contains(entry)) {
                tracing::error!(%partition, %reason, "this partition is not stored any further");
            }
            status.halted = halted;
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A busy moment of the readers must not cost the states of all busy rooms, which is what makes the next one busier.
    #[test]
    fn what_is_cached_outlives_rows_that_could_not_be_read() {
        let unavailable = || StoreError::Unavailable("no reader is free".to_owned());
        assert!(!ProjectorRoundError::Unread(unavailable()).spoils_the_cache());
        assert!(ProjectorRoundError::Store(unavailable()).spoils_the_cache(), "a commit may have been written");
        assert!(ProjectorRoundError::Unread(StoreError::Damaged("a row".to_owned())).spoils_the_cache());
    }
}
