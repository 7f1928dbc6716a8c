//! Opens a journal's folder: checks that the segments are the right ones, without a gap, and that the last one's end is
//! whole. Whatever does not fit is an error that names the file; only a torn end is cut.
//!
//! What is read counts as final only once it is durable for certain. A process whose last sync failed leaves pages that
//! look clean and may not be on the disk: what was written last, records or a seal, is written again before it is synced.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::files::{self, Trouble, WriteFile};
use super::layout::{self, HEADER_BYTES, Link, Seal, SegmentHeader};
use super::meta::Meta;
use super::scan::{self, Scan};
use super::segment::{self, Segment};
use super::spare::{self, Spare};
use super::{OpenReport, Options};
use crate::ids::Partition;
use crate::storage::journal::JournalError;

/// What an opened folder holds.
pub(crate) struct Recovered {
    pub meta: Meta,
    /// All segments, the active one last.
    pub segments: Vec<Arc<Segment>>,
    /// The active one, open for writing.
    pub file: WriteFile,
    /// Its records.
    pub scan: Scan,
    /// Bytes that it may have, its seal included.
    pub capacity: u64,
    pub spare: Spare,
    pub report: OpenReport,
}

/// Opens the journal in `dir`, or makes one if the folder holds none.
pub(crate) fn recover(dir: &Path, options: &Options) -> Result<Recovered, JournalError> {
    let begun = Instant::now();
    // What the last process renamed and could not flush counts only now.
    files::sync_dir(dir, options)?;
    files::remove_if_there(&segment::next_path(dir), options)?;
    let spare = Spare::kept(&segment::spare_path(dir), options)?;
    files::remove_if_there(&Meta::path(dir).with_extension("tmp"), options)?;
    let meta = meta(dir, options)?;
    for number in segment::list(dir)?.into_iter().filter(|number| *number < meta.first_segment) {
        files::remove_if_there(&segment::path(dir, number), options)?;
    }
    let mut segments = load_all(dir, &meta)?;
    let mut report = OpenReport::default();
    finish_a_roll(dir, &mut segments, options)?;
    let active = segments.last().cloned().ok_or_else(|| missing(dir, meta.first_segment))?;
    if active.index.get().is_some() {
        return Err(missing(dir, active.number() + 1));
    }
    check_links(&segments)?;

    let file = WriteFile::open(active.path.clone(), options)?;
    let scan = scan::scan(file.file(), &active.path, active.salt)?;
    let capacity = settle_tail(&file, &active, &scan, options)?;
    active.durable_end.store(scan.end, std::sync::atomic::Ordering::Release);
    check_starts(dir, &meta, &segments, &scan)?;

    report.segments = segments.len() as u64;
    let sealed = segments.iter().filter_map(|segment| segment.index.get());
    report.records = sealed.map(segment::Index::records).sum::<u64>() + scan.records;
    report.torn_bytes = scan.torn_bytes;
    report.duration = begun.elapsed();
    Ok(Recovered { meta, segments, file, scan, capacity, spare, report })
}

fn meta(dir: &Path, options: &Options) -> Result<Meta, JournalError> {
    let mut meta = match Meta::load(dir)? {
        Some(meta) => meta,
        None => {
            if let Some(number) = segment::list(dir)?.first() {
                let (meta, found) = (Meta::path(dir), segment::path(dir, *number));
                let what = format!("{} is missing though {} is there", meta.display(), found.display());
                return Err(JournalError::Damaged(what));
            }
            let journal = options.env.ids.next();
            Meta { journal, history: journal, first_segment: 0, first_salt: 0, starts: layout::zero_bases() }
        }
    };
    if meta.first_segment == 0 {
        // Written before the first segment and again after it: a crash between them leaves nothing to lose.
        meta.store(dir)?;
        let bases = layout::zero_bases();
        let header = SegmentHeader { journal: meta.journal, number: 1, previous: Link::default(), bases };
        let (file, _) = spare::at_once(segment::next_path(dir), options.segment_bytes, HEADER_BYTES, options)?;
        let (_, first) = segment::create(dir, header, file)?;
        meta.first_segment = 1;
        meta.first_salt = first.salt;
        meta.store(dir)?;
    }
    Ok(meta)
}

/// Loads all segments from the first that is kept on. What lies before it was given up by a trim.
pub(crate) fn load_all(dir: &Path, meta: &Meta) -> Result<Vec<Arc<Segment>>, JournalError> {
    let mut segments = Vec::new();
    let kept = segment::list(dir)?.into_iter().filter(|number| *number >= meta.first_segment);
    for (number, expected) in kept.zip(meta.first_segment..) {
        let path = segment::path(dir, number);
        if number != expected {
            return Err(missing(dir, expected));
        }
        let file = File::open(&path).map_err(|error| files::io_error("open", &path, &error))?;
        let segment = segment::load(path, &file)?;
        check_identity(&segment, meta, number)?;
        segments.push(Arc::new(segment));
    }
    Ok(segments)
}

fn check_identity(segment: &Segment, meta: &Meta, number: u64) -> Result<(), JournalError> {
    let place = segment.path.display();
    if segment.header.journal != meta.journal {
        let (found, expected) = (segment.header.journal, meta.journal);
        return Err(JournalError::Damaged(format!("{place} belongs to journal {found}, not to {expected}")));
    }
    if segment.number() != number {
        return Err(JournalError::Damaged(format!("{place} is segment {}, not {number}", segment.number())));
    }
    if number == meta.first_segment && segment.salt != meta.first_salt {
        return Err(JournalError::Damaged(format!("{place} is not the first segment that this journal knows")));
    }
    Ok(())
}

/// The process may have ended between naming a new segment and sealing the one before it, or while the seal was on its way
/// to the disk, of which any part may be missing then. The new one has no records in that case, and its header says how
/// the other must end. If there is no space for the seal, the new segment is given up until there is: what is there is
/// served.
fn finish_a_roll(dir: &Path, segments: &mut Vec<Arc<Segment>>, options: &Options) -> Result<(), JournalError> {
    let [.., before, last] = &segments[..] else { return Ok(()) };
    if last.index.get().is_some() || last.bad_seal.is_some() {
        return Ok(());
    }
    let last_file = File::open(&last.path).map_err(|error| files::io_error("open", &last.path, &error))?;
    if scan::scan(&last_file, &last.path, last.salt)?.records > 0 {
        // The seal was durable before the first of them was written: `check_links` finds it if it is not there now.
        return Ok(());
    }
    let file = WriteFile::open(before.path.clone(), options)?;
    if let Some(index) = before.index.get() {
        return file.rewrite(index.link.end, file.len()?);
    }
    let scan = scan::scan(file.file(), &before.path, before.salt)?;
    let link = Link { end: scan.end, chain: scan.chain };
    if link != last.header.previous {
        return Err(unlinked(before, last, link));
    }
    match segment::seal(&file, link, before.salt, &scan.positions) {
        Ok(index) => before.set_index(index),
        Err(Trouble::Full(why)) => {
            tracing::warn!(why, "no space to finish the journal's last segment; it is gone on with");
            files::remove_if_there(&last.path, options)?;
            files::sync_dir(dir, options)?;
            segments.pop();
        }
        Err(trouble) => return Err(trouble.into()),
    }
    Ok(())
}

/// Each segment is sealed but the last, and each follows the one before it.
pub(crate) fn check_links(segments: &[Arc<Segment>]) -> Result<(), JournalError> {
    if let Some(bad) = segments.iter().filter(|segment| segment.index.get().is_none()).find_map(|s| s.bad_seal.clone())
    {
        return Err(bad);
    }
    for pair in segments.windows(2) {
        let (before, next) = (&pair[0], &pair[1]);
        let Some(index) = before.index.get() else {
            let (place, next) = (before.path.display(), next.path.display());
            return Err(JournalError::Damaged(format!(
                "{place} has no seal though {next} follows: its end is missing"
            )));
        };
        if index.link != next.header.previous || before.bases_after(index) != next.header.bases {
            return Err(unlinked(before, next, index.link));
        }
    }
    Ok(())
}

fn unlinked(before: &Segment, next: &Segment, found: Link) -> JournalError {
    let expected = next.header.previous;
    let (place, next) = (before.path.display(), next.path.display());
    JournalError::Damaged(format!(
        "{place} ends at byte {} with checksum {:08x}, but {next} was made behind one that ends at byte {} with {:08x}",
        found.end, found.chain, expected.end, expected.chain
    ))
}

/// Cuts a torn end, allocates again, and makes what was read durable before it counts: all but the last write was synced
/// before that one was written, and that one is written again. Gives the segment's capacity.
fn settle_tail(file: &WriteFile, active: &Segment, scan: &Scan, options: &Options) -> Result<u64, JournalError> {
    let len = file.len()?;
    let capacity = if len > scan.end + Seal::bytes(scan.records) { len } else { options.segment_bytes };
    if scan.torn_bytes > 0 {
        tracing::warn!(
            file = %active.path.display(), at = scan.end, bytes = scan.torn_bytes,
            "the journal's last write was torn and is cut; nobody was told of it"
        );
        file.set_len(scan.end)?;
        file.sync()?;
    }
    if let Err(trouble) = file.allocate(capacity) {
        // A full disk must not keep what is there from being served: appends are refused until there is space.
        tracing::warn!(?trouble, "no space for the journal's active segment");
    }
    file.rewrite(scan.last_write, scan.end)?;
    Ok(capacity)
}

/// The starts lie inside what the segments hold.
pub(crate) fn check_starts(
    dir: &Path,
    meta: &Meta,
    segments: &[Arc<Segment>],
    scan: &Scan,
) -> Result<(), JournalError> {
    let (Some(first), Some(active)) = (segments.first(), segments.last()) else { return Ok(()) };
    for partition in Partition::all() {
        let n = partition.index();
        let (start, end) = (meta.starts[n], active.base(partition) + scan.positions[n].len() as u64);
        if !(first.base(partition)..=end).contains(&start) {
            let held = format!("{}..{end}", first.base(partition));
            let what = format!("partition {partition} starts at {start}, but the segments hold {held}");
            return Err(JournalError::Damaged(format!("{}: {what}", Meta::path(dir).display())));
        }
    }
    debug_assert!(scan.end >= HEADER_BYTES);
    Ok(())
}

/// A segment that should be there.
pub(crate) fn missing(dir: &Path, number: u64) -> JournalError {
    JournalError::Damaged(format!("segment {} is missing", segment::path(dir, number).display()))
}
