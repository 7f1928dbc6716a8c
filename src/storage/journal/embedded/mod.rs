//! The embedded journal: one physical append-only log of 256 logical partitions in a folder of segment files.
//!
//! - [`writer`]: one thread writes all waiting batches, of all partitions, with one write and one `fdatasync`, then
//!   publishes the new ends and answers. Callers never touch a file.
//! - [`layout`]: the bytes on disk. [`segment`], [`meta`]: the files. [`scan`], [`tail`], [`recovery`]: opening after a crash.
//! - [`tails`], [`reader`]: recent records come from memory, older ones from disk by index. In memory lie about 3 KB for
//!   each sealed segment, 4 bytes for each record of the active one, and the bounded cache.
//! - [`spare`]: the next segment's file, made ahead.
//! - [`upkeep`]: trim and backup; [`verify`](verify()): reads all of a journal that nobody has open. `docs/decisions/0001-embedded-journal.md` says why it is not a library.
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
use tokio::sync::watch;
use uuid::Uuid;

use super::{AppendError, Appended, Bounds, Journal, JournalError, ReadError, StoredRecord};
use crate::env::Env;
use crate::ids::{Offset, Partition, Timestamp};

#[cfg(test)]
mod faults;
mod files;
mod layout;
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
mod upkeep;
mod verify;
mod writer;

pub use metrics::Snapshot;
pub use verify::{Verified, verify};

/// Gives a journal that nobody has open a new identity. Blocks.
///
/// # Errors
/// There is none in `dir`, it is damaged, or I/O.
pub fn renew(dir: &Path, id: Uuid) -> Result<(), JournalError> {
    meta::Meta::renew(dir, id)
}

/// Called after each sync of a segment with the time that it took. On the writer thread: it must be quick.
pub type OnSync = Arc<dyn Fn(Duration) + Send + Sync>;

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
    pub torn_bytes: u64,
    /// How long it took.
    pub duration: Duration,
}

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BackupReport {
    /// Segment files.
    pub segments: u64,
    /// Bytes that were copied; sealed segments are hard links where the file system allows it.
    pub copied_bytes: u64,
    /// One past the last record of each partition in the backup, by partition number.
    pub ends: Vec<Offset>,
}

/// A journal in a folder of its own. See the module. Dropping it finishes what was appended.
pub struct EmbeddedJournal {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer thread, readers and upkeep share.
struct Shared {
    dir: PathBuf,
    options: Options,
    queue: queue::Queue,
    tails: tails::Tails,
    segments: RwLock<Vec<Arc<segment::Segment>>>,
    meta: Mutex<meta::Meta>,
    metrics: metrics::Metrics,
    changes: watch::Sender<u64>,
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
            changes: watch::Sender::new(0),
            options,
            _lock: lock,
        });
        let writer = writer::Writer::new(shared.clone(), active, start);
        let thread = std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| files::io_error("start the writer of", dir, &error))?;
        Ok((Self { shared, writer: Mutex::new(Some(thread)) }, recovered.report))
    }

    /// Copies the journal, as it is now and while it goes on, into `dir`, which must be empty or not there. The copy
    /// opens as a journal of its own. Blocks.
    ///
    /// # Errors
    /// I/O. What was copied so far is left behind.
    pub fn backup_to(&self, dir: &Path) -> Result<BackupReport, JournalError> {
        upkeep::backup(&self.shared, dir)
    }

    /// Gives up the oldest segments that hold nothing but records which are older than `before` and lie below `covered`
    /// (by partition number; fewer than all partitions cover nothing). Nothing else is trimmed. Returns how many went.
    /// Blocks.
    ///
    /// # Errors
    /// I/O. What is still needed is there in any case.
    pub fn trim_covered(&self, covered: &[Offset], before: Timestamp) -> Result<usize, JournalError> {
        upkeep::trim_covered(&self.shared, covered, before)
    }

    /// The journal's identity: new with a new journal and with each restore of one.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.shared.meta().history
    }

    /// The counters as they are now.
    #[must_use]
    pub fn metrics(&self) -> Snapshot {
        Snapshot {
            queued_bytes: self.shared.queue.bytes() as u64,
            segments: self.shared.segments().len() as u64,
            ..self.shared.metrics.snapshot()
        }
    }

    /// Why the journal takes no more appends, if its disk failed.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match self.shared.queue.stopped() {
            Some(queue::Stop::Failed(why)) => Some(why),
            Some(queue::Stop::Closed) | None => None,
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
    async fn append(&self, partition: Partition, batch: Vec<Bytes>) -> Result<Appended, AppendError> {
        let (request, outcome) = queue::Request::new(partition, batch);
        if let Err(error) = self.shared.queue.push(request) {
            if matches!(error, AppendError::Refused(_)) {
                metrics::add(&self.shared.metrics.refused, 1);
            }
            return Err(error);
        }
        outcome.await.unwrap_or_else(|_| Err(AppendError::Unknown("the journal's writer ended".to_owned())))
    }

    async fn read(&self, partition: Partition, from: Offset, max_bytes: usize) -> Result<Vec<StoredRecord>, ReadError> {
        if let Some(answer) = reader::from_memory(&self.shared, partition, from, max_bytes) {
            metrics::add(&self.shared.metrics.cached_reads, 1);
            return answer;
        }
        metrics::add(&self.shared.metrics.disk_reads, 1);
        let shared = self.shared.clone();
        blocking(move || reader::from_disk(&shared, partition, from, max_bytes)).await?
    }

    fn bounds(&self, partition: Partition) -> Bounds {
        self.shared.tails.bounds(partition)
    }

    fn now(&self, _: Partition) -> Timestamp {
        self.shared.options.env.now()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    async fn trim(&self, up_to: &[(Partition, Offset)]) -> Result<(), JournalError> {
        let (shared, up_to) = (self.shared.clone(), up_to.to_vec());
        blocking(move || upkeep::trim(&shared, &up_to)).await?
    }

    async fn close(&self) -> Result<(), JournalError> {
        self.shared.queue.close();
        if let Some(writer) = self.take_writer() {
            let joined = blocking(move || writer.join()).await?;
            joined.map_err(|_| JournalError::Io("the journal's writer panicked".to_owned()))?;
        }
        self.failure().map_or(Ok(()), |why| Err(JournalError::Io(why)))
    }
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
