//! The records of the journal, into the topic. Both are compared by the running hash that owners and workers keep of a log.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::super::storage::Storage;
use super::GraduateError;
use super::plan;
use crate::actors::digest::RunningHash;
use crate::ids::{Offset, Partition, Timestamp};
use crate::limits;
use crate::storage::journal::kafka::{Options, load, topics};
use crate::storage::journal::record::Prefix;
use crate::storage::journal::{Bounds, Journal, JournalError, StoredRecord};
use crate::storage::store::rows::WatermarkRow;

/// What a partition that was trimmed has in the place of what is gone, until that is deleted. Its time counts for nothing.
const FILLER_TIME: Timestamp = Timestamp(1);

/// What each partition of the journal holds.
pub(super) fn bounds(journal: &dyn Journal) -> Vec<(Partition, Bounds)> {
    Partition::all().map(|partition| (partition, journal.bounds(partition))).collect()
}

/// Writes what the topic does not have yet.
///
/// # Errors
/// The topic has something else; either of the two does not answer.
pub(super) async fn copy(source: &Storage, options: &Options) -> Result<(), GraduateError> {
    let (journal, options, runtime) = (Arc::clone(&source.journal), options.clone(), Handle::current());
    blocking(move || {
        let found = load::settled(&options)?;
        let loader = load::Loader::new(&options)?;
        for (partition, held) in bounds(&*journal) {
            let there = found[partition.index()];
            let rest = plan::rest(partition, held, there)
                .map_err(|misplaced| load::differs(&options, format_args!("{misplaced}")))?;
            for offset in there.end.0..there.end.0 + rest.fillers {
                loader.put(partition, Offset(offset), FILLER_TIME, None)?;
            }
            each_record(&*journal, &runtime, partition, Bounds { start: rest.from, end: rest.to }, |record| {
                Ok(loader.put(partition, record.offset, record.time, Some(&record.bytes))?)
            })?;
        }
        Ok(loader.flush()?)
    })
    .await
}

/// Reads all of both, and compares.
///
/// # Errors
/// They are not the same, or the rows were made from another log; either of the two does not answer.
pub(super) async fn compare(source: &Storage, options: &Options) -> Result<(), GraduateError> {
    let watermarks = source.store.watermarks().await?;
    let (journal, options, runtime) = (Arc::clone(&source.journal), options.clone(), Handle::current());
    blocking(move || {
        let held = bounds(&*journal);
        let mut here = Hashes::new(&held);
        for &(partition, bounds) in &held {
            // Of a journal that was trimmed nobody can make the hash again.
            let stored = watermarks.iter().find(|row| row.partition == partition && bounds.start == Offset::ZERO);
            each_record(&*journal, &runtime, partition, bounds, |record| fits(here.push(partition, &record), stored))?;
        }
        let mut there = Hashes::new(&held);
        load::read(&options, &held, |partition, record| {
            there.push(partition, &record);
            Ok::<_, JournalError>(())
        })?;
        for (partition, _) in held {
            let (here, there) = (here.of(partition), there.of(partition));
            if here != there {
                let why =
                    format_args!("the hash of partition {partition} is {:016x}, not {:016x}", there.hash, here.hash);
                return Err(load::differs(&options, why).into());
            }
        }
        Ok(())
    })
    .await
}

/// Deletes what stands below the starts, and looks whether the topic now begins and ends where the journal does.
///
/// # Errors
/// It does not; the brokers do not answer.
pub(super) async fn trim(source: &Storage, options: &Options) -> Result<(), GraduateError> {
    let held = bounds(&*source.journal);
    let starts = held.iter().map(|(partition, held)| (*partition, held.start));
    let starts: Vec<_> = starts.filter(|(_, start)| *start > Offset::ZERO).collect();
    topics::delete_below(options, &starts).await?;
    let options = options.clone();
    blocking(move || {
        let found = load::settled(&options)?;
        let wrong = held.into_iter().find(|(partition, held)| found[partition.index()] != *held);
        wrong.map_or(Ok(()), |(partition, held)| {
            let Bounds { start, end } = found[partition.index()];
            let why = format_args!("partition {partition} has {start} to {end}, not {} to {}", held.start, held.end);
            Err(load::differs(&options, why).into())
        })
    })
    .await
}

/// Hands on the records of a partition between these bounds, in order.
fn each_record(
    journal: &dyn Journal,
    runtime: &Handle,
    partition: Partition,
    Bounds { start: mut from, end }: Bounds,
    mut take: impl FnMut(StoredRecord) -> Result<(), GraduateError>,
) -> Result<(), GraduateError> {
    while from < end {
        for record in runtime.block_on(journal.read(partition, from, limits::APPEND_BYTES))? {
            from = record.offset.next();
            take(record)?;
        }
    }
    Ok(())
}

/// Whether the rows were made from this log, where the watermark lies here.
fn fits(prefix: Prefix, stored: Option<&WatermarkRow>) -> Result<(), GraduateError> {
    match stored {
        Some(row) if row.next_offset == prefix.end && row.log_hash != prefix.hash => {
            Err(GraduateError::Differs(format!(
                "the rows of partition {} were made from another log than this journal's up to {}: a server would halt it as well",
                row.partition, prefix.end
            )))
        }
        _ => Ok(()),
    }
}

/// The running hash of each partition, from its start on.
struct Hashes(Vec<(RunningHash, Prefix)>);

impl Hashes {
    /// `held` are all partitions, as [`bounds`] gives them.
    fn new(held: &[(Partition, Bounds)]) -> Self {
        let starts = held.iter().map(|(_, bounds)| Prefix { end: bounds.start, hash: 0 });
        Self(starts.map(|prefix| (RunningHash::new(prefix), prefix)).collect())
    }

    fn push(&mut self, partition: Partition, record: &StoredRecord) -> Prefix {
        let (hash, last) = &mut self.0[partition.index()];
        *last = hash.push(record);
        hash.settle(last.end);
        *last
    }

    fn of(&self, partition: Partition) -> Prefix {
        self.0[partition.index()].1
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GraduateError> + Send + 'static,
) -> Result<T, GraduateError> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| JournalError::Io(panic.to_string()))?
}
