//! Marks of backups: how far a copy of the database has each partition of a journal that lies elsewhere.
//!
//! A data folder's backup holds its journal. Where the journal is in Kafka, its brokers keep the copies, and the database is
//! dumped by tools of its own: nobody here knows what such a dump holds. So its operator shows the copy itself, what it says
//! is judged here against the log, and the mark that comes of it is kept in the log's control topic. A mark is never made from what
//! the live database says.

use uuid::Uuid;

use super::Bounds;
use crate::ids::{Offset, PARTITIONS, Partition, Timestamp};
use crate::storage::same_log::{OtherLog, Witness};
use crate::storage::sql::copy::DatabaseCopy;

/// Characters that the name of a mark may have.
pub const NAME: usize = 200;

/// A backup that the journal may be trimmed behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackupMark {
    /// Its own.
    pub id: Uuid,
    /// What its operator calls it.
    pub name: String,
    /// When it was registered, by the journal's clock.
    pub marked_at: Timestamp,
    /// The latest append time of all records that the copy has.
    pub reaches: Timestamp,
    /// The first offset that the copy does not have, of each partition by number.
    pub watermarks: Vec<Offset>,
}

impl BackupMark {
    /// Whether a database that was restored from the copy can be gone on with: the log has all that it lacks.
    ///
    /// # Errors
    /// The partition that makes it impossible, in words.
    pub fn fits(&self, bounds: &[Bounds]) -> Result<(), CopyRefused> {
        let mut places = Partition::all().zip(&self.watermarks).zip(bounds);
        places.try_for_each(|((partition, at), held)| reached(partition, *at, *held))
    }

    /// Records that the log has and the copy lacks.
    #[must_use]
    pub fn lag(&self, bounds: &[Bounds]) -> u64 {
        self.watermarks.iter().zip(bounds).map(|(at, held)| held.end.0.saturating_sub(at.0)).sum()
    }
}

/// Why a copy of a database is no backup beside this journal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CopyRefused {
    /// It is another database, or an empty one.
    #[error("it has no schema of this program: it is no copy of its database")]
    NoSchema,
    /// Made by a newer program.
    #[error("its schema has version {found}, this program knows versions up to {known}: a newer program made it")]
    UnknownSchema {
        /// The copy's.
        found: i64,
        /// The highest one that is known.
        known: i64,
    },
    /// No server ever ran on it.
    #[error("it does not say which journal it is made from")]
    NoJournal,
    /// Its offsets may fit by chance, and mean nothing here.
    #[error("it is made from the journal {found}, and this one is {own}")]
    OtherJournal {
        /// As the copy says.
        found: String,
        /// The log's.
        own: Uuid,
    },
    /// Its offsets fit by chance.
    #[error("the journal is not the one that it was made from: record {} of partition {} is another one", .0.at, .0.partition)]
    OtherLog(OtherLog),
    /// Rows are missing.
    #[error("it has watermarks of {0} partitions, not of {PARTITIONS}")]
    Incomplete(usize),
    /// The copy knows records that the log does not have.
    #[error("it is ahead of the log: it has partition {partition} up to {at}, the log ends at {end}")]
    Ahead {
        /// The first such partition.
        partition: Partition,
        /// The copy's watermark.
        at: Offset,
        /// The log's end.
        end: Offset,
    },
    /// It could not be gone on with.
    #[error("it is too old: it has partition {partition} up to {at}, the log begins at {start}")]
    Trimmed {
        /// The first such partition.
        partition: Partition,
        /// The copy's watermark.
        at: Offset,
        /// The log's start.
        start: Offset,
    },
}

fn reached(partition: Partition, at: Offset, Bounds { start, end }: Bounds) -> Result<(), CopyRefused> {
    if at > end {
        return Err(CopyRefused::Ahead { partition, at, end });
    }
    if at < start {
        return Err(CopyRefused::Trimmed { partition, at, start });
    }
    Ok(())
}

/// The mark that a copy is worth beside the journal `own`, whose partitions hold `bounds`, by number. It counts from when the
/// journal has it.
///
/// # Errors
/// See [`CopyRefused`].
pub(crate) fn judge(
    copy: &DatabaseCopy,
    own: Uuid,
    bounds: &[Bounds],
    id: Uuid,
    name: &str,
) -> Result<BackupMark, CopyRefused> {
    let found = copy.schema.ok_or(CopyRefused::NoSchema)?;
    if found > copy.known {
        return Err(CopyRefused::UnknownSchema { found, known: copy.known });
    }
    match &copy.journal {
        None => return Err(CopyRefused::NoJournal),
        Some(journal) if *journal != own.to_string() => {
            return Err(CopyRefused::OtherJournal { found: journal.clone(), own });
        }
        Some(_) => {}
    }
    let rows = &copy.watermarks;
    if !Partition::all().eq(rows.iter().map(|row| row.partition)) {
        return Err(CopyRefused::Incomplete(rows.len()));
    }
    let mark = BackupMark {
        id,
        name: name.chars().filter(|c| !c.is_control()).take(NAME).collect(),
        marked_at: Timestamp::ZERO,
        reaches: rows.iter().map(|row| row.fold_time).max().unwrap_or_default(),
        watermarks: rows.iter().map(|row| row.next_offset).collect(),
    };
    mark.fits(bounds)?;
    Ok(mark)
}

/// The records of a journal whose partitions hold `bounds` by which it is told that a copy was made from it.
pub(crate) fn witnesses(copy: &DatabaseCopy, bounds: &[Bounds]) -> Vec<Witness> {
    let rows = copy.watermarks.iter().zip(bounds);
    rows.filter_map(|(row, held)| Witness::of(row.partition, row.next_offset, row.last_record, *held)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sql::copy::CopiedWatermark;

    const OWN: Uuid = Uuid::from_u128(7);

    /// A copy that has each partition up to ten times its number.
    fn copy() -> DatabaseCopy {
        let row = |partition: Partition| CopiedWatermark {
            partition,
            next_offset: Offset(10 * u64::from(partition.get())),
            fold_time: Timestamp(1_000 + u64::from(partition.get())),
            last_record: None,
        };
        let watermarks = Partition::all().map(row).collect();
        DatabaseCopy { schema: Some(3), known: 4, journal: Some(OWN.to_string()), watermarks }
    }

    /// A log that holds ten records below what the copy has, and five behind it.
    fn log() -> Vec<Bounds> {
        let of = |row: CopiedWatermark| Bounds {
            start: Offset(row.next_offset.0.saturating_sub(10)),
            end: row.next_offset.plus(5),
        };
        copy().watermarks.into_iter().map(of).collect()
    }

    fn judged(copy: &DatabaseCopy) -> Result<BackupMark, CopyRefused> {
        judge(copy, OWN, &log(), Uuid::from_u128(1), "monday")
    }

    #[test]
    fn a_copy_inside_the_log_is_worth_what_it_says() {
        let mark = judged(&copy()).unwrap();
        assert_eq!(
            (mark.watermarks[3], mark.watermarks[255], mark.reaches),
            (Offset(30), Offset(2_550), Timestamp(1_255))
        );
        assert_eq!((mark.name.as_str(), mark.lag(&log())), ("monday", 5 * 256));
        let exactly: Vec<_> = mark.watermarks.iter().map(|at| Bounds { start: *at, end: *at }).collect();
        assert_eq!((mark.fits(&exactly), mark.lag(&exactly)), (Ok(()), 0));
        assert_eq!(judged(&DatabaseCopy { schema: Some(4), ..copy() }), Ok(mark));
    }

    #[test]
    fn whatever_does_not_belong_to_the_log_is_refused_by_name() {
        let refused = |change: fn(&mut DatabaseCopy)| {
            let mut copy = copy();
            change(&mut copy);
            judged(&copy).unwrap_err()
        };
        assert_eq!(refused(|copy| copy.schema = None), CopyRefused::NoSchema);
        assert_eq!(refused(|copy| copy.schema = Some(5)), CopyRefused::UnknownSchema { found: 5, known: 4 });
        assert_eq!(refused(|copy| copy.journal = None), CopyRefused::NoJournal);
        let other = refused(|copy| copy.journal = Some(Uuid::from_u128(8).to_string()));
        assert_eq!(other, CopyRefused::OtherJournal { found: Uuid::from_u128(8).to_string(), own: OWN });
        assert_eq!(refused(|copy| copy.watermarks.truncate(255)), CopyRefused::Incomplete(255));
        assert_eq!(refused(|copy| copy.watermarks[9] = copy.watermarks[8].clone()), CopyRefused::Incomplete(256));
        let partition = Partition::new(200).unwrap();
        let ahead = refused(|copy| copy.watermarks[200].next_offset = Offset(2_006));
        assert_eq!(ahead, CopyRefused::Ahead { partition, at: Offset(2_006), end: Offset(2_005) });
        let old = refused(|copy| copy.watermarks[200].next_offset = Offset(1_989));
        assert_eq!(old, CopyRefused::Trimmed { partition, at: Offset(1_989), start: Offset(1_990) });
    }

    #[test]
    fn a_name_keeps_to_its_bound_and_to_one_line() {
        let name = format!("a\nb{}", "é".repeat(NAME));
        let mark = judge(&copy(), OWN, &log(), Uuid::nil(), &name).unwrap();
        assert!(mark.name.starts_with("abé") && mark.name.chars().count() == NAME, "{}", mark.name);
    }
}
