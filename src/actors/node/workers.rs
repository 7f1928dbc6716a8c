//! The workers of a node as an actor of the tree: started with it, started again if one dies, stopped in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::RowsMadeBy;
use crate::actors::inspect::Part;
use crate::actors::partition::context::Context;
use crate::actors::partition::message::PartitionMessage;
use crate::actors::router::{PendingAnswer, Router};
use crate::actors::watermarks::Watermarks;
use crate::actors::wire::Answer;
use crate::actors::workers::persistence::worker as projector;
use crate::actors::workers::relay::{Append, expiry, owing, worker as relay};
use crate::actors::workers::{self, LOOK, marks};
use crate::ids::Partition;
use crate::limits;
use crate::storage::journal::AppendError;

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

/// What runs here: all of it, or what stands in for the processes that do it.
enum Deps {
    All(Box<AllDeps>),
    Apart { marks: marks::Deps, owing: owing::Deps },
}

struct AllDeps {
    projector: projector::Deps,
    relay: relay::Deps,
    expiry: expiry::Deps,
}

enum RunningWorkers {
    All {
        projector: workers::Running<projector::ProjectorStatus>,
        relay: workers::Running<relay::RelayStatus>,
        expiry: workers::Running<expiry::ExpiryStatus>,
    },
    Apart {
        marks: workers::Running<marks::MarksStatus>,
        owing: workers::Running<owing::OwingStatus>,
    },
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
        let (clocks, behind, journal) = (Arc::clone(&context), Arc::clone(&context), Arc::clone(&context.journal));
        let report: projector::Report = Arc::new(move |partition, to, chains| {
            router.cast(partition, PartitionMessage::Stored(to, chains));
        });
        let deps = match rows {
            RowsMadeBy::Node => Deps::All(Box::new(AllDeps {
                projector: projector::Deps {
                    journal: Arc::clone(&context.journal),
                    store: Arc::clone(&context.store),
                    applied: Arc::clone(&context.applied),
                    stored: Arc::clone(&context.stored),
                    outbox: Arc::clone(&outbox),
                    report,
                    options: projector::Options::default(),
                },
                relay: relay::Deps {
                    store: Arc::clone(&context.store),
                    meant: Arc::clone(&context.meant),
                    owned: Arc::clone(&context.owned),
                    append: Arc::clone(&append),
                    stored: Arc::clone(&context.stored),
                    outbox,
                    owed: Arc::clone(&context.owed),
                    retry: relay::RETRY,
                },
                expiry: expiry::Deps {
                    store: Arc::clone(&context.store),
                    now: Arc::new(move || journal.now(Partition::FIRST)),
                    owned: Arc::clone(&context.owned),
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
            })),
            RowsMadeBy::Worker => Deps::Apart {
                marks: marks::Deps {
                    store: Arc::clone(&context.store),
                    stored: Arc::clone(&context.stored),
                    outbox: Arc::clone(&outbox),
                    is_behind: Arc::new(move || behind.unstored().next().is_some()),
                    report,
                },
                owing: owing::Deps { store: Arc::clone(&context.store), outbox, owed: Arc::clone(&context.owed) },
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
        match self {
            Self::All(all) => RunningWorkers::All {
                projector: projector::spawn(all.projector.clone()),
                relay: relay::spawn(all.relay.clone()),
                expiry: expiry::spawn(all.expiry.clone()),
            },
            Self::Apart { marks, owing } => {
                RunningWorkers::Apart { marks: marks::spawn(marks.clone()), owing: owing::spawn(owing.clone()) }
            }
        }
    }
}

impl WorkersState {
    /// Says to operators that all of them run.
    fn started(&self) {
        let directory = &self.context.directory;
        let parts: &[Part] = match self.deps {
            Deps::All(_) => &[Part::Workers, Part::Projector, Part::Relay, Part::Expiry],
            Deps::Apart { .. } => &[Part::Workers, Part::Projector],
        };
        for part in parts {
            directory.part(*part).started(directory.now());
        }
    }

    async fn end(&mut self) {
        match self.running.take() {
            Some(RunningWorkers::All { projector, relay, expiry }) => {
                // The projector last: it stores what the others have still appended.
                expiry.end("expiry scanner").await;
                relay.end("relay").await;
                projector.end("projector").await;
            }
            Some(RunningWorkers::Apart { marks, owing }) => {
                owing.end("count of the outbox").await;
                marks.end("look at the rows").await;
            }
            None => {}
        }
    }

    fn look(&mut self) {
        let (metrics, directory) = (&self.context.metrics, &*self.context.directory);
        let now = directory.now();
        directory.part(Part::Workers).ticked(now);
        match (&mut self.running, &self.deps) {
            (Some(RunningWorkers::All { projector, relay, expiry }), Deps::All(all)) => {
                for (partition, reason) in &projector.status().borrow().halted {
                    self.context.halted.mark(*partition, reason);
                    self.context.health.down(format!("partition {partition} is not stored any further: {reason}"));
                }
                directory.part(Part::Projector).has_done(projector.status().borrow().records, now);
                directory.part(Part::Relay).has_done(relay.status().borrow().delivered, now);
                relay.status().borrow().measure(&self.context.applied, metrics);
                directory.part(Part::Expiry).has_done(expiry.status().borrow().scans, now);
                if projector.revive("projector", metrics, || projector::spawn(all.projector.clone())) {
                    directory.part(Part::Projector).started(now);
                }
                if relay.revive("relay", metrics, || relay::spawn(all.relay.clone())) {
                    directory.part(Part::Relay).started(now);
                }
                if expiry.revive("expiry scanner", metrics, || expiry::spawn(all.expiry.clone())) {
                    directory.part(Part::Expiry).started(now);
                }
            }
            (Some(RunningWorkers::Apart { marks, owing }), Deps::Apart { marks: looks, owing: counts }) => {
                let is_new = marks.revive("look at the rows", metrics, || marks::spawn(looks.clone()));
                if owing.revive("count of the outbox", metrics, || owing::spawn(counts.clone())) || is_new {
                    directory.part(Part::Projector).started(now);
                }
            }
            _ => {}
        }
    }
}
