//! What is done to a journal in Kafka beside its work: it is trimmed behind the newest mark of a backup. Nodes may do so at the same time:
//! a start only ever moves forward.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::consumer::Consumer;
use rdkafka::topic_partition_list::TopicPartitionList;
use uuid::Uuid;

use super::control::{held, marks_in};
use super::reader::{Client, client};
use super::settings::Options;
use super::topics::delete_below;
use super::{ASK, Shared, error, load};
use crate::ids::{Offset, PARTITIONS, Partition, Timestamp};
use crate::storage::journal::marks::BackupMark;
use crate::storage::journal::{Bounds, JournalError, StoredRecord};

/// A handle.
#[derive(Clone)]
pub(crate) struct KafkaMaintenance(Arc<Parts>);

struct Parts {
    id: Uuid,
    options: Options,
    shared: Arc<Shared>,
    /// Held while the brokers are asked: one question at a time.
    known: Mutex<Known>,
}

/// What was read of the control topic: it only grows, so each record of it is read once.
#[derive(Default)]
struct Known {
    client: Option<Client>,
    /// The first record that was not read.
    next: Offset,
    newest: Option<BackupMark>,
}

impl KafkaMaintenance {
    pub(super) fn new(id: Uuid, options: Options, shared: Arc<Shared>) -> Self {
        Self(Arc::new(Parts { id, options, shared, known: Mutex::default() }))
    }

    /// The journal's identity: new with a new control topic.
    #[must_use]
    pub(crate) fn id(&self) -> Uuid {
        self.0.id
    }

    /// The mark that was registered last. Blocks.
    ///
    /// # Errors
    /// The brokers do not answer, or the control topic has lost records.
    pub(crate) fn newest_mark(&self) -> Result<Option<BackupMark>, JournalError> {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (options, topic) = (&self.0.options, &self.0.options.control_topic);
        let client = match known.client.take() {
            Some(client) => client,
            None => client(options)?,
        };
        let (start, end) = held(&client, topic)?;
        if start > Offset::ZERO || end < known.next {
            return Err(JournalError::Damaged(format!("the topic {topic} has lost records")));
        }
        if end > known.next {
            let newest = marks_in(&client, topic, (known.next, end))?.pop();
            known.newest = newest.or(known.newest.take());
            known.next = end;
        }
        known.client = Some(client);
        Ok(known.newest.clone())
    }

    /// The records at these places, one of each partition at most. Blocks.
    ///
    /// # Errors
    /// The brokers do not give them.
    pub(crate) fn records_at(
        &self,
        places: &[(Partition, Offset)],
    ) -> Result<Vec<(Partition, StoredRecord)>, JournalError> {
        load::records_at(&self.0.options, places)
    }

    /// Gives up what is older than `before` and lies below `covered` (by partition number; fewer than all partitions cover
    /// nothing), but for the last record below, by which a store that was made from another log is noticed. Returns how many partitions
    /// begin later now. Blocks; on a thread of tokio's.
    ///
    /// # Errors
    /// The brokers do not answer, or refuse. What is still needed is there in any case.
    pub(crate) fn trim_covered(&self, covered: &[Offset], before: Timestamp) -> Result<usize, JournalError> {
        if covered.len() < usize::from(PARTITIONS) || before == Timestamp::ZERO {
            return Ok(0);
        }
        let young = self.first_young(before)?;
        let bounds = |partition| self.0.shared.parts.of(partition).bounds();
        let starts = Partition::all().zip(covered).zip(&young);
        let starts = starts.filter_map(|((partition, covered), young)| {
            Some((partition, new_start(bounds(partition), *covered, *young)?))
        });
        let starts: Vec<_> = starts.collect();
        tokio::runtime::Handle::current().block_on(self.trim(&starts))?;
        Ok(starts.len())
    }

    /// The first record of each partition that is not older than `before`, by number.
    fn first_young(&self, before: Timestamp) -> Result<Vec<Offset>, JournalError> {
        let topic = &self.0.options.topic;
        let mut asked = TopicPartitionList::new();
        for partition in Partition::all() {
            let time = rdkafka::Offset::Offset(before.as_i64());
            asked.add_partition_offset(topic, i32::from(partition.get()), time).map_err(|why| error(&why))?;
        }
        let told = client(&self.0.options)?.offsets_for_times(asked, ASK).map_err(|why| error(&why))?;
        let first = |partition: Partition| {
            let found = told.find_partition(topic, i32::from(partition.get()));
            let found =
                found.ok_or_else(|| JournalError::Io(format!("Kafka says nothing of partition {partition}")))?;
            found.error().map_err(|why| error(&why))?;
            Ok(match found.offset() {
                rdkafka::Offset::Offset(at) => Offset(u64::try_from(at).unwrap_or_default()),
                // None of them is young.
                rdkafka::Offset::End => Offset(u64::MAX),
                // Not understood: all are taken to be.
                _ => Offset::ZERO,
            })
        };
        Partition::all().map(first).collect()
    }

    /// Moves the starts of partitions up; what lies below is gone for everybody.
    ///
    /// # Errors
    /// One of them is beyond the end: then nothing is moved. The brokers do not answer, or refuse.
    pub(crate) async fn trim(&self, starts: &[(Partition, Offset)]) -> Result<(), JournalError> {
        let parts = &self.0.shared.parts;
        let mut higher = Vec::new();
        for (partition, start) in starts.iter().copied() {
            let bounds = parts.of(partition).bounds();
            if start > bounds.end {
                return Err(JournalError::BeyondEnd { partition, asked: start, end: bounds.end });
            }
            if start > bounds.start {
                higher.push((partition, start));
            }
        }
        delete_below(&self.0.options, &higher).await?;
        higher.iter().for_each(|(partition, start)| parts.of(*partition).starts(*start));
        Ok(())
    }
}

/// Where a partition is to begin, if that is later than it does.
fn new_start(held: Bounds, covered: Offset, young: Offset) -> Option<Offset> {
    let last_covered = Offset(covered.0.saturating_sub(1));
    let start = last_covered.min(young).min(held.end);
    (start > held.start).then_some(start)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_young_or_not_covered_stays_and_so_does_the_last_record_that_is_covered(
            start in 0u64..50, len in 0u64..50, covered in 0u64..120, young in prop_oneof![0u64..120, Just(u64::MAX)],
        ) {
            let held = Bounds { start: Offset(start), end: Offset(start + len) };
            let goes = |at: u64| at + 1 < covered && at < young && at < held.end.0;
            let wanted = (start..held.end.0).find(|at| !goes(*at)).unwrap_or(held.end.0);
            let found = new_start(held, Offset(covered), Offset(young));
            prop_assert_eq!(found.unwrap_or(held.start), Offset(wanted));
            prop_assert!(found.is_none_or(|found| found > held.start));
        }
    }
}
