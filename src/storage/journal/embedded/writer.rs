//! The writer thread: takes all batches that wait, writes them with one write and one sync, publishes, answers.
//!
//! It alone changes the active segment. It never tries to sync the same bytes twice: after a failed sync nothing is known
//! about them, so the outcome is "unknown" and the journal takes no more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::Shared;
use super::files::{Trouble, WriteFile};
use super::layout::{self, HEADER_BYTES, Link, RECORD_HEADER, RecordHeader, Seal, SegmentHeader};
use super::metrics::add;
use super::queue::Request;
use super::segment::{self, Segment};
use super::spare::{self, Spare};
use super::tails::Tails;
use crate::ids::{Offset, PARTITIONS, Timestamp};
use crate::storage::journal::{AppendError, Appended, StoredRecord};

/// Bytes of one write at most, unless a single batch is larger.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Batches in a group that tell of many appenders: then whoever can run has more to bring, and goes first. A group costs the
/// same for one batch and for many; a lone appender waits for nobody.
const MANY: usize = 3;

/// A batch that is encoded in the group's buffer.
struct Placed {
    request: Request,
    first: Offset,
    end: Offset,
}

/// A segment that is durable and named, but not in use yet.
struct Next {
    file: WriteFile,
    segment: Arc<Segment>,
    capacity: u64,
}

/// What the writer begins with: the active segment as recovery found it.
pub(crate) struct Start {
    pub file: WriteFile,
    pub capacity: u64,
    pub spare: Spare,
    pub end: u64,
    pub chain: u32,
    pub records: u64,
    pub counts: Box<[u32; PARTITIONS as usize]>,
}

/// See the module.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    file: WriteFile,
    active: Arc<Segment>,
    /// The segment that comes next, made but not in use: the active one must be sealed before anything else.
    next: Option<Next>,
    spare: Spare,
    /// Bytes that the active segment may have, its seal included.
    capacity: u64,
    /// One past the last durable record.
    end: u64,
    chain: u32,
    records: u64,
    /// Records of each partition in the active segment.
    counts: Box<[u32; PARTITIONS as usize]>,
    /// Partition and bytes of each cached record, oldest first.
    cached: VecDeque<(u16, u32)>,
    cache_bytes: usize,
    group: Vec<Placed>,
    buffer: Vec<u8>,
    group_chain: u32,
    group_records: u64,
    group_time: Timestamp,
    failed: Option<String>,
}

/// Answers what waits if the thread panics: callers must not wait for ever.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.fail("the journal's writer panicked");
        }
    }
}

impl Writer {
    /// The writer of a journal whose active segment is scanned.
    pub(crate) fn new(shared: Arc<Shared>, active: Arc<Segment>, start: Start) -> Self {
        let Start { file, capacity, spare, end, chain, records, counts } = start;
        Self {
            file,
            active,
            next: None,
            spare,
            capacity,
            end,
            chain,
            records,
            counts,
            cached: VecDeque::new(),
            cache_bytes: 0,
            group: Vec::new(),
            buffer: Vec::new(),
            group_chain: chain,
            group_records: 0,
            group_time: Timestamp::ZERO,
            failed: None,
            shared,
        }
    }

    /// Works until the queue is closed or the disk fails.
    pub(crate) fn run(mut self) {
        let _guard = Guard(self.shared.clone());
        let shared = self.shared.clone();
        let (mut requests, mut taken) = (Vec::new(), 0);
        while self.failed.is_none() {
            if taken >= MANY {
                std::thread::yield_now();
            }
            if !shared.queue.take(&mut requests) {
                return;
            }
            taken = requests.len();
            for request in requests.drain(..) {
                self.add(request);
            }
            self.commit();
        }
    }

    /// Puts a batch into the group, writing the group first where that is needed.
    fn add(&mut self, request: Request) {
        if !self.buffer.is_empty() && self.buffer.len() + request.bytes > GROUP_BYTES {
            self.commit();
        }
        while self.failed.is_none() && !self.fits(&request) {
            self.commit();
            match if self.failed.is_none() { self.roll(&request) } else { Ok(()) } {
                Ok(()) => {}
                Err(Trouble::Full(why)) => return self.refuse(request, why),
                Err(Trouble::Failed(why)) => self.fail(why),
            }
        }
        if let Some(why) = &self.failed {
            let why = why.clone();
            self.shared.queue.release(request.bytes);
            return request.answer(Err(AppendError::Closed(why)));
        }
        self.encode(request);
    }

    fn fits(&self, request: &Request) -> bool {
        let records = self.records + self.group_records + request.batch.len() as u64;
        let end = self.end + (self.buffer.len() + request.bytes) as u64;
        self.next.is_none() && end + Seal::bytes(records) <= self.capacity
    }

    fn encode(&mut self, request: Request) {
        if self.group.is_empty() {
            self.group_time = self.shared.options.env.now();
        }
        let partition = request.partition;
        let count = &mut self.counts[partition.index()];
        let first = Offset(self.active.base(partition) + u64::from(*count));
        for payload in &request.batch {
            let header = RecordHeader {
                len: payload.len() as u32,
                partition,
                relative: *count,
                back: self.buffer.len() as u32,
                time: self.group_time,
            };
            let crc = header.encode(self.active.salt, payload, &mut self.buffer);
            self.group_chain = layout::chained(self.group_chain, crc);
            *count += 1;
        }
        self.group_records += request.batch.len() as u64;
        let end = first.plus(request.batch.len() as u64);
        self.group.push(Placed { request, first, end });
    }

    /// Writes and syncs the group, publishes its records, and answers.
    fn commit(&mut self) {
        if self.group.is_empty() {
            return;
        }
        if self.buffer.is_empty() {
            return self.answer();
        }
        if let Err(trouble) = self.file.write(&self.buffer, self.end) {
            return self.unwritten(trouble);
        }
        if let Err(trouble) = self.sync() {
            return self.unknown(&trouble);
        }
        let at = self.end;
        self.end += self.buffer.len() as u64;
        self.chain = self.group_chain;
        self.records += self.group_records;
        self.active.durable_end.store(self.end, Ordering::Release);
        add(&self.shared.metrics.groups, 1);
        add(&self.shared.metrics.written_bytes, self.buffer.len() as u64);
        self.publish(at);
        self.answer();
        if self.shared.options.prepare_ahead && self.end > self.capacity / 2 {
            self.spare.prepare(segment::spare_path(&self.shared.dir), &self.shared.options);
        }
    }

    fn sync(&mut self) -> Result<(), Trouble> {
        let begun = Instant::now();
        self.file.sync()?;
        self.shared.synced(begun.elapsed());
        Ok(())
    }

    fn publish(&mut self, mut at: u64) {
        for placed in &mut self.group {
            let (partition, time) = (placed.request.partition, self.group_time);
            let batch = std::mem::take(&mut placed.request.batch);
            let cached = &mut self.cached;
            let cache_bytes = &mut self.cache_bytes;
            let records = (placed.first.0..).zip(batch).map(|(offset, bytes)| {
                let position = at as u32;
                at += (RECORD_HEADER + bytes.len()) as u64;
                cached.push_back((partition.get(), bytes.len() as u32));
                *cache_bytes += Tails::cached_bytes(bytes.len());
                (position, StoredRecord { offset: Offset(offset), time, bytes })
            });
            self.shared.tails.publish(partition, records);
        }
        while self.cache_bytes > self.shared.options.cache_bytes
            && let Some((partition, bytes)) = self.cached.pop_front()
        {
            self.shared.tails.evict(partition);
            self.cache_bytes -= Tails::cached_bytes(bytes as usize);
        }
        self.shared.metrics.cache_bytes.store(self.cache_bytes as u64, Ordering::Relaxed);
    }

    fn answer(&mut self) {
        let metrics = &self.shared.metrics;
        add(&metrics.appends, self.group.len() as u64);
        add(&metrics.records, self.group_records);
        add(&metrics.record_bytes, self.buffer.len() as u64 - self.group_records * RECORD_HEADER as u64);
        self.shared.queue.release(self.group.iter().map(|placed| placed.request.bytes).sum());
        let time = if self.group_records == 0 { self.shared.options.env.now() } else { self.group_time };
        for Placed { request, first, end } in self.group.drain(..) {
            let partition = request.partition;
            // The report first: it passes the tail of whoever appended over the records, so that it need not be woken.
            request.answer(Ok(Appended { first, end, time, is_dense: true, losses: 0 }));
            self.shared.tails.wake(partition);
        }
        self.clear();
    }

    fn clear(&mut self) {
        self.buffer.clear();
        if self.buffer.capacity() > 2 * GROUP_BYTES {
            self.buffer = Vec::new();
        }
        self.group_records = 0;
        self.group_chain = self.chain;
    }

    fn refuse(&self, request: Request, why: String) {
        add(&self.shared.metrics.refused, 1);
        self.shared.queue.release(request.bytes);
        request.answer(Err(AppendError::Refused(why)));
    }

    /// The write of the group failed. When only space was missing, what it left behind is cut off, durably, and then the
    /// batches are certainly not written.
    fn unwritten(&mut self, trouble: Trouble) {
        let Trouble::Full(why) = trouble else { return self.unknown(&trouble) };
        if let Err(cut) = self.file.set_len(self.end).and_then(|()| self.sync()) {
            return self.unknown(&cut);
        }
        for placed in &self.group {
            self.counts[placed.request.partition.index()] -= (placed.end.0 - placed.first.0) as u32;
        }
        for placed in std::mem::take(&mut self.group) {
            self.refuse(placed.request, why.clone());
        }
        self.clear();
    }

    /// Nobody knows what the disk holds of the group: it may be there after the next start.
    fn unknown(&mut self, trouble: &Trouble) {
        let (Trouble::Full(why) | Trouble::Failed(why)) = trouble;
        add(&self.shared.metrics.unknown, self.group.len() as u64);
        for placed in std::mem::take(&mut self.group) {
            self.shared.queue.release(placed.request.bytes);
            placed.request.answer(Err(AppendError::Unknown(why.clone())));
        }
        self.clear();
        self.fail(why.clone());
    }

    fn fail(&mut self, why: String) {
        tracing::error!(why, "the journal's disk failed; it takes no more until the next start");
        self.shared.queue.fail(&why);
        self.failed = Some(why);
    }

    /// Seals the active segment and goes on in a new one, with room for `request` unless one was made before.
    ///
    /// The next segment is durable, named and linked before the active one is sealed: a sealed segment without a
    /// successor is a missing file, never a crash.
    fn roll(&mut self, request: &Request) -> Result<(), Trouble> {
        let next = match self.next.take() {
            Some(next) => next,
            None => self.create_next(request)?,
        };
        if let Err(trouble) = self.seal() {
            self.next = Some(next);
            return Err(trouble);
        }
        let Next { file, segment, capacity } = next;
        self.shared.segments_mut().push(segment.clone());
        self.shared.tails.roll(&segment);
        self.file = file;
        self.capacity = capacity;
        self.end = HEADER_BYTES;
        self.chain = segment.salt;
        self.records = 0;
        self.counts.fill(0);
        self.active = segment;
        self.clear();
        Ok(())
    }

    fn create_next(&mut self, request: &Request) -> Result<Next, Trouble> {
        let needs = HEADER_BYTES + request.bytes as u64 + Seal::bytes(request.batch.len() as u64);
        let capacity = needs.max(self.shared.options.segment_bytes);
        if u32::try_from(capacity).is_err() {
            return Err(Trouble::Full(format!("a batch of {} bytes is too large", request.bytes)));
        }
        let mut bases = self.active.header.bases.clone();
        bases.iter_mut().zip(self.counts.iter()).for_each(|(base, count)| *base += u64::from(*count));
        let header = SegmentHeader {
            journal: self.active.header.journal,
            number: self.active.number() + 1,
            previous: Link { end: self.end, chain: self.chain },
            bases,
        };
        let spare = if capacity == self.shared.options.segment_bytes { self.spare.take() } else { None };
        let (file, capacity) = match spare {
            Some(file) => {
                add(&self.shared.metrics.spares, 1);
                (file, capacity)
            }
            None => spare::at_once(segment::next_path(&self.shared.dir), capacity, needs, &self.shared.options)?,
        };
        let (file, segment) = segment::create(&self.shared.dir, header, file)?;
        add(&self.shared.metrics.written_bytes, HEADER_BYTES);
        Ok(Next { file, segment: Arc::new(segment), capacity })
    }

    fn seal(&mut self) -> Result<(), Trouble> {
        let positions = self.shared.tails.positions();
        let link = Link { end: self.end, chain: self.chain };
        let index = segment::seal(&self.file, link, self.active.salt, &positions)?;
        add(&self.shared.metrics.written_bytes, Seal::bytes(self.records));
        self.active.set_index(index);
        Ok(())
    }
}
