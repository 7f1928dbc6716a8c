//! The workers of a node in simulated time: the pure cores of projector, relay and expiry scanner over the memory store's rows
//! with the faults of a database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::event::{OwnerId, What};
use super::gateway::Asker;
use super::node::Node;
use super::world::World;
use crate::actors::fold::EntityState;
use crate::actors::partition::hydration::StoredEntity;
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::watermarks::Watermarks;
use crate::actors::wire::{Answer, Entity, NodeId};
use crate::actors::workers::persistence::projector::chains_of;
use crate::actors::workers::persistence::rounds::{Options, ProjectorRounds, ProjectorStep, Snapshot, StoredTo};
use crate::actors::workers::relay::expiry_rounds::{self, ClockReading, ExpiryRounds, ExpiryStep};
use crate::actors::workers::relay::rounds::{self, RelayRounds, RelayStep};
use crate::ids::{Offset, Partition, RoomId, Timestamp, UserId, millis};
use crate::limits;
use crate::storage::journal::JournalError;
use crate::storage::store::memory::Core as Rows;
use crate::storage::store::rows::{OutboxPlace, OutboxRow, WatermarkRow};
use crate::storage::store::{Commit, StoreError};

/// Members of a fan-out that get rows of their own at a time.
const FAN_OUT: usize = 3;
/// Milliseconds between two scans for expired rooms: a node does not live for long here.
const EXPIRY_EVERY_MS: u64 = 2_000;
/// Snapshots that are kept for falling back.
const SNAPSHOTS: usize = 4;

/// The store of the cluster.
pub(crate) struct Store {
    rows: Rows,
    /// It does not answer before.
    pub down_until: u64,
    /// The time as the store knows it.
    pub now: u64,
    snapshots: VecDeque<Rows>,
}

impl Store {
    /// Empty, but for the accounts of every second one of these.
    pub(crate) fn new(users: &[UserId]) -> Self {
        let mut rows = Rows::default();
        users.iter().step_by(2).for_each(|user| rows.register(user.clone()));
        Self { rows, down_until: 0, now: 0, snapshots: VecDeque::new() }
    }

    /// The rows, if it answers.
    pub(crate) fn get(&self) -> Option<&Rows> {
        (self.now >= self.down_until).then_some(&self.rows)
    }

    /// The rows, if it answers.
    pub(crate) fn get_mut(&mut self) -> Option<&mut Rows> {
        (self.now >= self.down_until).then_some(&mut self.rows)
    }

    /// Keeps the present moment for falling back to.
    pub(crate) fn keep(&mut self) {
        self.snapshots.push_back(self.rows.clone());
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
    }

    /// Only what is kept from now on can be fallen back to.
    pub(crate) fn forget_snapshots(&mut self) {
        self.snapshots.clear();
    }

    /// Other rows instead, of which nothing was kept.
    pub(crate) fn restore(&mut self, rows: Rows) {
        (self.rows, self.down_until) = (rows, 0);
        self.snapshots.clear();
    }

    /// Falls back to one of the moments kept. Says whether there is one.
    pub(crate) fn fall_back(&mut self, which: usize) -> bool {
        let count = self.snapshots.len();
        if count == 0 {
            return false;
        }
        self.rows = self.snapshots[which % count].clone();
        true
    }

    /// An entity as its rows have it; `None` if the store does not answer.
    pub(crate) fn snapshot(&self, entity: &Entity) -> Option<Result<StoredEntity, String>> {
        Some(stored_entity(self.get()?, entity))
    }

    /// An entity's state as the rows have it.
    pub(crate) fn state(&self, entity: &Entity) -> Result<EntityState, String> {
        stored_entity(&self.rows, entity).map(StoredEntity::into_state)
    }

    /// The rows, whether it answers or not.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }
}

fn stored_entity(of: &Rows, entity: &Entity) -> Result<StoredEntity, String> {
    let stored = match entity {
        Entity::Room(room) => StoredEntity::room(*room, of.room(*room)),
        Entity::User(user) => StoredEntity::user(user, of.user(user)),
    };
    stored.map_err(|error| error.to_string())
}

/// The workers of one life of a node.
pub(crate) struct Workers {
    projector: ProjectorRounds,
    /// A commit is on its way, of this life of the projector.
    committing: bool,
    life: u32,
    relay: RelayRounds,
    /// Batches of the relay under way, by target.
    given: BTreeMap<Partition, Given<OutboxPlace>>,
    /// How far each source is stored whose facts were stored with it, as the projector knows it.
    outbox: Watermarks,
    /// Its expiry scanner.
    pub expiry: ExpiryRounds,
    /// Batches of the scanner under way.
    expiring: BTreeMap<Partition, Given<RoomId>>,
}

/// A batch that is under way: which of its records have no answer yet, and what became of the others.
struct Given<K> {
    open: BTreeSet<K>,
    told: Vec<K>,
    failed: Vec<K>,
}

impl<K: Copy + Ord> Given<K> {
    fn new(all: impl IntoIterator<Item = K>) -> Self {
        Self { open: all.into_iter().collect(), told: Vec::new(), failed: Vec::new() }
    }

    /// One of its records is answered. Says whether it was the last.
    fn answered(&mut self, one: K, answer: &Answer) -> bool {
        if !self.open.remove(&one) {
            return false;
        }
        let is_in = matches!(answer, Answer::Accepted { .. } | Answer::Rejected(_));
        if is_in { &mut self.told } else { &mut self.failed }.push(one);
        self.open.is_empty()
    }
}

impl Workers {
    /// At their beginning.
    pub(crate) fn new(options: Options) -> Self {
        let owned = Arc::new(Owned::new(Partition::all(), OwnerEpoch(1)));
        Self {
            projector: ProjectorRounds::new(options),
            committing: false,
            life: 0,
            relay: RelayRounds::new(
                rounds::Options { retry: Duration::from_millis(400), members: FAN_OUT },
                Arc::clone(&owned),
            ),
            given: BTreeMap::new(),
            outbox: Watermarks::new(),
            expiry: ExpiryRounds::new(Duration::from_millis(EXPIRY_EVERY_MS), owned),
            expiring: BTreeMap::new(),
        }
    }

    /// The projector is made anew. Says whether a commit of the old one was on its way: then nothing else begins the new one.
    pub(crate) fn forget_projector(&mut self, options: Options) -> bool {
        self.projector = ProjectorRounds::new(options);
        self.life += 1;
        std::mem::take(&mut self.committing)
    }

    /// From where the projector reads a partition, if there is one.
    pub(crate) fn reads_from(&self, partition: Partition) -> Option<Offset> {
        self.projector.reads_from(partition)
    }
}

impl World<'_> {
    /// A node's projector goes on, up to where it waits or sends a commit.
    pub(crate) fn project(&mut self, node: NodeId) {
        let index = self.index(node);
        if self.nodes[index].workers.committing {
            return;
        }
        loop {
            let Node { workers, applied, stored, tails, .. } = &mut self.nodes[index];
            let (stored, applied) = (|partition| stored.get(partition), |partition| applied.get(partition));
            let away = || StoreError::Unavailable("it does not answer".to_owned());
            match workers.projector.step(applied, stored) {
                ProjectorStep::Watermarks => {
                    let rows = self.store.get().ok_or_else(away);
                    let rows = rows.map(|rows| self.cast.partitions.iter().map(|p| rows.watermark(*p)).collect());
                    for row in rows.iter().flatten() {
                        let row: &WatermarkRow = row;
                        self.nodes[index].stored.raise(row.partition, row.next_offset);
                    }
                    self.nodes[index].workers.projector.watermarks(rows);
                }
                ProjectorStep::Read { partition, from, bytes } => {
                    let applied = applied(partition);
                    let read = if self.rng.chance(self.plan.unreadable) {
                        Err(JournalError::Io("it stumbles".to_owned()).into())
                    } else {
                        match tails {
                            Some(tails) => tails.client.read(&self.log, partition, from, bytes),
                            None => self.log.read(partition, from, bytes),
                        }
                    };
                    workers.projector.read(partition, applied, read);
                }
                ProjectorStep::Hydrate(entities) => {
                    for entity in entities {
                        let snapshot = self.rows_of(&entity);
                        if !self.nodes[index].workers.projector.hydrated(snapshot) {
                            break;
                        }
                    }
                }
                ProjectorStep::Fold(mut projector) => {
                    let commit = projector.fold();
                    workers.projector.folded(Ok((projector, commit)));
                }
                ProjectorStep::Commit(commit) => {
                    workers.committing = true;
                    let life = workers.life;
                    return self.after(30, What::Commit { node, life, commit });
                }
                ProjectorStep::Retry(wait) => return self.after_exactly(millis(wait), What::Project { node }),
                ProjectorStep::Gather(_) | ProjectorStep::Linger(_) => {
                    return self.after(self.plan.project_every_ms, What::Project { node });
                }
                // The next look finds what is applied meanwhile.
                ProjectorStep::Idle(_) => {}
            }
            let halted = self.nodes[index].workers.projector.status().halted.first().cloned();
            if let Some((partition, why)) = halted {
                if !self.is_outdated(node, partition) {
                    return self.fail(format!("I6: the projector halts: {partition}: {why}"));
                }
                self.stops_before_a_version(node);
                return self.after(self.plan.project_every_ms, What::Project { node });
            }
        }
    }

    /// The rows of an entity as a projector reads them; one bit of them is perhaps another one.
    fn rows_of(&mut self, entity: &Entity) -> Snapshot {
        let away = || StoreError::Unavailable("it does not answer".to_owned());
        let rows = self.store.get().ok_or_else(away);
        match entity {
            Entity::User(user) => Snapshot::User(user.clone(), rows.map(|rows| rows.user(user))),
            Entity::Room(room) => Snapshot::Room(
                *room,
                rows.map(|rows| {
                    let mut snapshot = rows.room(*room);
                    if self.flip == Some(*room)
                        && let Some(chat) = &mut snapshot.chat
                    {
                        chat.last_no = chat.last_no.next();
                        self.flipped = self.flip.take();
                    }
                    snapshot
                }),
            ),
        }
    }

    /// A projector's commit reaches the store.
    pub(crate) fn commit(&mut self, node: NodeId, life: u32, commit: Commit) {
        let partitions: Vec<Partition> = commit.watermarks.iter().map(|moved| moved.to.partition).collect();
        let rooms = commit.chats.iter().map(|row| Entity::Room(row.room));
        let users = commit.users.iter().map(|row| Entity::User(row.user.clone()));
        let touched: Vec<Entity> = rooms.chain(users).collect();
        let mut chains = chains_of(&commit);
        if let Some(room) = self.flipped
            && commit.chats.iter().any(|row| row.room == room)
        {
            // From here on the rows are wrong, and nothing that is made of them can be looked at.
            self.check_divergence(node, room, &commit, chains);
            self.ends_at = Some(self.now);
            return;
        }
        let unheard = self.rng.chance(self.plan.commit_unknown);
        let away = || StoreError::Unavailable("it does not answer".to_owned());
        let mut result = self.store.get_mut().ok_or_else(away).and_then(|rows| rows.commit(commit));
        match &result {
            Ok(()) => {
                self.stats.commits += 1;
                self.check_rows(&touched, &partitions);
            }
            Err(StoreError::Damaged(why)) => self.fail(format!("I6: the store is damaged: {why}")),
            Err(_) => {}
        }
        let index = self.index(node);
        if self.nodes[index].id != node || !self.nodes[index].up || self.nodes[index].workers.life != life {
            return;
        }
        if unheard {
            result = Err(StoreError::Unavailable("no answer came".to_owned()));
        }
        let workers = &mut self.nodes[index].workers;
        workers.committing = false;
        let stored = workers.projector.committed(result);
        for StoredTo { row, has_facts } in stored {
            let chains = chains.remove(&row.partition).unwrap_or_default();
            if let Some(id) = self.nodes[index].owners.get(&row.partition).map(|owner| owner.id) {
                // If they differ the owner halts, and is asked why.
                self.with_owner(id, |owner, now, out| owner.core.stored(row.next_offset, chains, now, out));
                self.look(id);
            }
            if has_facts {
                self.nodes[index].workers.outbox.raise(row.partition, row.next_offset);
            }
            self.nodes[index].stored.raise(row.partition, row.next_offset);
        }
        self.after_exactly(0, What::Project { node });
    }

    /// A round of a node's relay.
    pub(crate) fn relay(&mut self, node: NodeId) {
        self.after(400, What::Relay { node });
        let (now_ms, index) = (self.now, self.index(node));
        let Some(rows) = self.store.get_mut() else { return };
        let Workers { relay, given, outbox, .. } = &mut self.nodes[index].workers;
        relay.begin(outbox);
        while let Some(step) = relay.step(now_ms) {
            match step {
                RelayStep::Remove(told) => {
                    told.iter().for_each(|place| rows.relay_done(*place));
                    relay.removed();
                }
                RelayStep::First(source) => {
                    let first = rows.relay_next(OutboxPlace::first_of(source), 1);
                    relay.first(first.first().map(OutboxRow::place));
                }
                RelayStep::Members(row) => {
                    let Some(fan_out) = &row.fan_out else { continue };
                    let page = rows.members(fan_out.room, fan_out.after.as_ref(), FAN_OUT);
                    let Ok(page) = relay.expand(&row, &page) else { continue };
                    let after = page.after.clone();
                    let is_given = rows.relay_expand(page);
                    relay.expanded(row.source, after.filter(|_| is_given));
                }
                RelayStep::Rows { from, limit } => relay.rows(from, limit, rows.relay_next(from, limit)),
            }
        }
        let mut commands = Vec::new();
        for (target, batch) in relay.give(now_ms, |target| rows.watermark(target).next_offset) {
            given.insert(target, Given::new(batch.iter().map(|(place, _)| *place)));
            commands.extend(batch.into_iter().map(|(place, record)| (target, place, record)));
        }
        for (target, place, record) in commands {
            self.command(node, Asker::Relay(target, place), target, record);
        }
    }

    /// What became of a record of the relay.
    pub(crate) fn relay_answered(&mut self, node: NodeId, target: Partition, place: OutboxPlace, answer: Answer) {
        let (now_ms, index) = (self.now, self.index(node));
        let workers = &mut self.nodes[index].workers;
        let Some(given) = workers.given.get_mut(&target) else { return };
        if !given.answered(place, &answer) {
            return;
        }
        let Some(Given { told, failed, .. }) = workers.given.remove(&target) else { return };
        self.stats.relayed += u64::from(!told.is_empty());
        workers.relay.settle(target, told, &failed, self.log.bounds(target).end, now_ms);
    }

    /// A node's expiry scanner goes on, up to where it waits.
    pub(crate) fn expiry(&mut self, node: NodeId) {
        self.after(1_000, What::Expiry { node });
        let (index, clock) = (self.index(node), self.expiry_clock(node));
        while let ExpiryStep::Page { now, after } = self.nodes[index].expiry_step(clock) {
            let Some(rows) = self.store.get() else {
                self.nodes[index].workers.expiry.unread(clock.steady_ms);
                continue;
            };
            let over = rows.expiring(now, after, limits::EXPIRY_PAGE);
            for (partition, rooms) in self.nodes[index].workers.expiry.page(&over, clock) {
                self.nodes[index].workers.expiring.insert(partition, Given::new(rooms.iter().copied()));
                for room in rooms {
                    let record = expiry_rounds::record(room, self.fresh_id(), now).record;
                    self.command(node, Asker::Expiry(room), partition, record);
                }
            }
        }
    }

    /// What became of an expiry record.
    pub(crate) fn expiry_answered(&mut self, node: NodeId, room: RoomId, answer: &Answer) {
        let (index, partition) = (self.index(node), room.partition());
        let now_ms = self.expiry_clock(node).steady_ms;
        let workers = &mut self.nodes[index].workers;
        let Some(given) = workers.expiring.get_mut(&partition) else { return };
        if !given.answered(room, answer) {
            return;
        }
        let is_in = given.failed.is_empty();
        workers.expiring.remove(&partition);
        if is_in {
            workers.expiry.appended(partition, self.log.bounds(partition).end, now_ms);
        } else {
            workers.expiry.refused(partition, now_ms);
        }
    }

    /// What a node makes of the journal's clock.
    fn expiry_clock(&self, node: NodeId) -> ClockReading {
        let (journal, steady) = (self.journal_clock(), Timestamp(self.now + self.slept_ms));
        let clocks = &self.nodes[self.index(node)].clocks;
        clocks.look(journal, steady);
        ClockReading { journal, is_trusted: clocks.may_expire(steady), steady_ms: steady.0 }
    }

    /// The owner with this name, if that life of it lasts.
    pub(crate) fn owner(&self, id: OwnerId) -> Option<&super::owner::Owner> {
        let node = &self.nodes[self.index(id.node)];
        node.owners.get(&id.partition).filter(|owner| owner.id == id && node.id == id.node)
    }
}
