//! Reads an unsealed segment from its beginning, and decides where its records end.
//!
//! The rule: a damaged record with a valid one behind it is damage and stops everything; a damaged end is a torn write,
//! which nobody was told of, and is cut. One refinement: records carry how far the write that they were part of began
//! before them. A valid record of a *later* write proves that the damaged one had been made durable. A valid record of
//! the *same* write proves nothing when whole sectors are missing (still zero): a power failure keeps the pages of one
//! write in any order. Then it is torn, too. Anything else is damage.

use std::fs::File;
use std::path::Path;

use super::files::{self, Window};
use super::layout::{self, HEADER_BYTES, RECORD_HEADER, RECORD_MAGIC, RECORD_MAGIC_AT, RecordHeader};
use crate::ids::PARTITIONS;
use crate::storage::journal::JournalError;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// What a disk writes at least.
const SECTOR: u64 = 512;
/// A zeroed sector is told from a damaged byte by at least so many bytes.
const EVIDENCE: u64 = 16;

/// What was found.
pub struct Scan {
    /// One past the last whole record.
    pub end: u64,
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
pub fn scan(file: &File, path: &Path, salt: u32) -> Result<Scan, JournalError> {
    let len = file.metadata().map_err(|error| files::io_error("stat", path, &error))?.len();
    let mut window = Window::new(file, path);
    let mut scan = walk(&mut window, path, len, salt)?;
    scan.torn_bytes = torn_bytes(&mut window, path, scan.end, len, salt)?;
    Ok(scan)
}

/// Reads every record of a segment whose records end at `end`: one that is not whole is damage.
pub fn whole(file: &File, path: &Path, salt: u32, end: u64) -> Result<Scan, JournalError> {
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

/// Decides what lies from `end` on: nothing but zeros (0), a torn write (its length), or damage.
fn torn_bytes(window: &mut Window<'_>, path: &Path, end: u64, len: u64, salt: u32) -> Result<u64, JournalError> {
    let mut last_byte = end;
    let mut same_write: Option<(u64, u64)> = None;
    let zeros = vec![0; CHUNK];
    let mut at = end;
    while at < len {
        let chunk_len = (len - at).min(CHUNK as u64) as usize;
        let chunk = window.get(at, chunk_len, 0)?;
        if chunk == &zeros[..chunk_len] {
            at += chunk_len as u64;
            continue;
        }
        let Some(last) = chunk.iter().rposition(|byte| *byte != 0) else {
            at += chunk_len as u64;
            continue;
        };
        last_byte = at + last as u64 + 1;
        let magics: Vec<u64> = (0..=last)
            .filter(|n| chunk[*n] == RECORD_MAGIC[0] && chunk.get(n + 1).is_none_or(|next| *next == RECORD_MAGIC[1]))
            .map(|n| at + n as u64)
            .collect();
        for magic in magics {
            let record = magic.saturating_sub(RECORD_MAGIC_AT as u64);
            if record <= end {
                continue;
            }
            let mut apart = Window::new(window.file(), path);
            let Some((header, _)) = valid_at(&mut apart, record, len, salt)? else { continue };
            let write_start = record - u64::from(header.back).min(record);
            if write_start > end {
                return Err(damaged(path, end, record));
            }
            same_write.get_or_insert((write_start, record));
        }
        at += chunk_len as u64;
    }
    if let Some((write_start, record)) = same_write
        && !sector_missing(window, write_start, end, record)?
    {
        return Err(damaged(path, end, record));
    }
    Ok(last_byte - end)
}

fn damaged(path: &Path, at: u64, valid: u64) -> JournalError {
    let what = format!("the record at byte {at} is damaged, and a valid one follows at byte {valid}");
    JournalError::Damaged(format!("{}: {what}", path.display()))
}

/// Whether a sector between the damaged record at `end` and the valid one at `record` is still zero from `write_start` on.
fn sector_missing(window: &mut Window<'_>, write_start: u64, end: u64, record: u64) -> Result<bool, JournalError> {
    let mut sector = end / SECTOR * SECTOR;
    while sector < record {
        let (from, to) = (sector.max(write_start), (sector + SECTOR).min(record));
        if to.saturating_sub(from) >= EVIDENCE
            && window.get(from, (to - from) as usize, 0)?.iter().all(|byte| *byte == 0)
        {
            return Ok(true);
        }
        sector += SECTOR;
    }
    Ok(false)
}
