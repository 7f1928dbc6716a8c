//! The worker around the pure core of deciding: reads journal and rows, writes what was decided, and waits, as the rounds say.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::rounds::{NotifyRounds, NotifyStep};
pub(crate) use super::rounds::{NotifyStatus, Options};
use crate::actors::hints::acknowledgements::Acknowledgements;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::{Running, pause};
use crate::env::Env;
use crate::ids::{Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::Journal;
use crate::storage::notifications::devices::PushDevices;
use crate::storage::notifications::facts::NotificationFacts;
use crate::storage::notifications::outbox::{Decided, NotificationCursor, NotificationOutbox};
use crate::storage::store::rows::WatermarkRow;
use crate::storage::store::{Store, StoreError};

/// How far a device of a user's has acknowledged a room. A hint: it may be forgotten at any time, and then the user is
/// notified.
#[derive(Clone, Default)]
pub(crate) struct Acknowledged {
    /// As this process remembers it, if clients come to it.
    pub here: Option<Arc<Remembered>>,
    /// As other processes say.
    pub told: Option<Arc<Acknowledgements>>,
}

/// What a process remembers of its own clients.
pub(crate) type Remembered = dyn Fn(&UserId, RoomId) -> Option<Seq> + Send + Sync;

impl Acknowledged {
    /// How far each of these users has the room; those of whom nothing is known are left out.
    async fn of(&self, room: RoomId, users: &[UserId]) -> HashMap<UserId, Seq> {
        let mut known = match &self.told {
            Some(told) => told.of(room, users).await,
            None => HashMap::new(),
        };
        let here = |user: &UserId| self.here.as_ref().and_then(|here| here(user, room));
        for (user, seq) in users.iter().filter_map(|user| Some((user, here(user)?))) {
            let known = known.entry(user.clone()).or_default();
            *known = seq.max(*known);
        }
        known
    }
}

/// What the worker works with.
#[derive(Clone)]
pub(crate) struct Deps {
    /// Where records come from, and the time by which they are due.
    pub journal: Arc<dyn Journal>,
    /// Knows how far the rows are.
    pub store: Arc<dyn Store>,
    /// Cursors, and what is to be sent.
    pub outbox: NotificationOutbox,
    /// What is decided on.
    pub facts: NotificationFacts,
    /// Which devices can be pushed to.
    pub devices: PushDevices,
    /// How far each partition may be read: what is verified and stored.
    pub stored: Arc<Watermarks>,
    /// How far devices have acknowledged.
    pub acknowledged: Acknowledged,
    /// Told that there is something to send.
    pub sends: Arc<Notify>,
    /// The clock that never jumps.
    pub env: Env,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is decided by.
    pub options: Options,
}

/// Begins the partitions that were never begun where the journal ends now: what was said before anybody asked for notifications,
/// or before the database was lost, notifies nobody. To be called before anything is appended that is to notify.
///
/// # Errors
/// The store.
pub(crate) async fn begin(
    journal: &dyn Journal,
    store: &dyn Store,
    outbox: &NotificationOutbox,
) -> Result<(), StoreError> {
    let (known, rows) = (outbox.cursors().await?, store.watermarks().await?);
    let mut new = Vec::new();
    let mut trimmed = Decided::default();
    for partition in Partition::all() {
        let bounds = journal.bounds(partition);
        let at = |next: Offset| {
            // While the rows are behind nobody knows the latest fold time: then none is too late.
            let stored = rows.iter().find(|row| row.partition == partition && row.next_offset >= next);
            let latest = stored.map_or(Timestamp(i64::MAX as u64), |row| row.fold_time);
            NotificationCursor { partition, next, after: None, latest }
        };
        match known.iter().find(|at| at.partition == partition) {
            None => new.push(at(bounds.end)),
            // They were off for so long that the journal was trimmed meanwhile.
            Some(old) if old.next < bounds.start => trimmed.moves.push((old.clone(), at(bounds.start))),
            Some(_) => {}
        }
    }
    let later = new.iter().filter(|at| at.next > Offset::ZERO).count() + trimmed.moves.len();
    if later > 0 {
        tracing::info!(partitions = later, "what was sent before notifies nobody");
    }
    outbox.begin(new).await?;
    // Another worker that has moved them meanwhile has seen to it.
    outbox.decided(trimmed).await.map(drop)
}

/// Starts it.
#[must_use]
pub(crate) fn spawn(deps: Deps) -> Running<NotifyStatus> {
    Running::start(|status, stopping| NotifyTask { decider: Decider::new(deps), status, stopping }.run())
}

/// The core and what it works with; a test carries out one step after the other.
pub(super) struct Decider {
    pub deps: Deps,
    pub rounds: NotifyRounds,
}

impl Decider {
    pub(super) fn new(deps: Deps) -> Self {
        let rounds = NotifyRounds::new(deps.options.clone());
        Self { deps, rounds }
    }

    pub(super) fn step(&mut self) -> NotifyStep {
        let (stored, steady_ms) = (&self.deps.stored, self.deps.env.steady().0);
        self.rounds.step(|partition| stored.get(partition), steady_ms)
    }

    /// Carries out a step that reads or writes. Those that wait are the caller's.
    pub(super) async fn carry_out(&mut self, step: NotifyStep) {
        let Deps { journal, outbox, facts, .. } = &self.deps;
        match step {
            NotifyStep::Cursors => self.rounds.cursors(outbox.cursors().await),
            NotifyStep::Standing => self.rounds.standing(self.standing().await),
            NotifyStep::Read { partition, from } => {
                let read = journal.read(partition, from, limits::NOTIFY_READ_BYTES).await;
                self.rounds.read(partition, read, journal.now(partition), self.deps.env.steady().0);
            }
            NotifyStep::Find { room, since, until, ids } => {
                let found = facts.messages(room, since, until, &ids).await;
                self.rounds.found(found, journal.now(room.partition()));
            }
            NotifyStep::Members { room, sender, after, limit } => {
                let members = facts.members(room, sender.as_ref(), after.as_ref(), limit).await;
                let open = self.rounds.undecided(members.as_deref().unwrap_or_default());
                let acknowledged = self.deps.acknowledged.of(room, &open).await;
                let found = match members {
                    Ok(members) if self.rounds.has_push() => {
                        self.deps.devices.of(&open).await.map(|devices| (members, devices))
                    }
                    members => members.map(|members| (members, Vec::new())),
                };
                self.rounds.members(found, &acknowledged, self.deps.env.now());
            }
            NotifyStep::Decide(decided) => {
                let has_more = !decided.outgoing.is_empty();
                let written = outbox.decided(decided).await;
                self.rounds.decided(written);
                if has_more {
                    self.deps.sends.notify_one();
                }
            }
            NotifyStep::Rest(_) | NotifyStep::Retry(_) => {}
        }
    }

    async fn standing(&self) -> Result<(Vec<WatermarkRow>, u64), StoreError> {
        let waiting = self.deps.outbox.waiting(limits::NOTIFY_WAITING).await?;
        Ok((self.deps.store.watermarks().await?, waiting))
    }
}

struct NotifyTask {
    decider: Decider,
    status: watch::Sender<NotifyStatus>,
    stopping: watch::Receiver<bool>,
}

impl NotifyTask {
    async fn run(mut self) {
        let mut stored = self.decider.deps.stored.changes();
        while !*self.stopping.borrow() {
            stored.borrow_and_update();
            let step = self.decider.step();
            self.publish();
            match step {
                NotifyStep::Rest(most) => {
                    tokio::select! {
                        _ = stored.changed() => {}
                        () = tokio::time::sleep(most.unwrap_or_default()), if most.is_some() => {}
                        _ = self.stopping.wait_for(|stop| *stop) => {}
                    }
                    pause(Duration::from_millis(limits::NOTIFY_GATHER_MS), &mut self.stopping).await;
                }
                NotifyStep::Retry(time) => pause(time, &mut self.stopping).await,
                step => self.decider.carry_out(step).await,
            }
        }
    }

    fn publish(&self) {
        let now = self.decider.rounds.status();
        let metrics = &self.decider.deps.metrics;
        metrics.notification_lag_records.set(i64::try_from(now.lag.values().sum::<u64>()).unwrap_or(i64::MAX));
        metrics.worker_lag.set("notification", &now.lag);
        self.status.send_if_modified(|status| {
            for (partition, reason) in now.halted.iter().filter(|entry| !status.halted.contains(entry)) {
                tracing::error!(%partition, %reason, "nobody is notified of this partition any further");
            }
            if let Some(why) = now.failing.as_ref().filter(|why| status.failing.as_ref() != Some(*why)) {
                tracing::warn!(why, "notifications are not decided on; trying again");
            }
            let is_changed = status != now;
            status.clone_from(now);
            is_changed
        });
    }
}
