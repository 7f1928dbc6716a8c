//! Traces: when a command passed each stage of the node. One command in so many is traced, and the next ones of a room that
//! an operator named. A trace holds no body: it tells what was slow, not what was said. A finished one can go to an exporter.
//!
//! A command that is not followed costs a relaxed add, and a relaxed load at each stage.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use super::fold;
use super::kinds;
use super::partition::item::Batch;
use crate::actors::wire::{Answer, Entity, NodeId, Origin, RequestId};
use crate::ids::{Offset, Partition, Seq, Timestamp};
use crate::storage::journal::record::Envelope;

/// Trails that are kept.
const KEPT: usize = 512;
/// Commands that are followed at a time.
const OPEN: usize = 128;
/// A command that is not through by then ends as it is.
const PATIENCE: Duration = Duration::from_secs(20);
/// Rooms and users whose next commands are asked for.
const WANTED: usize = 64;

/// Where a command comes by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Its partition has taken it.
    Received,
    /// The journal has it on disk.
    Appended,
    /// It was read back, is final, and was handed to its room or user.
    Verified,
    /// The room or user has decided.
    Folded,
    /// The answer is in the sender's outbox.
    Acknowledged,
    /// Its events are in the outboxes of this node's listeners.
    Delivered,
}

impl Stage {
    /// Its name for the outside.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Appended => "appended",
            Self::Verified => "verified",
            Self::Folded => "folded",
            Self::Acknowledged => "acknowledged",
            Self::Delivered => "delivered",
        }
    }
}

/// The way of a command.
#[derive(Clone, Debug)]
pub struct CommandTrace {
    /// The command's id.
    pub id: Uuid,
    /// What it is.
    pub kind: &'static str,
    /// Of which room or user; `None` of a control record.
    pub entity: Option<Entity>,
    /// Where it is journaled.
    pub partition: Partition,
    /// At which offset, once it is known.
    pub offset: Option<Offset>,
    /// Its place in the stream, if it got one.
    pub seq: Option<Seq>,
    /// When it was admitted.
    pub at: Timestamp,
    /// What was answered.
    pub outcome: Option<&'static str>,
    /// The stages, with microseconds since the first.
    pub spans: Vec<(Stage, u64)>,
}

struct Open {
    since: Instant,
    origin: Origin,
    trail: CommandTrace,
}

impl Open {
    fn reaches(&mut self, stage: Stage) {
        // A batch that is repeated after a death comes by again: the first time counts.
        if self.trail.spans.iter().all(|(known, _)| *known != stage) {
            let us = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.trail.spans.push((stage, us));
        }
    }
}

#[derive(Default)]
struct Inner {
    open: Vec<Open>,
    done: VecDeque<CommandTrace>,
    wanted: BTreeMap<Entity, u32>,
    /// Who hears of each trail that ends.
    outlet: Option<SyncSender<CommandTrace>>,
}

impl Inner {
    fn close(&mut self, at: usize) {
        let Open { trail, .. } = self.open.swap_remove(at);
        if let Some(outlet) = &self.outlet
            && outlet.try_send(trail.clone()).is_err()
        {
            tracing::debug!("a trail is not exported: the collector is slow");
        }
        if self.done.len() == KEPT {
            self.done.pop_front();
        }
        self.done.push_back(trail);
    }

    fn give_up(&mut self) {
        while let Some(at) = self.open.iter().position(|open| open.since.elapsed() > PATIENCE) {
            self.close(at);
        }
    }
}

/// See the module.
#[derive(Default)]
pub struct Traces {
    every: AtomicU32,
    counted: AtomicU32,
    /// Commands that are followed.
    active: AtomicU32,
    /// Rooms and users whose next commands are asked for.
    wishes: AtomicU32,
    inner: Mutex<Inner>,
}

impl Traces {
    /// Follows one command in so many from now on; 0: only those asked for.
    pub fn follow_one_in(&self, every: u32) {
        self.every.store(every, Relaxed);
    }

    /// One in how many is followed.
    #[must_use]
    pub fn every(&self) -> u32 {
        self.every.load(Relaxed)
    }

    /// Follows the next `count` commands of a room or user. Says whether there was room for the wish.
    pub(crate) fn want(&self, entity: Entity, count: u32) -> bool {
        let mut inner = self.lock();
        let fits = inner.wanted.len() < WANTED || inner.wanted.contains_key(&entity);
        if fits && count > 0 {
            inner.wanted.insert(entity, count);
        }
        self.wishes.store(u32::try_from(inner.wanted.len()).unwrap_or(u32::MAX), Relaxed);
        fits
    }

    /// Tells each trail that ends; one that finds no room is not told. A later outlet takes the place of an earlier one.
    pub fn send_to(&self, outlet: SyncSender<CommandTrace>) {
        self.lock().outlet = Some(outlet);
    }

    /// The last trails, the newest first: of this room or user, if one is named.
    #[must_use]
    pub(crate) fn latest(&self, of: Option<&Entity>, limit: usize) -> Vec<CommandTrace> {
        let mut inner = self.lock();
        inner.give_up();
        self.note(&inner);
        let fits = |trail: &&CommandTrace| of.is_none_or(|of| trail.entity.as_ref() == Some(of));
        inner.done.iter().rev().filter(fits).take(limit).cloned().collect()
    }

    /// A partition has taken a command.
    pub fn received(&self, partition: Partition, origin: Origin, record: &Bytes) {
        let every = self.every.load(Relaxed);
        let its_turn = every > 0 && self.counted.fetch_add(1, Relaxed).is_multiple_of(every);
        if its_turn || self.wishes.load(Relaxed) > 0 {
            self.begin(its_turn, partition, origin, record);
        }
    }

    #[cold]
    fn begin(&self, its_turn: bool, partition: Partition, origin: Origin, record: &Bytes) {
        let Ok(envelope) = Envelope::decode_record(record) else { return };
        let entity = fold::entity_in(partition, &envelope);
        let mut inner = self.lock();
        let wished = entity.as_ref().is_some_and(|entity| {
            let Some(left) = inner.wanted.get_mut(entity) else { return false };
            *left -= 1;
            if *left == 0 {
                inner.wanted.remove(entity);
            }
            true
        });
        if (its_turn || wished) && inner.open.len() >= OPEN {
            inner.give_up();
        }
        if (its_turn || wished) && inner.open.len() < OPEN {
            let trail = CommandTrace {
                id: envelope.id(),
                kind: kinds::name(envelope.kind),
                entity,
                partition,
                offset: None,
                seq: None,
                at: envelope.issued_at(),
                outcome: None,
                spans: vec![(Stage::Received, 0)],
            };
            inner.open.push(Open { since: Instant::now(), origin, trail });
        }
        self.note(&inner);
    }

    /// Which of these records are followed, in words that [`Self::appended`] understands.
    #[must_use]
    pub fn among(&self, records: &[Bytes]) -> Vec<Uuid> {
        if self.active.load(Relaxed) == 0 {
            return Vec::new();
        }
        let ids = records.iter().filter_map(|record| Envelope::decode_record(record).ok()).map(|found| found.id());
        let inner = self.lock();
        ids.filter(|id| inner.open.iter().any(|open| open.trail.id == *id)).collect()
    }

    /// The journal has these on disk.
    pub fn appended(&self, ids: &[Uuid]) {
        if !ids.is_empty() {
            let mut inner = self.lock();
            let followed = inner.open.iter_mut().filter(|open| ids.contains(&open.trail.id));
            followed.for_each(|open| open.reaches(Stage::Appended));
        }
    }

    /// A batch comes by.
    pub(crate) fn reached(&self, stage: Stage, batch: &Batch) {
        if self.active.load(Relaxed) > 0 {
            self.follow(stage, batch);
        }
    }

    #[cold]
    fn follow(&self, stage: Stage, batch: &Batch) {
        let mut inner = self.lock();
        for item in batch.items() {
            let item = item.get();
            let id = item.envelope.id();
            let Some(at) = inner.open.iter().position(|open| open.trail.id == id) else { continue };
            inner.open[at].reaches(stage);
            inner.open[at].trail.offset = Some(item.offset);
            if stage == Stage::Delivered {
                inner.close(at);
            }
        }
        self.note(&inner);
    }

    /// An answer goes out.
    pub(crate) fn answered(&self, node: NodeId, request: RequestId, answer: &Answer) {
        if self.active.load(Relaxed) > 0 {
            self.end(node, request, answer);
        }
    }

    #[cold]
    fn end(&self, node: NodeId, request: RequestId, answer: &Answer) {
        let mut inner = self.lock();
        let asked = |open: &Open| open.origin.node == node && open.origin.request == request;
        let Some(at) = inner.open.iter().position(asked) else { return };
        let open = &mut inner.open[at];
        open.reaches(Stage::Acknowledged);
        let (outcome, is_over) = match answer {
            Answer::Accepted { seq, duplicate, .. } => {
                open.trail.seq = Some(*seq).filter(|seq| *seq > Seq::ZERO);
                (if *duplicate { "duplicate" } else { "accepted" }, false)
            }
            Answer::Rejected(reject) => (reject.name(), false),
            // Nothing may come after it.
            Answer::Unavailable { .. } => ("unavailable", true),
            Answer::Unknown => ("unknown", true),
        };
        open.trail.outcome = Some(outcome);
        if is_over {
            inner.close(at);
        }
        self.note(&inner);
    }

    fn note(&self, inner: &Inner) {
        self.active.store(u32::try_from(inner.open.len()).unwrap_or(u32::MAX), Relaxed);
        self.wishes.store(u32::try_from(inner.wanted.len()).unwrap_or(u32::MAX), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    fn command(n: u64, user: &str) -> (Partition, Origin, Bytes) {
        let id = UserId::new(user).unwrap();
        let envelope = Envelope {
            kind: 1001,
            key: Bytes::copy_from_slice(user.as_bytes()),
            command_id: Bytes::copy_from_slice(Uuid::from_u64_pair(7, n).as_bytes()),
            issued_at_ms: n,
            payload: Bytes::from_static(b"hidden"),
            ..Envelope::default()
        };
        let origin = Origin { node: NodeId::default(), request: RequestId(n), weight: 1 };
        (id.partition(), origin, envelope.encode_record())
    }

    fn run(trails: &Traces, n: u64, user: &str) {
        let (partition, origin, record) = command(n, user);
        trails.received(partition, origin, &record);
        let ids = trails.among(std::slice::from_ref(&record));
        trails.appended(&ids);
        trails.answered(origin.node, origin.request, &Answer::Unknown);
    }

    fn ids(trails: &Traces, of: Option<&Entity>) -> Vec<u64> {
        trails.latest(of, 1_000).iter().map(|trail| trail.at.0).collect()
    }

    #[test]
    fn one_in_so_many_is_followed_and_nothing_if_none_is_wanted() {
        let trails = Traces::default();
        (0..10).for_each(|n| run(&trails, n, "ann"));
        assert!(ids(&trails, None).is_empty());
        trails.follow_one_in(4);
        (10..20).for_each(|n| run(&trails, n, "ann"));
        assert_eq!(ids(&trails, None), [18, 14, 10]);
        let trail = &trails.latest(None, 1)[0];
        let stages: Vec<_> = trail.spans.iter().map(|(stage, _)| *stage).collect();
        assert_eq!(stages, [Stage::Received, Stage::Appended, Stage::Acknowledged]);
        assert_eq!((trail.kind, trail.outcome), ("user.block", Some("unknown")));
        assert!(!format!("{trail:?}").contains("hidden"));
    }

    #[test]
    fn the_next_ones_of_somebody_are_followed_when_asked_for() {
        let trails = Traces::default();
        let ann = Entity::User(UserId::new("ann").unwrap());
        assert!(trails.want(ann.clone(), 2));
        for n in 0..8 {
            run(&trails, n, if n % 2 == 0 { "bob" } else { "ann" });
        }
        assert_eq!(ids(&trails, Some(&ann)), [3, 1]);
        assert_eq!(ids(&trails, None), [3, 1]);
    }

    #[test]
    fn what_is_kept_and_followed_is_bounded() {
        let trails = Traces::default();
        trails.follow_one_in(1);
        (0..KEPT as u64 + 50).for_each(|n| run(&trails, n, "ann"));
        assert_eq!(ids(&trails, None).len(), KEPT);
        for n in 10_000..10_000 + OPEN as u64 + 50 {
            let (partition, origin, record) = command(n, "ann");
            trails.received(partition, origin, &record);
        }
        assert_eq!(trails.lock().open.len(), OPEN);
        for n in 0..WANTED + 5 {
            trails.want(Entity::User(UserId::new(&format!("user{n}")).unwrap()), 1);
        }
        assert_eq!(trails.lock().wanted.len(), WANTED);
    }
}
