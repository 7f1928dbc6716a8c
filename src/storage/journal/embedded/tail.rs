//! Decides what lies behind the last whole record of an unsealed segment: nothing, a torn write, or damage.
//!
//! The rule: a damaged record with a valid one behind it is damage and stops everything; a damaged end is a torn write,
//! which nobody was told of, and is cut. One refinement: records carry how far the write that they were part of began
//! before them. A valid record of a *later* write proves that the damaged one had been made durable. A valid record of
//! the *same* write proves nothing when whole sectors are missing (still zero): a power failure keeps the pages of one
//! write in any order. Then it is torn, too. Anything else is damage.
//!
//! What is torn may be anything, also text that somebody made to look like records: each byte is read once and goes through
//! one running checksum, from which that of any stretch follows (a CRC is linear), so that the time is in proportion to
//! the bytes, whatever they are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use super::files::Window;
use super::layout::{RECORD_HEADER, RECORD_MAGIC, RECORD_MAGIC_AT, RecordHeader, u32_at};
use crate::storage::journal::JournalError;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// What a disk writes at least.
const SECTOR: u64 = 512;
/// A zeroed sector is told from a damaged byte by at least so many bytes.
const EVIDENCE: u64 = 2;
/// Bytes of a record that its checksum does not cover: the checksum itself.
const UNCOVERED: u64 = 4;

/// What may be a record: its last byte is not reached yet.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    end: u64,
    at: u64,
    /// What it says its checksum is.
    crc: u32,
    /// The running checksum where the covered part begins.
    before: u32,
    back: u32,
}

/// Decides what lies from `end` on, where no whole record begins: nothing but zeros (0), a torn write (its length), or
/// damage, which is an error.
pub(crate) fn torn_bytes(
    window: &mut Window<'_>,
    path: &Path,
    end: u64,
    len: u64,
    salt: u32,
) -> Result<u64, JournalError> {
    let mut last_byte = end;
    let mut same_write: Option<(u64, u64)> = None;
    let mut search = Search { salt, shifts: None, open: BinaryHeap::new(), at: end, crc: 0 };
    let zeros = vec![0; CHUNK];
    let mut from = end;
    while from < len {
        let to = (from + CHUNK as u64).min(len);
        // A header begins up to four bytes before what is covered of it, and ends behind it.
        let first = from - UNCOVERED;
        let bytes = window.get(first, (len.min(to + RECORD_HEADER as u64) - first) as usize, 0)?;
        let chunk = &bytes[UNCOVERED as usize..(to - first) as usize];
        let empty = chunk == &zeros[..chunk.len()];
        if empty && search.open.is_empty() {
            (search.at, from) = (to, to);
            continue;
        }
        if let Some(last) = chunk.iter().rposition(|byte| *byte != 0) {
            last_byte = from + last as u64 + 1;
        }
        let mut found = Vec::new();
        if !empty {
            let magic = |n: &usize| {
                bytes[*n + RECORD_MAGIC_AT] == RECORD_MAGIC[0] && bytes[*n + RECORD_MAGIC_AT + 1] == RECORD_MAGIC[1]
            };
            let starts = (to - from).min((bytes.len() + 1).saturating_sub(RECORD_HEADER) as u64) as usize;
            for n in (0..starts).filter(magic) {
                let at = first + n as u64;
                if at > end
                    && let Some(header) = RecordHeader::decode(&bytes[n..])
                    && at + header.total() as u64 <= len
                {
                    search.run_to(at + UNCOVERED, bytes, first, &mut found);
                    search.begin(at, u32_at(bytes, n), &header);
                }
            }
        }
        search.run_to(to, bytes, first, &mut found);
        for Candidate { at, back, .. } in found {
            let write_start = at - u64::from(back).min(at);
            if write_start > end {
                return Err(damaged(path, end, at));
            }
            same_write.get_or_insert((write_start, at));
        }
        from = to;
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

/// The running checksum, and the candidates that have begun.
struct Search {
    salt: u32,
    /// Made when the first candidate ends.
    shifts: Option<Box<Shifts>>,
    open: BinaryHeap<Reverse<Candidate>>,
    /// How far `crc` goes. Where it began does not matter: only the difference of two places is used.
    at: u64,
    crc: u32,
}

impl Search {
    fn begin(&mut self, at: u64, crc: u32, header: &RecordHeader) {
        let end = at + header.total() as u64;
        self.open.push(Reverse(Candidate { end, at, crc, before: self.crc, back: header.back }));
    }

    /// Goes on to `to` over `bytes`, which begin at `first`. Puts the records that end on the way into `found`.
    fn run_to(&mut self, to: u64, bytes: &[u8], first: u64, found: &mut Vec<Candidate>) {
        while let Some(Reverse(candidate)) = self.open.peek()
            && candidate.end <= to
        {
            self.take(candidate.end, bytes, first);
            let Some(Reverse(candidate)) = self.open.pop() else { return };
            if self.is_whole(&candidate) {
                found.push(candidate);
            }
        }
        self.take(to, bytes, first);
    }

    fn take(&mut self, to: u64, bytes: &[u8], first: u64) {
        self.crc = crc32c::crc32c_append(self.crc, &bytes[(self.at - first) as usize..(to - first) as usize]);
        self.at = to;
    }

    /// Whether the checksum of a candidate that ends here is that of its bytes, seeded with the salt.
    fn is_whole(&mut self, candidate: &Candidate) -> bool {
        let covered = candidate.end - candidate.at - UNCOVERED;
        let shifts = self.shifts.get_or_insert_with(Shifts::new);
        self.crc ^ shifts.shift(candidate.before ^ self.salt, covered) == candidate.crc
    }
}

/// What a checksum becomes by 2^n more bytes of zeros, as a matrix over GF(2) for each n.
struct Shifts(Vec<[u32; 32]>);

impl Shifts {
    fn new() -> Box<Self> {
        let matrix = |n: u32| std::array::from_fn(|bit| crc32c::crc32c_combine(1 << bit, 0, 1 << n));
        Box::new(Self((0..u32::BITS).map(matrix).collect()))
    }

    /// What `crc` becomes by so many bytes of zeros, less than 4 GiB.
    fn shift(&self, mut crc: u32, bytes: u64) -> u32 {
        for (n, matrix) in self.0.iter().enumerate() {
            if bytes >> n & 1 == 1 {
                crc =
                    matrix.iter().enumerate().filter(|(bit, _)| crc >> bit & 1 == 1).fold(0, |sum, (_, row)| sum ^ row);
            }
        }
        crc
    }
}

/// Whether a sector between the damaged record at `end` and the valid one at `record` is still zero from `write_start` on.
fn sector_missing(window: &mut Window<'_>, write_start: u64, end: u64, record: u64) -> Result<bool, JournalError> {
    let mut sector = end / SECTOR * SECTOR;
    while sector < record {
        let (from, to) = (sector.max(write_start), (sector + SECTOR).min(record));
        if to.saturating_sub(from) >= EVIDENCE
            && window.get(from, (to - from) as usize, CHUNK)?.iter().all(|byte| *byte == 0)
        {
            return Ok(true);
        }
        sector += SECTOR;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;
    use crate::ids::{Partition, Timestamp};

    const BASE: u64 = 4096;
    const SALT: u32 = 0x1234_5678;

    /// What is found behind [`BASE`], and how many bytes were read for it.
    fn judged(tail: &[u8]) -> (Result<u64, String>, u64) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![1; BASE as usize]).unwrap();
        file.write_all(tail).unwrap();
        let (opened, path) = (File::open(file.path()).unwrap(), Path::new("segment"));
        let mut window = Window::new(&opened, path);
        let judged = torn_bytes(&mut window, path, BASE, BASE + tail.len() as u64, SALT);
        (judged.map_err(|error| error.to_string()), window.read_bytes())
    }

    /// The rule again, candidate by candidate, without any care for time.
    fn judged_slowly(tail: &[u8]) -> Result<u64, ()> {
        let whole = |at: usize| {
            let header = RecordHeader::decode(&tail[at..]).filter(|header| at + header.total() <= tail.len())?;
            RecordHeader::checked(&tail[at..at + header.total()], SALT).map(|_| header)
        };
        let mut first = None;
        for (at, header) in (1..tail.len()).filter_map(|at| Some((at, whole(at)?))) {
            if (header.back as usize) < at {
                return Err(());
            }
            // Where two overlap, the one that ends first counts as the first.
            let end = at + header.total();
            if first.is_none_or(|(_, _, other)| end < other) {
                first = Some((at, header.back as usize, end));
            }
        }
        if let Some((at, back, _)) = first {
            let start = BASE as usize + at;
            let write = start - back;
            let missing = (BASE as usize / 512..start.div_ceil(512)).any(|sector| {
                let (from, to) = ((sector * 512).max(write), (sector * 512 + 512).min(start));
                let byte = |at: usize| if at < BASE as usize { 1 } else { tail[at - BASE as usize] };
                to.saturating_sub(from) >= EVIDENCE as usize && (from..to).all(|at| byte(at) == 0)
            });
            if !missing {
                return Err(());
            }
        }
        Ok(tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1))
    }

    fn record(payload: &[u8], back: u32, out: &mut Vec<u8>) {
        let partition = Partition::new(3).unwrap();
        let header = RecordHeader { len: payload.len() as u32, partition, relative: 0, back, time: Timestamp(7) };
        header.encode(SALT, payload, out);
    }

    /// Bytes that look like headers everywhere, each of a record of `len` bytes.
    fn lookalikes(bytes: usize, len: u32) -> Vec<u8> {
        let mut header = vec![0; RECORD_HEADER];
        header[0] = 1;
        header[4..8].copy_from_slice(&len.to_le_bytes());
        header[RECORD_MAGIC_AT..RECORD_MAGIC_AT + 2].copy_from_slice(&RECORD_MAGIC);
        header.into_iter().cycle().take(bytes).collect()
    }

    #[test]
    fn each_byte_of_a_torn_tail_is_read_about_once_whatever_it_holds() {
        let text = |bytes: usize| "µJ".bytes().cycle().take(bytes).collect::<Vec<_>>();
        for tail in [text(1 << 20), lookalikes(1 << 20, 1 << 19), lookalikes(1 << 20, 100), vec![9; 1 << 20]] {
            let (judged, read) = judged(&tail);
            let last = tail.iter().rposition(|byte| *byte != 0).unwrap();
            assert_eq!(judged, Ok(last as u64 + 1));
            assert!(read <= tail.len() as u64 * 9 / 8, "{read} of {} bytes", tail.len());
        }
    }

    #[test]
    fn a_shifted_checksum_is_that_of_the_bytes_in_between() {
        let bytes: Vec<u8> = (0..5_000u32).map(|n| (n * n % 251) as u8).collect();
        let shifts = Shifts::new();
        for (from, to) in [(0, 1), (3, 5_000), (17, 4_113), (4_999, 5_000), (9, 9)] {
            let (before, whole) = (crc32c::crc32c(&bytes[..from]), crc32c::crc32c(&bytes[..to]));
            let between = whole ^ shifts.shift(before ^ SALT, (to - from) as u64);
            assert_eq!(between, crc32c::crc32c_append(SALT, &bytes[from..to]));
        }
    }

    #[derive(Clone, Debug)]
    enum Part {
        Zeros(usize),
        Noise(u8, usize),
        /// Length of the payload, how far back its write began.
        Record(usize, u32),
        /// The same, but the payload holds another one.
        Nested(usize, u32),
        Lookalikes(usize, u32),
    }

    fn part() -> impl Strategy<Value = Part> {
        let back = || prop_oneof![Just(0), 1..2_000u32];
        prop_oneof![
            (1..1_500usize).prop_map(Part::Zeros),
            (1..=255u8, 1..600usize).prop_map(|(byte, len)| Part::Noise(byte, len)),
            (0..700usize, back()).prop_map(|(len, back)| Part::Record(len, back)),
            (0..300usize, back()).prop_map(|(len, back)| Part::Nested(len, back)),
            (28..400usize, 0..900u32).prop_map(|(bytes, len)| Part::Lookalikes(bytes, len)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_judges_as_the_rule_says(parts in prop::collection::vec(part(), 0..7)) {
            // No whole record begins at the very end: that is what `torn_bytes` is asked about.
            let mut tail = vec![3];
            for part in parts {
                match part {
                    Part::Zeros(len) => tail.resize(tail.len() + len, 0),
                    Part::Noise(byte, len) => tail.resize(tail.len() + len, byte),
                    Part::Record(len, back) => record(&vec![5; len], back, &mut tail),
                    Part::Nested(len, back) => {
                        let mut inner = vec![5; len];
                        record(&[6; 40], back, &mut inner);
                        record(&inner, 0, &mut tail);
                    }
                    Part::Lookalikes(bytes, len) => tail.extend(lookalikes(bytes, len)),
                }
            }
            let (judged, _) = judged(&tail);
            prop_assert_eq!(judged.map_err(drop), judged_slowly(&tail));
        }
    }
}
