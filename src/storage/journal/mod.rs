//! The journal: 256 append-only partitions that hold every durable fact. Everything else can be rebuilt from it.
//!
//! # The contract
//!
//! Every implementation passes the one suite in `contract.rs`. In words:
//!
//! 1. *An append has two moments.* [`Journal::enqueue`] takes the batch: batches of one caller for one partition are placed
//!    in the order in which they were taken. The delivery report says what became of it, once for each batch. `Ok` means
//!    durable: it survives whatever the implementation promises to survive. [`AppendError::Refused`] means certainly not
//!    written and never to be; [`AppendError::Unknown`] means that it may be there, now or later, and is never reported as
//!    a failure to send. A batch keeps its order, but another writer may stand between its records: only a report that
//!    [`Appended::is_dense`] says where each of them lies.
//! 2. *Read.* Records come back byte for byte, in offset order, with the append time that the journal gave them. It checks
//!    them against a checksum of its own whenever they come from a disk or a network: nobody above does so again.
//!    Append times of a partition may go backwards (clocks do): the reader takes the running maximum.
//! 3. *Visible is not verified.* A reader may be shown a record that is lost later. Only what lies below the end of
//!    one's own successful delivery report is final ([`Appended::end`]); see `actors::partition::verified`.
//! 4. *A tail* tells every record of a partition from an offset on, in order, and each loss of what it may have told
//!    ([`Tailed`]), except records that a report told its reader ([`Place::reported`]). A loss is noted, in `losses` of
//!    reports and batches, before anything that takes the place of what was lost is reported or told.
//! 5. *Trim* (each implementation's own matter) moves the start of partitions forward, never beyond the end, and never
//!    touches what lies behind it. Reading or following from below the start is [`ReadError::Trimmed`], never empty.
//! 6. *Damage* is an error that names the place; nothing is skipped, reset or healed silently. A torn tail (an
//!    unfinished last write that was never acknowledged) is cut when the journal is opened.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ids::{Offset, Partition, Timestamp};

#[cfg(test)]
pub mod contract;
pub mod embedded;
pub mod kafka;
pub(crate) mod maintenance;
pub mod marks;
#[cfg(test)]
pub mod memory;
pub mod record;
mod tail;

pub use tail::Place;
pub(crate) use tail::{Tail, Tailed};

/// Takes a delivery report. Called once, on the journal's thread or on the caller's: it must be quick, and must not call the
/// journal.
pub(crate) type Done = Box<dyn FnOnce(Result<Appended, AppendError>) + Send>;

/// A durable, partitioned, append-only log. See the module for the contract.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Takes `batch` for `partition`; `done` gets the delivery report, perhaps before this returns. An empty batch writes
    /// nothing and reports the end behind all that was taken before it. Never blocks.
    fn enqueue(&self, partition: Partition, batch: Vec<Bytes>, done: Done);

    /// Both moments in one, for those who have nothing to do between them. The batch is taken when the future is first
    /// polled; dropping the future does not take it back.
    ///
    /// # Errors
    /// See [`AppendError`].
    async fn append(&self, partition: Partition, batch: Vec<Bytes>) -> Result<Appended, AppendError> {
        let (done, report) = oneshot::channel();
        // Nobody listens any more if the future was dropped.
        self.enqueue(partition, batch, Box::new(move |report| drop(done.send(report))));
        report.await.unwrap_or_else(|_| Err(AppendError::Unknown("the journal is gone".to_owned())))
    }

    /// Follows `partition` from `from` on.
    fn tail(&self, partition: Partition, from: Offset) -> Box<dyn Tail>;

    /// Records from `from` on, at most `max_bytes` of them but at least one if there is one; fewer than would fit is no
    /// sign of the end. Empty at the end and beyond it.
    ///
    /// # Errors
    /// See [`ReadError`].
    async fn read(&self, partition: Partition, from: Offset, max_bytes: usize) -> Result<Vec<StoredRecord>, ReadError>;

    /// First offset held and the end (one past the last readable record). Never blocks.
    fn bounds(&self, partition: Partition) -> Bounds;

    /// The journal's clock, from which the append times of a partition come, as well as it can be told here and now. It is
    /// a wall clock: it may jump. Never blocks.
    fn now(&self, partition: Partition) -> Timestamp;

    /// Finishes what was appended before, and stops. Later appends are [`AppendError::Closed`]; reading goes on.
    ///
    /// # Errors
    /// An I/O error while flushing.
    async fn close(&self) -> Result<(), JournalError>;
}

/// A delivery report: the batch is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of the first record of the batch.
    pub first: Offset,
    /// One past the last record of the batch.
    pub end: Offset,
    /// The append time of the last record of the batch; the time of the report if the batch was empty.
    pub time: Timestamp,
    /// Whether the records lie at `first..end` with nothing between them, all with this append time. If not, only reading the
    /// partition tells where each of them lies.
    pub(crate) is_dense: bool,
    /// How often the partition had lost records by then: see [`Tailed`].
    pub(crate) losses: u64,
}

/// A record as it lies in the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredRecord {
    /// Its place in the partition.
    pub offset: Offset,
    /// When the journal took it, by the journal's clock.
    pub time: Timestamp,
    /// What was appended, byte for byte: an encoded [`record::Envelope`].
    pub bytes: Bytes,
}

impl StoredRecord {
    /// Tells it from what another log may have in its place. Fixed for life: it stands in rows.
    #[must_use]
    pub(crate) fn digest(&self) -> u64 {
        xxh3_64_with_seed(&self.bytes, self.time.0)
    }
}

/// What a partition holds: offsets `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The first offset held.
    pub start: Offset,
    /// One past the last readable record.
    pub end: Offset,
}

/// Why a batch has no delivery report.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// Certainly not written, and it never will be. May be tried again (disk full, queue full).
    #[error("the journal refused the batch: {0}")]
    Refused(String),
    /// May be written. Only reading the partition tells.
    #[error("the outcome of the append is unknown: {0}")]
    Unknown(String),
    /// Certainly not written; the journal is closed or damaged and takes nothing more.
    #[error("the journal takes no more: {0}")]
    Closed(String),
}

/// Why a read failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Below the start.
    #[error("offset {asked} of partition {partition} is trimmed, the first one held is {start}")]
    Trimmed {
        /// The partition.
        partition: Partition,
        /// What was asked for.
        asked: Offset,
        /// The first offset held.
        start: Offset,
    },
    /// Damaged or unreadable.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl ReadError {
    /// Whether the same read may succeed later (too few open files, a disk that stumbles). What is trimmed, damaged or of
    /// another version stays so.
    #[must_use]
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Io(_)))
    }

    /// Why whoever makes rows or rooms of the records can't go on, and what to do about it.
    #[must_use]
    pub(crate) fn why_halted(&self) -> String {
        match self {
            Self::Trimmed { .. } => format!("{self}: the rows are too old, restore the newest backup of them"),
            Self::Journal(error) => error.to_string(),
        }
    }
}

/// A failure of the journal itself.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// Damage, with the place (file and byte) and what was expected.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// Made by another version, or for another number of partitions.
    #[error("the journal does not fit this program: {0}")]
    Incompatible(String),
    /// A trim beyond the end.
    #[error("offset {asked} of partition {partition} is beyond the end {end}")]
    BeyondEnd {
        /// The partition.
        partition: Partition,
        /// What was asked for.
        asked: Offset,
        /// The end.
        end: Offset,
    },
    /// The operating system said no.
    #[error("journal I/O: {0}")]
    Io(String),
}
