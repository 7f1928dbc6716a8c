//! Whether the log that lies here is the one that rows were made from. Beside each watermark stands the digest of the last record below
//! it; if the log has another record there, it was made anew, or was cut and written on: its offsets fit by chance.
//!
//! The running hash of the log, which stands there, too, can't be compared with a log that was trimmed, and those of later records
//! say nothing as long as nobody has written any.

use super::journal::maintenance::Maintenance;
use super::journal::{Bounds, Journal, JournalError, ReadError, StoredRecord};
use super::store::rows::WatermarkRow;
use crate::ids::{Offset, Partition};

/// Bytes asked for to get one record.
const ONE: usize = 1;

/// A record that rows were made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Witness {
    /// Its partition.
    pub partition: Partition,
    /// Where it lies.
    pub at: Offset,
    /// Its digest.
    pub digest: u64,
}

impl Witness {
    /// The last record below `next`, if its digest is known and the log holds it.
    pub(crate) fn of(partition: Partition, next: Offset, digest: Option<u64>, held: Bounds) -> Option<Self> {
        let at = Offset(next.0.checked_sub(1)?);
        let digest = digest.filter(|_| held.start <= at && at < held.end)?;
        Some(Self { partition, at, digest })
    }

    /// Compares it with what lies there.
    ///
    /// # Errors
    /// It is another record.
    pub(crate) fn compare(self, found: &StoredRecord) -> Result<(), OtherLog> {
        let Self { partition, at, digest } = self;
        if found.offset == at && found.digest() == digest { Ok(()) } else { Err(OtherLog { partition, at }) }
    }
}

/// The log is not the one that the rows were made from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "the log is not the one that the rows were made from: record {at} of partition {partition} is another one. It was made anew, or \
     lost its end and went on: start on a database from before that, a backup or, if the log is whole, an empty one"
)]
pub struct OtherLog {
    /// The first partition that differs.
    pub partition: Partition,
    /// The last record of it that is in the rows.
    pub at: Offset,
}

/// Why it could not be told, or what was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SameLogError {
    #[error(transparent)]
    Other(#[from] OtherLog),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Compares the rows' last records with the log. Rows that say nothing, and those whose last record the log does not hold, are
/// passed over: their watermark is judged elsewhere.
///
/// # Errors
/// The first record that is another one; or the journal does not answer.
pub(crate) async fn same_log(
    rows: &[WatermarkRow],
    journal: &dyn Journal,
    maintenance: &Maintenance,
) -> Result<(), SameLogError> {
    let of = |row: &WatermarkRow| {
        Witness::of(row.partition, row.next_offset, row.last_record, journal.bounds(row.partition))
    };
    let witnesses: Vec<Witness> = rows.iter().filter_map(of).collect();
    if let Maintenance::Kafka(kafka) = maintenance {
        let (kafka, places) = (kafka.clone(), witnesses.iter().map(|one| (one.partition, one.at)).collect::<Vec<_>>());
        let found = tokio::task::spawn_blocking(move || kafka.records_at(&places)).await;
        let found = found.map_err(|panic| JournalError::Io(panic.to_string()))??;
        return Ok(compare(&witnesses, &found)?);
    }
    for witness in witnesses {
        let read = journal.read(witness.partition, witness.at, ONE).await;
        let read = read.map_err(|error| match error {
            ReadError::Journal(error) => error,
            trimmed @ ReadError::Trimmed { .. } => JournalError::Io(trimmed.to_string()),
        })?;
        read.first().map_or(Ok(()), |record| witness.compare(record))?;
    }
    Ok(())
}

/// The same of records that were read together.
///
/// # Errors
/// The first record that is another one.
pub(crate) fn compare(witnesses: &[Witness], found: &[(Partition, StoredRecord)]) -> Result<(), OtherLog> {
    witnesses.iter().try_for_each(|witness| {
        let record = found.iter().find(|(partition, _)| *partition == witness.partition);
        record.map_or(Ok(()), |(_, record)| witness.compare(record))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::ids::Timestamp;

    fn record(offset: u64, bytes: &'static [u8]) -> StoredRecord {
        StoredRecord { offset: Offset(offset), time: Timestamp(7), bytes: Bytes::from_static(bytes) }
    }

    #[test]
    fn the_last_record_below_is_asked_for_where_the_log_holds_it() {
        let p = Partition::FIRST;
        let held = Bounds { start: Offset(4), end: Offset(9) };
        let at = |next: u64, digest| Witness::of(p, Offset(next), digest, held).map(|one| one.at.0);
        let asked = [0, 3, 4, 5, 9, 10, 11].map(|next| at(next, Some(1)));
        assert_eq!(asked, [None, None, None, Some(4), Some(8), None, None]);
        assert_eq!(at(5, None), None, "nothing is known of it");
    }

    #[test]
    fn another_record_another_time_and_another_place_are_another_log() {
        let [one, two] = [Partition::FIRST, Partition::new(9).unwrap()];
        let (own, foreign) = (record(4, b"own"), record(4, b"foreign"));
        let later = StoredRecord { time: Timestamp(8), ..own.clone() };
        let witness = Witness { partition: one, at: Offset(4), digest: own.digest() };
        assert_eq!(witness.compare(&own), Ok(()));
        for other in [&foreign, &later, &record(5, b"own")] {
            assert_eq!(witness.compare(other), Err(OtherLog { partition: one, at: Offset(4) }), "{other:?}");
        }
        let both = [witness, Witness { partition: two, ..witness }];
        assert_eq!(compare(&both, &[(two, own.clone()), (one, own.clone())]), Ok(()));
        let found = compare(&both, &[(two, foreign), (one, own)]);
        assert_eq!(found, Err(OtherLog { partition: two, at: Offset(4) }), "each with its own partition's");
    }
}
