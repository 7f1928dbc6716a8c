//! The workers of a node as an actor of the tree: started with it, started again if one dies, stopped in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::task::JoinError;
use tracing::error;

use super::RowsMadeBy;
use crate::actors::inspect::{Directory, Part};
use crate::actors::partition::context::Context;
use crate::actors::partition::message::PartitionMessage;
use crate::actors::router::{PendingAnswer, Router};
use crate::actors::watermarks::Watermarks;
use crate::actors::wire::Answer;
use crate::actors::workers::persistence::worker as projector;
use crate::actors::workers::relay::{Append, expiry, worker as relay};
use crate::actors::workers::{self, marks};
use crate::ids::Partition;
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::AppendError;

/// How often the workers are looked after.
const LOOK: Duration = Duration::from_secs(1);
/// First wait of the relay after a failure.
const RELAY_RETRY: Duration = Duration::from_millis(100);

/// The actor.
pub(crate) struct Workers;

/// What it is told.
pub(crate) enum WorkersMessage {
    /// See whether all are alive.
    Look,
    /// End, and start again.
    Replace,
    /// Bring the store up to date and end; answered when that is done.
    Finish(RpcReplyPort<()>),
}

/// Its state.
pub(crate) struct WorkersState {
    context: Arc<Context>,
    deps: Deps,
    running: Option<RunningWorkers>,
}

struct Deps {
    rows: RowsDeps,
    relay: relay::Deps,
    expiry: expiry::Deps,
}

/// What makes rows, or says how far they are.
enum RowsDeps {
    Made(projector::Deps),
    Heard(marks::Deps),
}

enum RunningRows {
    Made(workers::Running<projector::ProjectorStatus>),
    Heard(workers::Running<marks::MarksStatus>),
}

struct RunningWorkers {
    rows: RunningRows,
    relay: workers::Running<relay::RelayStatus>,
    expiry: workers::Running<expiry::ExpiryStatus>,
}

impl Actor for Workers {
    type Msg = WorkersMessage;
    type State = WorkersState;
    type Arguments = (Arc<Context>, Arc<Router>, RowsMadeBy);

    async fn pre_start(
        &self,
        myself: ActorRef<WorkersMessage>,
        (context, router, rows): Self::Arguments,
    ) -> Result<WorkersState, ActorProcessingErr> {
        let (append, outbox) = (append_by(Arc::clone(&router)), Arc::new(Watermarks::new()));
        let (clocks, behind) = (Arc::clone(&context), Arc::clone(&context));
        let report: projector::Report = Arc::new(move |partition, to, chains| {
            router.cast(partition, PartitionMessage::Stored(to, chains));
        });
        let deps = Deps {
            rows: match rows {
                RowsMadeBy::Node => RowsDeps::Made(projector::Deps {
                    journal: Arc::clone(&context.journal),
                    store: Arc::clone(&context.store),
                    applied: Arc::clone(&context.applied),
                    stored: Arc::clone(&context.stored),
                    outbox: Arc::clone(&outbox),
                    report,
                    options: projector::Options::default(),
                }),
                RowsMadeBy::Worker => RowsDeps::Heard(marks::Deps {
                    store: Arc::clone(&context.store),
                    stored: Arc::clone(&context.stored),
                    outbox: Arc::clone(&outbox),
                    is_behind: Arc::new(move || behind.unstored().next().is_some()),
                    report,
                }),
            },
            relay: relay::Deps {
                store: Arc::clone(&context.store),
                meant: Arc::clone(&context.meant),
                owned: Arc::clone(&context.owned),
                append: Arc::clone(&append),
                stored: Arc::clone(&context.stored),
                outbox,
                owed: Arc::clone(&context.owed),
                retry: RELAY_RETRY,
            },
            expiry: expiry::Deps {
                store: Arc::clone(&context.store),
                journal: Arc::clone(&context.journal),
                meant: Arc::clone(&context.meant),
                stored: Arc::clone(&context.stored),
                append,
                env: context.env.clone(),
                may_expire: Arc::new(move || {
                    clocks.look_at_clocks();
                    clocks.clocks.may_expire(clocks.env.steady())
                }),
                every: Duration::from_millis(limits::EXPIRY_SCAN_MS),
            },
        };
        myself.send_interval(LOOK, || WorkersMessage::Look);
        let running = Some(deps.start());
        let state = WorkersState { context, deps, running };
        state.started();
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<WorkersMessage>,
        message: WorkersMessage,
        state: &mut WorkersState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            WorkersMessage::Look => state.look(),
            WorkersMessage::Replace => {
                if state.running.is_some() {
                    state.end().await;
                    state.running = Some(state.deps.start());
                    state.started();
                }
            }
            WorkersMessage::Finish(done) => {
                state.end().await;
                if done.send(()).is_err() {
                    tracing::debug!("nobody waited for the workers to end");
                }
            }
        }
        Ok(())
    }
}

fn note(worker: &'static str, ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(worker, %error, "a worker died while it was stopped; the next start goes on where it was");
    }
}

/// Workers append through the owners of the target partitions.
pub(super) fn append_by(router: Arc<Router>) -> Append {
    Arc::new(move |partition: Partition, records: Vec<Bytes>| {
        // In order: each takes its place before the next is looked at.
        let asked: Vec<_> = records.into_iter().map(|record| router.command(partition, record)).collect();
        async move {
            let answers = join_all(asked.into_iter().map(PendingAnswer::get)).await;
            let results = answers.into_iter().map(|answer| match answer {
                // What the fold made of it is not the worker's matter: the record is in.
                Answer::Accepted { .. } | Answer::Rejected(_) => Ok(()),
                Answer::Unavailable { .. } => Err(AppendError::Refused("the partition takes nothing now".to_owned())),
                Answer::Unknown => Err(AppendError::Unknown("no answer in time".to_owned())),
            });
            results.collect()
        }
        .boxed()
    })
}

impl Deps {
    fn start(&self) -> RunningWorkers {
        RunningWorkers {
            rows: self.rows.start(),
            relay: relay::spawn(self.relay.clone()),
            expiry: expiry::spawn(self.expiry.clone()),
        }
    }
}

impl RowsDeps {
    fn start(&self) -> RunningRows {
        match self {
            Self::Made(deps) => RunningRows::Made(projector::spawn(deps.clone())),
            Self::Heard(deps) => RunningRows::Heard(marks::spawn(deps.clone())),
        }
    }
}

impl RunningRows {
    async fn stop(self) -> Result<(), JoinError> {
        match self {
            Self::Made(projector) => projector.stop().await,
            Self::Heard(marks) => marks.stop().await,
        }
    }
}

/// Starts a worker again if it died.
fn revive<S>(
    part: Part,
    running: &mut workers::Running<S>,
    metrics: &Metrics,
    directory: &Directory,
    start: impl FnOnce() -> workers::Running<S>,
) {
    if running.is_finished() {
        error!(worker = ?part, "a worker died and is started again");
        metrics.actor_restarts.inc();
        *running = start();
        directory.part(part).started(directory.now());
    }
}

impl WorkersState {
    /// Says to operators that all of them run.
    fn started(&self) {
        let directory = &self.context.directory;
        for part in [Part::Workers, Part::Projector, Part::Relay, Part::Expiry] {
            directory.part(part).started(directory.now());
        }
    }

    async fn end(&mut self) {
        if let Some(RunningWorkers { rows, relay, expiry }) = self.running.take() {
            // The projector last: it stores what the others have still appended.
            note("expiry scanner", expiry.stop().await);
            note("relay", relay.stop().await);
            note("projector", rows.stop().await);
        }
    }

    fn look(&mut self) {
        let Some(running) = &mut self.running else { return };
        if let RunningRows::Made(projector) = &running.rows {
            for (partition, reason) in &projector.status().borrow().halted {
                self.context.halted.mark(*partition, reason);
                self.context.health.down(format!("partition {partition} is not stored any further: {reason}"));
            }
        }
        let (deps, metrics, directory) = (&self.deps, &self.context.metrics, &*self.context.directory);
        let now = directory.now();
        directory.part(Part::Workers).ticked(now);
        directory.part(Part::Relay).has_done(running.relay.status().borrow().delivered, now);
        directory.part(Part::Expiry).has_done(running.expiry.status().borrow().scans, now);
        match (&mut running.rows, &deps.rows) {
            (RunningRows::Made(projector), RowsDeps::Made(deps)) => {
                directory.part(Part::Projector).has_done(projector.status().borrow().records, now);
                revive(Part::Projector, projector, metrics, directory, || projector::spawn(deps.clone()));
            }
            (RunningRows::Heard(marks), RowsDeps::Heard(deps)) => {
                revive(Part::Projector, marks, metrics, directory, || marks::spawn(deps.clone()));
            }
            _ => {}
        }
        revive(Part::Relay, &mut running.relay, metrics, directory, || relay::spawn(deps.relay.clone()));
        revive(Part::Expiry, &mut running.expiry, metrics, directory, || expiry::spawn(deps.expiry.clone()));
    }
}
