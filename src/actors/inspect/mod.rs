//! The actors of one node as operators see them: which there are and how they are. A value and no global: two nodes
//! in one process do not see each other.
//!
//! Actors write into their own [`ActorStats`]; the maps here change only when a room or user comes or goes. Nothing here is
//! asked by an actor, and nothing decides by it.

mod residents;
mod stats;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use residents::StatsHandle;
pub(crate) use stats::{ActorStats, Figures, State};

use self::residents::Residents;
use crate::actors::wire::Entity;
use crate::env::Clock;
use crate::ids::{Offset, Partition, Timestamp};

/// Milliseconds between two samples of the rates, at least: pollers share one.
const SAMPLE_MS: u64 = 1_000;

/// What there is once in a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Part {
    /// The root of the tree.
    Root = 0,
    /// The workers' supervisor.
    Workers = 1,
    /// Writes rows.
    Projector = 2,
    /// Tells other partitions.
    Relay = 3,
    /// Ends rooms whose time is over.
    Expiry = 4,
    /// Hands events to connections.
    Hub = 5,
}

impl Part {
    /// All of them.
    pub(crate) const ALL: [Self; 6] =
        [Self::Root, Self::Workers, Self::Projector, Self::Relay, Self::Expiry, Self::Hub];
}

/// What the residents of a partition add up to, at the last sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sums {
    /// Messages in their mailboxes.
    pub depth: u64,
    /// Thousandths of a message in a second.
    pub rate_milli: u64,
}

#[derive(Default)]
struct PartitionStats {
    stats: Arc<ActorStats>,
    residents: Mutex<Residents>,
    depth: AtomicU64,
    rate_milli: AtomicU64,
    verified: AtomicU64,
}

/// See the module.
pub(crate) struct Directory {
    clock: Arc<dyn Clock>,
    begun: Timestamp,
    /// Seconds since it began, as the last beat said: actors note it without asking a clock.
    seconds: AtomicU32,
    parts: [Arc<ActorStats>; Part::ALL.len()],
    places: Box<[PartitionStats]>,
    sampled: Mutex<Option<Timestamp>>,
}

impl Directory {
    /// Of a node without actors.
    #[must_use]
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            begun: clock.steady(),
            clock,
            seconds: AtomicU32::new(0),
            parts: Default::default(),
            places: Partition::all().map(|_| PartitionStats::default()).collect(),
            sampled: Mutex::default(),
        }
    }

    /// Notes the time; due once a second.
    pub(crate) fn beat(&self) {
        let seconds = self.clock.steady().since(self.begun) / 1_000;
        self.seconds.store(u32::try_from(seconds).unwrap_or(u32::MAX), Relaxed);
    }

    /// The time for [`ActorStats`].
    #[must_use]
    pub(crate) fn now(&self) -> u32 {
        self.seconds.load(Relaxed)
    }

    /// What there is once.
    #[must_use]
    pub(crate) fn part(&self, part: Part) -> &Arc<ActorStats> {
        &self.parts[part as usize]
    }

    /// A partition.
    #[must_use]
    pub(crate) fn partition(&self, partition: Partition) -> &Arc<ActorStats> {
        &self.places[partition.index()].stats
    }

    /// A room or user is resident from now on, or was made anew.
    #[must_use]
    pub(crate) fn enter(&self, entity: &Entity) -> StatsHandle {
        let stats = self.lock(entity.partition()).enter(entity);
        stats.started(self.now());
        stats
    }

    /// It is resident no more.
    pub(crate) fn leave(&self, entity: &Entity) {
        self.lock(entity.partition()).leave(entity);
    }

    /// The partition starts, with nobody in it.
    pub(crate) fn begin(&self, partition: Partition) -> Arc<ActorStats> {
        *self.lock(partition) = Residents::default();
        let stats = Arc::clone(self.partition(partition));
        stats.started(self.now());
        stats
    }

    /// A resident room or user.
    #[must_use]
    pub(crate) fn resident(&self, entity: &Entity) -> Option<Figures> {
        let now = self.now();
        self.lock(entity.partition()).get(entity).map(|stats| stats.figures(now))
    }

    /// How many a partition has.
    #[must_use]
    pub(crate) fn residents(&self, partition: Partition) -> usize {
        self.lock(partition).len()
    }

    /// Looks at each room and user of a partition, in no order. Holds up who comes or goes there: `look` must be quick.
    pub(crate) fn each(&self, partition: Partition, mut look: impl FnMut(&Entity, Figures)) {
        let now = self.now();
        self.lock(partition).iter().for_each(|(entity, stats)| look(entity, stats.figures(now)));
    }

    /// A partition's owner has verified it up to here.
    pub(crate) fn verified(&self, partition: Partition, end: Offset) {
        self.places[partition.index()].verified.store(end.0, Relaxed);
    }

    /// One past the last verified record of a partition.
    #[must_use]
    pub(crate) fn verified_end(&self, partition: Partition) -> Offset {
        Offset(self.places[partition.index()].verified.load(Relaxed))
    }

    /// What its residents added up to at the last sample.
    #[must_use]
    pub(crate) fn sums(&self, partition: Partition) -> Sums {
        let place = &self.places[partition.index()];
        Sums { depth: place.depth.load(Relaxed), rate_milli: place.rate_milli.load(Relaxed) }
    }

    /// Brings the rates up to date, at most once a second: each reader calls it first, and while nobody looks it costs
    /// nothing. A rate is then the mean since the last look.
    pub(crate) fn sample(&self) {
        let mut sampled = self.sampled.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.clock.steady();
        let over_ms = at.since(sampled.unwrap_or(self.begun));
        if sampled.is_some() && over_ms < SAMPLE_MS {
            return;
        }
        *sampled = Some(at);
        self.beat();
        let now = self.now();
        self.parts.iter().for_each(|stats| stats.sample(now, over_ms));
        for place in &self.places {
            place.stats.sample(now, over_ms);
            let mut sums = Sums::default();
            for (_, stats) in place.residents.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                stats.sample(now, over_ms);
                let figures = stats.figures(now);
                sums.depth += u64::from(figures.depth);
                sums.rate_milli += u64::from(figures.rate_milli);
            }
            place.depth.store(sums.depth, Relaxed);
            place.rate_milli.store(sums.rate_milli, Relaxed);
        }
    }

    fn lock(&self, partition: Partition) -> MutexGuard<'_, Residents> {
        self.places[partition.index()].residents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::ManualClock;
    use crate::ids::UserId;

    fn user(name: &str) -> Entity {
        Entity::User(UserId::new(name).unwrap())
    }

    #[test]
    fn two_nodes_in_one_process_do_not_see_each_other() {
        let clock = Arc::new(ManualClock::default());
        let (one, other) = (Directory::new(Arc::clone(&clock) as _), Directory::new(clock));
        let ann = user("ann");
        one.enter(&ann).sent();
        assert_eq!(one.residents(ann.partition()), 1);
        assert_eq!(other.residents(ann.partition()), 0);
        assert_eq!(other.resident(&ann), None);
    }

    #[test]
    fn who_is_made_anew_keeps_the_count_and_who_was_let_go_begins_again() {
        let directory = Directory::new(Arc::new(ManualClock::default()));
        let ann = user("ann");
        directory.enter(&ann).worked(0);
        let _ = directory.enter(&ann);
        assert_eq!(directory.resident(&ann).map(|seen| (seen.handled, seen.restarts)), Some((1, 1)));
        directory.leave(&ann);
        let _ = directory.enter(&ann);
        assert_eq!(directory.resident(&ann).map(|seen| (seen.handled, seen.restarts)), Some((0, 0)));
    }

    #[test]
    fn many_lookers_share_one_sample_a_second() {
        let clock = Arc::new(ManualClock::new(Timestamp(5_000)));
        let directory = Directory::new(Arc::clone(&clock) as _);
        let ann = user("ann");
        let stats = directory.enter(&ann);
        directory.sample();
        clock.advance(2_000);
        (0..6).for_each(|_| stats.worked(directory.now()));
        directory.sample();
        clock.advance(10);
        directory.sample();
        assert_eq!(directory.resident(&ann).map(|seen| seen.rate_milli), Some(3_000));
        assert_eq!(directory.sums(ann.partition()), Sums { depth: 0, rate_milli: 3_000 });
        let _ = directory.begin(ann.partition());
        assert_eq!(directory.residents(ann.partition()), 0);
    }
}
