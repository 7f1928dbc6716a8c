//! The embedded journal: one physical append-only log of 256 logical partitions in a folder of segment files.
//!
//! - [`writer`]: one thread writes all waiting batches, of all partitions, with one write and one `fdatasync`, then
//!   publishes the new ends and answers. Callers never touch a file.
//! - [`layout`]: the bytes on disk. [`segment`], [`meta`]: the files. [`scan`], [`tail`], [`recovery`]: opening after a crash.
//! - [`tails`], [`reader`]: recent records come from memory, older ones from disk by index. In memory lie about 3 KB for
//!   each sealed segment, 4 bytes for each record of the active one, and the bounded cache. [`follow`]: the tail of one.
//! - [`spare`]: the next segment's file, made ahead.
//! - [`maintenance`]: trim and backup; [`verify`](verify()): reads all of a journal that nobody has open. `docs/decisions/0001-embedded-journal.md` says why it is not a library.
//!
//! It must never answer "durable" for what was not synced, sync the same bytes twice after an error, or skip, reset or
//! heal anything silently.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use super::{AppendError, Bounds, Done, Journal, JournalError, ReadError, StoredRecord, Tail};
use crate::env::Env;
use crate::ids::{Offset, Partition, Timestamp};

#[cfg(test)]
mod faults;
mod files;
mod follow;
mod layout;
mod maintenance;
mod meta;
mod metrics;
mod queue;
mod reader;
mod recovery;
mod scan;
mod segment;
mod spare;
mod tail;
mod tails;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub(crate) use maintenance::{BackupReport, EmbeddedMaintenance};
#[cfg(test)]
pub(crate) use metrics::Snapshot;
pub(crate) use verify::{Verified, verify};

/// Gives a journal that nobody has open a new identity. Blocks.
///
/// # Errors
/// There is none in `dir`, it is damaged, or I/O.
pub(crate) fn renew(dir: &Path, id: Uuid) -> Result<(), JournalError> {
    meta::Meta::renew(dir, id)
}

/// Called after each sync of a segment with the time that it took. On the writer thread: it must be quick.
pub(crate) type OnSync = Arc<dyn Fn(Duration) + Send + Sync>;

/// How a journal is opened.
#[derive(Clone)]
pub struct Options {
    /// Append times and the identity of a new journal come from here.
    pub env: Env,
    /// Bytes of a segment file. Trim frees whole segments; opening scans at most one.
    pub segment_bytes: u64,
    /// Bytes of recent records that are kept in memory for readers.
    pub cache_bytes: usize,
    /// Bytes of batches that may wait for the disk; beyond it appends are refused.
    pub queue_bytes: usize,
    /// Whether the next segment's file is written with zeros while the active one fills, which makes syncs cheaper. It
    /// takes the disk space of one more segment.
    pub prepare_ahead: bool,
    /// For a histogram of sync times.
    pub on_sync: Option<OnSync>,
    #[cfg(test)]
    faults: Arc<faults::Faults>,
}

impl Options {
    /// The defaults: segments of 64 MiB, 64 MiB of cache, 64 MiB of queue.
    #[must_use]
    pub fn new(env: Env) -> Self {
        Self {
            env,
            segment_bytes: 64 * 1024 * 1024,
            cache_bytes: 64 * 1024 * 1024,
            queue_bytes: 64 * 1024 * 1024,
            prepare_ahead: true,
            on_sync: None,
            #[cfg(test)]
            faults: Arc::default(),
        }
    }
}

/// What was found when a journal was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct OpenReport {
    /// Records in all segments, trimmed ones whose segment is still there included.
    pub records: u64,
    /// Segment files.
    pub segments: u64,
    /// Bytes of an unfinished last write that were cut. Nobody was told that they were durable.
    pub(crate) torn_bytes: u64,
    /// How long it took.
    pub duration: Duration,
}

/// A journal in a folder of its own. See the module. Dropping it finishes what was appended.
pub struct EmbeddedJournal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer thread, readers and maintenance share.
struct Shared {
    dir: PathBuf,
    options: Options,
    queue: queue::Queue,
    tails: tails::Tails,
    segments: RwLock<Vec<Arc<segment::Segment>>>,
    meta: Mutex<meta::Meta>,
    metrics: metrics::Metrics,
    /// Held as long as the journal lives: one process at a time.
    _lock: File,
}

impl Shared {
    fn segments(&self) -> RwLockReadGuard<'_, Vec<Arc<segment::Segment>>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn segments_mut(&self) -> RwLockWriteGuard<'_, Vec<Arc<segment::Segment>>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn meta(&self) -> MutexGuard<'_, meta::Meta> {
        self.meta.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no more is taken, if the disk failed.
    fn failure(&self) -> Option<String> {
        match self.queue.stopped() {
            Some(queue::Stop::Failed(why)) => Some(why),
            Some(queue::Stop::Closed) | None => None,
        }
    }

    fn synced(&self, took: Duration) {
        metrics::add(&self.metrics.syncs, 1);
        metrics::add(&self.metrics.sync_nanos, u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        if let Some(on_sync) = &self.options.on_sync {
            on_sync(took);
        }
    }
}

impl EmbeddedJournal {
    /// Opens the journal in `dir`, or makes an empty one if the folder is empty or not there. Blocks.
    ///
    /// # Errors
    /// Damage, with file and byte; a missing or swapped segment, by name; another format; a folder that another process
    /// has open; I/O.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, OpenReport), JournalError> {
        let is_new = !dir.exists();
        crate::storage::disk::make_private(dir).map_err(|error| files::io_error("make", dir, &error))?;
        if is_new && let Some(parent) = dir.parent() {
            files::sync_dir(parent, &options)?;
        }
        let lock = lock(dir)?;
        let recovered = recovery::recover(dir, &options)?;
        let active = recovered.segments.last().cloned().expect("an opened journal has a segment");
        let scan = recovered.scan;
        let start = writer::Start {
            file: recovered.file,
            capacity: recovered.capacity,
            spare: recovered.spare,
            end: scan.end,
            chain: scan.chain,
            records: scan.records,
            counts: Box::new(std::array::from_fn(|n| scan.positions[n].len() as u32)),
        };
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            queue: queue::Queue::new(options.queue_bytes),
            tails: tails::Tails::new(&active, &recovered.meta.starts[..], scan.positions),
            segments: RwLock::new(recovered.segments),
            meta: Mutex::new(recovered.meta),
            metrics: metrics::Metrics::default(),
            options,
            _lock: lock,
        });
        let writer = writer::Writer::new(shared.clone(), active, start);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| files::io_error("start the writer of", dir, &error))?;
        Ok((Self { shared, writer: Mutex::new(Some(thread)) }, recovered.report))
    }

    /// Trim, backup, identity and failure: what an operator's side of the engine needs of it.
    #[must_use]
    pub(crate) fn maintenance(&self) -> EmbeddedMaintenance {
        EmbeddedMaintenance::new(Arc::clone(&self.shared))
    }

    /// The counters as they are now.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn metrics(&self) -> Snapshot {
        Snapshot {
            queued_bytes: self.shared.queue.bytes() as u64,
            segments: self.shared.segments().len() as u64,
            ..self.shared.metrics.snapshot()
        }
    }

    fn take_writer(&self) -> Option<JoinHandle<()>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How often, and how long apart, a held lock is tried again. A child process that is just being started has a copy of
/// everything open, the lock of a journal that was closed included, until it runs its own program.
const LOCK_TRIES: (u32, Duration) = (100, Duration::from_millis(2));

fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("journal.lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|error| files::io_error("open", &path, &error))?;
    let (tries, apart) = LOCK_TRIES;
    for _ in 0..tries {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(apart),
            Err(TryLockError::Error(error)) => return Err(files::io_error("lock", &path, &error)),
        }
    }
    Err(JournalError::Io(format!("{} is held by another process", path.display())))
}

#[async_trait]
impl Journal for EmbeddedJournal {
    fn enqueue(&self, partition: Partition, batch: Vec<Bytes>, done: Done) {
        let request = queue::Request::new(partition, batch, done);
        if let Err((request, error)) = self.shared.queue.push(request) {
            if matches!(error, AppendError::Refused(_)) {
                metrics::add(&self.shared.metrics.refused, 1);
            }
            request.answer(Err(error));
        }
    }

    fn tail(&self, partition: Partition, from: Offset) -> Box<dyn Tail> {
        Box::new(follow::Follower::new(Arc::clone(&self.shared), partition, from))
    }

    async fn read(&self, partition: Partition, from: Offset, max_bytes: usize) -> Result<Vec<StoredRecord>, ReadError> {
        read(&self.shared, partition, from, max_bytes).await
    }

    fn bounds(&self, partition: Partition) -> Bounds {
        self.shared.tails.bounds(partition)
    }

    fn now(&self, _: Partition) -> Timestamp {
        self.shared.options.env.now()
    }

    async fn close(&self) -> Result<(), JournalError> {
        self.shared.queue.close();
        if let Some(writer) = self.take_writer() {
            let joined = blocking(move || writer.join()).await?;
            joined.map_err(|_| JournalError::Io("the journal's writer panicked".to_owned()))?;
        }
        self.shared.failure().map_or(Ok(()), |why| Err(JournalError::Io(why)))
    }
}

/// See [`Journal::read`].
async fn read(
    shared: &Arc<Shared>,
    partition: Partition,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<StoredRecord>, ReadError> {
    if let Some(answer) = reader::from_memory(shared, partition, from, max_bytes) {
        metrics::add(&shared.metrics.cached_reads, 1);
        return answer;
    }
    metrics::add(&shared.metrics.disk_reads, 1);
    let shared = Arc::clone(shared);
    blocking(move || reader::from_disk(&shared, partition, from, max_bytes)).await?
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JournalError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| JournalError::Io(format!("the work on the journal did not finish: {error}")))
}

impl Drop for EmbeddedJournal {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.take_writer() {
            drop(writer.join()); // a panic of the writer was answered to its callers already
        }
    }
}
