//! What is known here of each partition: its bounds, its most recent records, and who follows it. Reports and the reader add to
//! it; nobody holds a lock for longer than it takes to look.
//!
//! The recent records of a partition are one run without a gap. A report adds its own records at the end of the run, so that
//! they are neither fetched nor decoded to be read here; what the reader fetches is added if it lies behind.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::ids::{Offset, Partition, Timestamp};
use crate::limits;
use crate::storage::journal::tail::Places;
use crate::storage::journal::{Bounds, StoredRecord};

/// One partition.
pub(super) struct LogPart {
    start: AtomicU64,
    end: AtomicU64,
    recent: Mutex<Recent>,
    /// Own records are under way. What is fetched meanwhile may be them, and their report is about to tell it.
    pub is_flying: AtomicBool,
    /// Who follows it.
    pub followers: Places,
}

#[derive(Default)]
struct Recent {
    /// The last records below `next`.
    run: VecDeque<StoredRecord>,
    bytes: usize,
    /// One past the run.
    next: Offset,
    /// Where the reader goes on, if it follows the partition.
    fetches: Option<Offset>,
    /// The reader has been told to wait: nobody takes what it brings.
    is_paused: bool,
    /// Of the last record that was fetched.
    epoch: Option<i32>,
    /// One past what own reports cover: no loss reaches below.
    confirmed: Offset,
    losses: u64,
    /// Append time of the last own report, and when it came by the steady clock.
    clock: Option<(Timestamp, Timestamp)>,
}

/// Where records are to be found.
pub(super) enum Whereabouts {
    /// Here they are.
    Here(Vec<StoredRecord>),
    /// There are none yet.
    Nothing,
    /// The reader is about to bring them.
    Coming,
    /// Behind the run, below this offset: they must be fetched.
    Older(Offset),
}

/// What became of a record that was fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kept {
    Yes,
    /// It was known before.
    Known,
    /// It is kept, and those who follow have more before them than they should: no more for now.
    TooMuch,
}

/// Where the reader is to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Resumption {
    pub at: Offset,
    pub epoch: Option<i32>,
}

impl LogPart {
    /// A partition with these bounds.
    pub(super) fn new(bounds: Bounds) -> Self {
        let recent = Recent { next: bounds.end, ..Recent::default() };
        let (start, end) = (AtomicU64::new(bounds.start.0), AtomicU64::new(bounds.end.0));
        let is_flying = AtomicBool::new(false);
        Self { start, end, recent: Mutex::new(recent), is_flying, followers: Places::default() }
    }

    pub(super) fn bounds(&self) -> Bounds {
        let start = self.start.load(Ordering::Acquire);
        Bounds { start: Offset(start), end: Offset(self.end.load(Ordering::Acquire).max(start)) }
    }

    /// The first offset held is at least this.
    pub(super) fn starts(&self, at: Offset) {
        self.start.fetch_max(at.0, Ordering::AcqRel);
    }

    /// What lies below is readable.
    pub(super) fn reaches(&self, end: Offset) {
        self.end.fetch_max(end.0, Ordering::AcqRel);
    }

    pub(super) fn losses(&self) -> u64 {
        self.recent().losses
    }

    /// The broker's clock, told by the last own report; `now` and `steady` are this machine's.
    pub(super) fn now(&self, now: Timestamp, steady: Timestamp) -> Timestamp {
        self.recent().clock.map_or(now, |(time, at)| Timestamp(time.0 + steady.since(at)))
    }

    /// Own records are durable: in the order of their offsets. To be called before their reports are given.
    pub(super) fn delivered(&self, written: Vec<(Offset, Timestamp, Bytes)>, steady: Timestamp) {
        let (Some(&(first, ..)), Some(&(last, time, _))) = (written.first(), written.last()) else { return };
        let mut recent = self.recent();
        if first < recent.confirmed || recent.has_another(&written[0]) {
            // What stood here is gone, and ours took its place. Nothing says from where on: whatever no report covers.
            let cut = recent.confirmed.min(first);
            self.cut(&mut recent, cut);
        }
        recent.clock = Some((time, steady));
        recent.confirmed = last.next();
        if recent.fetches.is_none() && recent.next < first {
            // Nobody here reads what others wrote in between.
            recent.restart(first);
        }
        for (offset, time, bytes) in written {
            if offset == recent.next {
                recent.push(StoredRecord { offset, time, bytes });
            }
        }
        drop(recent);
        self.reaches(last.next());
    }

    /// A record was fetched.
    pub(super) fn fetched(&self, offset: Offset, epoch: Option<i32>, record: impl FnOnce() -> StoredRecord) -> Kept {
        let mut recent = self.recent();
        recent.fetches = recent.fetches.map(|at| at.max(offset.next()));
        recent.epoch = epoch.or(recent.epoch);
        self.reaches(offset.next());
        if offset < recent.next {
            return Kept::Known;
        }
        if offset > recent.next {
            recent.restart(offset);
        }
        recent.push(record());
        if recent.bytes > limits::KAFKA_RUN_BYTES / 2 && !recent.is_paused {
            let lowest = self.followers.lowest().unwrap_or(recent.next);
            let ahead = recent.run.iter().rev().take_while(|record| record.offset >= lowest);
            if ahead.map(|record| record.bytes.len()).sum::<usize>() > limits::KAFKA_RUN_BYTES / 2 {
                recent.is_paused = true;
                return Kept::TooMuch;
            }
        }
        Kept::Yes
    }

    /// Somebody has taken what was here. True if the reader may go on.
    pub(super) fn resumes(&self) -> bool {
        let mut recent = self.recent();
        let is_drained = recent.is_paused && self.followers.lowest().is_none_or(|lowest| lowest >= recent.next);
        recent.is_paused &= !is_drained;
        is_drained
    }

    /// Somebody follows from here. `Some` if the reader is to begin there.
    pub(super) fn follows(&self, from: Offset) -> Option<Resumption> {
        let mut recent = self.recent();
        if recent.fetches.is_some() {
            return None;
        }
        let end = self.bounds().end;
        let at = from.clamp(self.bounds().start, end);
        if at < recent.next && recent.first() > at {
            recent.restart(at);
        }
        let at = if recent.first() <= at { recent.next } else { at };
        recent.fetches = Some(at);
        recent.is_paused = false;
        Some(Resumption { at, epoch: None })
    }

    /// Where the reader goes on, if it follows the partition.
    pub(super) fn fetches(&self) -> Option<Resumption> {
        let recent = self.recent();
        recent.fetches.map(|at| Resumption { at, epoch: recent.epoch })
    }

    /// The reader lets the partition go.
    pub(super) fn forsake(&self) {
        let mut recent = self.recent();
        recent.fetches = None;
        recent.is_paused = false;
    }

    /// The reader could not go on. What the brokers hold says why: `from..end`, and where they say that the log was cut. Where it
    /// goes on.
    pub(super) fn mended(&self, held: Bounds, cut: Option<Offset>) -> Option<Resumption> {
        let mut recent = self.recent();
        let at = recent.fetches?;
        self.starts(held.start);
        if at < held.start {
            recent.restart(held.start);
            recent.fetches = Some(held.start);
        } else if let Some(cut) = cut.or((held.end < at).then_some(held.end)) {
            self.cut(&mut recent, cut);
            recent.fetches = Some(cut.min(at));
        }
        recent.is_paused = false;
        recent.fetches.map(|at| Resumption { at, epoch: recent.epoch.filter(|_| cut.is_none()) })
    }

    /// What lay at `cut` and beyond is gone.
    fn cut(&self, recent: &mut Recent, cut: Offset) {
        recent.losses += 1;
        while let Some(last) = recent.run.pop_back_if(|record| record.offset >= cut) {
            recent.bytes -= last.bytes.len() + limits::KAFKA_RECORD_OVERHEAD;
        }
        recent.next = recent.next.min(cut);
        recent.confirmed = recent.confirmed.min(cut);
        self.end.store(cut.0, Ordering::Release);
        self.followers.truncated(cut, recent.losses);
    }

    /// Records from `from` on.
    pub(super) fn find(&self, from: Offset, max_bytes: usize) -> Whereabouts {
        let recent = self.recent();
        let first = recent.first();
        if from >= first && from < recent.next {
            let (mut bytes, mut taken) = (0usize, Vec::new());
            for record in recent.run.range((from.0 - first.0) as usize..) {
                bytes = bytes.saturating_add(record.bytes.len());
                if bytes > max_bytes && !taken.is_empty() {
                    break;
                }
                taken.push(record.clone());
            }
            return Whereabouts::Here(taken);
        }
        if from >= self.bounds().end {
            return Whereabouts::Nothing;
        }
        match recent.fetches {
            Some(at) if from >= at.min(recent.next) => Whereabouts::Coming,
            _ if from < first => Whereabouts::Older(first),
            _ => Whereabouts::Older(self.bounds().end),
        }
    }

    /// Wakes those who follow and have not heard of what is here.
    pub(super) fn wake(&self) {
        let next = self.recent().next;
        self.followers.ends(next);
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    /// The first offset of the run.
    fn first(&self) -> Offset {
        Offset(self.next.0 - self.run.len() as u64)
    }

    /// Whether something else is known to have stood where this record stands.
    fn has_another(&self, (offset, _, bytes): &(Offset, Timestamp, Bytes)) -> bool {
        let at = offset.0.checked_sub(self.first().0).and_then(|at| self.run.get(at as usize));
        at.is_some_and(|record| record.bytes != *bytes)
    }

    fn restart(&mut self, at: Offset) {
        self.run.clear();
        (self.bytes, self.next) = (0, at);
    }

    fn push(&mut self, record: StoredRecord) {
        self.next = record.offset.next();
        self.bytes += record.bytes.len() + limits::KAFKA_RECORD_OVERHEAD;
        self.run.push_back(record);
        while self.bytes > limits::KAFKA_RUN_BYTES && self.run.len() > 1 {
            let Some(oldest) = self.run.pop_front() else { return };
            self.bytes -= oldest.bytes.len() + limits::KAFKA_RECORD_OVERHEAD;
        }
    }
}

/// All partitions.
pub(super) struct Parts(Vec<LogPart>);

impl Parts {
    pub(super) fn new(bounds: impl Iterator<Item = Bounds>) -> Self {
        Self(bounds.map(LogPart::new).collect())
    }

    pub(super) fn of(&self, partition: Partition) -> &LogPart {
        &self.0[partition.index()]
    }
}
