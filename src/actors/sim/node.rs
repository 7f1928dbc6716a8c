//! A node in one of its lives, and what it loses at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::gateway::Gateway;
use super::owner::Owner;
use super::projection::Workers;
use super::tails::Tails;
use crate::actors::clocks::Clocks;
use crate::actors::moment::FoldVersion;
use crate::actors::partition::listeners::ListenerTable;
use crate::actors::partition::memory::Memory;
use crate::actors::watermarks::Watermarks;
use crate::actors::wire::NodeId;
use crate::actors::workers::persistence::rounds::Options;
use crate::actors::workers::relay::expiry_rounds::{ClockReading, ExpiryStep};
use crate::env::ManualClock;
use crate::ids::{Offset, Partition};
use crate::metrics::Metrics;

/// What all nodes have in common.
#[derive(Default)]
pub(crate) struct Shared {
    /// The clock that never jumps.
    pub steady: Arc<ManualClock>,
    /// Nobody looks at them.
    pub metrics: Arc<Metrics>,
    /// Bytes that rooms and users of a node may take.
    pub memory: usize,
    /// Bounds of the projectors.
    pub projector: Options,
}

/// A node.
pub(crate) struct Node {
    /// Its present life.
    pub id: NodeId,
    /// The version of the fold that its program knows.
    pub knows: FoldVersion,
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
    /// Its client of the brokers.
    pub tails: Option<Tails>,
    /// Who listens to the streams of its partitions.
    pub listeners: BTreeMap<Partition, Arc<ListenerTable>>,
    /// Bytes that its rooms and users may take.
    pub memory: Arc<Memory>,
    /// How far each partition is folded here.
    pub applied: Watermarks,
    /// How far each is stored, as far as this node knows.
    pub stored: Watermarks,
    /// Its gateway.
    pub gateway: Gateway,
    /// What it knows of clocks that jump.
    pub clocks: Clocks,
    /// Its workers.
    pub workers: Workers,
}

impl Node {
    /// Its first life.
    pub(crate) fn new(index: usize, shared: &Shared) -> Self {
        Self {
            id: NodeId { number: index as u32, life: 1 },
            knows: FoldVersion::FIRST,
            up: true,
            paused_until: 0,
            clock_offset: 0,
            routes: BTreeMap::new(),
            assigned: BTreeSet::new(),
            owners: BTreeMap::new(),
            tails: None,
            listeners: BTreeMap::new(),
            memory: Arc::new(Memory::new(shared.memory)),
            applied: Watermarks::new(),
            stored: Watermarks::new(),
            gateway: Gateway::new(&shared.steady, &shared.metrics),
            clocks: Clocks::default(),
            workers: Workers::new(Options { knows: FoldVersion::FIRST, ..shared.projector }),
        }
    }

    /// The next life: it knows what it owns and whom it takes for the other owners, and nothing else.
    pub(crate) fn revive(&mut self, shared: &Shared) {
        let fresh = Self::new(self.id.number as usize, shared);
        let old = std::mem::replace(self, fresh);
        self.id.life = old.id.life + 1;
        self.knows = old.knows;
        self.workers = Workers::new(self.projector(shared));
        self.clock_offset = old.clock_offset;
        self.routes = old.routes;
        self.assigned = old.assigned;
    }

    /// Bounds of its projector.
    pub(crate) fn projector(&self, shared: &Shared) -> Options {
        Options { knows: self.knows, ..shared.projector }
    }

    /// The next step of its expiry scanner.
    pub(crate) fn expiry_step(&mut self, clock: ClockReading) -> ExpiryStep {
        let stored = &self.stored;
        self.workers.expiry.step(clock, |partition| stored.get(partition))
    }

    /// An owner begins here: what was beyond is folded anew, and if the store has lost it, stored again.
    pub(crate) fn begin_at(&self, partition: Partition, at: Offset) {
        self.stored.begin(partition, at);
        self.applied.begin(partition, at);
    }
}
