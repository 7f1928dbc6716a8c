//! What is known of each partition in memory: its bounds, where its records lie in the active segment, and its most
//! recent records. The writer thread alone changes it; readers hold a lock only while they look.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::segment::Segment;
use crate::ids::{Offset, PARTITIONS, Partition};
use crate::storage::journal::tail::Places;
use crate::storage::journal::{self, Bounds, StoredRecord};

/// Bytes that a cached record takes beside its own.
const CACHED_OVERHEAD: usize = 64;

/// One partition.
struct Tail {
    start: AtomicU64,
    end: AtomicU64,
    recent: Mutex<Recent>,
    followers: Places,
}

struct Recent {
    active: Arc<Segment>,
    /// Of the active segment's records, in offset order.
    positions: Vec<u32>,
    /// The last records; the newest is `end - 1`.
    cached: VecDeque<StoredRecord>,
}

/// All partitions.
pub(crate) struct Tails(Vec<Tail>);

/// Where records are to be found.
pub(crate) enum Found {
    /// Here they are.
    Cached(Vec<StoredRecord>),
    /// In the active segment, at these positions.
    Active(Arc<Segment>, Vec<u32>),
    /// In a sealed segment.
    Sealed,
}

impl Tails {
    /// `positions` are those of the active segment's records.
    pub(crate) fn new(active: &Arc<Segment>, starts: &[u64], positions: Vec<Vec<u32>>) -> Self {
        let tail = |(n, positions): (usize, Vec<u32>)| Tail {
            start: AtomicU64::new(starts[n]),
            end: AtomicU64::new(active.header.bases[n] + positions.len() as u64),
            recent: Mutex::new(Recent { active: active.clone(), positions, cached: VecDeque::new() }),
            followers: Places::default(),
        };
        Self(positions.into_iter().enumerate().map(tail).collect())
    }

    /// A partition's bounds.
    pub(crate) fn bounds(&self, partition: Partition) -> Bounds {
        let tail = &self.0[partition.index()];
        let start = tail.start.load(Ordering::Acquire);
        Bounds { start: Offset(start), end: Offset(tail.end.load(Ordering::Acquire).max(start)) }
    }

    /// Moves a start up.
    pub(crate) fn set_start(&self, partition: usize, start: u64) {
        self.0[partition].start.fetch_max(start, Ordering::AcqRel);
    }

    /// Adds durable records of the active segment and moves the end behind them.
    pub(crate) fn publish(&self, partition: Partition, records: impl Iterator<Item = (u32, StoredRecord)>) {
        let tail = &self.0[partition.index()];
        let mut recent = lock(tail);
        let mut end = None;
        for (position, record) in records {
            end = Some(record.offset.next());
            recent.positions.push(position);
            recent.cached.push_back(record);
        }
        if let Some(end) = end {
            tail.end.store(end.0, Ordering::Release);
        }
    }

    /// Somebody follows a partition.
    pub(crate) fn follow(&self, partition: Partition, place: &Arc<journal::Place>) {
        self.0[partition.index()].followers.add(place);
    }

    /// Wakes those who follow a partition and have not heard of its end.
    pub(crate) fn wake(&self, partition: Partition) {
        let tail = &self.0[partition.index()];
        tail.followers.ends(Offset(tail.end.load(Ordering::Acquire)));
    }

    /// Drops the oldest cached record of a partition.
    pub(crate) fn evict(&self, partition: u16) {
        let mut recent = lock(&self.0[usize::from(partition)]);
        recent.cached.pop_front();
        if recent.cached.is_empty() {
            recent.cached.shrink_to(8);
        }
    }

    /// What [`Tails::evict`] gives back for a record of `bytes` bytes.
    pub(crate) fn cached_bytes(bytes: usize) -> usize {
        bytes + CACHED_OVERHEAD
    }

    /// Where the records from `from` on are. `from` lies below the end.
    pub(crate) fn find(&self, partition: Partition, from: Offset, max_bytes: usize, most: usize) -> Found {
        let recent = lock(&self.0[partition.index()]);
        if let Some(first) = recent.cached.front().map(|record| record.offset)
            && first <= from
        {
            let skip = (from.0 - first.0) as usize;
            let (mut bytes, mut taken) = (0usize, 0);
            for record in recent.cached.range(skip..) {
                bytes = bytes.saturating_add(record.bytes.len());
                if taken > 0 && bytes > max_bytes {
                    break;
                }
                taken += 1;
            }
            return Found::Cached(recent.cached.range(skip..skip + taken).cloned().collect());
        }
        match from.0.checked_sub(recent.active.base(partition)) {
            None => Found::Sealed,
            Some(skip) => {
                let positions = recent.positions.iter().skip(skip as usize).take(most).copied().collect();
                Found::Active(recent.active.clone(), positions)
            }
        }
    }

    /// The positions of all records of the active segment by partition.
    pub(crate) fn positions(&self) -> Vec<Vec<u32>> {
        self.0.iter().map(|tail| lock(tail).positions.clone()).collect()
    }

    /// `next` is the active segment now, and empty.
    pub(crate) fn roll(&self, next: &Arc<Segment>) {
        debug_assert_eq!(self.0.len(), PARTITIONS as usize);
        for tail in &self.0 {
            let mut recent = lock(tail);
            recent.active = next.clone();
            recent.positions = Vec::new();
        }
    }
}

fn lock(tail: &Tail) -> MutexGuard<'_, Recent> {
    tail.recent.lock().unwrap_or_else(PoisonError::into_inner)
}
