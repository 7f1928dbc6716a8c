//! How far the rows are, where another process makes them: the store is asked now and then, and at once when somebody waits.
//!
//! It stands in for the projector at a node that has none: raises the same marks, and tells the owners.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::persistence::worker::Report;
use super::{Running, back_off};
use crate::actors::watermarks::Watermarks;
use crate::ids::{Offset, Partition};
use crate::limits;
use crate::storage::store::{Store, StoreError};

/// Between two looks while somebody waits for rows.
const EAGER: Duration = Duration::from_millis(limits::MARKS_EAGER_MS);
/// Between two looks while the rows are behind.
const BEHIND: Duration = Duration::from_millis(limits::MARKS_BEHIND_MS);
/// Between two looks while they are not, and the longest wait of a store that is away.
const IDLE: Duration = Duration::from_secs(1);
/// So long somebody who asked may wait.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it works with.
#[derive(Clone)]
pub(crate) struct Deps {
    /// Has the rows.
    pub store: Arc<dyn Store>,
    /// How far each partition is stored. Raised behind [`Self::report`].
    pub stored: Arc<Watermarks>,
    /// As the projector's: how far each partition is stored whose facts for others may have been stored with it.
    pub outbox: Arc<Watermarks>,
    /// Whether rows are behind what was folded here.
    pub is_behind: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Told how far a partition is stored. Chains are compared when an entity is loaded.
    pub report: Report,
}

/// How it is, for health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MarksStatus {
    /// The last failure of the store, until it answers again.
    pub failing: Option<String>,
}

/// Starts it.
#[must_use]
pub(crate) fn spawn(deps: Deps) -> Running<MarksStatus> {
    Running::start(|status, stopping| run(deps, status, stopping))
}

async fn run(deps: Deps, status: watch::Sender<MarksStatus>, mut stopping: watch::Receiver<bool>) {
    let (mut failures, mut eager_until) = (0, Instant::now());
    while !*stopping.borrow() {
        let looked = look(&deps).await;
        if let Err(error) = &looked {
            tracing::warn!(%error, "how far the rows are is not known; trying again");
        }
        let failing = looked.as_ref().err().map(ToString::to_string);
        status.send_if_modified(|status| {
            let changed = status.failing != failing;
            status.failing = failing;
            changed
        });
        let is_behind = (deps.is_behind)();
        let wait = match looked {
            Err(_) => {
                failures += 1;
                back_off(EAGER, failures, IDLE)
            }
            Ok(()) if is_behind && Instant::now() < eager_until => EAGER,
            Ok(()) if is_behind => BEHIND,
            Ok(()) => IDLE,
        };
        failures = if looked.is_ok() { 0 } else { failures };
        let is_wanted = tokio::select! {
            () = deps.stored.wanted() => true,
            () = tokio::time::sleep(wait) => false,
            _ = stopping.wait_for(|stop| *stop) => false,
        };
        if is_wanted {
            eager_until = Instant::now() + PATIENCE;
            // Not more often than that, however many ask.
            tokio::time::sleep(EAGER.min(wait)).await;
        }
    }
}

async fn look(deps: &Deps) -> Result<(), StoreError> {
    for row in deps.store.watermarks().await? {
        let (partition, to): (Partition, Offset) = (row.partition, row.next_offset);
        let is_news = to > deps.stored.get(partition);
        if is_news {
            (deps.report)(partition, to, Vec::new());
        }
        // Of a partition that began anew it is known already how far it is stored, but not here.
        deps.outbox.raise(partition, to);
        if is_news {
            deps.stored.raise(partition, to);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::storage::store::Commit;
    use crate::storage::store::commit::WatermarkMove;
    use crate::storage::store::memory::MemoryStore;
    use crate::storage::store::rows::WatermarkRow;
    use crate::testing::within;

    fn moved(from: u64, to: u64) -> Commit {
        let row = WatermarkRow { next_offset: Offset(to), ..WatermarkRow::start(Partition::FIRST) };
        Commit { watermarks: vec![WatermarkMove { from: Offset(from), to: row }], ..Commit::default() }
    }

    #[tokio::test]
    async fn what_another_process_has_stored_is_heard_of_and_told_before_the_mark_is_raised() {
        let store = Arc::new(MemoryStore::new());
        let (stored, outbox, told) = (Arc::new(Watermarks::new()), Arc::new(Watermarks::new()), Arc::default());
        let (marks, tells): (_, Arc<Mutex<Vec<Offset>>>) = (Arc::clone(&stored), Arc::clone(&told));
        let report: Report = Arc::new(move |partition, to, chains| {
            assert!(marks.get(partition) < to && chains.is_empty());
            tells.lock().unwrap().push(to);
        });
        let deps = Deps {
            store: store.clone(),
            stored: Arc::clone(&stored),
            outbox: Arc::clone(&outbox),
            is_behind: Arc::new(|| true),
            report,
        };
        let running = spawn(deps);
        store.commit(moved(0, 3)).await.unwrap();
        within("it is heard of", stored.reach(Partition::FIRST, Offset(3))).await;
        store.set_down(true);
        let mut status = running.status();
        within("the store is away", status.wait_for(|status| status.failing.is_some())).await.unwrap();
        store.set_down(false);
        store.commit(moved(3, 5)).await.unwrap();
        within("it goes on", stored.reach(Partition::FIRST, Offset(5))).await;
        assert_eq!(
            (told.lock().unwrap().as_slice(), outbox.get(Partition::FIRST)),
            ([Offset(3), Offset(5)].as_slice(), Offset(5))
        );
        running.stop().await.unwrap();
    }
}
