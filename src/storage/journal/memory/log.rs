//! The synchronous core of the memory journal, with the faults that a real one has.
//!
//! An append has two moments, as on a broker: [`MemoryLog::start`] (the request is sent) and [`MemoryLog::settle`] (it
//! has a [`Fate`]). Between them it is in flight for as long as the driver likes, and may already be visible
//! ([`MemoryLog::expose`]). Each partition has a durable end and a visible end at or beyond it; readers see the visible
//! one. [`MemoryLog::leader_loss`] cuts what lies between them: only records that no successful delivery report covers
//! can vanish.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{Offset, PARTITIONS, Partition, Timestamp};
use crate::storage::journal::tail::{Places, Step};
use crate::storage::journal::{AppendError, Appended, Bounds, JournalError, Place, ReadError, StoredRecord, Tailed};

/// A writer of the log. Its appends to one partition keep their order as long as they are in flight.
pub type Node = u32;

/// An append in flight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Ticket(u64);

/// What becomes of an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It lies in the log, is durable, and the caller is told.
    Deliver,
    /// Certainly not written; the caller is told so.
    Refuse,
    /// The caller is told that the outcome is unknown. It lies in the log and can be seen, but is not durable yet: the
    /// next delivered append of the partition makes it so, a leader loss takes it away.
    Land,
    /// The caller is told that the outcome is unknown. It never comes (unless it was exposed: then it stays as with
    /// [`Fate::Land`]).
    Lose,
    /// The caller is told that the outcome is unknown, and the request is still on its way: settle the same ticket again
    /// later, with any other fate but [`Fate::Refuse`]. It no longer holds its place in the node's order.
    Late,
}

/// What was written where, and when.
pub(crate) type Written = Vec<(Offset, Timestamp, Bytes)>;

/// What a leader loss did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Truncation {
    /// The new end: what lay here and beyond is gone.
    pub end: Offset,
    /// How many records vanished.
    pub lost: u64,
    /// How often the partition has lost records now.
    pub losses: u64,
}

struct InFlight {
    node: Node,
    partition: Partition,
    batch: Vec<Bytes>,
    /// Where its first records lie, as many as are visible, and since when: a trim may take them before the report.
    placed: Vec<(Offset, Timestamp)>,
    /// The caller has been told "unknown".
    detached: bool,
}

#[derive(Clone, Default)]
struct Log {
    start: u64,
    durable: u64,
    records: Vec<StoredRecord>,
    /// Where each lost leader ended the log.
    cuts: Vec<u64>,
}

impl Log {
    fn end(&self) -> u64 {
        self.start + self.records.len() as u64
    }

    fn losses(&self) -> u64 {
        self.cuts.len() as u64
    }
}

/// See the module.
pub(crate) struct MemoryLog {
    logs: Vec<Log>,
    places: Vec<Places>,
    in_flight: BTreeMap<Ticket, InFlight>,
    next_ticket: u64,
    closed: bool,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// An empty log of 256 partitions.
    #[must_use]
    pub(crate) fn new() -> Self {
        let logs = (0..PARTITIONS).map(|_| Log::default()).collect();
        let places = (0..PARTITIONS).map(|_| Places::default()).collect();
        Self { logs, places, in_flight: BTreeMap::new(), next_ticket: 0, closed: false }
    }

    /// What it holds now, for whoever goes on when all that wrote to it are gone: what is in flight is lost.
    #[must_use]
    pub(crate) fn after_crash(&self) -> Self {
        Self { logs: self.logs.clone(), ..Self::new() }
    }

    /// Sends `batch`. Nothing is written until it is settled or exposed.
    pub(crate) fn start(&mut self, node: Node, partition: Partition, batch: Vec<Bytes>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.in_flight.insert(ticket, InFlight { node, partition, batch, placed: Vec::new(), detached: false });
        ticket
    }

    /// The appends that may be settled or exposed now, oldest first: of each node and partition the oldest one, and those
    /// that are [`Fate::Late`].
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = (Ticket, Node, Partition)> + '_ {
        self.in_flight
            .iter()
            .filter(|(ticket, _)| self.is_first(**ticket))
            .map(|(ticket, append)| (*ticket, append.node, append.partition))
    }

    /// Makes an append visible that stays in flight: readers see it, nobody was told, and a leader loss takes it away.
    ///
    /// # Panics
    /// If the ticket is settled already, or an older append of the same node and partition is in flight.
    pub(crate) fn expose(&mut self, ticket: Ticket, now: Timestamp) {
        assert!(self.is_first(ticket), "{ticket:?} is not the next of its node and partition");
        self.place(ticket, now, usize::MAX);
    }

    /// [`MemoryLog::expose`] for the first `count` records of the batch only: others may come between them and the rest.
    ///
    /// # Panics
    /// As [`MemoryLog::expose`].
    pub(crate) fn expose_part(&mut self, ticket: Ticket, now: Timestamp, count: usize) {
        assert!(self.is_first(ticket), "{ticket:?} is not the next of its node and partition");
        self.place(ticket, now, count);
    }

    /// Whether an append in flight can be seen already, in part at least.
    #[must_use]
    pub(crate) fn is_exposed(&self, ticket: Ticket) -> bool {
        self.in_flight.get(&ticket).is_some_and(|append| !append.placed.is_empty())
    }

    /// How many records an append in flight has.
    #[must_use]
    pub(crate) fn records(&self, ticket: Ticket) -> usize {
        self.in_flight.get(&ticket).map_or(0, |append| append.batch.len())
    }

    /// Decides an append that is in flight, and gives what its caller is told (nobody listens if it was
    /// [`Fate::Late`] before). `now` is the append time of what is written by this call.
    ///
    /// # Errors
    /// As the fate says: [`AppendError::Refused`] or [`AppendError::Unknown`]; [`AppendError::Closed`] after
    /// [`MemoryLog::close`].
    ///
    /// # Panics
    /// If the ticket is settled already, if an older append of the same node and partition is in flight, or if an append
    /// is to be refused that is visible or whose caller was told "unknown".
    pub(crate) fn settle(&mut self, ticket: Ticket, now: Timestamp, fate: Fate) -> Result<Appended, AppendError> {
        self.settle_written(ticket, now, fate).map(|(report, _)| report)
    }

    /// As [`MemoryLog::settle`], and tells what was written where.
    ///
    /// # Errors
    /// As [`MemoryLog::settle`].
    ///
    /// # Panics
    /// As [`MemoryLog::settle`].
    pub(crate) fn settle_written(
        &mut self,
        ticket: Ticket,
        now: Timestamp,
        fate: Fate,
    ) -> Result<(Appended, Written), AppendError> {
        assert!(self.is_first(ticket), "{ticket:?} is not the next of its node and partition");
        let append = &self.in_flight[&ticket];
        let unknown = || AppendError::Unknown("no answer came".to_owned());
        if self.closed && append.placed.is_empty() {
            self.in_flight.remove(&ticket);
            return Err(AppendError::Closed("closed".to_owned()));
        }
        match fate {
            Fate::Deliver => {
                self.place(ticket, now, usize::MAX);
                let InFlight { partition, placed, batch, .. } =
                    self.in_flight.remove(&ticket).expect("placed just now");
                let log = &mut self.logs[partition.index()];
                let end = placed.last().map_or(log.end(), |(last, _)| last.0 + 1);
                let first = placed.first().map_or(end, |(first, _)| first.0);
                log.durable = log.durable.max(if placed.is_empty() { 0 } else { end });
                let is_dense = placed.windows(2).all(|two| two[1] == (two[0].0.next(), two[0].1));
                let time = placed.last().map_or(now, |(_, time)| *time);
                let report = Appended { first: Offset(first), end: Offset(end), time, is_dense, losses: log.losses() };
                let written = placed.into_iter().zip(batch).map(|((offset, time), bytes)| (offset, time, bytes));
                Ok((report, written.collect()))
            }
            Fate::Refuse => {
                assert!(append.placed.is_empty() && !append.detached, "{ticket:?} may be written: it can't be refused");
                self.in_flight.remove(&ticket);
                Err(AppendError::Refused("refused".to_owned()))
            }
            Fate::Land => {
                self.place(ticket, now, usize::MAX);
                self.in_flight.remove(&ticket);
                Err(unknown())
            }
            Fate::Lose => {
                self.in_flight.remove(&ticket);
                Err(unknown())
            }
            Fate::Late => {
                if let Some(append) = self.in_flight.get_mut(&ticket) {
                    append.detached = true;
                }
                Err(unknown())
            }
        }
    }

    /// [`MemoryLog::start`] and [`MemoryLog::settle`] in one. Behind an append of the same node and partition that is in
    /// flight it panics, as `settle` does.
    ///
    /// # Errors
    /// As [`MemoryLog::settle`].
    pub(crate) fn append(
        &mut self,
        node: Node,
        now: Timestamp,
        partition: Partition,
        batch: Vec<Bytes>,
        fate: Fate,
    ) -> Result<Appended, AppendError> {
        let ticket = self.start(node, partition, batch);
        self.settle(ticket, now, fate)
    }

    /// A node crashed: what it had in flight and nobody decided yet never comes, except what is visible already (that
    /// stays, not durable) and what was [`Fate::Late`].
    pub(crate) fn forget(&mut self, node: Node) {
        self.in_flight.retain(|_, append| append.node != node || append.detached);
    }

    /// Records from `from` on, as [`Journal::read`](crate::storage::journal::Journal::read) says, up to the visible end.
    ///
    /// # Errors
    /// [`ReadError::Trimmed`] below the start.
    pub(crate) fn read(
        &self,
        partition: Partition,
        from: Offset,
        max_bytes: usize,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let log = &self.logs[partition.index()];
        if from.0 < log.start {
            return Err(ReadError::Trimmed { partition, asked: from, start: Offset(log.start) });
        }
        let mut bytes = 0usize;
        let skip = usize::try_from(from.0 - log.start).unwrap_or(usize::MAX);
        let fits = |record: &&StoredRecord| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(record.bytes.len().max(1));
            first || bytes <= max_bytes
        };
        Ok(log.records.iter().skip(skip).take_while(fits).cloned().collect())
    }

    /// Start and visible end.
    #[must_use]
    pub(crate) fn bounds(&self, partition: Partition) -> Bounds {
        let log = &self.logs[partition.index()];
        Bounds { start: Offset(log.start), end: Offset(log.end()) }
    }

    /// One past the last record that nothing can take away any more.
    #[must_use]
    pub(crate) fn durable_end(&self, partition: Partition) -> Offset {
        Offset(self.logs[partition.index()].durable)
    }

    /// How often the partition lost records. A reader that sees another number than before must look again at what it
    /// read beyond its verified prefix.
    #[must_use]
    pub(crate) fn losses(&self, partition: Partition) -> u64 {
        self.logs[partition.index()].losses()
    }

    /// How many leaders had been lost when the record that lies here was written: the epoch of its leader.
    #[must_use]
    pub(crate) fn epoch_of(&self, partition: Partition, offset: Offset) -> u64 {
        let cuts = &self.logs[partition.index()].cuts;
        // It was there already when a later leader was lost that ended the log behind it.
        cuts.iter().rposition(|cut| *cut <= offset.0).map_or(0, |lost| lost as u64 + 1)
    }

    /// Where the records of this leader and of those before it end: beyond, the log is of later ones.
    #[must_use]
    pub(crate) fn epoch_end(&self, partition: Partition, epoch: u64) -> Offset {
        let log = &self.logs[partition.index()];
        Offset(log.cuts.iter().skip(epoch as usize).copied().min().unwrap_or_else(|| log.end()))
    }

    /// Somebody follows a partition from `from` on, by [`MemoryLog::tell`].
    pub(crate) fn follow(&self, partition: Partition, from: Offset) -> Arc<Place> {
        let place = Place::new(from, self.losses(partition));
        self.places[partition.index()].add(&place);
        place
    }

    /// What is to be told to somebody at `place`, if there is anything.
    ///
    /// # Errors
    /// As [`MemoryLog::read`].
    pub(crate) fn tell(
        &self,
        partition: Partition,
        place: &Place,
        max_bytes: usize,
    ) -> Result<Option<Tailed>, ReadError> {
        let end = self.bounds(partition).end;
        match place.step() {
            Step::Tell(told) => Ok(Some(told)),
            Step::Read { from, first } if first || from < end => {
                Ok(place.told(from, self.read(partition, from, max_bytes)?, end))
            }
            Step::Read { .. } => Ok(None),
        }
    }

    /// Wakes those who follow a partition and have not heard of its end: to be called behind the report on an append.
    pub(crate) fn wake(&self, partition: Partition) {
        self.places[partition.index()].ends(self.bounds(partition).end);
    }

    /// The partition's leader is lost: what lies beyond the durable end is gone. Appends in flight that were visible are
    /// no longer, and may still be settled (the producer sends them again).
    pub(crate) fn leader_loss(&mut self, partition: Partition) -> Truncation {
        let log = &mut self.logs[partition.index()];
        let lost = log.end() - log.durable;
        log.records.truncate((log.durable - log.start) as usize);
        log.cuts.push(log.durable);
        let truncation = Truncation { end: Offset(log.durable), lost, losses: log.losses() };
        for append in self.in_flight.values_mut().filter(|append| append.partition == partition) {
            append.placed.retain(|(offset, _)| *offset < truncation.end);
        }
        self.places[partition.index()].truncated(truncation.end, truncation.losses);
        truncation
    }

    /// Moves starts up.
    ///
    /// # Errors
    /// An offset beyond the durable end: nothing is trimmed then.
    pub(crate) fn trim(&mut self, up_to: &[(Partition, Offset)]) -> Result<(), JournalError> {
        if let Some((partition, offset)) = up_to.iter().find(|(p, offset)| *offset > self.durable_end(*p)) {
            let end = self.durable_end(*partition);
            return Err(JournalError::BeyondEnd { partition: *partition, asked: *offset, end });
        }
        for (partition, offset) in up_to {
            let log = &mut self.logs[partition.index()];
            let gone = offset.0.saturating_sub(log.start);
            log.records.drain(..gone as usize);
            log.start += gone;
        }
        Ok(())
    }

    /// Appends that are settled from now on are answered [`AppendError::Closed`].
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    fn is_first(&self, ticket: Ticket) -> bool {
        let Some(append) = self.in_flight.get(&ticket) else { return false };
        let same =
            |other: &InFlight| !other.detached && (other.node, other.partition) == (append.node, append.partition);
        append.detached || !self.in_flight.range(..ticket).any(|(_, other)| same(other))
    }

    /// Places the records of an append up to the `count`-th, if they are not placed yet.
    fn place(&mut self, ticket: Ticket, now: Timestamp, count: usize) {
        let append = self.in_flight.get_mut(&ticket).expect("the caller looked");
        let log = &mut self.logs[append.partition.index()];
        for bytes in append.batch.iter().take(count).skip(append.placed.len()) {
            let offset = Offset(log.end());
            log.records.push(StoredRecord { offset, time: now, bytes: bytes.clone() });
            append.placed.push((offset, now));
        }
    }
}
