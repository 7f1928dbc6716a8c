//! Reads records from segment files by their positions, checking each. Blocks; never called on an async thread.

use std::fs::File;
use std::io::ErrorKind;

use bytes::Bytes;

use super::Shared;
use super::files::{self, Window};
use super::layout::{self, RECORD_HEADER, RecordHeader};
use super::segment::Segment;
use super::tails::Found;
use crate::ids::{Offset, Partition};
use crate::storage::journal::{JournalError, ReadError, StoredRecord};

/// Records looked up at once.
const MOST: usize = 4096;
/// Records of a partition that lie closer together than this are read in one go.
const NEAR: u32 = 8 * 1024;
/// Bytes read in one go at most, and what is guessed of a record whose length is not known yet.
const FAR: u32 = 256 * 1024;
const GUESS: usize = 2 * 1024;

/// What the memory can answer: `None` if the disk must be asked.
pub(crate) fn from_memory(
    shared: &Shared,
    partition: Partition,
    from: Offset,
    max_bytes: usize,
) -> Option<Result<Vec<StoredRecord>, ReadError>> {
    let bounds = shared.tails.bounds(partition);
    if from < bounds.start {
        return Some(Err(ReadError::Trimmed { partition, asked: from, start: bounds.start }));
    }
    if from >= bounds.end {
        return Some(Ok(Vec::new()));
    }
    match shared.tails.find(partition, from, max_bytes, 0) {
        Found::Cached(records) => Some(Ok(records)),
        Found::Active(..) | Found::Sealed => None,
    }
}

/// Records from `from` on, which lies below the end.
pub(crate) fn from_disk(
    shared: &Shared,
    partition: Partition,
    from: Offset,
    max_bytes: usize,
) -> Result<Vec<StoredRecord>, ReadError> {
    let most = MOST.min(max_bytes / 32 + 1);
    let (segment, positions) = match shared.tails.find(partition, from, max_bytes, most) {
        Found::Cached(records) => return Ok(records),
        Found::Active(segment, positions) => (segment, Some(positions)),
        Found::Sealed => (sealed_segment(shared, partition, from)?, None),
    };
    let file = match File::open(&segment.path) {
        Ok(file) => file,
        Err(error) => return Err(unopened(shared, partition, from, &segment, &error)),
    };
    let positions = match (positions, segment.index.get()) {
        (Some(positions), _) => positions,
        (None, Some(index)) => segment.positions(&file, index, partition, from, most)?,
        (None, None) => return Err(lost(partition, from).into()),
    };
    if positions.is_empty() {
        return Err(lost(partition, from).into());
    }
    Ok(read(&file, &segment, partition, from, &positions, max_bytes)?)
}

fn sealed_segment(shared: &Shared, partition: Partition, from: Offset) -> Result<std::sync::Arc<Segment>, ReadError> {
    let segments = shared.segments();
    let after = segments.partition_point(|segment| segment.base(partition) <= from.0);
    match after.checked_sub(1) {
        Some(n) => Ok(segments[n].clone()),
        None => Err(trimmed(shared, partition, from).unwrap_or_else(|| lost(partition, from).into())),
    }
}

/// A trim may have removed the segment while the read was on its way.
fn unopened(
    shared: &Shared,
    partition: Partition,
    from: Offset,
    segment: &Segment,
    error: &std::io::Error,
) -> ReadError {
    trimmed(shared, partition, from).unwrap_or_else(|| match error.kind() {
        ErrorKind::NotFound => JournalError::Damaged(format!("segment {} is missing", segment.path.display())).into(),
        _ => files::io_error("open", &segment.path, error).into(),
    })
}

fn trimmed(shared: &Shared, partition: Partition, asked: Offset) -> Option<ReadError> {
    let start = shared.tails.bounds(partition).start;
    (asked < start).then_some(ReadError::Trimmed { partition, asked, start })
}

fn lost(partition: Partition, offset: Offset) -> JournalError {
    JournalError::Damaged(format!("no segment has offset {offset} of partition {partition}"))
}

fn read(
    file: &File,
    segment: &Segment,
    partition: Partition,
    from: Offset,
    positions: &[u32],
    max_bytes: usize,
) -> Result<Vec<StoredRecord>, JournalError> {
    let end = segment.index.get().map_or_else(|| segment.durable_end(), |index| index.link.end);
    let damaged = |at: u32, what: &str| {
        Err(JournalError::Damaged(format!("{}: the record at byte {at} {what}", segment.path.display())))
    };
    let mut window = Window::new(file, &segment.path);
    let mut records = Vec::with_capacity(positions.len().min(256));
    let mut bytes = 0usize;
    for (n, &at) in positions.iter().enumerate() {
        let offset = from.plus(n as u64);
        let left = end.saturating_sub(u64::from(at)) as usize;
        if left < RECORD_HEADER {
            return damaged(at, "lies beyond the end");
        }
        let ahead = read_ahead(&positions[n..], max_bytes.saturating_sub(bytes)).min(left);
        let Some(header) = RecordHeader::decode(window.get(u64::from(at), RECORD_HEADER, ahead)?) else {
            return damaged(at, "has no header");
        };
        if header.total() > left {
            return damaged(at, "is longer than the segment");
        }
        bytes = bytes.saturating_add(header.len as usize);
        if n > 0 && bytes > max_bytes {
            break;
        }
        let record = window.get(u64::from(at), header.total(), ahead)?;
        if RecordHeader::checked(record, segment.salt).is_none() {
            return damaged(at, "does not match its checksum");
        }
        if header.partition != partition || layout::offset_of(&segment.header.bases, &header) != offset {
            return damaged(at, &format!("is not offset {offset} of partition {partition}"));
        }
        records.push(StoredRecord {
            offset,
            time: header.time,
            bytes: Bytes::copy_from_slice(&record[RECORD_HEADER..]),
        });
    }
    Ok(records)
}

/// Bytes worth reading at once for the records at `positions`.
fn read_ahead(positions: &[u32], wanted: usize) -> usize {
    let first = positions[0];
    let near = positions.windows(2).take_while(|two| two[1].saturating_sub(two[0]) < NEAR && two[1] - first < FAR);
    let last = near.last().map_or(first, |two| two[1]);
    ((last - first) as usize).min(wanted) + GUESS
}
