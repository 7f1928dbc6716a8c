//! The shell of the relay: reads the outbox, gives each target its batch, and removes what was told. It never waits for one
//! target while others are free, and it is never far ahead of the store: what it appends is the projector's work, and
//! everybody's facts go through that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::Instant;

use super::turns::{self, Turns};
use super::{Append, Owed};
use crate::actors::router::owned::Owned;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::Running;
use crate::ids::{Offset, Partition};
use crate::limits;
use crate::storage::journal::record::RecordError;
use crate::storage::journal::{AppendError, Journal};
use crate::storage::store::rows::{OutboxPlace, OutboxRow};
use crate::storage::store::{Store, StoreError};

/// What the worker works with.
#[derive(Clone)]
pub struct Deps {
    /// Holds the outbox.
    pub store: Arc<dyn Store>,
    /// Knows where the targets end.
    pub journal: Arc<dyn Journal>,
    /// The sources whose facts it tells.
    pub owned: Arc<Owned>,
    /// Appends to other partitions.
    pub append: Append,
    /// How far each partition is stored.
    pub stored: Arc<Watermarks>,
    /// Changes whenever the projector has committed rows of the outbox: how far their sources are stored.
    pub outbox: Arc<Watermarks>,
    /// Told whose facts wait.
    pub owed: Arc<Owed>,
    /// How long a target rests after a first failure (longer after each further one), and at most between two looks.
    pub retry: Duration,
}

/// How often the whole outbox is looked at: it may have rows that no projector of this process has told of.
const LOOK: Duration = Duration::from_secs(5);
/// How long the store may take for a batch before its target counts as one that takes nothing.
const STUCK: Duration = Duration::from_secs(2);
/// Pages of fan-outs in a round: each is a transaction, and others wait meanwhile.
const EXPANSIONS: usize = 16;
/// Rows that are removed at once, if there is something else to do.
const REMOVE: usize = 256;

/// How the worker is, for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayStatus {
    /// A failure that lasts: of the outbox, or of one of the targets.
    pub failing: Option<String>,
    /// Records appended so far, repetitions included.
    pub delivered: u64,
}

/// Starts it.
#[must_use]
pub fn spawn(deps: Deps) -> Running<RelayStatus> {
    Running::start(|status, stopping| {
        let now = Instant::now();
        let shell = RelayTask {
            deps,
            status,
            stopping,
            turns: Turns::default(),
            under_way: FuturesUnordered::new(),
            ahead: BTreeMap::new(),
            failing: BTreeMap::new(),
            told: Vec::new(),
            seen: Watermarks::new(),
            expanded: Partition::FIRST,
            started: now,
            looked: None,
            removed: now,
        };
        shell.run()
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
    result: Result<(), AppendError>,
}

/// What a target has that the store has not.
struct Ahead {
    end: Offset,
    records: usize,
    since: Instant,
}

struct RelayTask {
    deps: Deps,
    status: watch::Sender<RelayStatus>,
    stopping: watch::Receiver<bool>,
    turns: Turns,
    under_way: FuturesUnordered<BoxFuture<'static, Given>>,
    ahead: BTreeMap<Partition, Ahead>,
    /// Targets that took their last batch not, and why.
    failing: BTreeMap<Partition, String>,
    /// Told, and not removed yet.
    told: Vec<OutboxPlace>,
    /// How far the outbox of each source was looked at.
    seen: Watermarks,
    /// Whose fan-out got a page last.
    expanded: Partition,
    started: Instant,
    looked: Option<Instant>,
    removed: Instant,
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
            self.status.send_if_modified(|status| {
                let changed = status.failing != failing;
                status.failing = failing;
                changed
            });
            let given = tokio::select! {
                given = self.under_way.next(), if !self.under_way.is_empty() => given,
                _ = rows.changed(), if done.is_ok() => None,
                _ = stored.changed(), if !self.ahead.is_empty() => None,
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
        if let Err(error) = self.remove().await {
            tracing::warn!(%error, "rows that were told stay in the outbox; whoever is told again drops it");
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Removes what was told, reads what is new, and gives what is due.
    async fn round(&mut self) -> Result<(), RelayRoundError> {
        let late = self.removed.elapsed() >= self.deps.retry;
        if self.told.len() >= REMOVE || self.under_way.is_empty() || late {
            self.remove().await?;
        }
        self.look().await?;
        let fan_outs = self.turns.fan_outs();
        let from = fan_outs.iter().position(|row| row.source > self.expanded).unwrap_or(0);
        for fan_out in fan_outs[from..].iter().chain(&fan_outs[..from]).take(EXPANSIONS) {
            self.expanded = fan_out.source;
            self.expand(fan_out).await?;
        }
        for (from, limit) in self.turns.wanted() {
            let rows = self.deps.store.relay_next(from, limit).await?;
            let whole = rows.len() < limit || rows.last().is_some_and(|row| row.source != from.source);
            self.turns.load(from.source, rows, whole);
        }
        self.deps.owed.set(self.turns.owed());
        self.give();
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), RelayRoundError> {
        self.removed = Instant::now();
        if !self.told.is_empty() {
            self.deps.store.relay_done(&self.told).await?;
            self.turns.removed(&self.told);
            self.told.clear();
        }
        Ok(())
    }

    /// Notes which sources have new rows.
    async fn look(&mut self) -> Result<(), RelayRoundError> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            let mut from = Some(Partition::FIRST);
            while let Some(source) = from {
                let first = self.deps.store.relay_next(OutboxPlace::first_of(source), 1).await?;
                let Some(first) = first.first().map(OutboxRow::place) else { break };
                if self.deps.owned.has(first.source) {
                    self.turns.begins_at(first);
                }
                from = Partition::new(first.source.get() + 1);
            }
            self.looked = Some(Instant::now());
        }
        for source in self.deps.owned.iter() {
            let to = self.deps.outbox.get(source);
            if to > self.seen.get(source) {
                self.seen.raise(source, to);
                self.turns.has_news(source);
            }
        }
        Ok(())
    }

    /// Gives the next page of a fan-out's members rows of their own.
    async fn expand(&mut self, row: &OutboxRow) -> Result<(), RelayRoundError> {
        let Some(fan_out) = &row.fan_out else { return Ok(()) };
        let page = self.deps.store.members(fan_out.room, fan_out.after.as_ref(), limits::RELAY_MEMBERS).await?;
        let after = page.last().filter(|_| page.len() == limits::RELAY_MEMBERS).map(|last| last.user.clone());
        let rows = turns::expand(row, &page)?;
        self.deps.store.relay_expand(row.place(), rows, after.as_ref()).await?;
        self.turns.expanded(row.source, after);
        Ok(())
    }

    fn give(&mut self) {
        let now_ms = self.now_ms();
        let stored = &self.deps.stored;
        self.ahead.retain(|target, ahead| stored.get(*target) < ahead.end);
        let mut ahead_of_store = 0;
        for (target, ahead) in &self.ahead {
            if ahead.since.elapsed() < STUCK {
                ahead_of_store += ahead.records;
            } else {
                self.turns.rests(*target, now_ms, self.deps.retry);
            }
        }
        let most = limits::RELAY_AHEAD.saturating_sub(ahead_of_store);
        let ahead = &self.ahead;
        for (target, batch) in self.turns.next(now_ms, most, |target| !ahead.contains_key(&target)) {
            let (places, records): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let append = (self.deps.append)(target, records);
            // Counted from now on: many batches are under way at the same time.
            let count = Ahead { end: Offset(u64::MAX), records: places.len(), since: Instant::now() };
            self.ahead.insert(target, count);
            self.under_way.push(async move { Given { target, places, result: append.await } }.boxed());
        }
    }

    fn settle(&mut self, Given { target, places, result }: Given) {
        match result {
            Ok(()) => {
                self.turns.told(target, &places);
                if let Some(ahead) = self.ahead.get_mut(&target) {
                    (ahead.end, ahead.since) = (self.deps.journal.bounds(target).end, Instant::now());
                }
                self.failing.remove(&target);
                self.status.send_modify(|status| status.delivered += places.len() as u64);
                self.told.extend(places);
            }
            Err(error) => {
                tracing::warn!(%target, %error, "the relay could not deliver; it tries again");
                self.ahead.remove(&target);
                self.turns.failed(target, &places, self.now_ms(), self.deps.retry);
                self.failing.insert(target, format!("partition {target}: {error}"));
            }
        }
    }
}
