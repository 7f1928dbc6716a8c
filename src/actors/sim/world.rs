//! The simulated world: nodes, journal, store, clients, and the one queue of what happens next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::client::{Client, Way};
use super::event::{CommandKey, Copies, Link, OwnerId, Queue, Up, What};
use super::fault_plan::{Fault, Plan};
use super::gateway::Gateway;
use super::journal::Append;
use super::oracle::Truth;
use super::order::Arrivals;
use super::owner::Owner;
use super::population::{CLIENTS, Cast};
use super::projection::{Store, Workers};
use super::rng::Rng;
use super::stats::Stats;
use crate::actors::partition::listeners::ListenerTable;
use crate::actors::wire::{Entity, NodeId, RequestId};
use crate::env::ManualClock;
use crate::ids::{ClientId, Offset, Partition, Seq, Timestamp};
use crate::metrics::Metrics;
use crate::storage::journal::memory::{MemoryLog, Ticket};

/// Nodes.
pub const NODES: usize = 3;
/// Steps with faults.
const STEPS: u64 = 2_000;
/// Milliseconds that healing may take.
pub const HEALING_MS: u64 = 60_000;
/// Milliseconds for which nothing may happen any more, once all has settled.
const QUIET_MS: u64 = 5_000;
/// What every clock shows at the beginning.
pub const BASE: u64 = 1_700_000_000_000;

/// What all nodes have in common.
#[derive(Default)]
pub struct Shared {
    /// The clock that never jumps.
    steady: Arc<ManualClock>,
    /// Nobody looks at them.
    metrics: Arc<Metrics>,
}

/// A node.
pub struct Node {
    /// Its present life.
    pub id: NodeId,
    /// It runs.
    pub up: bool,
    /// It stands still before.
    pub paused_until: u64,
    /// How wrong its clock is, in milliseconds.
    pub clock_offset: i64,
    /// Whom it takes for the owners.
    pub routes: BTreeMap<Partition, usize>,
    /// What it owns again after a crash.
    pub assigned: BTreeSet<Partition>,
    /// What it owns.
    pub owners: BTreeMap<Partition, Owner>,
    /// Who listens to the streams of its partitions.
    pub listeners: BTreeMap<Partition, Arc<ListenerTable>>,
    /// How far each partition is folded here.
    pub applied: BTreeMap<Partition, Offset>,
    stored: BTreeMap<Partition, Offset>,
    /// Its gateway.
    pub gateway: Gateway,
    /// Its workers.
    pub workers: Workers,
}

impl Node {
    fn new(index: usize, shared: &Shared) -> Self {
        Self {
            id: NodeId(index as u32),
            up: true,
            paused_until: 0,
            clock_offset: 0,
            routes: BTreeMap::new(),
            assigned: BTreeSet::new(),
            owners: BTreeMap::new(),
            listeners: BTreeMap::new(),
            applied: BTreeMap::new(),
            stored: BTreeMap::new(),
            gateway: Gateway::new(&shared.steady, &shared.metrics),
            workers: Workers::new(),
        }
    }

    /// The next life: it knows what it owns and whom it takes for the other owners, and nothing else.
    pub fn revive(&mut self, shared: &Shared) {
        let fresh = Self::new(0, shared);
        let old = std::mem::replace(self, fresh);
        self.id = NodeId(old.id.0 + NODES as u32);
        self.clock_offset = old.clock_offset;
        self.routes = old.routes;
        self.assigned = old.assigned;
    }

    /// How far a partition is stored, as far as this node knows.
    pub fn stored(&self, partition: Partition) -> Offset {
        self.stored.get(&partition).copied().unwrap_or_default()
    }

    /// Never falls.
    pub fn raise_stored(&mut self, partition: Partition, to: Offset) {
        let stored = self.stored.entry(partition).or_default();
        *stored = to.max(*stored);
    }

    /// Never falls.
    pub fn raise_applied(&mut self, partition: Partition, to: Offset) {
        let applied = self.applied.entry(partition).or_default();
        *applied = to.max(*applied);
    }
}

/// A running hash of everything that happens: the same seed gives the same one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace(pub u64);

impl Trace {
    /// Takes a number in.
    pub fn mix(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
}

/// See the module.
pub struct World<'a> {
    /// Who takes part.
    pub cast: &'a Cast,
    /// What may go wrong.
    pub plan: Plan,
    /// The only source of chance.
    pub rng: Rng,
    /// Milliseconds since the beginning.
    pub now: u64,
    /// What comes next.
    pub queue: Queue,
    /// What has happened.
    pub trace: Trace,
    /// The same in words, if somebody wants to read it.
    pub story: Option<Vec<String>>,
    /// And how often.
    pub stats: Stats,
    /// The journal.
    pub log: MemoryLog,
    /// Appends under way.
    pub appends: BTreeMap<Ticket, Append>,
    /// How wrong the journal's clock is, in milliseconds.
    pub journal_offset: i64,
    /// The store.
    pub store: Store,
    next_snapshot: u64,
    /// What they have in common.
    pub shared: Shared,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The clients.
    pub clients: Vec<Client>,
    /// Directions in which frames are lost, and until when.
    pub cuts: BTreeMap<(usize, usize), u64>,
    /// For frames of one connection to keep their order.
    pub last_up: BTreeMap<Link, u64>,
    /// What is true.
    pub truth: Truth,
    /// Commands under way or done, by gateway and its number for them.
    pub asked: HashMap<(NodeId, RequestId), CommandKey>,
    /// What became of the copies of each.
    pub copies: BTreeMap<CommandKey, Copies>,
    /// When which command came to an owner that has not answered it yet.
    pub owed: BTreeMap<(OwnerId, NodeId, RequestId), u64>,
    /// In which order messages came to owners.
    pub arrivals: Arrivals,
    /// Acknowledged: stream, seq, id, client id.
    pub acks: Vec<(Entity, Seq, Uuid, ClientId)>,
    /// Connections so far.
    pub connections: u32,
    /// Owners so far.
    pub lives: u32,
    ids: u64,
    /// Nothing goes wrong any more.
    pub healing: bool,
    healed_at: u64,
    /// Where the partitions ended when all had settled.
    quiet_since: Option<BTreeMap<Partition, Offset>>,
    done: bool,
    failure: Option<String>,
}

impl<'a> World<'a> {
    /// The world of a seed, before its first step.
    pub fn new(cast: &'a Cast, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let plan = Plan::new(&mut rng);
        let (names_prev, timed) = (rng.between(300, 1_000), rng.between(0, 1_000));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|index| {
                let way = match (rng.chance(names_prev), rng.chance(500)) {
                    (true, _) => Way::NamesPrev,
                    (false, true) => Way::Pipelines,
                    (false, false) => Way::OneByOne,
                };
                Client::new(index, cast.rooms.len(), way, rng.chance(timed))
            })
            .collect();
        let shared = Shared::default();
        let mut world = Self {
            cast,
            plan,
            rng,
            now: 0,
            queue: Queue::default(),
            trace: Trace(seed),
            story: None,
            stats: Stats::default(),
            log: MemoryLog::new(),
            appends: BTreeMap::new(),
            journal_offset: 0,
            store: Store::new(),
            next_snapshot: 0,
            nodes: (0..NODES).map(|index| Node::new(index, &shared)).collect(),
            shared,
            clients,
            cuts: BTreeMap::new(),
            last_up: BTreeMap::new(),
            truth: Truth::new(cast),
            asked: HashMap::new(),
            copies: BTreeMap::new(),
            owed: BTreeMap::new(),
            arrivals: Arrivals::default(),
            acks: Vec::new(),
            connections: 0,
            lives: 0,
            ids: 0,
            healing: false,
            healed_at: 0,
            quiet_since: None,
            done: false,
            failure: None,
        };
        let unordered = world.clients.iter().filter_map(Client::unordered);
        world.truth.unordered = unordered.cloned().collect();
        world.begin();
        world
    }

    fn begin(&mut self) {
        for partition in self.cast.partitions.clone() {
            let owner = self.rng.index(NODES);
            self.nodes[owner].assigned.insert(partition);
            self.nodes.iter_mut().for_each(|node| _ = node.routes.insert(partition, owner));
        }
        for node in 0..NODES {
            self.start_node(node);
        }
        for client in 0..self.clients.len() {
            // Two in three come now, and want to listen to half of what there is; all else comes with time.
            for n in 0..self.clients[client].streams.len() {
                self.clients[client].streams[n].wanted = self.rng.chance(500);
            }
            if self.rng.chance(660) || self.cast.rooms.iter().any(|room| 2 * room.creator == client) {
                let node = self.nodes[self.rng.index(NODES)].id;
                self.connect(client, node);
            }
            self.after(self.plan.act_every_ms, What::Act { client });
        }
        self.make_rooms();
        self.after(self.plan.fault_every_ms, What::Fault);
    }

    /// Runs to the end.
    ///
    /// # Errors
    /// What is wrong, and at which step.
    pub fn run(&mut self) -> Result<(Trace, Stats), (u64, String)> {
        while !self.done {
            let Some((at, serial, what)) = self.queue.pop() else {
                return Err((self.stats.steps, "nothing happens any more".to_owned()));
            };
            self.step(at, serial, what);
            if let Some(why) = self.failure.take() {
                return Err((self.stats.steps, why));
            }
        }
        self.stats.ms = self.now;
        Ok((self.trace, self.stats))
    }

    fn step(&mut self, at: u64, serial: u64, what: What) {
        self.now = at;
        self.store.now = at;
        self.shared.steady.set(self.ticks());
        if let Some(id) = what.node() {
            let index = self.index(id);
            let node = &self.nodes[index];
            if node.id != id || !node.up {
                return;
            }
            if node.paused_until > at {
                let later = node.paused_until;
                self.queue.put_off(later, serial, what);
                return;
            }
        }
        self.stats.steps += 1;
        self.tell(|| what.to_string());
        self.trace.mix(at << 8 ^ what.number());
        if at >= self.next_snapshot && self.plan.faults.contains(&Fault::Rollback) {
            self.store.keep();
            self.next_snapshot = at + self.plan.snapshot_every_ms;
        }
        if !self.healing && self.stats.steps >= STEPS {
            self.healed_at = at;
            self.heal();
        }
        self.happen(what);
    }

    fn happen(&mut self, what: What) {
        match what {
            What::ToOwner { from, to, frame } => self.owner_receives(from, to, frame),
            What::ToGateway { to, frame } => self.gateway_receives(to, frame),
            What::Up { link, message } => self.gateway_hears(link, message),
            What::Flush { link } => self.flush_outbox(link),
            What::Judge { link } => self.judge(link),
            What::Gone { link } => self.session_gone(link),
            What::Expose { ticket } => self.expose(ticket),
            What::Settle { ticket } => self.settle(ticket),
            What::LeaderLoss { partition } => self.lose_leader(partition),
            What::Report { owner, ticket, report } => {
                self.reported(owner, ticket, report);
            }
            What::Told { owner, told } => self.told(owner, told),
            What::Look { owner } => self.look(owner),
            What::Load { owner, entity, replay_to } => self.load(owner, entity, replay_to),
            What::Loaded { owner, entity, core } => self.loaded(owner, &entity, core),
            What::Resident { owner, entity } => self.resident_turn(owner, &entity),
            What::Died { owner, entity } => self.resident_died(owner, &entity),
            What::Fetch { owner, entity, origin, from, to, below, rest } => {
                self.fetch_stored(owner, &entity, origin, from, to, below, rest);
            }
            What::Begin { node, partition } => self.begin_owner(node, partition),
            What::Began { node, partition } => self.owner_changed(node, partition),
            What::NodeTick { node } => {
                self.after_exactly(1_000, What::NodeTick { node });
                let index = self.index(node);
                let owners: Vec<OwnerId> = self.nodes[index].owners.values().map(|owner| owner.id).collect();
                owners.into_iter().for_each(|owner| self.tick_owner(owner));
            }
            What::GatewayTick { node } => {
                self.after_exactly(250, What::GatewayTick { node });
                self.gateway_tick(node);
            }
            What::Project { node } => self.project(node),
            What::Commit { node, life, commit, partitions } => self.commit(node, life, *commit, &partitions),
            What::Relay { node } => self.relay(node),
            What::Expiry { node } => self.expiry(node),
            What::Return { node } => self.come_back(node),
            What::Act { client } => self.act(client),
            What::Fault => self.fault(),
            What::Settled => self.settled(),
        }
    }

    /// Looks whether all is done; if so, looks at everything.
    fn settled(&mut self) {
        match self.unsettled() {
            None => match self.quiet_since.take() {
                Some(since) => {
                    self.done = true;
                    if let Err(why) = self.check_quiet(&since) {
                        self.fail(why);
                    }
                    self.final_checks();
                }
                None => {
                    let ends =
                        self.cast.partitions.iter().map(|partition| (*partition, self.log.bounds(*partition).end));
                    self.quiet_since = Some(ends.collect());
                    self.after_exactly(QUIET_MS, What::Settled);
                }
            },
            Some(why) if self.now > self.healed_at + HEALING_MS => self.fail(format!("liveness: {why}")),
            Some(_) => {
                self.quiet_since = None;
                self.after_exactly(500, What::Settled);
            }
        }
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        let (step, now) = (self.stats.steps, self.now);
        if let Some(story) = &mut self.story {
            story.push(format!("{step} {now} ms: {}", line()));
        }
    }

    /// Something is wrong; the first thing counts.
    pub fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }

    /// Which node a name belongs to.
    pub fn index(&self, node: NodeId) -> usize {
        node.0 as usize % NODES
    }

    /// At most so many milliseconds from now.
    pub fn after(&mut self, most_ms: u64, what: What) {
        let at = self.now + self.rng.between(0, most_ms);
        self.queue.push(at, what);
    }

    /// So many milliseconds from now.
    pub fn after_exactly(&mut self, ms: u64, what: What) {
        self.queue.push(self.now + ms, what);
    }

    /// What a node's clock shows.
    pub fn clock(&self, node: usize) -> Timestamp {
        Timestamp((BASE + self.now).saturating_add_signed(self.nodes[node].clock_offset))
    }

    /// What nodes measure waiting by: it never jumps.
    pub fn ticks(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// What the journal's clock shows.
    pub fn journal_clock(&self) -> Timestamp {
        Timestamp((BASE + self.now).saturating_add_signed(self.journal_offset))
    }

    /// An id that was never given before.
    pub fn fresh_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u64_pair(0x7000, 0x8000_0000_0000_0000 | self.ids)
    }

    /// Puts a client's message on its way; those of one connection keep their order.
    pub fn send_in_order(&mut self, link: Link, message: Up) {
        let at = (self.now + self.rng.between(0, 5)).max(self.last_up.get(&link).copied().unwrap_or_default());
        self.last_up.insert(link, at);
        self.queue.push(at, What::Up { link, message });
    }
}
