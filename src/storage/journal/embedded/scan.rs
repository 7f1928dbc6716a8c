//! Reads an unsealed segment from its beginning: which records are whole, and where they end. What lies behind is
//! judged in [`super::tail`].

use std::fs::File;
use std::path::Path;

use super::files::{self, Window};
use super::layout::{self, HEADER_BYTES, RECORD_HEADER, RecordHeader};
use super::tail;
use crate::ids::PARTITIONS;
use crate::storage::journal::JournalError;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// What was found.
pub(crate) struct Scan {
    /// One past the last whole record.
    pub end: u64,
    /// Where the write began that the last whole record was part of; `end` if there is none.
    pub last_write: u64,
    /// The chain of the record checksums.
    pub chain: u32,
    /// Where each partition's records lie.
    pub positions: Vec<Vec<u32>>,
    /// How many there are.
    pub records: u64,
    /// Bytes behind `end` up to the last one that is not zero: the torn write.
    pub torn_bytes: u64,
}

/// Scans the segment in `file`, whose header has the checksum `salt`.
pub(crate) fn scan(file: &File, path: &Path, salt: u32) -> Result<Scan, JournalError> {
    let len = file.metadata().map_err(|error| files::io_error("stat", path, &error))?.len();
    let mut window = Window::new(file, path);
    let mut scan = walk(&mut window, path, len, salt)?;
    scan.torn_bytes = tail::torn_bytes(&mut window, path, scan.end, len, salt)?;
    Ok(scan)
}

/// Reads every record of a segment whose records end at `end`: one that is not whole is damage.
pub(crate) fn whole(file: &File, path: &Path, salt: u32, end: u64) -> Result<Scan, JournalError> {
    let scan = walk(&mut Window::new(file, path), path, end, salt)?;
    if scan.end != end {
        let what = format!("the record at byte {} is damaged", scan.end);
        return Err(JournalError::Damaged(format!("{}: {what}", path.display())));
    }
    Ok(scan)
}

/// The whole records from the header on, below byte `len`.
fn walk(window: &mut Window<'_>, path: &Path, len: u64, salt: u32) -> Result<Scan, JournalError> {
    let mut scan = Scan {
        end: HEADER_BYTES,
        last_write: HEADER_BYTES,
        chain: salt,
        positions: vec![Vec::new(); PARTITIONS as usize],
        records: 0,
        torn_bytes: 0,
    };
    while let Some((header, crc)) = valid_at(window, scan.end, len, salt)? {
        let positions = &mut scan.positions[header.partition.index()];
        if header.relative as usize != positions.len() {
            let (found, expected) = (header.relative, positions.len());
            let what = format!("the record at byte {} has place {found} instead of {expected}", scan.end);
            return Err(JournalError::Damaged(format!("{}: {what}", path.display())));
        }
        positions
            .push(u32::try_from(scan.end).map_err(|_| JournalError::Damaged("a segment beyond 4 GiB".to_owned()))?);
        scan.chain = layout::chained(scan.chain, crc);
        scan.records += 1;
        scan.last_write = scan.end - u64::from(header.back).min(scan.end - HEADER_BYTES);
        scan.end += header.total() as u64;
    }
    Ok(scan)
}

/// The record at `at` if it is whole and its checksum matches.
fn valid_at(
    window: &mut Window<'_>,
    at: u64,
    len: u64,
    salt: u32,
) -> Result<Option<(RecordHeader, u32)>, JournalError> {
    if at + RECORD_HEADER as u64 > len {
        return Ok(None);
    }
    let Some(header) = RecordHeader::decode(window.get(at, RECORD_HEADER, CHUNK)?) else { return Ok(None) };
    if at + header.total() as u64 > len {
        return Ok(None);
    }
    let record = window.get(at, header.total(), CHUNK)?;
    Ok(RecordHeader::checked(record, salt).map(|crc| (header, crc)))
}
