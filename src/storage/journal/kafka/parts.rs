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
    /// One past what was told in reports: what lies below is as it is known here.
    certain: Offset,
    /// The reader stood beyond a cut below `certain`: what it fetches below this offset is compared with what is known.
    compares: Option<Offset>,
    /// The reader has been told to wait: nobody takes what it brings.
    is_paused: bool,
    /// Which reader follows it.
    pace: Pace,
    /// Own flights without a long pause between them.
    flights: u32,
    /// How often [`LogPart::wanted`] has been asked since the last of them.
    idle: u32,
    /// And since one that did not lie right behind the one before.
    alone: u32,
    /// Of the last record that was fetched.
    epoch: Option<i32>,
    /// One past what own reports cover: no loss reaches below.
    confirmed: Offset,
    losses: u64,
    /// Reports up to here are held back.
    held: Option<Offset>,
    /// What was fetched for them is not what they reported: it is about to be told that the log was cut.
    is_another: bool,
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
    /// They are trimmed: the log starts here.
    Trimmed(Offset),
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

/// How soon what others wrote is to be here. Each pace has a reader of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Pace {
    /// At once: a broker answers for each record.
    #[default]
    Prompt,
    /// In half a second. For partitions that are written to here and nowhere else: reports tell what is in them, and a report
    /// that does not follow on the one before tells that somebody else writes.
    Calm,
}

/// A partition is read calmly that was written to here so many seconds ago at most, and by others longer ago.
const CALM_S: u32 = 20;
/// After so many flights: to change the reader costs as much as to answer some fetches.
const BUSY: u32 = 5;

/// Records that a reader may lack so that a report waits for it.
const NEAR: u64 = 1_000;

/// Where the reader is to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Resumption {
    pub at: Offset,
    pub epoch: Option<i32>,
}

impl LogPart {
    /// A partition with these bounds.
    pub(super) fn new(bounds: Bounds) -> Self {
        // Nobody is known to write here, this journal included.
        let recent = Recent { next: bounds.end, idle: u32::MAX, alone: CALM_S, ..Recent::default() };
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

    /// Own records are durable: in the order of their offsets. To be called before their reports are given. `Some` if they are
    /// to be held back until the log has been read up to there: see [`lane`](super::lane).
    pub(super) fn delivered(&self, written: Vec<(Offset, Timestamp, Bytes)>, steady: Timestamp) -> Option<Offset> {
        let (&(first, ..), &(last, time, _)) = written.first().zip(written.last())?;
        let mut recent = self.recent();
        if first < recent.confirmed || recent.has_another(&written[0]) {
            // What stood here is gone, and ours took its place. Nothing says from where on: whatever no report covers.
            let cut = recent.confirmed.min(first);
            self.cut(&mut recent, cut);
        }
        recent.clock = Some((time, steady));
        let hold = recent.doubts(first).then(|| last.next());
        let is_first = recent.confirmed == Offset::ZERO;
        if !is_first && (first != recent.confirmed || last.next().0 - first.0 != written.len() as u64) {
            recent.alone = 0;
        }
        (recent.flights, recent.idle) = (recent.flights.saturating_add(1), 0);
        recent.confirmed = last.next();
        if hold.is_none() {
            recent.certain = recent.confirmed;
        }
        if recent.fetches.is_none() && recent.next < first {
            // Nobody here reads what others wrote in between.
            recent.restart(first);
        }
        for (offset, time, bytes) in written {
            if offset == recent.next {
                recent.push(StoredRecord { offset, time, bytes });
            }
        }
        recent.held = hold.or(recent.held);
        drop(recent);
        self.reaches(last.next());
        hold
    }

    /// How far the log has been read for reports that are held back. `None`: no further than it was, or what was read is not what
    /// is there now.
    pub(super) fn read_for_reports(&self) -> Option<Offset> {
        let recent = self.recent();
        recent.held?;
        if recent.is_paused { Some(Offset(u64::MAX)) } else { recent.fetches.filter(|_| !recent.is_another) }
    }

    /// No report is held back any more.
    pub(super) fn holds_nothing(&self) {
        let mut recent = self.recent();
        (recent.held, recent.is_another) = (None, false);
        recent.certain = recent.confirmed;
    }

    /// A record was fetched.
    pub(super) fn fetched(&self, offset: Offset, epoch: Option<i32>, record: impl FnOnce() -> StoredRecord) -> Kept {
        let mut recent = self.recent();
        recent.fetches = recent.fetches.map(|at| at.max(offset.next()));
        recent.epoch = epoch.or(recent.epoch);
        self.reaches(offset.next());
        if offset < recent.next {
            let is_below = |end: Option<Offset>| end.is_some_and(|end| offset < end);
            let (held, compares) = (is_below(recent.held), is_below(recent.compares));
            if !held && !compares {
                return Kept::Known;
            }
            let StoredRecord { offset, time, bytes } = record();
            let found = (offset, time, bytes);
            if !recent.has_another(&found) {
                return Kept::Known;
            }
            if !compares {
                recent.is_another = true;
                return Kept::Known;
            }
            // What was confirmed is gone: whoever follows learns it, and halts.
            recent.compares = None;
            self.cut(&mut recent, offset);
            let (_, time, bytes) = found;
            recent.push(StoredRecord { offset, time, bytes });
            return Kept::Yes;
        }
        if offset > recent.next {
            recent.restart(offset);
        }
        if !self.is_flying.load(Ordering::Acquire) {
            recent.alone = 0;
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
        (recent.is_paused, recent.pace, recent.compares) = (false, Pace::Prompt, None);
        Some(Resumption { at, epoch: None })
    }

    /// Where the reader goes on, if it follows the partition.
    pub(super) fn fetches(&self) -> Option<Resumption> {
        let recent = self.recent();
        recent.fetches.map(|at| Resumption { at, epoch: recent.epoch })
    }

    /// Which reader follows it.
    pub(super) fn pace(&self) -> Pace {
        self.recent().pace
    }

    /// Another reader follows it from now on.
    pub(super) fn paced(&self, pace: Pace) {
        let mut recent = self.recent();
        (recent.is_paused, recent.pace) = (false, pace);
    }

    /// Which reader should follow it, by what was reported in the last seconds. To be asked once a second.
    pub(super) fn wanted(&self) -> Pace {
        let mut recent = self.recent();
        (recent.idle, recent.alone) = (recent.idle.saturating_add(1), recent.alone.saturating_add(1));
        if recent.idle > CALM_S {
            recent.flights = 0;
        }
        if recent.flights >= BUSY && recent.alone > CALM_S { Pace::Calm } else { Pace::Prompt }
    }

    /// Reports tell that others wrote, and the reader that follows takes its time.
    pub(super) fn is_left_behind(&self) -> bool {
        let recent = self.recent();
        recent.pace == Pace::Calm && (recent.next < recent.confirmed || recent.held.is_some())
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
            // A report that was given since is of what took the place of the lost; it may be the very same record, sent again. Should it
            // be lost itself, what stands there is another one.
            let certain = recent.certain.min(held.end);
            recent.compares = (cut < certain).then_some(certain);
            self.cut(&mut recent, cut.max(certain));
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
        recent.certain = recent.certain.min(cut);
        self.end.store(cut.0, Ordering::Release);
        self.followers.truncated(cut, recent.losses);
    }

    /// Records from `from` on.
    pub(super) fn find(&self, from: Offset, max_bytes: usize) -> Whereabouts {
        let start = self.bounds().start;
        if from < start {
            return Whereabouts::Trimmed(start);
        }
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
        let recent = self.recent();
        let end = recent.next.max(recent.confirmed);
        drop(recent);
        self.followers.ends(end);
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

    /// Whether a report from `first` on would vouch for records that were read, are of others, and may have been replaced by
    /// now. A reader that is far behind, or rests, is not waited for: its follower would wait for itself.
    fn doubts(&self, first: Offset) -> bool {
        let unconfirmed = self.confirmed.max(self.first()) < self.next.min(first);
        let is_near = !self.is_paused && first.0.saturating_sub(self.next.0) <= NEAR;
        unconfirmed && is_near && self.fetches.is_some_and(|at| at <= first)
    }

    /// Whether something else is known to have stood where this record stands.
    fn has_another(&self, (offset, time, bytes): &(Offset, Timestamp, Bytes)) -> bool {
        let at = offset.0.checked_sub(self.first().0).and_then(|at| self.run.get(at as usize));
        at.is_some_and(|record| (record.time, &record.bytes) != (*time, bytes))
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
