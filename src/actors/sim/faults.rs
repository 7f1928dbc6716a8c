//! What goes wrong with the cluster, and how everything is mended in the end.

use super::event::What;
use super::fault_plan::Fault;
use super::journal::producer;
use super::world::{NODES, World};
use crate::actors::wire::NodeId;
use crate::ids::Partition;

impl World<'_> {
    /// One of the plan's faults, and the next one later.
    pub(crate) fn fault(&mut self) {
        if self.healing || self.plan.faults.is_empty() {
            return;
        }
        self.after(self.plan.fault_every_ms, What::Fault);
        let fault = self.plan.faults[self.rng.index(self.plan.faults.len())];
        let node = self.rng.index(NODES);
        let partition = self.rng.pick(&self.cast.partitions);
        self.tell(|| format!("{fault:?} of node {node} or {partition}"));
        self.stats.note(fault);
        match fault {
            Fault::Crash => self.crash(node),
            Fault::Pause => {
                let most = self.rng.pick(&[50, 1_000, 6_000]);
                // Never shorter than one that has begun: what is put off comes in its order.
                let until = self.now + self.rng.between(1, most);
                self.nodes[node].paused_until = until.max(self.nodes[node].paused_until);
            }
            Fault::Move => self.move_partition(partition, node),
            Fault::DropOwner => {
                if self.nodes[node].owners.remove(&partition).is_some() && self.rng.chance(600) {
                    let id = self.nodes[node].id;
                    self.after(2_000, What::Begin { node: id, partition });
                }
            }
            Fault::Death => {
                let seed = self.rng.next() as usize;
                let residents = self.nodes[node].owners.values_mut().flat_map(|owner| owner.residents.values_mut());
                let mut residents: Vec<_> = residents.collect();
                let count = residents.len().max(1);
                if let Some(resident) = residents.get_mut(seed % count) {
                    resident.doomed = true;
                }
            }
            Fault::LeaderLoss => {
                // Mostly where there is something to lose.
                let at_risk = |p: &Partition| self.log.bounds(*p).end > self.log.durable_end(*p);
                let risky = self.cast.partitions.iter().copied().find(at_risk);
                let partition = risky.filter(|_| self.rng.chance(800)).unwrap_or(partition);
                self.lose_leader(partition);
            }
            Fault::Cut => {
                let other = self.rng.index(NODES);
                let until = self.now + self.rng.between(100, 4_000);
                self.cuts.insert((node, other), until);
            }
            Fault::StoreDown => {
                self.store.down_until = self.now + self.rng.between(500, 5_000);
                // Some come back meanwhile, and ask for what they missed.
                for _ in 0..self.rng.below(6) {
                    let client = self.rng.index(self.clients.len());
                    self.disconnect(client);
                }
            }
            Fault::Rollback => {
                let which = self.rng.next() as usize;
                self.stats.rollbacks += u64::from(self.store.fall_back(which));
            }
            Fault::Clock => self.nodes[node].clock_offset = self.jump(&[0, 2_000, 90_000, 3_600_000, 24 * 3_600_000]),
            Fault::JournalClock => self.journal_offset = self.jump(&[0, 5_000, 3_600_000]),
            Fault::Break => {
                let client = self.rng.index(self.clients.len());
                self.disconnect(client);
            }
            Fault::Ban => {
                let client = self.rng.index(self.clients.len());
                self.ban(client);
            }
            Fault::Block => {
                let client = self.rng.index(self.clients.len());
                let until = self.now + self.rng.between(1_000, 30_000);
                self.block_socket(client, until);
            }
            Fault::Trim => self.trim(),
            Fault::Repeat => self.repeat(partition),
            Fault::Restore => self.back_up_or_restore(),
            // With the next write: that is the moment at which there is something to lose.
            Fault::Disk => self.failing = true,
            Fault::Sleep => self.sleep(),
            Fault::NewerRecord => self.newer_record(partition),
            Fault::Flip => self.flip(),
            Fault::Upgrade => self.upgrade(node),
        }
    }

    /// The journal's leader of a partition is lost, and what only it had.
    pub(crate) fn lose_leader(&mut self, partition: Partition) {
        let truncation = self.log.leader_loss(partition);
        self.stats.lost_records += truncation.lost;
        self.moved(partition);
    }

    fn jump(&mut self, sizes: &[i64]) -> i64 {
        let size = self.rng.pick(sizes);
        if self.rng.chance(500) { size } else { -size }
    }

    /// A node's memory is lost.
    pub(crate) fn crash(&mut self, node: usize) {
        if self.nodes.iter().filter(|node| node.up).count() < 2 || !self.nodes[node].up {
            return;
        }
        self.stats.crashes += 1;
        let id = self.nodes[node].id;
        self.nodes[node].up = false;
        self.nodes[node].owners.clear();
        self.nodes[node].tails = None;
        self.log.forget(producer(id));
        self.appends.retain(|_, append| append.owner.node != id || append.detached);
        for client in 0..self.clients.len() {
            if self.clients[client].link.is_some_and(|link| link.node == id) {
                self.disconnect(client);
            }
        }
        if self.rng.chance(300) {
            // Beside the node, or another time.
            self.begin_bystander();
        }
        self.after(4_000, What::Return { node });
    }

    /// A node comes back, with nothing but the names of the partitions that it owns.
    pub(crate) fn come_back(&mut self, node: usize) {
        if self.nodes[node].up {
            return;
        }
        self.nodes[node].revive(&self.shared);
        self.start_node(node);
    }

    /// A node's clocks begin to tick and its partitions to be read.
    pub(crate) fn start_node(&mut self, node: usize) {
        let id = self.nodes[node].id;
        self.begin_tails(node);
        for partition in self.nodes[node].assigned.clone() {
            self.after(20, What::Begin { node: id, partition });
        }
        self.after(1_000, What::NodeTick { node: id });
        self.after(250, What::GatewayTick { node: id });
        self.after(100, What::Project { node: id });
        self.after(200, What::Relay { node: id });
        self.after(2_000, What::Expiry { node: id });
    }

    /// A node begins to own a partition; some hear of it, and the others' owners may go on.
    fn move_partition(&mut self, partition: Partition, to: usize) {
        if !self.nodes[to].up {
            return;
        }
        let id = self.nodes[to].id;
        if !self.nodes[to].owners.contains_key(&partition) {
            self.after(20, What::Begin { node: id, partition });
        }
        let clean = self.rng.chance(400);
        for node in 0..NODES {
            if node != to && clean {
                self.nodes[node].owners.remove(&partition);
                self.nodes[node].assigned.remove(&partition);
            }
            if clean || self.rng.chance(700) {
                self.route(node, partition, to);
            }
        }
    }

    fn route(&mut self, node: usize, partition: Partition, to: usize) {
        self.nodes[node].routes.insert(partition, to);
        if self.nodes[node].up {
            let id: NodeId = self.nodes[node].id;
            self.owner_changed(id, partition);
        }
    }

    /// Nothing goes wrong any more, and everybody knows who owns what.
    pub(crate) fn heal(&mut self) {
        self.healing = true;
        let plan = &mut self.plan;
        for rate in [
            &mut plan.lost,
            &mut plan.doubled,
            &mut plan.late,
            &mut plan.refused,
            &mut plan.unknown,
            &mut plan.exposed,
            &mut plan.slow,
            &mut plan.tail_late,
            &mut plan.unreadable,
            &mut plan.commit_unknown,
            &mut plan.slow_readers,
            &mut plan.overload,
        ] {
            *rate = 0;
        }
        plan.project_every_ms = 100;
        self.store.down_until = 0;
        (self.flip, self.failing) = (None, false);
        self.cuts.clear();
        self.journal_offset = 0;
        for node in 0..NODES {
            self.nodes[node].clock_offset = 0;
            self.come_back(node);
        }
        let zombies = self.rng.chance(300);
        for partition in self.cast.partitions.clone() {
            // Mostly it stays where somebody takes it to be: then nobody asks again, and what was lost must come to light.
            let believer = self.rng.index(NODES);
            let believed = self.nodes[believer].routes.get(&partition).copied();
            let to = believed.filter(|_| self.rng.chance(700)).unwrap_or_else(|| self.rng.index(NODES));
            let id = self.nodes[to].id;
            self.nodes[to].assigned.insert(partition);
            if !self.nodes[to].owners.contains_key(&partition) {
                self.after(20, What::Begin { node: id, partition });
            }
            for node in 0..NODES {
                if node != to && !zombies {
                    self.nodes[node].owners.remove(&partition);
                    self.nodes[node].assigned.remove(&partition);
                }
                if self.nodes[node].routes.get(&partition) != Some(&to) {
                    self.route(node, partition, to);
                }
            }
        }
        for client in 0..self.clients.len() {
            self.clients[client].streams.iter_mut().for_each(|listening| listening.wanted = true);
        }
        self.after(1_000, What::Settled);
    }
}
