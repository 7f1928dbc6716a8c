//! The worker around the relay's pure core: reads the outbox, appends each target's batch, and removes what was told, as the
//! rounds say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use super::rounds::{Options, RelayRounds, RelayStep};
use super::{Append, Owed};
use crate::actors::router::owned::Owned;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::Running;
use crate::ids::{Offset, Partition, millis};
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::AppendError;
use crate::storage::journal::record::RecordError;
use crate::storage::store::rows::{OutboxPlace, OutboxRow};
use crate::storage::store::{Store, StoreError};

/// First wait after a failure.
pub(crate) const RETRY: Duration = Duration::from_millis(100);

/// What the worker works with.
#[derive(Clone)]
pub struct Deps {
    /// Holds the outbox.
    pub store: Arc<dyn Store>,
    /// One past what the store is to have of each target. Barriers behind it may never be stored: whoever makes rows in a process
    /// of his own does not see that they are verified.
    pub(crate) meant: Arc<Watermarks>,
    /// The sources whose facts it tells.
    pub(crate) owned: Arc<Owned>,
    /// Appends to other partitions.
    pub(crate) append: Append,
    /// How far each partition is stored.
    pub(crate) stored: Arc<Watermarks>,
    /// Changes whenever the projector has committed rows of the outbox: how far their sources are stored.
    pub(crate) outbox: Arc<Watermarks>,
    /// Told whose facts wait.
    pub(crate) owed: Arc<Owed>,
    /// How long a target rests after a first failure (longer after each further one), and at most between two looks.
    pub retry: Duration,
}

/// How the worker is, for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RelayStatus {
    /// A failure that lasts: of the outbox, or of one of the targets.
    pub failing: Option<String>,
    /// Records appended so far, repetitions included.
    pub delivered: u64,
    /// The first record of each source of which somebody is not told, if there is one.
    pub untold: BTreeMap<Partition, Offset>,
}

impl RelayStatus {
    /// How many records of each source lie behind the first of which somebody is not told. `ends`: where the sources end.
    pub(crate) fn lag(&self, ends: &Watermarks) -> BTreeMap<Partition, u64> {
        let behind =
            |(source, first): (&Partition, &Offset)| (*source, ends.get(*source).0.saturating_sub(first.0).max(1));
        self.untold.iter().map(behind).collect()
    }

    /// Brings the gauges up to date.
    pub(crate) fn measure(&self, ends: &Watermarks, metrics: &Metrics) {
        let lag = self.lag(ends);
        metrics.relay_lag_records.set(i64::try_from(lag.values().sum::<u64>()).unwrap_or(i64::MAX));
        metrics.worker_lag.set("realtime", &lag);
    }
}

/// Starts it.
#[must_use]
pub(crate) fn spawn(deps: Deps) -> Running<RelayStatus> {
    Running::start(|status, stopping| {
        let options = Options { retry: deps.retry, members: limits::RELAY_MEMBERS };
        let (rounds, under_way) = (RelayRounds::new(options, Arc::clone(&deps.owned)), FuturesUnordered::new());
        let (failing, started) = (BTreeMap::new(), Instant::now());
        RelayTask { deps, status, stopping, rounds, under_way, failing, started }.run()
    })
}

/// Why the outbox could not be worked on.
#[derive(Debug, thiserror::Error)]
enum RelayRoundError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a row of the outbox: {0}")]
    Record(#[from] RecordError),
}

/// A batch that was given to its target.
struct Given {
    target: Partition,
    places: Vec<OutboxPlace>,
    results: Vec<Result<(), AppendError>>,
}

struct RelayTask {
    deps: Deps,
    status: watch::Sender<RelayStatus>,
    stopping: watch::Receiver<bool>,
    rounds: RelayRounds,
    under_way: FuturesUnordered<BoxFuture<'static, Given>>,
    /// Targets that did not take their last batch, and why.
    failing: BTreeMap<Partition, String>,
    started: Instant,
}

impl RelayTask {
    async fn run(mut self) {
        let (mut rows, mut stored) = (self.deps.outbox.changes(), self.deps.stored.changes());
        while !*self.stopping.borrow() {
            rows.borrow_and_update();
            stored.borrow_and_update();
            let done = self.round().await;
            if let Err(error) = &done {
                tracing::warn!(%error, "the outbox could not be worked on; trying again");
            }
            let failing = done.as_ref().err().map(ToString::to_string).or(self.failing.values().next().cloned());
            let untold = self.rounds.untold();
            self.status.send_if_modified(|status| {
                let changed = status.failing != failing || status.untold != untold;
                (status.failing, status.untold) = (failing, untold);
                changed
            });
            let given = tokio::select! {
                given = self.under_way.next(), if !self.under_way.is_empty() => given,
                _ = rows.changed(), if done.is_ok() => None,
                _ = stored.changed(), if self.rounds.is_ahead() => None,
                () = tokio::time::sleep(self.deps.retry) => None,
                _ = self.stopping.wait_for(|stop| *stop) => None,
            };
            given.into_iter().for_each(|given| self.settle(given));
            while let Some(Some(given)) = self.under_way.next().now_or_never() {
                self.settle(given);
            }
        }
        while let Some(given) = self.under_way.next().await {
            self.settle(given);
        }
        let told = self.rounds.told();
        if !told.is_empty()
            && let Err(error) = self.deps.store.relay_done(told).await
        {
            tracing::warn!(%error, "rows that were told stay in the outbox; whoever is told again drops it");
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }

    async fn round(&mut self) -> Result<(), RelayRoundError> {
        let Deps { store, outbox, .. } = &self.deps;
        self.rounds.begin(outbox);
        while let Some(step) = self.rounds.step(millis(self.started.elapsed())) {
            match step {
                RelayStep::Remove(told) => {
                    store.relay_done(&told).await?;
                    self.rounds.removed();
                }
                RelayStep::First(source) => {
                    let first = store.relay_next(OutboxPlace::first_of(source), 1).await?;
                    self.rounds.first(first.first().map(OutboxRow::place));
                }
                RelayStep::Members(row) => {
                    let Some(fan_out) = &row.fan_out else { continue };
                    let page = store.members(fan_out.room, fan_out.after.as_ref(), limits::RELAY_MEMBERS).await?;
                    let page = self.rounds.expand(&row, &page)?;
                    let after = page.after.clone();
                    let is_given = store.relay_expand(page).await?;
                    self.rounds.expanded(row.source, after.filter(|_| is_given));
                }
                RelayStep::Rows { from, limit } => {
                    let rows = store.relay_next(from, limit).await?;
                    self.rounds.rows(from, limit, rows);
                }
            }
        }
        self.deps.owed.set(self.rounds.owed());
        let (now_ms, stored) = (self.now_ms(), &self.deps.stored);
        for (target, batch) in self.rounds.give(now_ms, |target| stored.get(target)) {
            let (places, records): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let append = (self.deps.append)(target, records);
            self.under_way.push(async move { Given { target, places, results: append.await } }.boxed());
        }
        Ok(())
    }

    fn settle(&mut self, Given { target, places, results }: Given) {
        let (mut told, mut failed, mut why) = (Vec::new(), Vec::new(), None);
        for (place, result) in places.into_iter().zip(results) {
            match result {
                Ok(()) => told.push(place),
                Err(error) => {
                    failed.push(place);
                    why.get_or_insert(error);
                }
            }
        }
        match why {
            None => _ = self.failing.remove(&target),
            Some(error) => {
                tracing::warn!(%target, %error, failed = failed.len(), "the relay could not deliver; it tries again");
                self.failing.insert(target, format!("partition {target}: {error}"));
            }
        }
        self.status.send_modify(|status| status.delivered += told.len() as u64);
        let (end, now_ms) = (self.deps.meant.get(target), self.now_ms());
        self.rounds.settle(target, told, &failed, end, now_ms);
    }
}
