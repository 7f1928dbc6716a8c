//! What the journal counts about itself, for its tests. What `/metrics` shows is counted by who appends and reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
#[cfg(test)]
use std::time::Duration;

/// Counters since the journal was opened.
#[cfg(test)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Snapshot {
    /// Batches answered with a delivery report.
    pub appends: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of those records, without the journal's own.
    pub record_bytes: u64,
    /// Bytes written to segments, headers and seals included.
    pub written_bytes: u64,
    /// Writes of records: each holds all batches that waited, and is followed by one sync.
    pub groups: u64,
    /// Syncs of segments.
    pub syncs: u64,
    /// Time spent in them.
    pub sync_time: Duration,
    /// Batches refused: queue full, disk full, too large.
    pub refused: u64,
    /// Batches whose outcome is unknown because the disk failed.
    pub unknown: u64,
    /// Reads answered from memory.
    pub cached_reads: u64,
    /// Reads answered from disk.
    pub disk_reads: u64,
    /// Segments whose file had been prepared when it was needed.
    pub spares: u64,
    /// Bytes that wait to be written (now).
    pub queued_bytes: u64,
    /// Segment files (now).
    pub segments: u64,
    /// Bytes of recent records in memory (now).
    pub cache_bytes: u64,
}

/// The counters themselves.
#[derive(Default)]
pub(crate) struct Metrics {
    pub appends: AtomicU64,
    pub records: AtomicU64,
    pub record_bytes: AtomicU64,
    pub written_bytes: AtomicU64,
    pub groups: AtomicU64,
    pub syncs: AtomicU64,
    pub sync_nanos: AtomicU64,
    pub refused: AtomicU64,
    pub unknown: AtomicU64,
    pub cached_reads: AtomicU64,
    pub disk_reads: AtomicU64,
    pub spares: AtomicU64,
    pub cache_bytes: AtomicU64,
}

impl Metrics {
    /// The counters as they are; what is not counted here is left 0.
    #[cfg(test)]
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            appends: self.appends.load(Relaxed),
            records: self.records.load(Relaxed),
            record_bytes: self.record_bytes.load(Relaxed),
            written_bytes: self.written_bytes.load(Relaxed),
            groups: self.groups.load(Relaxed),
            syncs: self.syncs.load(Relaxed),
            sync_time: Duration::from_nanos(self.sync_nanos.load(Relaxed)),
            refused: self.refused.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            cached_reads: self.cached_reads.load(Relaxed),
            disk_reads: self.disk_reads.load(Relaxed),
            spares: self.spares.load(Relaxed),
            queued_bytes: 0,
            segments: 0,
            cache_bytes: self.cache_bytes.load(Relaxed),
        }
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
