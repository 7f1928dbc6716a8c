//! Reads all of a journal that nobody has open, and changes nothing: is every record whole, every segment the right one?
//! For copies: opening a journal checks the sealed segments by their seals only, and cuts a torn end.

use std::fs::File;
use std::path::Path;

use uuid::Uuid;

use super::layout::Link;
use super::meta::Meta;
use super::segment::Segment;
use super::{files, recovery, scan};
use crate::ids::{Offset, Partition};
use crate::storage::journal::{Bounds, JournalError};

/// What a whole journal holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Verified {
    /// Its identity.
    pub journal: Uuid,
    /// Segment files.
    pub segments: u64,
    /// Records in them.
    pub records: u64,
    /// What each partition holds, by partition number.
    pub bounds: Vec<Bounds>,
}

/// Reads the journal in `dir` from its first byte to its last. Blocks, and takes as long as the disk needs to read it.
///
/// # Errors
/// Damage, with file and byte; a missing or swapped segment, by name; an end that was torn; another format; I/O.
pub(crate) fn verify(dir: &Path) -> Result<Verified, JournalError> {
    let meta = Meta::load(dir)?.ok_or_else(|| gone(&Meta::path(dir)))?;
    let segments = recovery::load_all(dir, &meta)?;
    let active = segments.last().ok_or_else(|| recovery::missing(dir, meta.first_segment))?;
    if active.index.get().is_some() {
        return Err(recovery::missing(dir, active.number() + 1));
    }
    recovery::check_links(&segments)?;
    let mut records = 0;
    let mut last = None;
    for segment in &segments {
        let scan = read(segment)?;
        records += scan.records;
        last = Some(scan);
    }
    let Some(last) = last else { return Err(recovery::missing(dir, meta.first_segment)) };
    recovery::check_starts(dir, &meta, &segments, &last)?;
    let bounds = Partition::all().map(|partition| {
        let end = active.base(partition) + last.positions[partition.index()].len() as u64;
        Bounds { start: Offset(meta.starts[partition.index()]), end: Offset(end) }
    });
    Ok(Verified { journal: meta.history, segments: segments.len() as u64, records, bounds: bounds.collect() })
}

/// Reads all records of a segment.
fn read(segment: &Segment) -> Result<scan::Scan, JournalError> {
    let path = &segment.path;
    let file = File::open(path).map_err(|error| files::io_error("open", path, &error))?;
    let damaged = |what: String| Err(JournalError::Damaged(format!("{}: {what}", path.display())));
    let Some(index) = segment.index.get() else {
        let scan = scan::scan(&file, path, segment.salt)?;
        return match scan.torn_bytes {
            0 => Ok(scan),
            torn => damaged(format!("its last {torn} bytes are no whole record")),
        };
    };
    let scan = scan::whole(&file, path, segment.salt, index.link.end)?;
    if (Link { end: scan.end, chain: scan.chain }) != index.link {
        return damaged("its records are not those that its seal names".to_owned());
    }
    let counted =
        |partition: &Partition| scan.positions[partition.index()].len() == index.count(partition.index()) as usize;
    if !Partition::all().all(|partition| counted(&partition)) {
        return damaged("its index does not name the records that it has".to_owned());
    }
    Ok(scan)
}

fn gone(path: &Path) -> JournalError {
    JournalError::Damaged(format!("{} is missing", path.display()))
}
