//! The actor around a partition's pure core: turns messages into inputs, and carries out the core's actions over the
//! journal, the store and the residents. It decides nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tracing::{error, info, warn};

use super::budget::Budget;
use super::context::Context;
use super::core::{Action, Core, Deps};
use super::entity_actor::{Message, Resident, ResidentRef, Ties};
use super::follow::Following;
use super::hydrate;
use super::listeners::ListenerTable;
use super::message::{PartitionMessage, WantedAnew};
use crate::actors::fold;
use crate::actors::inspect::{ActorStats, State};
use crate::actors::router::owned::Owner;
use crate::actors::trace::Stage;
use crate::actors::wire::{Entity, ToGateway};
use crate::ids::Timestamp;
use crate::storage::store::rows::WatermarkRow;

/// Where a partition goes on.
pub struct Start {
    /// The partition, and since when it is owned.
    pub(crate) owner: Owner,
    /// The store's watermark.
    pub watermark: WatermarkRow,
    /// Shared by all partitions.
    pub context: Arc<Context>,
    /// Bytes of commands in this partition.
    pub(crate) budget: Arc<Budget>,
    /// Who listens to its streams.
    pub(crate) listeners: Arc<ListenerTable>,
}

/// The actor.
pub(crate) struct PartitionActor;

/// Its state.
pub(crate) struct PartitionState {
    ties: Ties,
    core: Core,
    stats: Arc<ActorStats>,
    residents: HashMap<Entity, ResidentRef>,
    names: HashMap<ActorId, Entity>,
    following: Following,
    actions: Vec<Action>,
}

impl Actor for PartitionActor {
    type Msg = PartitionMessage;
    type State = PartitionState;
    type Arguments = Start;

    async fn pre_start(
        &self,
        myself: ActorRef<PartitionMessage>,
        start: Start,
    ) -> Result<PartitionState, ActorProcessingErr> {
        let Start { owner, watermark, context, budget, listeners } = start;
        let (partition, from) = (owner.partition, watermark.next_offset);
        let core = Core::new(Deps {
            watermark,
            journal_end: context.journal.bounds(partition).end,
            listeners,
            memory: Arc::clone(&context.memory),
            resident: context.resident_share(),
            options: context.options.clone(),
        });
        let stats = context.directory.begin(partition);
        let following = Following::start(&*context.journal, partition, from, myself.clone());
        let mut state = PartitionState {
            stats,
            ties: Ties { context, owner, progress: core.progress().clone(), budget },
            core,
            residents: HashMap::new(),
            names: HashMap::new(),
            following,
            actions: Vec::new(),
        };
        state.core.begin(&mut state.actions);
        state.carry_out(&myself).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<PartitionMessage>,
        message: PartitionMessage,
        state: &mut PartitionState,
    ) -> Result<(), ActorProcessingErr> {
        let now = state.now();
        state.note(&message);
        let out = &mut state.actions;
        match message {
            PartitionMessage::Submit { origin, record, since } => state.core.submit(origin, record, since, now, out),
            PartitionMessage::Ask { entity, question } => state.core.ask(entity, question, now, out),
            PartitionMessage::Ephemeral { stream, event } => state.core.ephemeral(&stream, &event, out),
            PartitionMessage::Unlisten { entity, node, request } => state.core.unlisten(&entity, node, request),
            PartitionMessage::Appended(ticket, report) => state.core.appended(ticket, report, now, out),
            PartitionMessage::Told(told) => {
                if let Err(error) = &told {
                    warn!(partition = %state.ties.owner.partition, %error, "reading the journal failed");
                    state.ties.context.metrics.read_errors.inc();
                }
                state.core.heard(told, now, out);
            }
            PartitionMessage::Loaded(entity, Some(loaded)) => state.core.loaded(&entity, loaded, now, out),
            PartitionMessage::Loaded(entity, None) => state.core.load_failed(&entity, out),
            PartitionMessage::Rested(entity) => state.core.rested(&entity, out),
            PartitionMessage::Stored(to, chains) => state.core.stored(to, chains, now, out),
            PartitionMessage::Cover => {
                let Ties { context, .. } = &state.ties;
                let barrier = || fold::barrier(context.env.ids.next(), context.env.now());
                state.core.cover(now, barrier, out);
            }
            PartitionMessage::Tick => {
                let Ties { context, owner, .. } = &state.ties;
                let barrier = || fold::barrier(context.env.ids.next(), context.env.now());
                let (stored, resident) = (context.stored.get(owner.partition), context.resident_share());
                state.core.tick(now, stored, resident, barrier, out);
            }
            PartitionMessage::Passivate => {
                let stored = state.ties.context.stored.get(state.ties.owner.partition);
                state.core.let_go(now, stored, out);
            }
            PartitionMessage::LetGo(entity, answer) => {
                let stored = state.ties.context.stored.get(state.ties.owner.partition);
                let went = state.core.let_one_go(&entity, stored, out);
                // Who asked may have gone, too.
                let _ = answer.send(went);
            }
            PartitionMessage::Restart(None) => return Err(WantedAnew.into()),
            PartitionMessage::Restart(Some(entity)) => {
                if let Some(resident) = state.residents.get(&entity) {
                    resident.cast(Message::Restart)?;
                }
            }
            PartitionMessage::Residents(answer) => {
                let _ = answer.send(state.core.residents());
            }
            #[cfg(test)]
            PartitionMessage::Kill(entity) => {
                if let Some(resident) = state.residents.get(&entity) {
                    resident.cast(Message::Panic)?;
                }
            }
        }
        state.carry_out(&myself).await
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<PartitionMessage>,
        event: SupervisionEvent,
        state: &mut PartitionState,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(cell, last_state, _) => {
                // The state holds the list of listeners, too.
                drop(last_state);
                state.ended(cell.get_id());
            }
            SupervisionEvent::ActorFailed(cell, reason) => {
                // One that was let go may still die over what was left in its mailbox: that is nobody's loss.
                let entity = state.names.get(&cell.get_id()).cloned();
                let lives = |entity: &Entity| state.residents.get(entity).is_some_and(|r| r.get_id() == cell.get_id());
                if let Some(entity) = entity.filter(lives) {
                    state.died(&entity, &reason);
                }
                state.ended(cell.get_id());
            }
            _ => {}
        }
        state.carry_out(&myself).await
    }
}

impl PartitionState {
    /// For waiting: a clock that is set back must not keep unknown outcomes unanswered.
    fn now(&self) -> Timestamp {
        self.ties.context.env.steady()
    }

    /// Counts a message. What it tells itself was in nobody's way.
    fn note(&self, message: &PartitionMessage) {
        let now = self.ties.context.directory.now();
        match message {
            PartitionMessage::Appended(..)
            | PartitionMessage::Told(..)
            | PartitionMessage::Loaded(..)
            | PartitionMessage::Rested(..)
            | PartitionMessage::Cover => self.stats.worked(now),
            PartitionMessage::Tick => self.stats.ticked(now),
            _ => self.stats.handled(now),
        }
    }

    async fn carry_out(&mut self, myself: &ActorRef<PartitionMessage>) -> Result<(), ActorProcessingErr> {
        // Before what is handed out can be applied.
        self.ties.context.meant.raise(self.ties.owner.partition, self.core.meant());
        // Taken as a whole and put back, for its memory.
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            self.carry(myself, action).await?;
        }
        self.actions = actions;
        self.ties.context.directory.verified(self.ties.owner.partition, self.core.verified());
        if let Some(end) = self.core.end_of_barriers() {
            self.ties.context.barriers.raise(self.ties.owner.partition, end);
        }
        self.ties.context.clocks.saw(self.core.fold_time());
        Ok(())
    }

    async fn carry(&mut self, myself: &ActorRef<PartitionMessage>, action: Action) -> Result<(), ActorProcessingErr> {
        let Ties { context, owner, budget, .. } = &self.ties;
        let (owner, partition) = (*owner, owner.partition);
        match action {
            Action::Append { ticket } => {
                let records = self.core.place(ticket, context.journal.now(partition), self.now());
                let (myself, place) = (myself.clone(), Arc::clone(self.following.place()));
                context.enqueue(partition, records, move |report| {
                    if let Ok(report) = &report {
                        place.reported(report);
                    }
                    let _ = myself.cast(PartitionMessage::Appended(ticket, report));
                });
            }
            Action::Seek { from } => self.following.place().seek(from),
            Action::Follow { bytes } => self.following.go_on(bytes),
            Action::Load { entity, replay_to, listeners, share } => {
                let (context, myself, asked) = (Arc::clone(context), myself.clone(), Instant::now());
                tokio::spawn(async move {
                    let loaded = hydrate::load(&context, partition, &entity, listeners, replay_to, share).await;
                    let loaded = loaded
                        .inspect(|_| context.metrics.activation_seconds.record(asked.elapsed()))
                        .inspect_err(|error| warn!(%partition, %error, "a room or user can't be loaded now"));
                    let _ = myself.cast(PartitionMessage::Loaded(entity, loaded.ok()));
                });
            }
            Action::NoMemory => {
                context.metrics.memory_refused.inc();
                context.stored.want();
            }
            Action::WantRows => context.stored.want(),
            Action::Cover { ms: 0 } => myself.cast(PartitionMessage::Cover)?,
            Action::Cover { ms } => _ = myself.send_after(Duration::from_millis(ms), || PartitionMessage::Cover),
            Action::Rest { entity, ms } => {
                myself.send_after(Duration::from_millis(ms), move || PartitionMessage::Rested(entity));
            }
            Action::Spawn { entity, core, share } => {
                let stats = context.directory.enter(&entity);
                let arguments = (entity.clone(), *core, self.ties.clone(), stats.clone(), share);
                let (actor, _) = Actor::spawn_linked(None, Resident, arguments, myself.get_cell()).await?;
                self.names.insert(actor.get_id(), entity.clone());
                self.residents.insert(entity, ResidentRef { actor, stats });
            }
            Action::Deliver { entity, batch } => {
                context.trails.reached(Stage::Verified, &batch);
                self.tell(&entity, Message::Deliver(batch));
            }
            Action::Hand { entity, question } => self.tell(&entity, Message::Hand(question)),
            Action::Announce { entity } => self.tell(&entity, Message::Announce),
            Action::Send { to, frame } => (context.to_gateway)(owner, to, frame),
            Action::Applied { to } => context.applied.raise(partition, to),
            Action::Answer { origin, answer } => {
                budget.give(origin.weight);
                let frame = ToGateway::Answer { request: origin.request, answer };
                (context.to_gateway)(owner, origin.node, frame);
            }
            Action::Passivate { entity } => {
                if let Some(resident) = self.residents.remove(&entity) {
                    resident.drain()?;
                    context.directory.leave(&entity);
                }
            }
            Action::Restart { reason } => {
                // The supervisor begins a new one at the store's watermark.
                return Err(format!("partition {partition} has to begin anew: {reason}").into());
            }
            Action::Halt { reason } => {
                error!(%partition, %reason, "the partition is halted; an operator has to look");
                self.following.stop();
                for (entity, resident) in self.residents.drain() {
                    // One that has died meanwhile has nothing left to do.
                    let _ = resident.drain();
                    context.directory.leave(&entity);
                }
                context.halted.mark(partition, &reason);
                self.stats.becomes(State::Halted);
                context.health.down(format!("partition {partition} is halted: {reason}"));
            }
        }
        Ok(())
    }

    /// Tells a resident something. If it has just died, the supervision event is on its way to us, and brings all of it
    /// again.
    fn tell(&self, entity: &Entity, message: Message) {
        if self.residents.get(entity).is_some_and(|resident| resident.cast(message).is_err()) {
            tracing::debug!("a resident actor died before it could be told");
        }
    }

    /// A resident actor has ended, and all that it held is gone.
    fn ended(&mut self, actor: ActorId) {
        if let Some(entity) = self.names.remove(&actor) {
            self.core.ended(&entity);
        }
    }

    fn died(&mut self, entity: &Entity, reason: &ActorProcessingErr) {
        if let Some(resident) = self.residents.remove(entity) {
            resident.stats.becomes(State::Restarting);
        }
        if reason.is::<WantedAnew>() {
            info!(partition = %self.ties.owner.partition, "a resident actor is made anew: an operator wants it");
            self.core.remake(entity, &mut self.actions);
        } else {
            self.ties.context.metrics.actor_restarts.inc();
            warn!(partition = %self.ties.owner.partition, %reason, "a resident actor died and is made anew");
            self.core.died(entity, &mut self.actions);
        }
    }
}
