//! The workers of a node in simulated time: projector, relay, expiry scanner, as their shells in `actors::workers` do, over
//! the memory store's rows with the faults of a database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::event::{OwnerId, What};
use super::gateway::Asker;
use super::world::World;
use crate::actors::fold::EntityState;
use crate::actors::wire::{Answer, Entity, NodeId};
use crate::actors::workers::persistence::projector::{Projector, chains_of};
use crate::actors::workers::persistence::rows;
use crate::actors::workers::relay::expiry::{self, Scanner};
use crate::actors::workers::relay::turns::{self, Turns};
use crate::ids::{Offset, Partition, RoomId};
use crate::limits;
use crate::storage::store::Commit;
use crate::storage::store::memory::Core as Rows;
use crate::storage::store::rows::{OutboxPlace, OutboxRow, WatermarkRow};

/// Members of a fan-out that get rows of their own at a time.
const FAN_OUT: usize = 3;
/// Snapshots that are kept for falling back.
const SNAPSHOTS: usize = 4;

/// The store of the cluster.
pub struct Store {
    rows: Rows,
    /// It does not answer before.
    pub down_until: u64,
    /// The time as the store knows it.
    pub now: u64,
    snapshots: VecDeque<Rows>,
}

impl Store {
    /// Empty.
    pub fn new() -> Self {
        Self { rows: Rows::default(), down_until: 0, now: 0, snapshots: VecDeque::new() }
    }

    /// The rows, if it answers.
    pub fn get(&self) -> Option<&Rows> {
        (self.now >= self.down_until).then_some(&self.rows)
    }

    /// The rows, if it answers.
    pub fn get_mut(&mut self) -> Option<&mut Rows> {
        (self.now >= self.down_until).then_some(&mut self.rows)
    }

    /// Keeps the present moment for falling back to.
    pub fn keep(&mut self) {
        self.snapshots.push_back(self.rows.clone());
        if self.snapshots.len() > SNAPSHOTS {
            self.snapshots.pop_front();
        }
    }

    /// Only what is kept from now on can be fallen back to.
    pub fn forget_snapshots(&mut self) {
        self.snapshots.clear();
    }

    /// Other rows instead, of which nothing was kept.
    pub fn restore(&mut self, rows: Rows) {
        (self.rows, self.down_until) = (rows, 0);
        self.snapshots.clear();
    }

    /// Falls back to one of the moments kept. Says whether there is one.
    pub fn fall_back(&mut self, which: usize) -> bool {
        let count = self.snapshots.len();
        if count == 0 {
            return false;
        }
        self.rows = self.snapshots[which % count].clone();
        true
    }

    /// An entity's state and the watermark of the same moment; `None` if the store does not answer.
    pub fn snapshot(&self, entity: &Entity) -> Option<Result<(EntityState, WatermarkRow), String>> {
        let rows = self.get()?;
        let watermark = rows.watermark(entity.partition());
        Some(state_of(rows, entity).map(|state| (state, watermark)))
    }

    /// An entity's state as the rows have it.
    pub fn state(&self, entity: &Entity) -> Result<EntityState, String> {
        state_of(&self.rows, entity)
    }

    /// The rows, whether it answers or not.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }
}

fn state_of(of: &Rows, entity: &Entity) -> Result<EntityState, String> {
    let state = match entity {
        Entity::Room(room) => rows::room_state(*room, of.room(*room)).map(EntityState::room),
        Entity::User(user) => rows::user_state(user, of.user(user)).map(EntityState::user),
    };
    state.map_err(|error| error.to_string())
}

/// The workers of one life of a node.
pub struct Workers {
    projector: Option<Projector>,
    /// A commit is on its way, of this life of the projector.
    committing: bool,
    life: u32,
    turns: Turns,
    /// Batches under way, by target.
    given: BTreeMap<Partition, Given>,
    /// Told, and not removed yet.
    told: Vec<OutboxPlace>,
    scanner: Scanner,
}

/// A batch of the relay that is under way.
struct Given {
    places: Vec<OutboxPlace>,
    open: BTreeSet<OutboxPlace>,
    failed: bool,
}

impl Workers {
    /// At their beginning.
    pub fn new() -> Self {
        Self {
            projector: None,
            committing: false,
            life: 0,
            turns: Turns::default(),
            given: BTreeMap::new(),
            told: Vec::new(),
            scanner: Scanner::default(),
        }
    }

    /// The projector is made anew. Says whether a commit of the old one was on its way: then nothing else begins the new one.
    pub fn forget_projector(&mut self) -> bool {
        self.projector = None;
        self.life += 1;
        std::mem::take(&mut self.committing)
    }

    /// From where the projector reads a partition, if there is one.
    pub fn reads_from(&self, partition: Partition) -> Option<Offset> {
        self.projector.as_ref()?.next_offset(partition)
    }
}

impl World<'_> {
    /// A round of a node's projector, up to the commit that it sends.
    pub fn project(&mut self, node: NodeId) {
        let index = self.index(node);
        if self.nodes[index].workers.committing {
            return;
        }
        match self.collect(index) {
            Some((life, commit, partitions)) => {
                self.nodes[index].workers.committing = true;
                let commit = Box::new(commit);
                self.after(30, What::Commit { node, life, commit, partitions });
            }
            None => self.after(self.plan.project_every_ms, What::Project { node }),
        }
    }

    fn collect(&mut self, index: usize) -> Option<(u32, Commit, Vec<Partition>)> {
        let most = self.rng.pick(&[1, 5, 100]);
        let store = self.store.get()?;
        let node = &mut self.nodes[index];
        let (life, cache) = (node.workers.life, self.plan.cache_bytes);
        if node.workers.projector.is_none() {
            let watermarks: Vec<_> = self.cast.partitions.iter().map(|p| store.watermark(*p)).collect();
            for row in &watermarks {
                node.raise_stored(row.partition, row.next_offset);
            }
            node.workers.projector = Some(Projector::knowing(node.knows, watermarks, cache));
        }
        let projector = node.workers.projector.as_mut()?;
        for partition in &self.cast.partitions {
            let Some(from) = projector.next_offset(*partition) else { continue };
            let applied = node.applied.get(partition).copied().unwrap_or_default();
            if from >= applied {
                continue;
            }
            if self.rng.chance(self.plan.unreadable) {
                continue;
            }
            let Ok(mut records) = self.log.read(*partition, from, usize::MAX) else { continue };
            records.retain(|record| record.offset < applied);
            records.truncate(most);
            projector.push(*partition, records);
        }
        let halted = projector.halted().next().map(|(partition, why)| (partition, why.to_string()));
        if let Some((partition, why)) = halted {
            let node = node.id;
            if self.is_outdated(node, partition) {
                self.stops_before_a_version(node);
            } else {
                self.fail(format!("I6: the projector halts: {partition}: {why}"));
            }
            return None;
        }
        if projector.pending().0 == 0 {
            return None;
        }
        for entity in projector.missing() {
            let moved = match &entity {
                Entity::Room(room) => {
                    let mut snapshot = store.room(*room);
                    if self.flip == Some(*room)
                        && let Some(chat) = &mut snapshot.chat
                    {
                        chat.last_no = chat.last_no.next();
                        self.flipped = self.flip.take();
                    }
                    projector.hydrate_room(*room, snapshot)
                }
                Entity::User(user) => projector.hydrate_user(user, store.user(user)),
            };
            if moved.is_err() {
                node.workers.projector = None;
                return None;
            }
        }
        let partitions = projector.pending_partitions();
        let commit = projector.fold()?;
        Some((life, commit, partitions))
    }

    /// A projector's commit reaches the store.
    pub fn commit(&mut self, node: NodeId, life: u32, commit: Commit, partitions: &[Partition]) {
        let rooms = commit.chats.iter().map(|row| Entity::Room(row.room));
        let users = commit.users.iter().map(|row| Entity::User(row.user.clone()));
        let touched: Vec<Entity> = rooms.chain(users).collect();
        let chains = chains_of(&commit);
        if let Some(room) = self.flipped
            && commit.chats.iter().any(|row| row.room == room)
        {
            // From here on the rows are wrong, and nothing that is made of them can be looked at.
            self.check_divergence(node, room, &commit, chains);
            self.ends_at = Some(self.now);
            return;
        }
        let unheard = self.rng.chance(self.plan.commit_unknown);
        let result = match self.store.get_mut() {
            None => false,
            Some(rows) => match rows.commit(commit) {
                Ok(()) => true,
                Err(crate::storage::store::StoreError::Damaged(why)) => {
                    self.fail(format!("I6: the store is damaged: {why}"));
                    false
                }
                Err(_) => false,
            },
        };
        if result {
            self.stats.commits += 1;
            self.check_rows(&touched, partitions);
        }
        let index = self.index(node);
        if self.nodes[index].id != node || !self.nodes[index].up || self.nodes[index].workers.life != life {
            return;
        }
        let workers = &mut self.nodes[index].workers;
        workers.committing = false;
        if !result || unheard {
            workers.projector = None;
            workers.life += 1;
            self.after(200, What::Project { node });
            return;
        }
        let moved = workers.projector.as_mut().map(Projector::committed).unwrap_or_default();
        for (partition, chains) in chains {
            let Some(owner) = self.nodes[index].owners.get(&partition) else { continue };
            let differ = chains.into_iter().try_for_each(|(at, chain)| owner.progress.compare(at, chain));
            if let Err(divergence) = differ {
                self.fail(format!("I10: {divergence}"));
            }
        }
        for row in moved {
            self.nodes[index].raise_stored(row.partition, row.next_offset);
        }
        self.after(self.plan.project_every_ms, What::Project { node });
    }

    /// A round of a node's relay, as its shell has it: reads the outbox and gives each free target its batch.
    pub fn relay(&mut self, node: NodeId) {
        self.after(400, What::Relay { node });
        let (now_ms, index) = (self.now, self.index(node));
        let Some(rows) = self.store.get_mut() else { return };
        let workers = &mut self.nodes[index].workers;
        workers.told.iter().for_each(|place| rows.relay_done(*place));
        workers.turns.removed(&std::mem::take(&mut workers.told));
        let mut from = Some(Partition::FIRST);
        while let Some(source) = from {
            let Some(first) = rows.relay_next(OutboxPlace::first_of(source), 1).first().map(OutboxRow::place) else {
                break;
            };
            workers.turns.begins_at(first);
            from = Partition::new(first.source.get() + 1);
        }
        for row in workers.turns.fan_outs() {
            let Some(fan_out) = &row.fan_out else { continue };
            let page = rows.members(fan_out.room, fan_out.after.as_ref(), FAN_OUT);
            let after = page.last().filter(|_| page.len() == FAN_OUT).map(|last| last.user.clone());
            if let Ok(records) = turns::expand(&row, &page) {
                rows.relay_expand(row.place(), records, after.as_ref());
                workers.turns.expanded(row.source, after);
            }
        }
        for (from, limit) in workers.turns.wanted() {
            let found = rows.relay_next(from, limit);
            let whole = found.len() < limit || found.last().is_some_and(|row| row.source != from.source);
            workers.turns.load(from.source, found, whole);
        }
        let batches = workers.turns.next(now_ms, limits::RELAY_AHEAD, |_| true);
        let mut commands = Vec::new();
        for (target, batch) in batches {
            let places: Vec<OutboxPlace> = batch.iter().map(|(place, _)| *place).collect();
            let open = places.iter().copied().collect();
            workers.given.insert(target, Given { places, open, failed: false });
            commands.extend(batch.into_iter().map(|(place, record)| (target, place, record)));
        }
        for (target, place, record) in commands {
            self.command(node, Asker::Relay(target, place), target, record);
        }
    }

    /// What became of a record of the relay.
    pub fn relay_answered(&mut self, node: NodeId, target: Partition, place: OutboxPlace, answer: Answer) {
        let (now_ms, index) = (self.now, self.index(node));
        let workers = &mut self.nodes[index].workers;
        let Some(given) = workers.given.get_mut(&target) else { return };
        if !given.open.remove(&place) {
            return;
        }
        given.failed |= !matches!(answer, Answer::Accepted { .. } | Answer::Rejected(_));
        if !given.open.is_empty() {
            return;
        }
        let Some(Given { places, failed, .. }) = workers.given.remove(&target) else { return };
        if failed {
            workers.turns.failed(target, &places, now_ms, Duration::from_millis(400));
        } else {
            workers.turns.told(target, &places);
            workers.told.extend(places);
            self.stats.relayed += 1;
        }
    }

    /// The scan for rooms whose time is over.
    pub fn expiry(&mut self, node: NodeId) {
        self.after(3_000, What::Expiry { node });
        let index = self.index(node);
        let now = self.clock(index);
        let Some(rows) = self.store.get() else { return };
        let due = self.nodes[index].workers.scanner.due(rows.expiring(now, None, limits::EXPIRY_PAGE), now);
        for room in due {
            let id = self.fresh_id();
            let addressed = expiry::record(room, id, now);
            self.command(node, Asker::Expiry(room), addressed.partition, addressed.record);
        }
    }

    /// What became of an expiry record.
    pub fn expiry_answered(&mut self, node: NodeId, room: RoomId, answer: Answer) {
        if matches!(answer, Answer::Unavailable { .. } | Answer::Unknown) {
            let index = self.index(node);
            self.nodes[index].workers.scanner.failed(room);
        }
    }

    /// The owner with this name, if that life of it lasts.
    pub fn owner(&self, id: OwnerId) -> Option<&super::owner::Owner> {
        let node = &self.nodes[self.index(id.node)];
        node.owners.get(&id.partition).filter(|owner| owner.id == id && node.id == id.node)
    }
}
