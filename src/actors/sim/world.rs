//! The simulated world: nodes, journal, store, clients, and the one queue of what happens next.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use uuid::Uuid;

use super::client::{Client, Way};
use super::disasters::Backup;
use super::event::{CommandKey, Copies, Link, OwnerId, Queue, Up, What};
use super::fault_plan::{Fault, Plan};
use super::journal::Append;
use super::node::{Node, Shared};
use super::oracle::Truth;
use super::order::Arrivals;
use super::population::{CLIENTS, Cast};
use super::projection::Store;
use super::rng::Rng;
use super::stats::Stats;
use super::tails::Bystander;
use crate::actors::wire::{Entity, NodeId, RequestId};
use crate::epoch::History;
use crate::ids::{ClientId, Offset, Partition, RoomId, Seq, Timestamp};
use crate::storage::journal::memory::{MemoryLog, Ticket};

/// Nodes.
pub(crate) const NODES: usize = 3;
/// Steps with faults.
const STEPS: u64 = 2_000;
/// Milliseconds that healing may take.
pub(crate) const HEALING_MS: u64 = 60_000;
/// Milliseconds for which nothing may happen any more, once all has settled.
const QUIET_MS: u64 = 5_000;
/// What every clock shows at the beginning.
const BASE: u64 = 1_700_000_000_000;

/// A running hash of everything that happens: the same seed gives the same one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trace(pub u64);

impl Trace {
    /// Takes a number in.
    pub(crate) fn mix(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }
}

/// See the module.
pub(crate) struct World<'a> {
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
    /// Days that passed in a moment.
    pub slept_ms: u64,
    /// Which history the journal holds.
    pub history: History,
    /// A backup of all.
    pub backup: Option<Backup>,
    /// The disk of the journal fails with the next write.
    pub failing: bool,
    /// Appends that may be found on a disk that failed.
    pub torn: BTreeMap<Ticket, (Partition, Vec<Bytes>)>,
    /// The room of which a projector reads a wrong row next.
    pub flip: Option<RoomId>,
    /// The room of which a projector has read a wrong row.
    pub flipped: Option<RoomId>,
    /// Connections of banned users.
    pub banned: BTreeSet<Link>,
    /// When the run ends because a partition is halted for good.
    pub ends_at: Option<u64>,
    /// The store.
    pub store: Store,
    next_snapshot: u64,
    /// What they have in common.
    pub shared: Shared,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// Who reads the journal without owning anything.
    pub bystander: Option<Bystander>,
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
    /// Whom queries went to, likewise.
    pub queried: HashMap<(NodeId, RequestId), Entity>,
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
    /// Where the partitions ended when all had settled, and how many owners there had been.
    quiet_since: Option<(u32, BTreeMap<Partition, Offset>)>,
    done: bool,
    failure: Option<String>,
}

impl<'a> World<'a> {
    /// The world of a seed, before its first step.
    pub(crate) fn new(cast: &'a Cast, seed: u64) -> Self {
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
        let shared = Shared { memory: plan.memory, projector: plan.projector(), ..Shared::default() };
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
            slept_ms: 0,
            history: History::of(Uuid::from_u128(u128::from(seed))),
            backup: None,
            failing: false,
            torn: BTreeMap::new(),
            flip: None,
            flipped: None,
            banned: BTreeSet::new(),
            ends_at: None,
            store: Store::new(&cast.users),
            next_snapshot: 0,
            nodes: (0..NODES).map(|index| Node::new(index, &shared)).collect(),
            shared,
            bystander: None,
            clients,
            cuts: BTreeMap::new(),
            last_up: BTreeMap::new(),
            truth: Truth::new(cast),
            asked: HashMap::new(),
            queried: HashMap::new(),
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
        self.begin_bystander();
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
    pub(crate) fn run(&mut self) -> Result<(Trace, Stats), (u64, String)> {
        while !self.done {
            let Some((at, serial, what)) = self.queue.pop() else {
                return Err((self.stats.steps, "nothing happens any more".to_owned()));
            };
            if self.ends_at.is_some_and(|end| end < at) {
                self.done = true;
                self.check_halted();
            } else {
                self.step(at, serial, what);
            }
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
        let id = match &what {
            // It finds the node by its name, whatever life that is in.
            What::ToGateway { to, .. } => Some(self.nodes[self.index(*to)].id),
            what => what.node(),
        };
        if let Some(id) = id {
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
            What::ToGateway { to, bytes } => self.gateway_receives(self.nodes[self.index(to)].id, &bytes),
            What::Up { link, message } => self.gateway_hears(link, message),
            What::Flush { link } => self.flush_outbox(link),
            What::Judge { link } => self.judge(link),
            What::Gone { link } => self.session_gone(link),
            What::Expose { ticket } => self.expose(ticket),
            What::Settle { ticket } => self.settle(ticket),
            What::Bring { reader, partition } => self.bring(reader, partition),
            What::LeaderLoss { partition } => self.lose_leader(partition),
            What::Report { owner, ticket, report } => {
                self.reported(owner, ticket, report);
            }
            What::Told { owner, told } => self.told(owner, told),
            What::Look { owner } => self.look(owner),
            What::Load { owner, entity, replay_to, listeners, share } => {
                self.load(owner, entity, replay_to, listeners, share);
            }
            What::Loaded { owner, entity, loaded } => self.loaded(owner, &entity, loaded),
            What::Cover { owner } => self.cover(owner),
            What::Rested { owner, entity } => self.with_owner(owner, |owner, _, out| owner.core.rested(&entity, out)),
            What::Resident { owner, entity } => self.resident_turn(owner, &entity),
            What::Died { owner, entity } => self.resident_died(owner, &entity),
            What::Fetch { owner, fetch } => self.fetch_stored(owner, fetch),
            What::Begin { node, partition } => self.begin_owner(node, partition),
            What::Began { node, partition } => self.owner_changed(node, partition),
            What::NodeTick { node } => {
                self.after_exactly(1_000, What::NodeTick { node });
                let index = self.index(node);
                self.tick_tails(node);
                let owners: Vec<OwnerId> = self.nodes[index].owners.values().map(|owner| owner.id).collect();
                owners.into_iter().for_each(|owner| self.tick_owner(owner));
            }
            What::GatewayTick { node } => {
                self.after_exactly(250, What::GatewayTick { node });
                self.gateway_tick(node);
            }
            What::Project { node } => self.project(node),
            What::Commit { node, life, commit } => self.commit(node, life, *commit),
            What::Relay { node } => self.relay(node),
            What::Expiry { node } => self.expiry(node),
            What::Return { node } => self.come_back(node),
            What::Replace { node } => self.replace(node),
            What::Reopen => self.reopen(),
            What::Obey { link } => self.work(link),
            What::Act { client } => self.act(client),
            What::Fault => self.fault(),
            What::Settled => self.settled(),
        }
    }

    /// Looks whether all is done; if so, looks at everything.
    fn settled(&mut self) {
        match self.unsettled() {
            None => match self.quiet_since.take() {
                Some((lives, since)) if lives == self.lives => {
                    self.done = true;
                    if let Err(why) = self.check_quiet(&since) {
                        self.fail(why);
                    }
                    self.final_checks();
                }
                // Each owner that begins anew has reason for a barrier; that, too, comes to an end.
                Some(_) if self.now > self.healed_at + HEALING_MS => {
                    self.fail("liveness: owners begin anew for ever".to_owned());
                }
                _ => {
                    let ends =
                        self.cast.partitions.iter().map(|partition| (*partition, self.log.bounds(*partition).end));
                    self.quiet_since = Some((self.lives, ends.collect()));
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
    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        let (step, now) = (self.stats.steps, self.now);
        if let Some(story) = &mut self.story {
            story.push(format!("{step} {now} ms: {}", line()));
        }
    }

    /// Something is wrong; the first thing counts.
    pub(crate) fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }

    /// Which node a name belongs to.
    pub(crate) fn index(&self, node: NodeId) -> usize {
        node.number as usize
    }

    /// At most so many milliseconds from now.
    pub(crate) fn after(&mut self, most_ms: u64, what: What) {
        let at = self.now + self.rng.between(0, most_ms);
        self.queue.push(at, what);
    }

    /// So many milliseconds from now.
    pub(crate) fn after_exactly(&mut self, ms: u64, what: What) {
        self.queue.push(self.now + ms, what);
    }

    /// The time, as a right clock shows it.
    pub(crate) fn today(&self) -> u64 {
        BASE + self.now + self.slept_ms
    }

    /// What a node's clock shows.
    pub(crate) fn clock(&self, node: usize) -> Timestamp {
        Timestamp(self.today().saturating_add_signed(self.nodes[node].clock_offset))
    }

    /// What nodes measure waiting by: it never jumps.
    pub(crate) fn ticks(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// What the journal's clock shows.
    pub(crate) fn journal_clock(&self) -> Timestamp {
        Timestamp(self.today().saturating_add_signed(self.journal_offset))
    }

    /// An id that was never given before.
    pub(crate) fn fresh_id(&mut self) -> Uuid {
        self.ids += 1;
        Uuid::from_u64_pair(0x7000, 0x8000_0000_0000_0000 | self.ids)
    }

    /// Puts a client's message on its way; those of one connection keep their order.
    pub(crate) fn send_in_order(&mut self, link: Link, message: Up) {
        let at = (self.now + self.rng.between(0, 5)).max(self.last_up.get(&link).copied().unwrap_or_default());
        self.last_up.insert(link, at);
        self.queue.push(at, What::Up { link, message });
    }
}
