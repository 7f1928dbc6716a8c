//! What may go wrong under one seed (swarm testing): each seed has its own subset of faults and its own rates, because
//! faults that are always all on hide each other.

use super::rng::Rng;
use crate::actors::workers::persistence::rounds::Options;

/// Faults that happen to the cluster as a whole, at random moments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fault {
    /// A node's memory is lost; it comes back.
    Crash,
    /// A node stands still for a while.
    Pause,
    /// A node begins to own a partition, perhaps beside another; some nodes hear of it.
    Move,
    /// An owner of a partition is gone, and nobody is told.
    DropOwner,
    /// A resident room or user dies.
    Death,
    /// The journal's leader of a partition is lost.
    LeaderLoss,
    /// Two nodes can't reach each other in one direction.
    Cut,
    /// The store does not answer for a while.
    StoreDown,
    /// The store falls back to an earlier moment.
    Rollback,
    /// A node's clock jumps.
    Clock,
    /// The journal's clock jumps.
    JournalClock,
    /// A client's connection breaks.
    Break,
    /// A user is banned, and may come back.
    Ban,
    /// A client's socket takes nothing for a while.
    Block,
    /// The journal is trimmed behind a backup.
    Trim,
    /// A backup of journal and rows is taken; the next time it is restored.
    Restore,
    /// A producer that was not sure writes a batch once more.
    Repeat,
    /// The disk of an embedded journal fails, and the program starts again over what is on it.
    Disk,
    /// A day passes in which nobody does anything.
    Sleep,
    /// A newer program writes into the journal. Ends the run.
    NewerRecord,
    /// A projector reads a row with a flipped bit. Ends the run.
    Flip,
    /// A node is replaced by a newer program; once it runs, it begins that program's version of the fold.
    Upgrade,
}

impl Fault {
    /// All of them.
    pub(crate) const ALL: [Self; 22] = [
        Self::Crash,
        Self::Pause,
        Self::Move,
        Self::DropOwner,
        Self::Death,
        Self::LeaderLoss,
        Self::Cut,
        Self::StoreDown,
        Self::Rollback,
        Self::Clock,
        Self::JournalClock,
        Self::Break,
        Self::Ban,
        Self::Block,
        Self::Trim,
        Self::Restore,
        Self::Repeat,
        Self::Disk,
        Self::Sleep,
        Self::NewerRecord,
        Self::Flip,
        Self::Upgrade,
    ];

    /// How many of a thousand seeds have it. What ends a run, or sets all back, is rare: else little else would be seen.
    fn chance(self) -> u64 {
        match self {
            Self::NewerRecord | Self::Flip => 40,
            Self::Restore | Self::Sleep | Self::Disk => 150,
            Self::Upgrade => 250,
            _ => 450,
        }
    }
}

/// Rates are per mille, times in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Faults of the cluster that happen under this seed.
    pub faults: Vec<Fault>,
    /// Between two of them at most.
    pub fault_every_ms: u64,
    /// Frames between nodes that are lost.
    pub lost: u64,
    /// Frames between nodes that come twice.
    pub doubled: u64,
    /// Frames between nodes that are late.
    pub late: u64,
    /// How late at most.
    pub late_ms: u64,
    /// The journal is one that shows only what is durable, and loses nothing.
    pub embedded: bool,
    /// Appends that are refused.
    pub refused: u64,
    /// Appends whose outcome is unknown, of whatever kind.
    pub unknown: u64,
    /// Appends that are seen before they are durable.
    pub exposed: u64,
    /// Appends that take long.
    pub slow: u64,
    /// A tail fetches what is there within so many milliseconds.
    pub tail_ms: u64,
    /// Fetches that take long.
    pub tail_late: u64,
    /// Reads of the journal that fail.
    pub unreadable: u64,
    /// Commits of the projector whose outcome is not heard.
    pub commit_unknown: u64,
    /// A projector waits so long between two rounds at most.
    pub project_every_ms: u64,
    /// Bytes that a projector keeps of states.
    pub cache_bytes: u64,
    /// Records of a commit at most.
    pub batch_records: usize,
    /// Between two snapshots of the store.
    pub snapshot_every_ms: u64,
    /// Connections that take little at a time.
    pub slow_readers: u64,
    /// A write of theirs takes so many milliseconds at most.
    pub slow_write_ms: u64,
    /// Frames that a gateway can't get rid of, as a partition's queue is full.
    pub overload: u64,
    /// Between two actions of a client at most.
    pub act_every_ms: u64,
    /// Milliseconds without work after which an entity is let go.
    pub idle_ms: u64,
    /// Entities resident in a partition at most.
    pub resident: usize,
    /// Bytes that rooms and users of a node may take.
    pub memory: usize,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let embedded = rng.chance(250);
        let mut faults: Vec<_> = Fault::ALL.into_iter().filter(|fault| rng.chance(fault.chance())).collect();
        faults.retain(|fault| *fault != if embedded { Fault::LeaderLoss } else { Fault::Disk });
        let mut rate = |chance, most| if rng.chance(chance) { rng.between(1, most) } else { 0 };
        Self {
            lost: rate(500, 120),
            doubled: rate(500, 100),
            late: rate(500, 150),
            refused: rate(500, 120),
            unknown: rate(500, 150),
            exposed: if embedded { 0 } else { rate(600, 400) },
            slow: rate(500, 200),
            tail_late: rate(400, 200),
            unreadable: rate(300, 100),
            commit_unknown: rate(400, 150),
            slow_readers: rate(400, 400),
            overload: rate(300, 30),
            slow_write_ms: rng.pick(&[400, 2_000, 20_000]),
            tail_ms: rng.pick(&[3, 15, 150, 1_500]),
            late_ms: rng.pick(&[50, 400, 3_000]),
            fault_every_ms: rng.pick(&[300, 700, 1_500]),
            project_every_ms: rng.pick(&[40, 200, 1_500]),
            cache_bytes: rng.pick(&[1, 6_000, 1 << 20]),
            batch_records: rng.pick(&[1, 5, 100]),
            snapshot_every_ms: rng.pick(&[500, 2_000]),
            act_every_ms: rng.pick(&[300, 1_200, 2_500]),
            idle_ms: rng.pick(&[1, 800, 5_000]),
            resident: rng.pick(&[1, 4, 100]),
            memory: 1 << 30,
            faults,
            embedded,
        }
    }
    /// Bounds of the projectors.
    pub(crate) fn projector(&self) -> Options {
        Options { cache_bytes: self.cache_bytes, batch_records: self.batch_records, ..Options::default() }
    }
}
