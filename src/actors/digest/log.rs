//! The running hash of a partition's log: over the append time and the raw bytes of every record from offset 0 on.
//!
//! Each record says how far its writer had verified the log when it placed the record, and the hash there
//! ([`Prefix`]). A reader that follows the log computes the same hash. When it comes to a record it compares the two at the
//! end that the record names:
//!
//! - they agree: writer and reader have read the same log, and what the writer had verified is verified here, too;
//! - they differ, or the end does not lie below the record: a [`Misfit`]. What was read beyond the reader's own verified
//!   prefix may have been lost since, so an owner reads that once more; if it still differs, the reader stops.
//!   It never goes on with either of the two.
//!
//! The hash says that two have read the same. Whether they decided the same is said by the chain of each entity
//! ([`super::Chain`]). Nothing that a record means, or its envelope's version, may enter here.

use std::collections::VecDeque;

use super::Chain;
use crate::ids::Offset;
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::Prefix;

/// Hashes kept below the end: a writer is seldom further behind than its last batch, and all records of a batch name the
/// same end, so the first of them is enough.
const KEPT: usize = 256;

/// See the module.
#[derive(Clone, Debug)]
pub struct RunningHash {
    end: Offset,
    /// The hashes before each of the last offsets, the end's included; never empty.
    hashes: VecDeque<Chain>,
}

/// A record does not belong to the log that was read before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Misfit {
    /// A writer can't have verified the record that it was about to write, nor what follows it.
    #[error("its writer had verified up to {end}, which does not lie below it")]
    Above {
        /// The end that the record names.
        end: Offset,
    },
    /// Its writer had read other records.
    #[error("its writer had read another log before offset {end}: {there:016x} there, {here:016x} here")]
    Differs {
        /// The end of the prefix that was compared.
        end: Offset,
        /// The reader's hash.
        here: u64,
        /// The writer's.
        there: u64,
    },
}

impl RunningHash {
    /// Goes on from `prefix`.
    pub fn new(prefix: Prefix) -> Self {
        Self { end: prefix.end, hashes: VecDeque::from([Chain(prefix.hash)]) }
    }

    /// Takes the record at the end. Gives the log up to behind it.
    pub fn push(&mut self, record: &StoredRecord) -> Prefix {
        debug_assert_eq!(record.offset, self.end, "records are hashed in order");
        let last = self.hashes.back().copied().unwrap_or(Chain::START);
        let hash = last.next(record.offset, record.digest());
        self.hashes.push_back(hash);
        self.end = record.offset.next();
        Prefix { end: self.end, hash: hash.0 }
    }

    /// The hash before `end`, if it is kept.
    fn before(&self, end: Offset) -> Option<Prefix> {
        let back = usize::try_from(self.end.0.checked_sub(end.0)?).ok()?;
        let place = self.hashes.len().checked_sub(back + 1)?;
        Some(Prefix { end, hash: self.hashes[place].0 })
    }

    /// Compares with what the record at the end says of its writer. `true`: writer and reader have read the same up to the
    /// end that it names. `false`: that can't be told, as the record names none or one that is not kept any more.
    ///
    /// # Errors
    /// See [`Misfit`].
    pub(crate) fn check(&self, said: Prefix) -> Result<bool, Misfit> {
        let Prefix { end, hash: there } = said;
        if end > self.end {
            return Err(Misfit::Above { end });
        }
        match self.before(end).filter(|_| end > Offset::ZERO) {
            Some(Prefix { hash: here, .. }) if here != there => Err(Misfit::Differs { end, here, there }),
            known => Ok(known.is_some()),
        }
    }

    /// Forgets the records at `end` and beyond.
    pub fn cut(&mut self, end: Offset) {
        while self.end > end && self.hashes.len() > 1 {
            self.hashes.pop_back();
            self.end = Offset(self.end.0 - 1);
        }
    }

    /// What lies below `end` is never cut: only the last hashes before it are kept.
    pub fn settle(&mut self, end: Offset) {
        let beyond = usize::try_from(self.end.0.saturating_sub(end.0)).unwrap_or(usize::MAX);
        let spare = self.hashes.len().saturating_sub(beyond.saturating_add(KEPT));
        self.hashes.drain(..spare);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Timestamp;

    fn record(offset: u64, time: u64, bytes: &'static [u8]) -> StoredRecord {
        StoredRecord { offset: Offset(offset), time: Timestamp(time), bytes: bytes.into() }
    }

    fn hash_of(records: &[StoredRecord]) -> RunningHash {
        let mut hash = RunningHash::new(Prefix::default());
        records.iter().for_each(|record| _ = hash.push(record));
        hash
    }

    #[test]
    fn logs_that_differ_in_a_byte_or_in_a_time_have_different_hashes() {
        let at_two = |second| hash_of(&[record(0, 5, b"a"), second]).before(Offset(2)).unwrap().hash;
        let hashes = [at_two(record(1, 5, b"b")), at_two(record(1, 5, b"c")), at_two(record(1, 6, b"b"))];
        assert!(hashes[0] != hashes[1] && hashes[0] != hashes[2] && hashes[1] != hashes[2], "{hashes:x?}");
    }

    #[test]
    fn a_reader_agrees_with_a_writer_that_has_read_the_same_and_with_no_other() {
        let reader = hash_of(&[record(0, 5, b"a"), record(1, 5, b"b"), record(2, 6, b"c")]);
        let writer = hash_of(&[record(0, 5, b"a"), record(1, 5, b"b")]).before(Offset(2)).unwrap();
        assert_eq!(reader.check(writer), Ok(true));
        assert_eq!(reader.check(Prefix::default()), Ok(false), "the record says nothing");
        let other = hash_of(&[record(0, 5, b"a"), record(1, 5, b"x")]).before(Offset(2)).unwrap();
        assert!(matches!(reader.check(other), Err(Misfit::Differs { end: Offset(2), .. })));
        let above = Prefix { end: Offset(4), hash: 0 };
        assert_eq!(reader.check(above), Err(Misfit::Above { end: Offset(4) }));
    }

    #[test]
    fn it_goes_on_from_where_another_stood() {
        let records = [record(0, 5, b"a"), record(1, 5, b"b"), record(2, 6, b"c")];
        let mut later = RunningHash::new(hash_of(&records[..2]).before(Offset(2)).unwrap());
        later.push(&records[2]);
        assert_eq!(later.before(Offset(3)), hash_of(&records).before(Offset(3)));
        assert_eq!(later.check(Prefix { end: Offset(1), hash: 9 }), Ok(false), "it was never there");
    }

    #[test]
    fn what_was_cut_is_hashed_anew_and_what_is_settled_stays_short() {
        let mut hash = hash_of(&[record(0, 5, b"a"), record(1, 5, b"lost")]);
        hash.cut(Offset(1));
        hash.push(&record(1, 5, b"b"));
        assert_eq!(hash.before(Offset(2)), hash_of(&[record(0, 5, b"a"), record(1, 5, b"b")]).before(Offset(2)));
        for offset in 2..1_000 {
            hash.push(&record(offset, 5, b"c"));
        }
        hash.settle(Offset(900));
        assert!(hash.before(Offset(1_000)).is_some() && hash.before(Offset(900)).is_some());
        assert!(
            hash.before(Offset(900 - KEPT as u64 + 1)).is_some() && hash.before(Offset(900 - KEPT as u64)).is_none()
        );
    }
}
