//! The shell of the relay. One source partition after the other takes its next step; the steps of different sources go on
//! at the same time, so one that can't deliver holds up nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;

use super::Append;
use super::step::{self, Place, Step, Then, Told};
use crate::actors::marks::Marks;
use crate::actors::workers::Running;
use crate::ids::Partition;
use crate::limits;
use crate::storage::journal::AppendError;
use crate::storage::journal::record::RecordError;
use crate::storage::store::rows::OutboxRow;
use crate::storage::store::{Store, StoreError};

/// What the worker works with.
#[derive(Clone)]
pub struct Deps {
    /// Holds the outbox.
    pub store: Arc<dyn Store>,
    /// Appends to other partitions.
    pub append: Append,
    /// Changes whenever the projector has committed: there may be something in the outbox.
    pub stored: Arc<Marks>,
    /// How long to wait after a first failure (longer after each further one), and at most between two looks.
    pub retry: Duration,
}

/// Failures in a row after which the wait does not grow any more: 32 times the first.
const WAIT_DOUBLINGS: u32 = 5;

/// How the worker is, for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The last failure, until something succeeds again.
    pub failing: Option<String>,
    /// Records appended so far, repetitions included.
    pub delivered: u64,
}

/// Starts it.
#[must_use]
pub fn spawn(deps: Deps) -> Running<Status> {
    Running::start(|status, stopping| Shell { deps, status, stopping, told: Told::default() }.run())
}

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error("a row of the outbox: {0}")]
    Record(#[from] RecordError),
}

struct Shell {
    deps: Deps,
    status: watch::Sender<Status>,
    stopping: watch::Receiver<bool>,
    told: Told,
}

impl Shell {
    async fn run(mut self) {
        let mut changes = self.deps.stored.changes();
        let mut failures = 0;
        while !*self.stopping.borrow() {
            changes.borrow_and_update();
            match self.pass().await {
                // There may be more.
                Ok(true) => failures = 0,
                Ok(false) => {
                    failures = 0;
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = tokio::time::sleep(self.deps.retry) => {}
                        _ = self.stopping.changed() => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "the relay could not deliver; it tries again");
                    self.status.send_modify(|status| status.failing = Some(error.to_string()));
                    let wait = self.deps.retry * (1 << failures.min(WAIT_DOUBLINGS));
                    failures += 1;
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        _ = self.stopping.wait_for(|stop| *stop) => {}
                    }
                }
            }
        }
    }

    /// Goes once over the outbox. Says whether anything was delivered.
    async fn pass(&mut self) -> Result<bool, StepError> {
        let (mut from, mut any, mut failed) = (Some(Partition::FIRST), false, None);
        while let Some(start) = from {
            let rows = self.deps.store.relay_next(start, limits::RELAY_ROWS).await?;
            // A source whose rows did not all fit is taken as far as they did.
            let full = rows.len() == limits::RELAY_ROWS;
            let last = rows.last().map(|row| row.source);
            from = last.filter(|_| full).and_then(|last| Partition::new(last.get() + 1));
            let mut sources: BTreeMap<Partition, Vec<OutboxRow>> = BTreeMap::new();
            for row in rows {
                sources.entry(row.source).or_default().push(row);
            }
            let steps = join_all(sources.values().map(|rows| self.source(rows))).await;
            let mut done = Vec::new();
            for ((source, _), (reached, step)) in sources.iter().zip(steps) {
                any |= step.is_ok();
                for (target, place) in reached {
                    self.told.note(*source, target, place);
                }
                match step {
                    Ok(Some(Then::Done { source, offset, ord })) => done.push((source, offset, ord)),
                    Ok(Some(Then::Advance { source, offset, ord, after })) => {
                        self.deps.store.relay_advance(source, offset, ord, &after).await?;
                    }
                    Ok(None) => {}
                    Err(error) => failed = Some(error),
                }
            }
            if !done.is_empty() {
                self.deps.store.relay_done(&done).await?;
                done.iter().for_each(|(source, ..)| self.told.done(*source));
            }
        }
        match failed {
            Some(error) => Err(error),
            None => {
                self.status.send_if_modified(|status| status.failing.take().is_some());
                Ok(any)
            }
        }
    }

    /// The next step of one source: which targets were told up to where, and what then, if all were.
    async fn source(&self, rows: &[OutboxRow]) -> (Vec<(Partition, Place)>, Result<Option<Then>, StepError>) {
        let step = match self.step(rows).await {
            Ok(step) => step,
            Err(error) => return (Vec::new(), Err(error)),
        };
        let (Some(Step::Deliver { mut records, then }), Some(first)) = (step, rows.first()) else {
            return (Vec::new(), Ok(None));
        };
        self.told.rest(first.source, &mut records);
        let appends = records.into_iter().map(async |(partition, records)| {
            let last = records.last().map(|(place, _)| place.clone());
            let count = records.len() as u64;
            let batch = records.into_iter().map(|(_, record)| record).collect();
            (self.deps.append)(partition, batch).await.map(|()| (partition, last, count))
        });
        let (mut reached, mut failed) = (Vec::new(), None);
        for appended in join_all(appends).await {
            match appended {
                Ok((partition, last, count)) => {
                    reached.extend(last.map(|place| (partition, place)));
                    self.status.send_modify(|status| status.delivered += count);
                }
                Err(error) => failed = Some(error),
            }
        }
        (reached, failed.map_or(Ok(Some(then)), |error| Err(error.into())))
    }

    async fn step(&self, rows: &[OutboxRow]) -> Result<Option<Step>, StepError> {
        let Some(Step::Members { room, after }) = step::next(rows) else { return Ok(step::next(rows)) };
        let page = self.deps.store.members(room, after.as_ref(), limits::RELAY_MEMBERS).await?;
        Ok(Some(step::fan_out(&rows[0], &page, page.len() < limits::RELAY_MEMBERS)?))
    }
}
