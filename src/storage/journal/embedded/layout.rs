//! What lies on disk, byte for byte. Pure: no file is touched here.
//!
//! A segment file `segment-0000000001.log`, all numbers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 0..4096 | [`SegmentHeader`], its own CRC32C in the last four |
//! | 4096.. | records, one after the other: [`RecordHeader`] and payload |
//! | behind the last record | zeros while the segment is active; [`Seal`] once it is full: an index and a trailer |
//!
//! Each record's CRC32C is seeded with its segment's header checksum, so that a record of another segment or journal
//! never passes. The record checksums are chained into one for the segment, and the next segment's header repeats it.

use uuid::Uuid;

use crate::ids::{Offset, PARTITIONS, Partition, Timestamp};

/// The format that this program writes, and the only one that it reads.
pub(crate) const FORMAT: u32 = 1;
/// Bytes of a segment's header.
pub(crate) const HEADER_BYTES: u64 = 4096;
/// Bytes before each payload.
pub(crate) const RECORD_HEADER: usize = 28;
/// Bytes of a seal without its positions.
pub(crate) const SEAL_FIXED: usize = INDEX_COUNTS + TRAILER;
/// Bytes of the record counts at the start of a seal.
pub(crate) const INDEX_COUNTS: usize = 4 * COUNT;
/// Bytes of the trailer at the end of a sealed file.
pub(crate) const TRAILER: usize = 64;

const COUNT: usize = PARTITIONS as usize;
const SEGMENT_MAGIC: &[u8; 8] = b"KVNSEGMT";
const SEAL_MAGIC: &[u8; 8] = b"KVNSEAL1";
/// Marks a record; its first byte is not zero, so that a search may skip what is.
pub(crate) const RECORD_MAGIC: [u8; 2] = [0xB5, 0x4A];
/// Where [`RECORD_MAGIC`] stands in a record.
pub(crate) const RECORD_MAGIC_AT: usize = 8;

/// First offset of each partition in a segment.
pub(crate) type Bases = Box<[u64; COUNT]>;

/// All partitions at 0.
pub(crate) fn zero_bases() -> Bases {
    Box::new([0; COUNT])
}

/// Why a block is not what it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Bad {
    /// Damaged or something else; the text says what was expected.
    Damaged(String),
    /// Intact, but of another format or partition count.
    Incompatible(String),
}

/// What a segment says about the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Link {
    /// Where its records end, in bytes.
    pub end: u64,
    /// The chain of its record checksums.
    pub chain: u32,
}

/// The first 4096 bytes of a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    /// The journal that it belongs to.
    pub journal: Uuid,
    /// Its number: 1, 2, 3, …
    pub number: u64,
    /// The segment before it; zeros in segment 1.
    pub previous: Link,
    /// First offset of each partition in it.
    pub bases: Bases,
}

impl SegmentHeader {
    /// The block, and its checksum, which seeds those of the records.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let mut block = Vec::with_capacity(HEADER_BYTES as usize);
        block.extend_from_slice(SEGMENT_MAGIC);
        block.extend_from_slice(&FORMAT.to_le_bytes());
        block.extend_from_slice(&u32::from(PARTITIONS).to_le_bytes());
        block.extend_from_slice(self.journal.as_bytes());
        block.extend_from_slice(&self.number.to_le_bytes());
        block.extend_from_slice(&self.previous.end.to_le_bytes());
        block.extend_from_slice(&u64::from(self.previous.chain).to_le_bytes());
        self.bases.iter().for_each(|base| block.extend_from_slice(&base.to_le_bytes()));
        block.resize(HEADER_BYTES as usize - 4, 0);
        let salt = crc32c::crc32c(&block);
        block.extend_from_slice(&salt.to_le_bytes());
        (block, salt)
    }

    /// Reads the block; with it the checksum that seeds those of the records.
    pub(crate) fn decode(block: &[u8]) -> Result<(Self, u32), Bad> {
        if block.len() < HEADER_BYTES as usize || &block[..8] != SEGMENT_MAGIC {
            return Err(Bad::Damaged("no segment header at byte 0".to_owned()));
        }
        let body = &block[..HEADER_BYTES as usize - 4];
        let salt = u32_at(block, body.len());
        if crc32c::crc32c(body) != salt {
            return Err(Bad::Damaged("the checksum of the segment header at byte 0 does not match".to_owned()));
        }
        check_version(u32_at(block, 8), u32_at(block, 12))?;
        let mut bases = zero_bases();
        bases.iter_mut().enumerate().for_each(|(n, base)| *base = u64_at(block, 56 + 8 * n));
        let previous = Link { end: u64_at(block, 40), chain: u32_at(block, 48) };
        let header = Self { journal: uuid_at(block, 16), number: u64_at(block, 32), previous, bases };
        Ok((header, salt))
    }
}

/// Checks a format and a partition count.
pub(crate) fn check_version(format: u32, partitions: u32) -> Result<(), Bad> {
    if format != FORMAT {
        return Err(Bad::Incompatible(format!("format {format}, this program knows {FORMAT}")));
    }
    if partitions != u32::from(PARTITIONS) {
        return Err(Bad::Incompatible(format!("{partitions} partitions, this program has {PARTITIONS}")));
    }
    Ok(())
}

/// What stands before each payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHeader {
    /// Bytes of the payload.
    pub len: u32,
    /// The partition.
    pub partition: Partition,
    /// The offset minus the segment's base of that partition.
    pub relative: u32,
    /// Bytes between the start of the write that this record was part of and this record.
    pub back: u32,
    /// When it was appended.
    pub time: Timestamp,
}

impl RecordHeader {
    /// Appends the record to `out`; gives its checksum.
    pub(crate) fn encode(&self, salt: u32, payload: &[u8], out: &mut Vec<u8>) -> u32 {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(&RECORD_MAGIC);
        out.extend_from_slice(&self.partition.get().to_le_bytes());
        out.extend_from_slice(&self.relative.to_le_bytes());
        out.extend_from_slice(&self.back.to_le_bytes());
        out.extend_from_slice(&self.time.0.to_le_bytes());
        out.extend_from_slice(payload);
        let crc = crc32c::crc32c_append(salt, &out[start + 4..]);
        out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads the first [`RECORD_HEADER`] bytes of a record, unchecked. `None` if they can't be a header.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < RECORD_HEADER || bytes[RECORD_MAGIC_AT..RECORD_MAGIC_AT + 2] != RECORD_MAGIC {
            return None;
        }
        Some(Self {
            len: u32_at(bytes, 4),
            partition: Partition::new(u16::from_le_bytes([bytes[10], bytes[11]]))?,
            relative: u32_at(bytes, 12),
            back: u32_at(bytes, 16),
            time: Timestamp(u64_at(bytes, 20)),
        })
    }

    /// Bytes of the whole record.
    pub(crate) fn total(&self) -> usize {
        RECORD_HEADER + self.len as usize
    }

    /// The checksum if `record`, header and payload, matches it.
    pub(crate) fn checked(record: &[u8], salt: u32) -> Option<u32> {
        let stored = u32_at(record, 0);
        (crc32c::crc32c_append(salt, &record[4..]) == stored).then_some(stored)
    }
}

/// One more record checksum in a segment's chain.
pub(crate) fn chained(chain: u32, crc: u32) -> u32 {
    crc32c::crc32c_append(chain, &crc.to_le_bytes())
}

/// What is written behind the last record of a full segment: for each partition a count, then the positions of all
/// records in partition and offset order, then a trailer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Seal {
    /// Where the records end and the chain of their checksums.
    pub link: Link,
    /// The checksum of the segment's header.
    pub salt: u32,
    /// Records of each partition.
    pub counts: Box<[u32; COUNT]>,
}

impl Seal {
    /// Bytes of a seal for so many records.
    pub(crate) fn bytes(records: u64) -> u64 {
        SEAL_FIXED as u64 + 4 * records
    }

    /// The whole block. `positions` gives each partition's record positions.
    pub(crate) fn encode<'a>(link: Link, salt: u32, positions: impl Iterator<Item = &'a [u32]> + Clone) -> Vec<u8> {
        let mut block = Vec::new();
        positions.clone().for_each(|of| block.extend_from_slice(&(of.len() as u32).to_le_bytes()));
        positions.for_each(|of| of.iter().for_each(|position| block.extend_from_slice(&position.to_le_bytes())));
        let records = ((block.len() - INDEX_COUNTS) / 4) as u64;
        let index_crc = crc32c::crc32c_append(salt, &block);
        let trailer = block.len();
        block.extend_from_slice(SEAL_MAGIC);
        block.extend_from_slice(&link.end.to_le_bytes());
        block.extend_from_slice(&records.to_le_bytes());
        block.extend_from_slice(&link.chain.to_le_bytes());
        block.extend_from_slice(&salt.to_le_bytes());
        block.extend_from_slice(&index_crc.to_le_bytes());
        block.resize(trailer + TRAILER - 4, 0);
        let crc = crc32c::crc32c(&block[trailer..]);
        block.extend_from_slice(&crc.to_le_bytes());
        block
    }

    /// Where the records end, if `trailer`, the last bytes of a file of `file_len` bytes, is intact.
    pub(crate) fn end_of(trailer: &[u8], file_len: u64) -> Option<u64> {
        let intact = trailer.len() == TRAILER
            && &trailer[..8] == SEAL_MAGIC
            && crc32c::crc32c(&trailer[..TRAILER - 4]) == u32_at(trailer, TRAILER - 4);
        let (end, records) = intact.then(|| (u64_at(trailer, 8), u64_at(trailer, 16)))?;
        (end.checked_add(Self::bytes(records))? == file_len).then_some(end)
    }

    /// Reads the block. The error says what does not match.
    pub(crate) fn decode(block: &[u8], salt: u32) -> Result<Self, &'static str> {
        let index = block.len().checked_sub(TRAILER).filter(|len| *len >= INDEX_COUNTS).ok_or("the index is cut")?;
        let trailer = &block[index..];
        if u32_at(trailer, 28) != salt {
            return Err("the index is that of another segment");
        }
        if crc32c::crc32c_append(salt, &block[..index]) != u32_at(trailer, 32) {
            return Err("the checksum of the index does not match");
        }
        let mut counts = Box::new([0; COUNT]);
        counts.iter_mut().enumerate().for_each(|(n, count)| *count = u32_at(block, 4 * n));
        if INDEX_COUNTS as u64 + 4 * counts.iter().map(|n| u64::from(*n)).sum::<u64>() != index as u64 {
            return Err("the index does not add up");
        }
        Ok(Self { link: Link { end: u64_at(trailer, 8), chain: u32_at(trailer, 24) }, salt, counts })
    }
}

/// A partition's offset in a segment.
pub(crate) fn offset_of(bases: &Bases, header: &RecordHeader) -> Offset {
    Offset(bases[header.partition.index()] + u64::from(header.relative))
}

/// The `u32` at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The `u64` at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// The uuid at `at`.
pub(crate) fn uuid_at(bytes: &[u8], at: usize) -> Uuid {
    Uuid::from_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"))
}
