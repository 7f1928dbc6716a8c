//! The root of the tree: starts the partitions, starts one again that died, and ticks them all.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tracing::{error, info};

use super::workers::{Workers, WorkersMessage};
use super::{MoveError, RowsMadeBy, StartError};
use crate::actors::inspect::{Part, State};
use crate::actors::partition::actor::{PartitionActor, Start};
use crate::actors::partition::context::Context;
use crate::actors::partition::message::{PartitionMessage, WantedAnew};
use crate::actors::router::Router;
use crate::actors::router::owned::{Owner, OwnerEpoch};
use crate::ids::Partition;
use crate::limits;
use crate::storage::store::rows::WatermarkRow;

/// The running tree.
pub(crate) struct Tree {
    root: ActorRef<RootMessage>,
}

/// How long the workers may take to end.
const WORKERS_GRACE: Duration = Duration::from_secs(30);

/// What the root is told.
pub(crate) enum RootMessage {
    /// Once a second.
    Tick,
    /// Start this owner again, if its partition has not gone since.
    Restart(Owner),
    /// Start this owner, whose partition came here; answered when its actor runs.
    Begin(Owner, RpcReplyPort<()>),
    /// End this partition, which goes to another node; answered when its actor has ended.
    End(Partition, RpcReplyPort<()>),
    /// Start the workers again.
    RestartWorkers,
    /// End the workers, and start them again when they have ended.
    ReplaceWorkers,
    /// Let the workers end; answered when they have.
    Finish(RpcReplyPort<()>),
}

struct Root;

struct RootArguments {
    context: Arc<Context>,
    router: Arc<Router>,
    rows: RowsMadeBy,
    watermarks: Vec<WatermarkRow>,
}

struct RootState {
    context: Arc<Context>,
    router: Arc<Router>,
    rows: RowsMadeBy,
    names: HashMap<ActorId, Owner>,
    /// Who waits for owners that begin.
    begun: Vec<(Owner, RpcReplyPort<()>)>,
    workers: Option<ActorRef<WorkersMessage>>,
}

impl Tree {
    /// Starts the root and one actor for each partition.
    pub(crate) async fn start(
        context: Arc<Context>,
        router: Arc<Router>,
        rows: RowsMadeBy,
        watermarks: Vec<WatermarkRow>,
    ) -> Result<Self, StartError> {
        let arguments = RootArguments { context, router, rows, watermarks };
        let (root, _) =
            Actor::spawn(None, Root, arguments).await.map_err(|error| StartError::Actor(error.to_string()))?;
        root.send_interval(Duration::from_millis(limits::HEAD_ANNOUNCE_MS), || RootMessage::Tick);
        Ok(Self { root })
    }

    /// Starts the actor of a partition that came here. Returns when it runs.
    pub(crate) async fn begin(&self, owner: Owner) -> Result<(), MoveError> {
        match self.root.call(|done| RootMessage::Begin(owner, done), None).await {
            Ok(CallResult::Success(())) => Ok(()),
            _ => Err(MoveError::Down),
        }
    }

    /// Ends the actor of a partition that goes, its rooms and users, and the list of its listeners.
    pub(crate) async fn end(&self, partition: Partition) -> Result<(), MoveError> {
        match self.root.call(|done| RootMessage::End(partition, done), None).await {
            Ok(CallResult::Success(())) => Ok(()),
            _ => Err(MoveError::Down),
        }
    }

    /// Has the workers made anew, in order: what they were doing is finished or done again.
    pub(crate) fn restart_workers(&self) {
        if self.root.cast(RootMessage::ReplaceWorkers).is_err() {
            tracing::debug!("the tree is down: there are no workers");
        }
    }

    /// Ends the workers and stops everything below the root.
    pub(crate) async fn stop(&self) {
        if let Err(error) = self.root.call(RootMessage::Finish, Some(WORKERS_GRACE)).await {
            tracing::warn!(%error, "the workers did not end in time");
        }
        if let Err(error) = self.root.stop_and_wait(None, None).await {
            tracing::debug!(%error, "the tree was down already");
        }
    }
}

impl Actor for Root {
    type Msg = RootMessage;
    type State = RootState;
    type Arguments = RootArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<RootMessage>,
        arguments: RootArguments,
    ) -> Result<RootState, ActorProcessingErr> {
        let RootArguments { context, router, rows, watermarks } = arguments;
        context.directory.part(Part::Root).started(context.directory.now());
        let mut state = RootState { context, router, rows, names: HashMap::new(), begun: Vec::new(), workers: None };
        for row in watermarks {
            if let Some(epoch) = state.router.owned().tenure(row.partition).epoch() {
                state.start(&myself, epoch, row).await?;
            }
        }
        state.start_workers(&myself).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMessage>,
        message: RootMessage,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMessage::Tick => {
                state.context.metrics.upkeep();
                state.context.directory.beat();
                state.router.tick();
                state.context.directory.part(Part::Root).ticked(state.context.directory.now());
                for partition in state.router.owned().iter() {
                    state.router.cast(partition, PartitionMessage::Tick);
                }
            }
            RootMessage::RestartWorkers => state.start_workers(&myself).await?,
            RootMessage::ReplaceWorkers => {
                if let Some(workers) = &state.workers {
                    workers.cast(WorkersMessage::Replace)?;
                }
            }
            RootMessage::Finish(done) => match &state.workers {
                Some(workers) => workers.cast(WorkersMessage::Finish(done))?,
                None => drop(done),
            },
            // It went while it was down, or has come back since and was begun then.
            RootMessage::Restart(Owner { partition, epoch })
                if state.router.owned().tenure(partition).epoch() != Some(epoch) => {}
            RootMessage::Begin(owner, done) => {
                state.begun.push((owner, done));
                myself.cast(RootMessage::Restart(owner))?;
            }
            RootMessage::End(partition, done) => {
                state.end(partition).await;
                if done.send(()).is_err() {
                    tracing::debug!("nobody waited for a partition to end");
                }
            }
            RootMessage::Restart(owner @ Owner { partition, epoch }) => {
                let watermarks = state.context.store.watermarks().await;
                match watermarks.map(|rows| rows.into_iter().find(|row| row.partition == partition)) {
                    Ok(Some(row)) => state.start(&myself, epoch, row).await?,
                    Ok(None) => state.start(&myself, epoch, WatermarkRow::start(partition)).await?,
                    Err(error) => {
                        error!(%partition, %error, "the partition can't be started again yet");
                        myself.send_after(Duration::from_secs(1), move || RootMessage::Restart(owner));
                    }
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<RootMessage>,
        event: SupervisionEvent,
        state: &mut RootState,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisionEvent::ActorFailed(cell, reason) = event else { return Ok(()) };
        let wanted = reason.is::<WantedAnew>();
        if !wanted {
            state.context.metrics.actor_restarts.inc();
        }
        match state.names.remove(&cell.get_id()) {
            Some(owner) => {
                let partition = owner.partition;
                match wanted {
                    true => info!(%partition, "a partition is started again: an operator wants it"),
                    false => error!(%partition, %reason, "a partition died and is started again"),
                }
                state.context.directory.partition(partition).becomes(State::Restarting);
                myself.cast(RootMessage::Restart(owner))?;
            }
            None => {
                error!(%reason, "the workers died and are started again");
                state.context.directory.part(Part::Workers).becomes(State::Restarting);
                myself.cast(RootMessage::RestartWorkers)?;
            }
        }
        Ok(())
    }
}

impl RootState {
    async fn start_workers(&mut self, myself: &ActorRef<RootMessage>) -> Result<(), ActorProcessingErr> {
        let arguments = (Arc::clone(&self.context), Arc::clone(&self.router), self.rows);
        let (workers, _) = Actor::spawn_linked(None, Workers, arguments, myself.get_cell()).await?;
        self.workers = Some(workers);
        Ok(())
    }

    async fn start(
        &mut self,
        myself: &ActorRef<RootMessage>,
        epoch: OwnerEpoch,
        row: WatermarkRow,
    ) -> Result<(), ActorProcessingErr> {
        let partition = row.partition;
        let owner = Owner { partition, epoch };
        let budget = Arc::clone(self.router.budget(partition));
        budget.reset();
        // In this order: whoever sees that less is applied sees whether less is stored, too.
        self.context.stored.begin(partition, row.next_offset);
        self.context.applied.begin(partition, row.next_offset);
        self.context.meant.begin(partition, row.next_offset);
        let start = Start {
            owner,
            watermark: row,
            context: Arc::clone(&self.context),
            budget,
            listeners: Arc::clone(self.router.listeners(partition)),
        };
        let (actor, _) = Actor::spawn_linked(None, PartitionActor, start, myself.get_cell()).await?;
        self.names.insert(actor.get_id(), owner);
        self.router.set(owner, actor);
        for (_, done) in self.begun.extract_if(.., |(begun, _)| *begun == owner) {
            // Whoever waited may have gone.
            let _ = done.send(());
        }
        Ok(())
    }

    /// Ends a partition's actor. It does not count as failed, so it is not started again.
    async fn end(&mut self, partition: Partition) {
        if let Some(actor) = self.router.clear(partition) {
            self.names.remove(&actor.get_id());
            if let Err(error) = actor.stop_and_wait(None, None).await {
                tracing::debug!(%partition, %error, "the partition was down already");
            }
        }
        // Nobody is in it any more, and nobody listens.
        let _ = self.context.directory.begin(partition);
        self.router.listeners(partition).clear();
    }
}
