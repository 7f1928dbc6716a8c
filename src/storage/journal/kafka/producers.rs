//! The producers, and what they report. A partition always has the same one. One that did not answer for long, or that can't go
//! on, is given up: what it had not sent comes back, and the next flights go by a new one.

use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use kervan_kafka_calls::{Persisted, persisted};
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig, ThreadedProducer};

use super::lane::{Launch, RecordFate};
use super::reader::partition_of;
use super::settings::Options;
use super::{Shared, error};
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::JournalError;

type Client = ThreadedProducer<Reports>;

/// See the module.
pub(super) struct Producers {
    options: Options,
    current: Vec<RwLock<Option<Arc<Client>>>>,
    /// Given up, and not ended yet: that waits for what they still do.
    given_up: Mutex<Vec<Arc<Client>>>,
}

/// Takes delivery reports, on the threads of the producers.
struct Reports {
    journal: Weak<Shared>,
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka, writing");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, place: usize) {
        let Some(journal) = self.journal.upgrade() else { return };
        let (message, fate) = match result {
            Ok(message) => (message, written(message)),
            Err((error, message)) => (message, failed(error, message)),
        };
        if let Some(partition) = partition_of(message) {
            journal.reported(partition, (place >> 32) as u32, place & 0xffff_ffff, fate);
        }
    }
}

fn written(message: &BorrowedMessage<'_>) -> RecordFate {
    let offset = u64::try_from(message.offset());
    let time = message.timestamp().to_millis().and_then(|time| u64::try_from(time).ok());
    match (offset, time) {
        (Ok(offset), Some(time)) => RecordFate::Written(Offset(offset), Timestamp(time)),
        // A broker that knows the record already may not say where it lies.
        _ => RecordFate::Unknown("it is in the log, and the broker did not say where".to_owned()),
    }
}

fn failed(error: &KafkaError, message: &BorrowedMessage<'_>) -> RecordFate {
    let is_purged =
        matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight));
    match persisted(message) {
        Persisted::No if is_purged => RecordFate::Withdrawn,
        Persisted::No if is_refusal(error) => RecordFate::Never(error.to_string()),
        Persisted::No | Persisted::Possibly | Persisted::Yes => RecordFate::Unknown(error.to_string()),
    }
}

/// Whether an error says that nothing was written. librdkafka takes whatever it does not know for that, even a broker's "unknown
/// error", which may come from behind the write.
fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, InvalidMessageSize, InvalidProducerEpoch, MessageBatchTooLarge,
        MessageSizeTooLarge, PolicyViolation, TopicAuthorizationFailed, Unknown,
    };
    error.rdkafka_error_code().is_some_and(|code| {
        // What librdkafka itself says has numbers below those of brokers.
        (code as i32) < Unknown as i32
            || matches!(
                code,
                MessageSizeTooLarge
                    | MessageBatchTooLarge
                    | InvalidMessageSize
                    | InvalidProducerEpoch
                    | TopicAuthorizationFailed
                    | ClusterAuthorizationFailed
                    | PolicyViolation
            )
    })
}

impl Producers {
    /// None yet: see [`Self::open`].
    pub(super) fn new(options: Options) -> Self {
        let current = (0..options.producers.max(1)).map(|_| RwLock::default()).collect();
        Self { options, current, given_up: Mutex::default() }
    }

    /// Makes them. Their reports go to `journal`.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub(super) fn open(&self, journal: &Arc<Shared>) -> Result<(), JournalError> {
        (0..self.current.len()).try_for_each(|slot| self.renew(slot, journal).map(drop))
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.current.len()
    }

    /// Which one a partition has.
    pub(super) fn slot(&self, partition: Partition) -> usize {
        partition.index() % self.current.len()
    }

    /// Gives a producer up, if there is one, and makes a new one. Reports on what the old one had come now.
    pub(super) fn renew(&self, slot: usize, journal: &Arc<Shared>) -> Result<(), JournalError> {
        let reports = Reports { journal: Arc::downgrade(journal) };
        let client = Client::from_config_and_context(&self.options.producer(), reports).map_err(|why| error(&why))?;
        let old = self.current[slot].write().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(client));
        if let Some(old) = old {
            old.purge(PurgeConfig::default().queue().inflight());
            self.given_up.lock().unwrap_or_else(PoisonError::into_inner).push(old);
        }
        Ok(())
    }

    /// Ends those that were given up and are done. Not on a thread of theirs.
    pub(super) fn sweep(&self) {
        let mut given_up = self.given_up.lock().unwrap_or_else(PoisonError::into_inner);
        let (done, rest) = given_up.drain(..).partition(|old| old.in_flight_count() == 0);
        *given_up = rest;
        drop(given_up);
        drop::<Vec<Arc<Client>>>(done);
    }

    /// Whether the producer can't go on, and must be given up.
    pub(super) fn is_fatal(&self, slot: usize) -> bool {
        let client = self.current[slot].read().unwrap_or_else(PoisonError::into_inner);
        client.as_ref().is_some_and(|client| client.client().fatal_error().is_some())
    }

    /// Hands records to the client. What it does not take has its fate at once.
    pub(super) fn send(&self, partition: Partition, launch: &Launch) -> Vec<(usize, RecordFate)> {
        let client = self.current[self.slot(partition)].read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut refused = Vec::new();
        for (index, record) in launch.records.iter().enumerate() {
            let Some(client) = &client else {
                refused.push((index, RecordFate::Never("the journal is closed".to_owned())));
                continue;
            };
            let place = (launch.number as usize) << 32 | index;
            let message = BaseRecord::<(), [u8], usize>::with_opaque_to(&self.options.topic, place);
            let message = message.partition(i32::from(partition.get())).payload(&record[..]);
            if let Err((error, _)) = client.send(message) {
                refused.push((index, RecordFate::Never(error.to_string())));
            }
        }
        refused
    }

    /// Ends all of them. What is under way has its report before this returns.
    pub(super) fn close(&self) {
        let all: Vec<Arc<Client>> = self
            .current
            .iter()
            .filter_map(|slot| slot.write().unwrap_or_else(PoisonError::into_inner).take())
            .chain(self.given_up.lock().unwrap_or_else(PoisonError::into_inner).drain(..))
            .collect();
        drop(all);
    }
}
