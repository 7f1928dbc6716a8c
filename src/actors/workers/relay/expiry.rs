//! The worker around the expiry scanner's pure core: reads the rooms whose time is over, and appends what ends them, as the
//! rounds say. A room that nobody touches does not notice that its time is over. A send is refused by time even before; the
//! record makes it known to its members, and ends the scan for it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use super::Append;
use super::expiry_rounds::{ClockReading, ExpiryRounds, ExpiryStep, record};
use crate::actors::router::owned::Owned;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::Running;
use crate::env::Env;
use crate::ids::{Partition, RoomId, Timestamp, millis};
use crate::limits;
use crate::storage::journal::AppendError;
use crate::storage::store::Store;

/// What the scanner works with.
#[derive(Clone)]
pub(crate) struct Deps {
    /// Knows when rooms expire.
    pub store: Arc<dyn Store>,
    /// The journal's clock, by which they do.
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The partitions whose rooms it looks after.
    pub owned: Arc<Owned>,
    /// One past what the store is to have of each partition: see [`relay::Deps`](super::worker::Deps).
    pub meant: Arc<Watermarks>,
    /// How far each partition is stored.
    pub stored: Arc<Watermarks>,
    /// Appends to the rooms' partitions.
    pub append: Append,
    /// Makes ids.
    pub env: Env,
    /// Looks whether the clocks agree.
    pub may_expire: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Time between two scans.
    pub every: Duration,
}

/// How it is, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExpiryStatus {
    /// Scans so far.
    pub scans: u64,
}

/// Starts it.
#[must_use]
pub(crate) fn spawn(deps: Deps) -> Running<ExpiryStatus> {
    Running::start(|status, stopping| {
        let (rounds, under_way, started) =
            (ExpiryRounds::new(deps.every, Arc::clone(&deps.owned)), FuturesUnordered::new(), Instant::now());
        ExpiryTask { deps, status, stopping, rounds, under_way, started }.run()
    })
}

struct ExpiryTask {
    deps: Deps,
    status: watch::Sender<ExpiryStatus>,
    stopping: watch::Receiver<bool>,
    rounds: ExpiryRounds,
    under_way: FuturesUnordered<BoxFuture<'static, (Partition, Result<(), AppendError>)>>,
    started: Instant,
}

impl ExpiryTask {
    async fn run(mut self) {
        let mut stored = self.deps.stored.changes();
        while !*self.stopping.borrow() {
            stored.borrow_and_update();
            let clock = self.clock();
            let step = self.rounds.step(clock, |partition| self.deps.stored.get(partition));
            self.status.send_modify(|status| status.scans = self.rounds.scans());
            match step {
                ExpiryStep::Page { now, after } => {
                    match self.deps.store.expiring(now, after, limits::EXPIRY_PAGE).await {
                        Ok(over) => self.tell(&over, now),
                        Err(error) => {
                            tracing::warn!(%error, "the scan for expired rooms failed; the next one tries again");
                            self.rounds.unread(self.now_ms());
                        }
                    }
                }
                ExpiryStep::Wait(time) => {
                    let report = tokio::select! {
                        Some(report) = self.under_way.next() => Some(report),
                        _ = stored.changed(), if self.rounds.awaits_store() => None,
                        () = tokio::time::sleep(time) => None,
                        _ = self.stopping.wait_for(|stop| *stop) => None,
                    };
                    if let Some((partition, result)) = report {
                        self.settle(partition, result);
                    }
                }
            }
        }
        while let Some((partition, result)) = self.under_way.next().await {
            self.settle(partition, result);
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }

    fn clock(&self) -> ClockReading {
        let is_trusted = (self.deps.may_expire)();
        ClockReading { journal: (self.deps.now)(), is_trusted, steady_ms: self.now_ms() }
    }

    /// Appends the records of a page that are due, to all partitions at the same time.
    fn tell(&mut self, over: &[(RoomId, Timestamp)], now: Timestamp) {
        for (partition, rooms) in self.rounds.page(over, self.clock()) {
            let records = rooms.into_iter().map(|room| record(room, self.deps.env.ids.next(), now).record).collect();
            let append = (self.deps.append)(partition, records);
            // The rooms that were told are over when they are asked for again.
            self.under_way.push(async move { (partition, append.await.into_iter().collect()) }.boxed());
        }
    }

    fn settle(&mut self, partition: Partition, result: Result<(), AppendError>) {
        let now_ms = self.now_ms();
        match result {
            Ok(()) => self.rounds.appended(partition, self.deps.meant.get(partition), now_ms),
            Err(error) => {
                tracing::warn!(%partition, %error, "expired rooms could not be told; a later scan tries again");
                self.rounds.refused(partition, now_ms);
            }
        }
    }
}
