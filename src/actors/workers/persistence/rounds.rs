//! The pure core of the projector's rounds: what is read, in which order, and when a batch is full. What follows from a failure
//! is decided in `failures`. It never drops a record: while the store is away it waits, longer each time.
//!
//! A driver, the worker or the simulation, asks for the next [`ProjectorStep`], carries it out and says what came of it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::failures::{Failures, ProjectorRoundError};
use super::projector::{Halt, Projector};
use crate::actors::moment::FoldVersion;
use crate::actors::wire::Entity;
use crate::ids::{Offset, PARTITIONS, Partition, RoomId, UserId};
use crate::limits;
use crate::storage::journal::{ReadError, StoredRecord};
use crate::storage::store::rows::{RoomRows, UserRows, WatermarkRow};
use crate::storage::store::{Commit, StoreError};

/// Bounds of the projector.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Records of one commit at most, about.
    pub batch_records: usize,
    /// Bytes of records of one commit at most, about.
    pub batch_bytes: usize,
    /// How long records may gather before they are committed, unless a batch is full.
    pub gather: Duration,
    /// How long they gather on top of that while nobody waits for their rows.
    pub linger: Duration,
    /// Bytes of states kept between batches, about.
    pub cache_bytes: u64,
    /// First wait after a failure of the store.
    pub retry_first: Duration,
    /// Longest wait after failures of the store.
    pub retry_most: Duration,
    /// The highest version of the fold that this program knows.
    pub knows: FoldVersion,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_records: limits::PROJECTOR_BATCH_RECORDS,
            batch_bytes: limits::PROJECTOR_BATCH_BYTES,
            gather: Duration::from_millis(limits::PROJECTOR_GATHER_MS),
            linger: Duration::from_millis(limits::PROJECTOR_LINGER_MS),
            cache_bytes: limits::PROJECTOR_CACHE_BYTES,
            retry_first: Duration::from_millis(50),
            retry_most: Duration::from_secs(5),
            knows: FoldVersion::KNOWN,
        }
    }
}

/// How the projector is, for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProjectorStatus {
    /// The last failure of the store or the journal, until something succeeds again.
    pub failing: Option<String>,
    /// Partitions that are not projected any further, with the reason for the operator.
    pub halted: Vec<(Partition, String)>,
    /// Commits so far.
    pub commits: u64,
    /// Records in them.
    pub records: u64,
}

/// What is to be done next.
pub(crate) enum ProjectorStep {
    /// Read the store's watermarks; then [`ProjectorRounds::watermarks`].
    Watermarks,
    /// Read records of a partition, none that its owner has not applied; then [`ProjectorRounds::read`].
    Read {
        /// The partition.
        partition: Partition,
        /// The first one.
        from: Offset,
        /// Bytes at most, but at least one record.
        bytes: usize,
    },
    /// Read the rows of these; then [`ProjectorRounds::hydrated`] for each.
    Hydrate(Vec<Entity>),
    /// [`Projector::fold`]; then [`ProjectorRounds::folded`]. It takes some ten milliseconds, and may panic.
    Fold(Box<Projector>),
    /// Write this; then [`ProjectorRounds::committed`].
    Commit(Box<Commit>),
    /// Wait a little: records gather.
    Gather(Duration),
    /// Wait until somebody asks for the rows of what is applied, and at most so long: records gather.
    Linger(Duration),
    /// All that is applied is stored. Wait until more is; and at most so long, if something could not be read.
    Idle(Option<Duration>),
    /// Something failed. Wait so long.
    Retry(Duration),
}

/// The rows of an entity, or why there are none.
pub(crate) enum Snapshot {
    /// Of a room.
    Room(RoomId, Result<RoomRows, StoreError>),
    /// Of a user.
    User(UserId, Result<UserRows, StoreError>),
}

/// A partition's watermark that was moved.
pub(crate) struct StoredTo {
    /// Where it is now.
    pub row: WatermarkRow,
    /// Facts for others were stored with it: the relay has something to do.
    pub has_facts: bool,
}

enum Stage {
    /// Reads partitions, this many behind the first one.
    Collect(u16),
    Hydrate,
    Fold,
    Commit(Box<Commit>),
    Gather,
    Linger,
    Retry,
    /// Waits for what the driver does.
    Out,
}

/// See the module.
pub(crate) struct ProjectorRounds {
    options: Options,
    /// None before the watermarks are known, and while it folds.
    projector: Option<Box<Projector>>,
    stage: Stage,
    /// The partition that is read first in the next round: none waits for ever behind a busy one.
    first: u16,
    /// There was more to read than fits into the batch.
    full: bool,
    /// Nobody waited for what is pending: it gathers for longer.
    lingers: bool,
    failures: Failures,
    /// Partitions and records of the batch.
    batch: (Vec<Partition>, usize),
    /// Sources whose facts are in the commit.
    sources: BTreeSet<Partition>,
    status: ProjectorStatus,
}

impl ProjectorRounds {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            projector: None,
            stage: Stage::Collect(0),
            first: 0,
            full: false,
            lingers: false,
            failures: Failures::default(),
            batch: (Vec::new(), 0),
            sources: BTreeSet::new(),
            status: ProjectorStatus::default(),
        }
    }

    /// How it is.
    pub(crate) fn status(&self) -> &ProjectorStatus {
        &self.status
    }

    /// Whether a round begins with the next step: what is applied from now on is seen by it.
    pub(crate) fn begins(&self) -> bool {
        matches!(self.stage, Stage::Collect(0))
    }

    /// From where on it reads a partition.
    #[cfg(test)]
    pub(crate) fn reads_from(&self, partition: Partition) -> Option<Offset> {
        self.projector.as_ref()?.next_offset(partition)
    }

    /// What is to be done next. `applied` says how far a partition may be read, `stored` how far the store has it as far as
    /// anybody here knows: if its owner began below what was committed, the store has lost that, and is asked where it is.
    pub(crate) fn step(
        &mut self,
        applied: impl Fn(Partition) -> Offset,
        stored: impl Fn(Partition) -> Offset,
    ) -> ProjectorStep {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Out) {
                Stage::Retry => {
                    let Options { retry_first, retry_most, .. } = self.options;
                    let wait = self.failures.next_wait(retry_first, retry_most);
                    self.stage = Stage::Collect(0);
                    return ProjectorStep::Retry(wait);
                }
                Stage::Gather => {
                    self.stage = Stage::Collect(0);
                    return ProjectorStep::Gather(self.options.gather);
                }
                Stage::Linger => {
                    self.stage = Stage::Collect(0);
                    return ProjectorStep::Linger(self.options.linger);
                }
                Stage::Collect(step) => {
                    let Some(mut projector) = self.projector.take() else { return ProjectorStep::Watermarks };
                    let read = self.collect(&projector, step, &applied, &stored);
                    if matches!(read, Some(ProjectorStep::Watermarks)) {
                        return ProjectorStep::Watermarks;
                    }
                    self.batch = (projector.pending_partitions(), projector.pending().0);
                    let is_ready = read.is_none() && self.batch.1 > 0;
                    if is_ready {
                        self.lingers = !self.full && !self.lingers && !projector.is_awaited();
                    }
                    let missing = if is_ready && !self.lingers { projector.missing() } else { Vec::new() };
                    self.projector = Some(projector);
                    self.note_halted();
                    if let Some(read) = read {
                        return read;
                    }
                    if self.batch.1 == 0 {
                        self.failures.isolates = false;
                        self.stage = Stage::Gather;
                        // What could not be read may be readable later, also if nothing new comes.
                        let unread = self.status.failing.is_some().then_some(self.options.retry_most);
                        return ProjectorStep::Idle(unread);
                    }
                    if self.lingers {
                        self.stage = Stage::Linger;
                        continue;
                    }
                    self.stage = Stage::Hydrate;
                    if !missing.is_empty() {
                        return ProjectorStep::Hydrate(missing);
                    }
                }
                Stage::Hydrate => self.stage = Stage::Fold,
                Stage::Fold => match self.projector.take() {
                    Some(projector) => return ProjectorStep::Fold(projector),
                    None => self.stage = Stage::Collect(0),
                },
                Stage::Commit(commit) => return ProjectorStep::Commit(commit),
                // The driver gave up what it was asked for.
                Stage::Out => self.stage = Stage::Collect(0),
            }
        }
    }

    /// What is read next of what is applied and not projected yet; `None` if there is no more, or no room for more.
    fn collect(
        &mut self,
        projector: &Projector,
        step: u16,
        applied: impl Fn(Partition) -> Offset,
        stored: impl Fn(Partition) -> Offset,
    ) -> Option<ProjectorStep> {
        let Options { batch_records, batch_bytes, .. } = self.options;
        let (records, bytes) = projector.pending();
        self.full = true;
        for step in step..PARTITIONS {
            let at = (self.first + step) % PARTITIONS;
            let next = Partition::new(at).and_then(|partition| Some((partition, projector.next_offset(partition)?)));
            let is_lost = |(partition, from)| from > applied(partition) && from > stored(partition);
            if records == 0 && next.is_some_and(is_lost) {
                return Some(ProjectorStep::Watermarks);
            }
            let unread = next.filter(|(partition, from)| *from < applied(*partition));
            if self.failures.isolates && records > 0
                || unread.is_some() && (records >= batch_records || bytes >= batch_bytes)
            {
                self.first = at;
                return None;
            }
            if let Some((partition, from)) = unread {
                self.stage = Stage::Collect(step);
                return Some(ProjectorStep::Read { partition, from, bytes: batch_bytes - bytes });
            }
        }
        self.full = false;
        self.first = (self.first + 1) % PARTITIONS;
        None
    }

    /// The store's watermarks: all goes on from there. Partitions that are halted stay so.
    pub(crate) fn watermarks(&mut self, rows: Result<Vec<WatermarkRow>, StoreError>) {
        match rows {
            Ok(rows) => {
                let mut projector = Projector::knowing(self.options.knows, rows, self.options.cache_bytes);
                self.failures.halt_again(&mut projector);
                (self.projector, self.stage) = (Some(Box::new(projector)), Stage::Collect(0));
            }
            Err(error) => self.fails(&ProjectorRoundError::Store(error)),
        }
    }

    /// What was read of a partition that is applied up to here.
    pub(crate) fn read(
        &mut self,
        partition: Partition,
        applied: Offset,
        records: Result<Vec<StoredRecord>, ReadError>,
    ) {
        let Some(projector) = &mut self.projector else { return };
        let is_last = match records {
            Ok(mut records) => {
                records.retain(|record| record.offset < applied);
                records.truncate(self.options.batch_records.saturating_sub(projector.pending().0).max(1));
                let is_empty = records.is_empty();
                projector.push(partition, records);
                is_empty
            }
            Err(error) if error.is_transient() => {
                self.status.failing = Some(error.to_string());
                true
            }
            Err(error) => {
                projector.halt(partition, Halt::Journal(error.why_halted()));
                true
            }
        };
        if let Stage::Collect(step) = &mut self.stage
            && is_last
        {
            *step += 1;
        }
    }

    /// The rows of an entity. Says whether the others are still wanted.
    pub(crate) fn hydrated(&mut self, snapshot: Snapshot) -> bool {
        let Some(projector) = &mut self.projector else { return false };
        let (partition, done) = match snapshot {
            Snapshot::Room(room, Ok(rows)) => (room.partition(), projector.hydrate_room(room, rows).map_err(Err)),
            Snapshot::User(user, Ok(rows)) => (user.partition(), projector.hydrate_user(&user, rows).map_err(Err)),
            Snapshot::Room(room, Err(error)) => (room.partition(), Err(Ok(error))),
            Snapshot::User(user, Err(error)) => (user.partition(), Err(Ok(error))),
        };
        let error = match done {
            Ok(()) => return true,
            Err(Ok(StoreError::Damaged(why))) => {
                projector.drop_partition(partition, Halt::Store(why));
                return true;
            }
            Err(Ok(error)) => ProjectorRoundError::Unread(error),
            Err(Err(moved)) => ProjectorRoundError::Moved(moved),
        };
        self.fails(&error);
        false
    }

    /// The fold is done, or panicked.
    pub(crate) fn folded(&mut self, folded: Result<(Box<Projector>, Option<Commit>), String>) {
        match folded {
            Ok((projector, commit)) => {
                self.projector = Some(projector);
                self.sources = commit.iter().flat_map(|commit| &commit.outbox).map(|row| row.source).collect();
                match commit {
                    Some(commit) => self.stage = Stage::Commit(Box::new(commit)),
                    None => self.succeeds(),
                }
            }
            Err(panic) => {
                self.failures.suspect(&self.batch.0, Halt::Panic);
                self.fails(&ProjectorRoundError::Panic(panic));
            }
        }
    }

    /// What became of the commit. Gives the watermarks that were moved.
    pub(crate) fn committed(&mut self, result: Result<(), StoreError>) -> Vec<StoredTo> {
        if let Err(error) = result {
            if let StoreError::Damaged(why) = &error {
                self.failures.suspect(&self.batch.0, Halt::Store(why.clone()));
            }
            self.fails(&ProjectorRoundError::Store(error));
            return Vec::new();
        }
        let moved = self.projector.as_mut().map(|projector| projector.committed()).unwrap_or_default();
        self.succeeds();
        moved.into_iter().map(|row| StoredTo { has_facts: self.sources.contains(&row.partition), row }).collect()
    }

    fn succeeds(&mut self) {
        self.failures.succeeded();
        self.status.failing = None;
        self.status.commits += 1;
        self.status.records += self.batch.1 as u64;
        self.stage = if self.full { Stage::Collect(0) } else { Stage::Gather };
    }

    fn fails(&mut self, error: &ProjectorRoundError) {
        tracing::warn!(%error, "rows were not written; trying again");
        self.status.failing = Some(error.to_string());
        self.note_halted();
        if error.spoils_the_cache() {
            self.projector = None;
        }
        self.stage = Stage::Retry;
    }

    fn note_halted(&mut self) {
        self.failures.note_halted(self.projector.as_deref(), &mut self.status.halted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Timestamp;
    use crate::storage::journal::record::Envelope;

    fn unavailable() -> StoreError {
        StoreError::Unavailable("no reader is free".to_owned())
    }

    #[test]
    fn a_store_that_is_away_is_asked_again_after_longer_and_longer() {
        let options = Options { retry_most: Duration::from_millis(300), ..Options::default() };
        let mut rounds = ProjectorRounds::new(options);
        for ms in [50, 100, 200, 300, 300] {
            assert!(matches!(rounds.step(|_| Offset::ZERO, |_| Offset::ZERO), ProjectorStep::Watermarks));
            rounds.watermarks(Err(unavailable()));
            let step = rounds.step(|_| Offset::ZERO, |_| Offset::ZERO);
            assert!(matches!(step, ProjectorStep::Retry(wait) if wait == Duration::from_millis(ms)));
        }
    }

    #[test]
    fn what_can_not_be_read_is_read_later_and_nobody_else_waits_for_it() {
        let mut rounds = ProjectorRounds::new(Options::default());
        assert!(matches!(rounds.step(|_| Offset(1), |_| Offset(1)), ProjectorStep::Watermarks));
        rounds.watermarks(Ok(Partition::all().take(2).map(WatermarkRow::start).collect()));
        for expected in Partition::all().take(2) {
            let ProjectorStep::Read { partition, .. } = rounds.step(|_| Offset(1), |_| Offset(1)) else {
                panic!("something is applied")
            };
            assert_eq!(partition, expected);
            let error = crate::storage::journal::JournalError::Io("no file".to_owned());
            rounds.read(partition, Offset(1), Err(error.into()));
        }
        assert!(matches!(rounds.step(|_| Offset(1), |_| Offset(1)), ProjectorStep::Idle(Some(_))));
        assert!(matches!(rounds.step(|_| Offset(1), |_| Offset(1)), ProjectorStep::Gather(_)) && rounds.begins());
    }

    /// A record of a room or user of the first partition.
    fn record(offset: u64, kind: u32) -> StoredRecord {
        let envelope = Envelope { kind, ..Envelope::default() };
        StoredRecord { offset: Offset(offset), time: Timestamp(1), bytes: envelope.encode_record() }
    }

    #[test]
    fn what_nobody_waits_for_lingers_once_and_what_somebody_waits_for_never() {
        for (kind, lingers) in [(2, true), (1, false)] {
            let mut rounds = ProjectorRounds::new(Options::default());
            let step = |rounds: &mut ProjectorRounds, applied| rounds.step(|_| Offset(applied), |_| Offset::ZERO);
            assert!(matches!(step(&mut rounds, 1), ProjectorStep::Watermarks));
            rounds.watermarks(Ok(vec![WatermarkRow::start(Partition::FIRST)]));
            let reads = |rounds: &mut ProjectorRounds, offset: u64| {
                assert!(matches!(step(rounds, offset + 1), ProjectorStep::Read { from, .. } if from == Offset(offset)));
                rounds.read(Partition::FIRST, Offset(offset + 1), Ok(vec![record(offset, kind)]));
                step(rounds, offset + 1)
            };
            let mut next = reads(&mut rounds, 0);
            if lingers {
                assert!(matches!(next, ProjectorStep::Linger(_)), "nobody waits");
                next = reads(&mut rounds, 1);
            }
            assert!(matches!(next, ProjectorStep::Fold(_)), "kind {kind}");
        }
    }

    /// Nothing new may come for a long time: the rows that were lost are made again all the same.
    #[test]
    fn a_store_that_fell_back_below_an_owner_is_asked_where_it_is() {
        let mut rounds = ProjectorRounds::new(Options::default());
        let mut step = |applied, stored| rounds.step(|_| Offset(applied), |_| Offset(stored));
        assert!(matches!(step(9, 9), ProjectorStep::Watermarks));
        let row = WatermarkRow { next_offset: Offset(9), ..WatermarkRow::start(Partition::FIRST) };
        rounds.watermarks(Ok(vec![row]));
        let mut step = |applied, stored| rounds.step(|_| Offset(applied), |_| Offset(stored));
        assert!(matches!(step(9, 9), ProjectorStep::Idle(None)), "all is stored");
        assert!(matches!(step(9, 9), ProjectorStep::Gather(_)));
        assert!(matches!(step(3, 9), ProjectorStep::Idle(None)), "its owner folds anew what is stored");
        assert!(matches!(step(3, 9), ProjectorStep::Gather(_)));
        assert!(matches!(step(3, 3), ProjectorStep::Watermarks), "its owner began where the store is");
        rounds.watermarks(Ok(vec![WatermarkRow { next_offset: Offset(3), ..WatermarkRow::start(Partition::FIRST) }]));
        let next = rounds.step(|_| Offset(5), |_| Offset(3));
        assert!(matches!(next, ProjectorStep::Read { from: Offset(3), .. }));
    }
}
