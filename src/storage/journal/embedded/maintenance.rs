//! Trim and backup: both work on whole segments beside the writer, never in its way.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::segment::{self, Segment};
use super::{Shared, files, scan};
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::JournalError;

/// What a backup holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct BackupReport {
    /// Segment files.
    pub segments: u64,
    /// Bytes that were copied; sealed segments are hard links where the file system allows it.
    pub copied_bytes: u64,
    /// One past the last record of each partition in the backup, by partition number.
    pub ends: Vec<Offset>,
}

/// What is done to an embedded journal beside its work: it is trimmed, copied, and asked how it is. A handle; it keeps the
/// folder locked as long as it lives.
#[derive(Clone)]
pub(crate) struct EmbeddedMaintenance {
    shared: Arc<Shared>,
}

impl EmbeddedMaintenance {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The journal's identity: new with a new journal and with each restore of one.
    #[must_use]
    pub(crate) fn id(&self) -> Uuid {
        self.shared.meta().history
    }

    /// Why the journal takes no more appends, if its disk failed.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    /// Moves the start of each named partition up to the offset and removes the segments that hold nothing else. Blocks.
    ///
    /// The new starts are durable before any file goes: a crash between leaves files that the next start removes.
    ///
    /// # Errors
    /// An offset beyond the end, or I/O. Nothing that is still needed is gone in either case.
    pub(crate) fn trim(&self, up_to: &[(Partition, Offset)]) -> Result<(), JournalError> {
        let shared = &*self.shared;
        let mut meta = shared.meta();
        let mut new = meta.clone();
        for &(partition, asked) in up_to {
            let end = shared.tails.bounds(partition).end;
            if asked > end {
                return Err(JournalError::BeyondEnd { partition, asked, end });
            }
            let start = &mut new.starts[partition.index()];
            *start = (*start).max(asked.0);
        }
        let segments: Vec<Arc<Segment>> = shared.segments().clone();
        let below = |next: &Segment| next.header.bases.iter().zip(new.starts.iter()).all(|(base, start)| base <= start);
        let gone = segments.windows(2).take_while(|pair| pair[0].index.get().is_some() && below(&pair[1])).count();
        if let Some(first) = segments.get(gone) {
            new.first_segment = first.number();
            new.first_salt = first.salt;
        }
        if new == *meta {
            return Ok(());
        }
        new.store(&shared.dir)?;
        for (n, start) in new.starts.iter().enumerate() {
            shared.tails.set_start(n, *start);
        }
        *meta = new;
        shared.segments_mut().drain(..gone);
        for segment in &segments[..gone] {
            if let Err(error) = std::fs::remove_file(&segment.path) {
                // It is given up already; the next start tries again.
                tracing::warn!(file = %segment.path.display(), %error, "a trimmed segment could not be removed");
            }
        }
        Ok(())
    }

    /// Gives up the oldest segments that hold nothing but records which are older than `before` and lie below `covered`
    /// (by partition number; fewer than all partitions cover nothing). Nothing else is trimmed. Returns how many went.
    /// Blocks.
    ///
    /// # Errors
    /// I/O. What is still needed is there in any case.
    pub(crate) fn trim_covered(&self, covered: &[Offset], before: Timestamp) -> Result<usize, JournalError> {
        let segments: Vec<Arc<Segment>> = self.shared.segments().clone();
        let is_covered = |next: &Segment| {
            covered.len() == next.header.bases.len()
                && next.header.bases.iter().zip(covered).all(|(base, end)| *base <= end.0)
        };
        let mut gone = 0;
        for pair in segments.windows(2) {
            // What a segment holds is older than what the next one begins with.
            let next = &pair[1];
            if !is_covered(next) || segment::first_time(next)?.is_none_or(|time| time >= before) {
                break;
            }
            gone += 1;
        }
        if gone > 0 {
            let bases = &segments[gone].header.bases;
            let up_to: Vec<_> =
                Partition::all().map(|partition| (partition, Offset(bases[partition.index()]))).collect();
            self.trim(&up_to)?;
        }
        Ok(gone)
    }

    /// Copies the journal, as it is now and while it goes on, up to the durable end, into `to`, which must be empty or not
    /// there. The copy opens as a journal of its own. Blocks.
    ///
    /// # Errors
    /// I/O. What was copied so far is left behind.
    pub(crate) fn backup_to(&self, to: &Path) -> Result<BackupReport, JournalError> {
        let shared = &*self.shared;
        let failed = |error: &io::Error| files::io_error("write backup", to, error);
        crate::storage::disk::make_private(to).map_err(|error| failed(&error))?;
        if std::fs::read_dir(to).map_err(|error| failed(&error))?.next().is_some() {
            return Err(JournalError::Io(format!("{} is not empty", to.display())));
        }
        let meta = shared.meta(); // held: no trim removes a segment while it is copied
        let (segments, end) = {
            let segments = shared.segments();
            let end = segments.last().map_or(0, |active| active.durable_end());
            (segments.clone(), end)
        };
        let mut report = BackupReport::default();
        for (n, source) in segments.iter().enumerate() {
            let target = segment::path(to, source.number());
            let active = n + 1 == segments.len();
            if active {
                report.copied_bytes += copy(&source.path, &target, end)?;
                report.ends = ends(source, &target)?;
            } else if std::fs::hard_link(&source.path, &target).is_err() {
                report.copied_bytes += copy(&source.path, &target, u64::MAX)?;
            }
            report.segments += 1;
        }
        meta.store(to)?;
        Ok(report)
    }
}

fn copy(from: &Path, to: &Path, limit: u64) -> Result<u64, JournalError> {
    let work = || -> io::Result<u64> {
        let mut target = File::create_new(to)?;
        let copied = io::copy(&mut File::open(from)?.take(limit), &mut target)?;
        target.sync_all()?;
        Ok(copied)
    };
    work().map_err(|error| files::io_error("copy to", to, &error))
}

/// One past the last record of each partition, as the copy of the active segment has them.
fn ends(active: &Segment, copy: &Path) -> Result<Vec<Offset>, JournalError> {
    let file = File::open(copy).map_err(|error| files::io_error("open", copy, &error))?;
    let positions = scan::scan(&file, copy, active.salt)?.positions;
    Ok(active.header.bases.iter().zip(positions).map(|(base, of)| Offset(base + of.len() as u64)).collect())
}
