//! Fetches what lies behind the recent records: one question at a time, each with its own position. Only those who are far behind
//! need it: a worker after a pause, a retelling.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kervan_kafka_calls::leader_epoch;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use super::error;
use super::parts::{Parts, Resumption};
use super::reader::{Client, client, log, place_of, position, record_at};
use super::settings::Options;
use crate::ids::{Offset, Partition};
use crate::storage::journal::{JournalError, ReadError, StoredRecord};

/// How long the first record may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long further ones are waited for once there is one: what there is goes out.
const MORE: Duration = Duration::from_millis(20);

/// See the module.
pub(super) struct Older {
    client: Mutex<Client>,
    topic: String,
}

impl Older {
    pub(super) fn new(options: &Options) -> Result<Self, JournalError> {
        Ok(Self { client: Mutex::new(client(options)?), topic: options.topic.clone() })
    }

    /// Records `from..to`, as far as `most` bytes go, but at least one. Blocks.
    pub(super) fn fetch(
        &self,
        parts: &Parts,
        partition: Partition,
        from: Offset,
        to: Offset,
        most: usize,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let at = Resumption { at: from, epoch: None };
        self.standing_at(partition, at, |client| self.collect(client, parts, partition, from, to, most))
    }

    /// Lets `read` poll a client that stands at this position.
    fn standing_at<T, E: From<JournalError>>(
        &self,
        partition: Partition,
        at: Resumption,
        read: impl FnOnce(&Client) -> Result<T, E>,
    ) -> Result<T, E> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        let at = position(&self.topic, partition, at);
        at.and_then(|at| client.assign(&at)).map_err(|why| error(&why))?;
        let found = read(&client);
        log(client.unassign());
        // Told by the error of the poll, too.
        drop(client.context().take());
        found
    }

    /// Whether what lay below a position when it was read is gone. Blocks.
    ///
    /// # Errors
    /// The brokers do not say.
    pub(super) fn is_gone(&self, partition: Partition, from: Resumption) -> Result<bool, JournalError> {
        let Some(before) = from.at.0.checked_sub(1) else { return Ok(false) };
        let at = Resumption { at: Offset(before), epoch: from.epoch };
        self.standing_at(partition, at, |client| {
            let begun = Instant::now();
            loop {
                match client.poll(PATIENCE.saturating_sub(begun.elapsed())) {
                    // Another one may stand there by now, which a later leader wrote.
                    Some(Ok(message)) => {
                        let is_later = |was| leader_epoch(&message).is_some_and(|is| is != was);
                        return Ok(from.epoch.is_some_and(is_later));
                    }
                    Some(Err(why)) if why.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                        return Ok(true);
                    }
                    Some(Err(_)) if begun.elapsed() < PATIENCE => {}
                    Some(Err(why)) => return Err(error(&why)),
                    None => {
                        let why = format!("Kafka gave nothing of partition {partition} in {PATIENCE:?}");
                        return Err(JournalError::Io(why));
                    }
                }
            }
        })
    }

    fn collect(
        &self,
        client: &Client,
        parts: &Parts,
        partition: Partition,
        from: Offset,
        to: Offset,
        most: usize,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let (mut records, mut next, mut bytes) = (Vec::new(), from, 0usize);
        let begun = Instant::now();
        while next < to {
            let patience = if records.is_empty() { PATIENCE.saturating_sub(begun.elapsed()) } else { MORE };
            match client.poll(patience) {
                Some(Ok(message)) => {
                    let Some((_, offset)) = place_of(&message).filter(|(of, _)| *of == partition) else { continue };
                    let record = record_at(&message, offset);
                    bytes = bytes.saturating_add(record.bytes.len());
                    if record.offset != next {
                        let why = format!("offset {} of partition {partition} follows on {next}", record.offset);
                        return Err(JournalError::Damaged(why).into());
                    }
                    if bytes > most && !records.is_empty() {
                        break;
                    }
                    next = record.offset.next();
                    records.push(record);
                }
                Some(Err(why)) if why.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                    return Err(self.out_of_range(client, parts, partition, from));
                }
                // A broker that is away comes back.
                Some(Err(_)) if begun.elapsed() < PATIENCE => {}
                Some(Err(why)) => return Err(error(&why).into()),
                None if records.is_empty() => {
                    let why = format!("Kafka gave nothing of partition {partition} from offset {from} in {PATIENCE:?}");
                    return Err(JournalError::Io(why).into());
                }
                None => break,
            }
        }
        Ok(records)
    }

    fn out_of_range(&self, client: &Client, parts: &Parts, partition: Partition, asked: Offset) -> ReadError {
        match client.fetch_watermarks(&self.topic, i32::from(partition.get()), PATIENCE) {
            Ok((start, _)) => {
                let start = Offset(u64::try_from(start).unwrap_or_default());
                parts.of(partition).starts(start);
                if asked < start {
                    return ReadError::Trimmed { partition, asked, start };
                }
                JournalError::Io(format!("partition {partition} of Kafka's log has been cut below offset {asked}"))
                    .into()
            }
            Err(why) => error(&why).into(),
        }
    }
}
