//! Segment files: their names, what is known of each in memory (about 3 KB), and how one is sealed or read back.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::files::{self, Trouble, Window, WriteFile};
use super::layout::{
    self, HEADER_BYTES, INDEX_COUNTS, Link, RECORD_HEADER, RecordHeader, Seal, SegmentHeader, TRAILER,
};
use crate::ids::{Offset, PARTITIONS, Partition, Timestamp};
use crate::storage::journal::JournalError;

/// A segment as readers know it.
pub(crate) struct Segment {
    /// Its header.
    pub header: SegmentHeader,
    /// The header's checksum, which seeds those of the records.
    pub salt: u32,
    /// Where it lies.
    pub path: PathBuf,
    /// One past the last byte of durable records.
    pub durable_end: AtomicU64,
    /// Set when it is sealed.
    pub index: OnceLock<Index>,
    /// It has a seal that can't be read, and why.
    pub bad_seal: Option<JournalError>,
}

/// Where a sealed segment's index lies on disk, and how it is divided.
pub(crate) struct Index {
    /// Where the records end and their chain.
    pub link: Link,
    /// For each partition, how many records those before it have; the last is the total.
    firsts: Box<[u32; PARTITIONS as usize + 1]>,
}

impl Index {
    /// From a seal.
    pub(crate) fn new(seal: &Seal) -> Self {
        let mut firsts = Box::new([0; PARTITIONS as usize + 1]);
        for (n, count) in seal.counts.iter().enumerate() {
            firsts[n + 1] = firsts[n] + count;
        }
        Self { link: seal.link, firsts }
    }

    /// Records of a partition.
    pub(crate) fn count(&self, partition: usize) -> u32 {
        self.firsts[partition + 1] - self.firsts[partition]
    }

    /// Records of all partitions.
    pub(crate) fn records(&self) -> u64 {
        u64::from(self.firsts[PARTITIONS as usize])
    }
}

impl Segment {
    /// A segment without an index, whose records end at `end`.
    pub(crate) fn new(header: SegmentHeader, salt: u32, path: PathBuf, end: u64) -> Self {
        Self { header, salt, path, durable_end: AtomicU64::new(end), index: OnceLock::new(), bad_seal: None }
    }

    /// It is sealed now.
    pub(crate) fn set_index(&self, index: Index) {
        drop(self.index.set(index)); // only the writer seals, and once
    }

    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.header.number
    }

    /// First offset of a partition in it.
    pub(crate) fn base(&self, partition: Partition) -> u64 {
        self.header.bases[partition.index()]
    }

    /// One past the last byte of durable records.
    pub(crate) fn durable_end(&self) -> u64 {
        self.durable_end.load(Ordering::Acquire)
    }

    /// The first offset of each partition that is behind a sealed segment.
    pub(crate) fn bases_after(&self, index: &Index) -> layout::Bases {
        let mut bases = self.header.bases.clone();
        bases.iter_mut().enumerate().for_each(|(n, base)| *base += u64::from(index.count(n)));
        bases
    }

    /// Positions of up to `most` records from `from` on, by the index on disk.
    pub(crate) fn positions(
        &self,
        file: &File,
        index: &Index,
        partition: Partition,
        from: Offset,
        most: usize,
    ) -> Result<Vec<u32>, JournalError> {
        let skip = u32::try_from(from.0 - self.base(partition)).unwrap_or(u32::MAX);
        let left = index.count(partition.index()).saturating_sub(skip) as usize;
        if left == 0 {
            return Ok(Vec::new());
        }
        let place = u64::from(index.firsts[partition.index()] + skip);
        let at = index.link.end + INDEX_COUNTS as u64 + 4 * place;
        let count = left.min(most);
        let mut window = Window::new(file, &self.path);
        let bytes = window.get(at, 4 * count, 0)?;
        Ok((0..count).map(|n| layout::u32_at(bytes, 4 * n)).collect())
    }
}

/// When the first record of a segment was appended; `None` if it has none yet. Blocks.
pub(crate) fn first_time(segment: &Segment) -> Result<Option<Timestamp>, JournalError> {
    let end = segment.index.get().map_or_else(|| segment.durable_end(), |index| index.link.end);
    if end <= HEADER_BYTES {
        return Ok(None);
    }
    let path = &segment.path;
    let file = File::open(path).map_err(|error| files::io_error("open", path, &error))?;
    let header = RecordHeader::decode(Window::new(&file, path).get(HEADER_BYTES, RECORD_HEADER, 0)?);
    let damaged = || JournalError::Damaged(format!("{}: no record at byte {HEADER_BYTES}", path.display()));
    header.map(|header| Some(header.time)).ok_or_else(damaged)
}

/// Makes a segment of a file that holds nothing but zeros: its header durable, under its name, durably.
pub(crate) fn create(dir: &Path, header: SegmentHeader, mut file: WriteFile) -> Result<(WriteFile, Segment), Trouble> {
    let (block, salt) = header.encode();
    file.write(&block, 0)?;
    file.sync()?;
    let path = path(dir, header.number);
    file.rename(&path)?;
    Ok((file, Segment::new(header, salt, path, HEADER_BYTES)))
}

/// Writes the seal behind the records of a segment, and gives back what was preallocated and not used.
pub(crate) fn seal(file: &WriteFile, link: Link, salt: u32, positions: &[Vec<u32>]) -> Result<Index, Trouble> {
    let block = Seal::encode(link, salt, positions.iter().map(Vec::as_slice));
    file.write(&block, link.end)?;
    file.set_len(link.end + block.len() as u64)?;
    file.sync()?;
    let mut counts = Box::new([0; PARTITIONS as usize]);
    counts.iter_mut().zip(positions).for_each(|(count, of)| *count = of.len() as u32);
    Ok(Index::new(&Seal { link, salt, counts }))
}

/// A segment's file name.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("segment-{number:010}.log"))
}

/// Where the next segment is made before it gets its name.
pub(crate) fn next_path(dir: &Path) -> PathBuf {
    dir.join("next.tmp")
}

/// Where a spare file for the next segment lies.
pub(crate) fn spare_path(dir: &Path) -> PathBuf {
    dir.join("spare.tmp")
}

/// The numbers of the segments in a folder, ascending.
pub(crate) fn list(dir: &Path) -> Result<Vec<u64>, JournalError> {
    let failed = |error: &std::io::Error| files::io_error("list", dir, error);
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| failed(&error))? {
        let name = entry.map_err(|error| failed(&error))?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("segment-")?.strip_suffix(".log")?.parse().ok());
        numbers.extend(number.filter(|n| Path::new(&name) == path(Path::new(""), *n)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads a segment's header, and its seal if it is sealed. That a seal can't be read is noted in the segment.
pub(crate) fn load(path: PathBuf, file: &File) -> Result<Segment, JournalError> {
    let len = file.metadata().map_err(|error| files::io_error("stat", &path, &error))?.len();
    let mut window = Window::new(file, &path);
    let head = window.get(0, HEADER_BYTES.min(len) as usize, 0)?;
    let (header, salt) = SegmentHeader::decode(head).map_err(|bad| files::bad_error(&path, bad))?;
    let trailer_at = len.saturating_sub(TRAILER as u64).max(HEADER_BYTES);
    let trailer = window.get(trailer_at, (len - trailer_at) as usize, 0)?;
    let sealed_at = Seal::end_of(trailer, len);
    let seal = match sealed_at {
        Some(end) => Some((end, Seal::decode(window.get(end, (len - end) as usize, 0)?, salt))),
        None => None,
    };
    let mut segment = Segment::new(header, salt, path, sealed_at.unwrap_or(HEADER_BYTES));
    match seal {
        Some((_, Ok(seal))) => segment.set_index(Index::new(&seal)),
        Some((end, Err(why))) => {
            let what = format!("{}: {why} (index at byte {end})", segment.path.display());
            segment.bad_seal = Some(JournalError::Damaged(what));
        }
        None => {}
    }
    Ok(segment)
}
