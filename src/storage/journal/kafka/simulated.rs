//! A client of brokers in simulated time. What it knows of each partition, which reports it holds back and what its tails
//! tell is the product's ([`parts`](super::parts), [`lane`](super::lane), [`follow`](super::follow)); the brokers are a
//! [`MemoryLog`], and whoever drives it says when it fetches how much of which partition. So its tails are late, in pieces,
//! each partition's for itself, and may hold what the log has lost long ago. Tests only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::follow::{Glance, glance, told};
use super::lane::{Answers, Lane};
use super::parts::{Kept, LogPart, Resumption, Whereabouts};
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::memory::MemoryLog;
use crate::storage::journal::{AppendError, Appended, Bounds, Place, ReadError, StoredRecord, Tailed};

/// What a client knows of one partition.
struct Known<D> {
    part: LogPart,
    /// Reports that are held back.
    held: Lane<D>,
    /// From where it fetches, as its librdkafka knows it.
    position: Option<Resumption>,
    /// One past the highest offset that was fetched.
    highest: Offset,
}

/// See the module. `D` is who hears a delivery report.
pub(crate) struct LateClient<D>(BTreeMap<Partition, Known<D>>);

/// What a fetch brought.
pub(crate) struct Fetch<D> {
    /// Records that the log had lost since they were fetched: it is known now.
    pub lost: u64,
    /// Records that stand in the place of lost ones.
    pub replacing: u64,
    /// There is more.
    pub is_more: bool,
    /// Those who follow may have something to hear.
    pub wakes: bool,
    /// Reports that are given now.
    pub reports: Vec<(D, Result<Appended, AppendError>)>,
}

/// What a landing came to.
pub(crate) struct Landing<D> {
    /// Its report waits until the log has been read up to it.
    pub is_held: bool,
    /// Its records were fetched before.
    pub is_fetched: bool,
    /// Reports that are given now.
    pub reports: Vec<(D, Result<Appended, AppendError>)>,
}

impl<D> LateClient<D> {
    /// A client that begins now.
    pub(crate) fn new(log: &MemoryLog, partitions: &[Partition]) -> Self {
        let known = |partition: &Partition| {
            let part = LogPart::new(log.bounds(*partition));
            (*partition, Known { part, held: Lane::default(), position: None, highest: Offset::ZERO })
        };
        Self(partitions.iter().map(known).collect())
    }

    fn known(&mut self, partition: Partition) -> &mut Known<D> {
        self.0.get_mut(&partition).expect("a partition that it was made with")
    }

    /// Somebody follows a partition from here.
    pub(crate) fn follow(&mut self, partition: Partition, from: Offset) -> Arc<Place> {
        let known = self.known(partition);
        let place = Place::new(from, known.part.losses());
        known.part.followers.add(&place);
        known.position = known.part.follows(from).or(known.position);
        place
    }

    /// Own records set out.
    pub(crate) fn launched(&mut self, partition: Partition) {
        self.known(partition).part.is_flying.store(true, Ordering::Release);
    }

    /// Own records have their fate: these are written, and this is what who waits for it is told.
    pub(crate) fn landed(
        &mut self,
        partition: Partition,
        written: Vec<(Offset, Timestamp, Bytes)>,
        answer: (D, Result<Appended, AppendError>),
        now: Timestamp,
    ) -> Landing<D> {
        let known = self.known(partition);
        let last = written.last().map(|(offset, ..)| *offset);
        let is_fetched = last.is_some_and(|last| known.position.is_some_and(|position| last < position.at));
        let hold = known.part.delivered(written, now);
        let mut reports = vec![answer];
        if hold.is_some() || known.held.holds() {
            known.held.hold(std::mem::take(&mut reports), hold.unwrap_or_default(), now);
        }
        known.part.is_flying.store(false, Ordering::Release);
        Landing { is_held: hold.is_some(), is_fetched, reports: known.with_losses(reports) }
    }

    /// Fetches at most so many records. `None` if nobody follows the partition.
    pub(crate) fn fetch(&mut self, log: &MemoryLog, partition: Partition, most: usize) -> Option<Fetch<D>> {
        let known = self.known(partition);
        if known.part.followers.lowest().is_none() {
            known.part.forsake();
            known.position = None;
            let reports = known.release(Offset(u64::MAX));
            return Some(Fetch { lost: 0, replacing: 0, is_more: false, wakes: false, reports });
        }
        let from = known.position?;
        let held = log.bounds(partition);
        let cut = from.epoch.map(|epoch| log.epoch_end(partition, epoch as u64)).filter(|end| *end < from.at);
        if cut.is_some() || from.at < held.start || from.at > held.end {
            known.position = known.part.mended(held, cut);
            let lost = known.position.map_or(0, |to| from.at.0.saturating_sub(to.at.0));
            let reports = known.release(Offset(u64::MAX));
            return Some(Fetch { lost, replacing: 0, is_more: true, wakes: true, reports });
        }
        let records = log.read(partition, from.at, usize::MAX).unwrap_or_default();
        let mut fetch =
            Fetch { lost: 0, replacing: 0, is_more: records.len() > most, wakes: false, reports: Vec::new() };
        for record in records.into_iter().take(most) {
            let (offset, epoch) = (record.offset, log.epoch_of(partition, record.offset) as i32);
            fetch.replacing += u64::from(offset < known.highest);
            known.highest = known.highest.max(offset.next());
            known.position = Some(Resumption { at: offset.next(), epoch: Some(epoch) });
            let kept = known.part.fetched(offset, Some(epoch), || record);
            if let Some(read) = known.part.read_for_reports() {
                fetch.reports.extend(known.release(read));
            }
            fetch.wakes |= kept != Kept::Known && !known.part.is_flying.load(Ordering::Acquire);
        }
        Some(fetch)
    }

    /// What is to be told to somebody at `place`, if there is anything.
    ///
    /// # Errors
    /// As [`MemoryLog::read`].
    pub(crate) fn tell(
        &self,
        log: &MemoryLog,
        partition: Partition,
        place: &Place,
        max_bytes: usize,
    ) -> Result<Option<Tailed>, ReadError> {
        let part = &self.0[&partition].part;
        loop {
            match glance(part, partition, place, max_bytes)? {
                Glance::Tell(told) => return Ok(Some(told)),
                Glance::Again => {}
                Glance::Wait => return Ok(None),
                Glance::Fetch(from, to) => {
                    let mut records = log.read(partition, from, max_bytes)?;
                    records.retain(|record| record.offset < to);
                    if records.is_empty() {
                        // It waits for some seconds, and is asked again.
                        return Ok(None);
                    }
                    if let Some(told) = told(part, place, from, records) {
                        return Ok(Some(told));
                    }
                }
            }
        }
    }

    /// What it knows of a partition's bounds.
    pub(crate) fn bounds(&self, partition: Partition) -> Bounds {
        self.0[&partition].part.bounds()
    }

    /// Records from `from` on, as the journal reads them for whoever does not follow.
    ///
    /// # Errors
    /// As [`MemoryLog::read`].
    pub(crate) fn read(
        &self,
        log: &MemoryLog,
        partition: Partition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        match self.0[&partition].part.find(from, max_bytes) {
            Whereabouts::Trimmed(start) => Err(ReadError::Trimmed { partition, asked: from, start }),
            Whereabouts::Here(records) => Ok(records),
            Whereabouts::Nothing => Ok(Vec::new()),
            Whereabouts::Coming | Whereabouts::Older(_) => log.read(partition, from, max_bytes),
        }
    }

    /// Some time has passed: reports that waited for too long are given, as unknown.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<(D, AppendError)> {
        let mut over = Vec::new();
        for known in self.0.values_mut() {
            let overdue = known.held.tick(now).answers;
            if !overdue.is_empty() && !known.held.holds() {
                known.part.holds_nothing();
            }
            over.extend(overdue);
        }
        over
    }
}

impl<D> Known<D> {
    fn release(&mut self, read: Offset) -> Vec<(D, Result<Appended, AppendError>)> {
        let released = self.held.release(read);
        if !self.held.holds() {
            self.part.holds_nothing();
        }
        self.with_losses(released)
    }

    fn with_losses(&self, answers: Answers<D>) -> Answers<D> {
        let losses = self.part.losses();
        let told = |report: Appended| Appended { losses, ..report };
        answers.into_iter().map(|(done, report)| (done, report.map(told))).collect()
    }
}
