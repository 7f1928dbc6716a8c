//! The actor around a partition's pure core: carries out its actions over the journal, the store and the residents.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};
use tracing::{error, info, warn};

use super::budget::Budget;
use super::context::Context;
use super::core::{Action, Core};
use super::entity::EntityCore;
use super::entity_actor::{Message, Resident, ResidentRef, Ties};
use super::follow::Following;
use super::hydrate;
use super::listeners::ListenerTable;
use super::memory::{RESIDENT_BYTES, Share};
use super::message::{PartitionMessage, WantedAnew};
use super::progress::Progress;
use super::question::Question;
use crate::actors::fold;
use crate::actors::inspect::{ActorStats, State};
use crate::actors::router::owned::Owner;
use crate::actors::trace::Stage;
use crate::actors::wire::{Entity, Ephemeral, ToGateway};
use crate::ids::{Offset, Timestamp};
use crate::storage::journal::Tailed;
use crate::storage::store::rows::WatermarkRow;

/// How long a failed load waits before the next try.
const RETRY: Duration = Duration::from_millis(200);
/// Head announcements after the last event of an entity, one each tick.
const ANNOUNCEMENTS: u8 = 4;
/// Deaths over one record after which it counts as poison.
const POISON: u32 = 2;

/// Where a partition goes on.
pub struct Start {
    /// The partition, and since when it is owned.
    pub owner: Owner,
    /// The store's watermark of it.
    pub watermark: WatermarkRow,
    /// Shared by all partitions.
    pub context: Arc<Context>,
    /// Bytes of commands in this partition.
    pub budget: Arc<Budget>,
    /// Who listens to its streams.
    pub listeners: Arc<ListenerTable>,
}

/// The actor.
pub struct PartitionActor;

/// Its state.
pub struct PartitionState {
    ties: Ties,
    core: Core<Question>,
    vitals: Arc<ActorStats>,
    residents: HashMap<Entity, ResidentRef>,
    names: HashMap<ActorId, Entity>,
    loaded: HashMap<Entity, (Box<EntityCore>, Share)>,
    following: Following,
    listeners: Arc<ListenerTable>,
    hot: HashMap<Entity, u8>,
    deaths: HashMap<Entity, (Offset, u32)>,
    actions: Vec<Action<Question>>,
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
        let progress = Arc::new(Mutex::new(Progress::new(from)));
        // What the last one of this partition kept for its residents, which are gone.
        listeners.forget_empty();
        let core = Core::new(&watermark, context.options.clone());
        let vitals = context.directory.begin(partition);
        let following = Following::start(&*context.journal, partition, from, myself);
        Ok(PartitionState {
            vitals,
            ties: Ties { context, owner, progress, budget },
            core,
            residents: HashMap::new(),
            names: HashMap::new(),
            loaded: HashMap::new(),
            following,
            listeners,
            hot: HashMap::new(),
            deaths: HashMap::new(),
            actions: Vec::new(),
        })
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
            PartitionMessage::Ask { entity, question } => state.core.pass(entity, question, now, out),
            PartitionMessage::Ephemeral { stream, event } => state.ephemeral(&stream, &event),
            PartitionMessage::Unlisten { entity, node, request } => state.listeners.remove(&entity, node, request),
            PartitionMessage::Appended(ticket, report) => state.core.appended(ticket, report, now, out),
            PartitionMessage::Told(Ok(Tailed::Batch { records, end, losses }), turn) => {
                state.core.told(records, end, losses, now, out);
                // Each record that is folded anew may make a room: the store catches up meanwhile, and lets some go.
                if state.following.replays(state.core.next()) && state.ties.context.memory.excess() > 0 {
                    state.following.keep(turn);
                }
            }
            PartitionMessage::Told(Ok(Tailed::Truncated { end, losses }), _) => state.core.truncated(end, losses, out),
            PartitionMessage::Told(Err(error), turn) if error.is_transient() => {
                warn!(partition = %state.ties.owner.partition, %error, "reading the journal failed; it is tried again");
                state.ties.context.metrics.read_errors.inc();
                state.following.keep(turn);
            }
            PartitionMessage::Told(Err(error), _) => state.core.halt(error.to_string(), out),
            PartitionMessage::Loaded(entity, hydrated) => {
                let snapshot = hydrated.as_ref().map(|(hydrated, _)| hydrated.watermark);
                // One that comes after a halt is nobody's.
                if let Some((hydrated, share)) = hydrated
                    && state.core.is_loading(&entity)
                {
                    state.loaded.insert(entity.clone(), (Box::new(hydrated.core), share));
                    state.spawn(&myself, &entity).await?;
                }
                state.core.loaded(&entity, snapshot, now, &mut state.actions);
                state.forget_listeners(&entity);
            }
            PartitionMessage::Compare(chains) => {
                let progress = state.ties.progress.lock().unwrap_or_else(PoisonError::into_inner);
                let differ = chains.into_iter().try_for_each(|(at, there)| progress.compare(at, there));
                drop(progress);
                if let Err(divergence) = differ {
                    state.core.halt(divergence.to_string(), out);
                }
            }
            PartitionMessage::Tick => state.tick(),
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
            #[cfg(any(test, feature = "sim"))]
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
                if let Some(entity) = state.names.remove(&cell.get_id()) {
                    state.forget_listeners(&entity);
                }
            }
            SupervisionEvent::ActorFailed(cell, reason) => {
                // One that was let go may still die over what was left in its mailbox: that is nobody's loss.
                if let Some(entity) = state.names.remove(&cell.get_id()) {
                    if state.residents.get(&entity).is_some_and(|resident| resident.get_id() == cell.get_id()) {
                        state.died(&entity, &reason);
                    }
                    state.forget_listeners(&entity);
                }
            }
            _ => {}
        }
        state.carry_out(&myself).await
    }
}

/// Tells a resident something. If it has just died, the supervision event is on its way to us, and brings all of it again.
fn tell(resident: &ResidentRef, message: Message) {
    if resident.cast(message).is_err() {
        tracing::debug!("a resident actor died before it could be told");
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
            PartitionMessage::Appended(..) | PartitionMessage::Told(..) | PartitionMessage::Loaded(..) => {
                self.vitals.worked(now);
            }
            PartitionMessage::Tick => self.vitals.ticked(now),
            _ => self.vitals.handled(now),
        }
    }

    async fn carry_out(&mut self, myself: &ActorRef<PartitionMessage>) -> Result<(), ActorProcessingErr> {
        // Carrying one out may bring new ones: the list is taken as a whole and kept for its memory.
        while !self.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                self.carry(myself, action)?;
            }
            if self.actions.is_empty() {
                self.actions = actions;
            }
        }
        self.ties.context.directory.verified(self.ties.owner.partition, self.core.verified());
        self.ties.context.clocks.saw(self.core.fold_time());
        Ok(())
    }

    fn carry(
        &mut self,
        myself: &ActorRef<PartitionMessage>,
        action: Action<Question>,
    ) -> Result<(), ActorProcessingErr> {
        let (context, owner) = (Arc::clone(&self.ties.context), self.ties.owner);
        let partition = owner.partition;
        let myself = myself.clone();
        match action {
            Action::Append { ticket } => {
                let records = self.core.place(ticket, context.journal.now(partition), self.now());
                let place = Arc::clone(self.following.place());
                context.enqueue(partition, records, move |report| {
                    if let Ok(report) = &report {
                        place.reported(report);
                    }
                    let _ = myself.cast(PartitionMessage::Appended(ticket, report));
                });
            }
            Action::Seek { from } => self.following.place().seek(from),
            Action::Load { entity, replay_to, must } => {
                if !must && !context.memory.has_room(RESIDENT_BYTES) {
                    context.metrics.memory_refused.inc();
                    let now = self.now();
                    self.core.loaded(&entity, None, now, &mut self.actions);
                    return Ok(());
                }
                let share = Share::new(&context.memory);
                let listeners = self.listeners.of(&entity);
                let asked = Instant::now();
                tokio::spawn(async move {
                    let core = hydrate::load(&context, partition, &entity, listeners, replay_to).await;
                    let core = match core {
                        Ok(core) => {
                            context.metrics.activation_seconds.record(asked.elapsed());
                            Some((Box::new(core), share))
                        }
                        Err(error) => {
                            drop(share);
                            warn!(%partition, %error, "a room or user can't be loaded now");
                            tokio::time::sleep(RETRY).await;
                            None
                        }
                    };
                    let _ = myself.cast(PartitionMessage::Loaded(entity, core));
                });
            }
            Action::Deliver { entity, batch } => {
                if let Some(resident) = self.residents.get(&entity) {
                    context.trails.reached(Stage::Verified, &batch);
                    tell(resident, Message::Deliver(batch));
                    self.hot.insert(entity, ANNOUNCEMENTS);
                }
            }
            Action::Hand { entity, held } => {
                if let Some(resident) = self.residents.get(&entity) {
                    tell(resident, Message::Hand(held));
                }
            }
            Action::Refuse { entity, held } => (context.to_gateway)(owner, held.from, held.refusal(entity)),
            Action::Decided { offset, chain } => {
                let mut progress = self.ties.progress.lock().unwrap_or_else(PoisonError::into_inner);
                if progress.complete(offset, chain) {
                    context.applied.raise(partition, progress.applied());
                }
            }
            Action::Answer { origin, answer } => {
                self.ties.budget.give(origin.weight);
                let frame = ToGateway::Answer { request: origin.request, answer };
                (context.to_gateway)(owner, origin.node, frame);
            }
            Action::Passivate { entity } => {
                if let Some(resident) = self.residents.remove(&entity) {
                    resident.drain()?;
                    context.directory.leave(&entity);
                }
                // Who listens to it is forgotten, if nobody does, once the actor has ended: until then it may be told.
                self.deaths.remove(&entity);
            }
            Action::Restart { reason } => {
                // The supervisor begins a new one at the store's watermark.
                return Err(format!("partition {partition} has to begin anew: {reason}").into());
            }
            Action::Halt { reason } => {
                error!(%partition, %reason, "the partition is halted; an operator has to look");
                self.following.stop();
                self.let_all_go();
                context.halted.mark(partition, &reason);
                self.vitals.becomes(State::Halted);
                context.health.down(format!("partition {partition} is halted: {reason}"));
            }
        }
        Ok(())
    }

    /// Keeps no list of listeners for what is neither in memory, nor about to be, nor listened to.
    fn forget_listeners(&self, entity: &Entity) {
        if !self.residents.contains_key(entity) && !self.core.is_loading(entity) {
            self.listeners.forget_unused(entity);
        }
    }

    /// The partition is halted: its residents end behind what they were told before, and nothing is announced any more.
    fn let_all_go(&mut self) {
        for (entity, resident) in self.residents.drain() {
            // One that has died meanwhile has nothing left to do.
            let _ = resident.drain();
            self.ties.context.directory.leave(&entity);
        }
        self.loaded.clear();
        self.hot.clear();
        self.deaths.clear();
    }

    async fn spawn(&mut self, myself: &ActorRef<PartitionMessage>, entity: &Entity) -> Result<(), ActorProcessingErr> {
        let Some((core, share)) = self.loaded.remove(entity) else { return Ok(()) };
        let vitals = self.ties.context.directory.enter(entity);
        let taken = share.taken();
        let arguments = (entity.clone(), *core, self.ties.clone(), vitals.clone(), share);
        let (actor, _) = Actor::spawn_linked(None, Resident, arguments, myself.get_cell()).await?;
        self.names.insert(actor.get_id(), entity.clone());
        self.residents.insert(entity.clone(), ResidentRef { actor, vitals, taken });
        Ok(())
    }

    /// Makes a dead entity anew; if one record kills it again and again, the partition halts rather than skip it.
    fn died(&mut self, entity: &Entity, reason: &ActorProcessingErr) {
        let wanted = reason.is::<WantedAnew>();
        match wanted {
            true => {
                info!(partition = %self.ties.owner.partition, "a resident actor is made anew: an operator wants it")
            }
            false => {
                self.ties.context.metrics.actor_restarts.inc();
                warn!(partition = %self.ties.owner.partition, %reason, "a resident actor died and is made anew");
            }
        }
        if let Some(resident) = self.residents.remove(entity) {
            resident.vitals.becomes(State::Restarting);
        }
        let at = self.core.unfinished(entity);
        if let Some(at) = at.filter(|_| !wanted) {
            let (place, times) = self.deaths.entry(entity.clone()).or_insert((at, 0));
            *times = if *place == at { *times + 1 } else { 1 };
            *place = at;
            if *times > POISON {
                let reason =
                    format!("the record at offset {at} of partition {} kills its fold", self.ties.owner.partition);
                self.core.halt(reason, &mut self.actions);
                return;
            }
        }
        self.core.died(entity, &mut self.actions);
    }

    fn ephemeral(&self, stream: &Entity, event: &Ephemeral) {
        for node in self.listeners.told_in_passing(stream) {
            let frame = ToGateway::Ephemeral { stream: stream.clone(), event: event.clone() };
            (self.ties.context.to_gateway)(self.ties.owner, node, frame);
        }
    }

    fn tick(&mut self) {
        if self.ties.context.memory.excess() == 0 || !self.following.replays(self.core.next()) {
            self.following.go_on();
        }
        let stored = self.ties.context.stored.get(self.ties.owner.partition);
        let env = &self.ties.context.env;
        let resident = self.ties.context.resident_share();
        let barrier = || fold::barrier(env.ids.next(), env.now());
        self.core.tick(env.steady(), stored, resident, barrier, &mut self.actions);
        let (residents, listeners, context, owner) =
            (&self.residents, &self.listeners, &self.ties.context, self.ties.owner);
        if context.memory.excess() > 0 {
            let own = residents.values().map(|resident| resident.taken.bytes()).sum();
            let weigh = |entity: &Entity| residents.get(entity).map_or(0, |resident| resident.taken.bytes());
            self.core.relieve(stored, context.memory.excess_of(own), weigh, &mut self.actions);
        }
        self.hot.retain(|entity, left| {
            match residents.get(entity) {
                Some(resident) => _ = resident.cast(Message::Announce),
                // It was let go at once: its last event may be lost all the same.
                None => {
                    let frames = listeners.announcements(entity);
                    frames.into_iter().for_each(|(node, frame)| (context.to_gateway)(owner, node, frame));
                }
            }
            *left -= 1;
            *left > 0
        });
    }
}
