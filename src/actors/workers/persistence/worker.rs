//! The worker around the projector's pure core: reads journal and rows, commits, and waits, as the rounds say.

use std::sync::Arc;

use tokio::sync::watch;

use super::hydrate::hydrate;
use super::projector::{Chains, Projector, chains_of};
pub use super::rounds::Options;
pub(crate) use super::rounds::ProjectorStatus;
use super::rounds::{ProjectorRounds, ProjectorStep, StoredTo};
use crate::actors::digest::Chain;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::{Running, pause};
use crate::ids::{Offset, Partition};
use crate::storage::journal::Journal;
use crate::storage::store::{Store, StoreError};

/// Hears how far a partition is stored, and the chains of its entities that were written.
pub(crate) type Report = Arc<dyn Fn(Partition, Offset, Vec<(Offset, Chain)>) + Send + Sync>;

/// What the worker works with.
#[derive(Clone)]
pub struct Deps {
    /// Where records come from.
    pub journal: Arc<dyn Journal>,
    /// Where rows go.
    pub store: Arc<dyn Store>,
    /// How far each partition may be read: what its owner has verified and applied.
    pub(crate) applied: Arc<Watermarks>,
    /// How far each partition is stored: raised after each commit. Never falls, also if the store falls back: it is then
    /// behind for a while, and the journal brings it up again.
    pub(crate) stored: Arc<Watermarks>,
    /// How far each partition is stored whose facts for others were stored with it: the relay has something to do.
    pub(crate) outbox: Arc<Watermarks>,
    /// Told how far a commit has stored a partition, and the chains of its entities that it wrote, before [`Self::stored`] is
    /// raised: the owners compare them (I10), and may let go what is stored.
    pub(crate) report: Report,
    /// Bounds.
    pub options: Options,
}

/// Starts it.
#[must_use]
pub(crate) fn spawn(deps: Deps) -> Running<ProjectorStatus> {
    Running::start(|status, stopping| {
        let rounds = ProjectorRounds::new(deps.options);
        ProjectorTask { deps, status, stopping, rounds }.run()
    })
}

struct ProjectorTask {
    deps: Deps,
    status: watch::Sender<ProjectorStatus>,
    stopping: watch::Receiver<bool>,
    rounds: ProjectorRounds,
}

impl ProjectorTask {
    async fn run(mut self) {
        let applied = Arc::clone(&self.deps.applied);
        let mut changes = applied.changes();
        loop {
            if self.rounds.begins() {
                changes.borrow_and_update();
            }
            let stored = &self.deps.stored;
            let step = self.rounds.step(|partition| applied.get(partition), |partition| stored.get(partition));
            self.publish();
            match step {
                ProjectorStep::Watermarks => {
                    let rows = self.deps.store.watermarks().await;
                    for row in rows.iter().flatten() {
                        self.deps.stored.raise(row.partition, row.next_offset);
                    }
                    self.rounds.watermarks(rows);
                }
                ProjectorStep::Read { partition, from, bytes } => {
                    let applied = applied.get(partition);
                    let read = self.deps.journal.read(partition, from, bytes).await;
                    if let Err(error) = &read {
                        tracing::warn!(%partition, %error, "the journal does not give its records");
                    }
                    self.rounds.read(partition, applied, read);
                }
                ProjectorStep::Hydrate(missing) => hydrate(&*self.deps.store, missing, &mut self.rounds).await,
                ProjectorStep::Fold(projector) => self.fold(projector).await,
                ProjectorStep::Commit(commit) => {
                    let chains = chains_of(&commit);
                    let committed = self.deps.store.commit(*commit).await;
                    self.stored(chains, committed);
                }
                ProjectorStep::Gather(time) => pause(time, &mut self.stopping).await,
                ProjectorStep::Linger(time) => {
                    let stored = Arc::clone(&self.deps.stored);
                    tokio::select! {
                        () = stored.wanted() => {}
                        () = pause(time, &mut self.stopping) => {}
                    }
                }
                ProjectorStep::Idle(_) | ProjectorStep::Retry(_) if *self.stopping.borrow() => return,
                ProjectorStep::Retry(time) => pause(time, &mut self.stopping).await,
                ProjectorStep::Idle(most) => tokio::select! {
                    _ = changes.changed() => {}
                    () = tokio::time::sleep(most.unwrap_or_default()), if most.is_some() => {}
                    _ = self.stopping.changed() => {}
                },
            }
        }
    }

    /// Not on a thread that serves sockets.
    async fn fold(&mut self, mut projector: Box<Projector>) {
        let folding = tokio::task::spawn_blocking(move || {
            let commit = projector.fold();
            (projector, commit)
        });
        self.rounds.folded(folding.await.map_err(|panic| panic.to_string()));
    }

    fn stored(&mut self, mut chains: Chains, committed: Result<(), StoreError>) {
        let moved = self.rounds.committed(committed);
        for StoredTo { row, has_facts } in moved {
            let chains = chains.remove(&row.partition).unwrap_or_default();
            (self.deps.report)(row.partition, row.next_offset, chains);
            if has_facts {
                self.deps.outbox.raise(row.partition, row.next_offset);
            }
            self.deps.stored.raise(row.partition, row.next_offset);
        }
    }

    fn publish(&self) {
        let now = self.rounds.status();
        self.status.send_if_modified(|status| {
            for (partition, reason) in now.halted.iter().filter(|entry| !status.halted.contains(entry)) {
                tracing::error!(%partition, %reason, "this partition is not stored any further");
            }
            let is_changed = status != now;
            status.clone_from(now);
            is_changed
        });
    }
}
