//! The journal: 256 append-only partitions that hold every durable fact. Everything else can be rebuilt from it.
//!
//! # The contract
//!
//! Every implementation passes the one suite in `contract.rs`. In words:
//!
//! 1. *Append.* A batch gets dense offsets in the order given. `Ok` means durable: it survives whatever the
//!    implementation promises to survive. Appends of one caller to one partition that are started in an order are
//!    placed in that order. [`AppendError::Refused`] means certainly not written and never to be;
//!    [`AppendError::Unknown`] means that it may be there, now or later, and is never reported as a failure to send.
//! 2. *Read.* Records come back byte for byte, in offset order, with the append time that the journal gave them.
//!    Append times of a partition may go backwards (clocks do): the reader takes the running maximum.
//! 3. *Visible is not verified.* A reader may be shown a record that is lost later. Only what lies below the end of
//!    one's own successful delivery report is final ([`Appended::end`]); see `actors::partition::verified`.
//! 4. *Trim* moves the start of partitions forward, never beyond the end, and never touches what lies behind it.
//!    Reading below the start is [`ReadError::Trimmed`], never an empty answer.
//! 5. *Damage* is an error that names the place; nothing is skipped, reset or healed silently. A torn tail (an
//!    unfinished last write that was never acknowledged) is cut when the journal is opened.

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::ids::{Offset, Partition, Timestamp};

#[cfg(any(test, feature = "sim"))]
pub mod contract;
pub mod embedded;
#[cfg(any(test, feature = "sim"))]
pub mod memory;
pub mod record;

/// A durable, partitioned, append-only log. See the module for the contract.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Appends `batch` to `partition`, and returns when it is durable. An empty batch writes nothing and reports the end
    /// behind all that was placed before it.
    ///
    /// The place in the order is taken when the returned future is first polled. Dropping the future does not take the
    /// batch back.
    ///
    /// # Errors
    /// See [`AppendError`].
    async fn append(&self, partition: Partition, batch: Vec<Bytes>) -> Result<Appended, AppendError>;

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

    /// A counter that changes whenever the end of any partition moved.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Moves the start of each named partition up to the offset; what lies below may be removed.
    ///
    /// # Errors
    /// An offset beyond the end, or an I/O error. Nothing that is still needed is gone in either case.
    async fn trim(&self, up_to: &[(Partition, Offset)]) -> Result<(), JournalError>;

    /// Finishes what was appended before, and stops. Later appends are [`AppendError::Closed`]; reading goes on.
    ///
    /// # Errors
    /// An I/O error while flushing.
    async fn close(&self) -> Result<(), JournalError>;
}

/// A delivery report: the batch is durable at these offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// Offset of the first record of the batch; the others follow densely.
    pub first: Offset,
    /// One past the last record of the batch.
    pub end: Offset,
    /// The append time that all records of the batch carry.
    pub time: Timestamp,
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
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Journal(JournalError::Io(_)))
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
