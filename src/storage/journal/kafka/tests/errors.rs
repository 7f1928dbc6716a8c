//! Errors that brokers answer with, one by one, and what an append or a tail makes of each: docs/kafka.md has the table. The brokers
//! are librdkafka's own mock, in this process: it answers what it is told to, and does not write what it refuses.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::{Options, open};
use crate::ids::{Offset, PARTITIONS, Partition};
use crate::storage::journal::contract::read_all;
use crate::storage::journal::kafka::KafkaJournal;
use crate::storage::journal::{AppendError, Journal, StoredRecord, Tail, Tailed};
use crate::testing::{found, within};

const BROKERS: i32 = 3;

/// Brokers that do as they are told, and a journal on them.
pub(super) struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    pub options: Options,
    pub journal: Arc<KafkaJournal>,
}

impl Mock {
    pub(super) async fn start() -> Self {
        let cluster = MockCluster::new(BROKERS).unwrap();
        cluster.create_topic("journal", i32::from(PARTITIONS), BROKERS).unwrap();
        cluster.create_topic("control", 1, BROKERS).unwrap();
        let options = Options {
            brokers: cluster.bootstrap_servers(),
            topic: "journal".to_owned(),
            control_topic: "control".to_owned(),
        };
        let journal = open(&options).await;
        Self { cluster, options, journal }
    }

    async fn append(&self, partition: Partition, record: &'static str) -> Outcome {
        let batch = vec![Bytes::from_static(record.as_bytes())];
        match within(record, self.journal.append(partition, batch)).await {
            Ok(_) => Outcome::Written,
            Err(AppendError::Refused(_)) => Outcome::Refused,
            Err(AppendError::Unknown(_)) => Outcome::Unknown,
            Err(AppendError::Closed(why)) => panic!("{why}"),
        }
    }

    /// Lets all brokers answer so late.
    fn round_trips_take(&self, delay: Duration) {
        (1..=BROKERS).for_each(|broker| self.cluster.broker_round_trip_time(broker, delay).unwrap());
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Written,
    Refused,
    Unknown,
}

async fn bodies(journal: &dyn Journal, partition: Partition) -> Vec<Bytes> {
    read_all(journal, partition, Offset::ZERO, 1 << 20).await.into_iter().map(|record| record.bytes).collect()
}

async fn next(tail: &mut dyn Tail) -> Vec<StoredRecord> {
    match within("the tail tells something", tail.next(1 << 20)).await.unwrap() {
        Tailed::Batch { records, .. } => records,
        told @ Tailed::Truncated { .. } => panic!("nothing was lost: {told:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_error_of_an_append_is_retried_or_told_as_it_is_and_the_next_append_is_written() {
    use Outcome::{Refused, Unknown, Written};
    let cases = [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_MSG, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Refused),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, Refused),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, Written),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, Written),
        // It is in the log, and nobody knows where.
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER, Unknown),
    ];
    let mock = Mock::start().await;
    for (number, (error, wanted)) in (0..).zip(cases) {
        let partition = Partition::new(number).unwrap();
        assert_eq!(mock.append(partition, "before").await, Written);
        mock.cluster.request_errors(RDKafkaApiKey::Produce, &[error]);
        assert_eq!(mock.append(partition, "it").await, wanted, "{error:?}");
        assert_eq!(mock.append(partition, "after").await, Written, "behind {error:?}");
    }
    let reader = open(&mock.options).await;
    for (number, (error, outcome)) in (0..).zip(cases) {
        let written = bodies(&*reader, Partition::new(number).unwrap()).await;
        let all: &[&str] = if outcome == Written { &["before", "it", "after"] } else { &["before", "after"] };
        assert_eq!(written, all, "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_appender_that_panics_tells_that_what_is_under_way_is_unknown_and_begins_anew() {
    let mock = Mock::start().await;
    let partition = Partition::new(9).unwrap();
    assert_eq!(mock.append(partition, "before").await, Outcome::Written);
    mock.round_trips_take(Duration::from_secs(2));
    let journal = Arc::clone(&mock.journal);
    let batch = vec![Bytes::from_static(b"under way")];
    let under_way = tokio::spawn(async move { journal.append(partition, batch).await });
    found("it is out", async || mock.journal.shared.lane(partition).under_way()).await;
    mock.journal.shared.appender.panics();
    let told = within("its caller is told", under_way).await.unwrap();
    assert!(matches!(&told, Err(AppendError::Unknown(why)) if why.contains("panicked")), "{told:?}");
    mock.round_trips_take(Duration::ZERO);
    for name in ["after", "and again"] {
        assert_eq!(mock.append(partition, name).await, Outcome::Written);
        // This time nothing is under way.
        mock.journal.shared.appender.panics();
    }
    assert_eq!(mock.append(partition, "last").await, Outcome::Written);
    let mut written = bodies(&*open(&mock.options).await, partition).await;
    written.retain(|body| body != "under way");
    assert_eq!(written, ["before", "after", "and again", "last"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_are_away_or_slow_cost_time_and_nothing_else() {
    let mock = Mock::start().await;
    let (partition, reader) = (Partition::new(3).unwrap(), open(&mock.options).await);
    let mut tail = reader.tail(partition, Offset::ZERO);
    assert_eq!(mock.append(partition, "before").await, Outcome::Written);
    (1..=BROKERS).for_each(|broker| mock.cluster.broker_down(broker).unwrap());
    let (journal, batch) = (Arc::clone(&mock.journal), vec![Bytes::from_static(b"meanwhile")]);
    let meanwhile = tokio::spawn(async move { journal.append(partition, batch).await });
    (1..=BROKERS).for_each(|broker| mock.cluster.broker_up(broker).unwrap());
    within("it is written when they are back", meanwhile).await.unwrap().unwrap();
    let slow = Duration::from_millis(300);
    mock.round_trips_take(slow);
    let begun = Instant::now();
    let (one, other) = tokio::join!(mock.append(partition, "one"), mock.append(partition, "other"));
    assert_eq!((one, other), (Outcome::Written, Outcome::Written));
    assert!(begun.elapsed() >= slow, "{:?}", begun.elapsed());
    mock.round_trips_take(Duration::ZERO);
    let mut told = Vec::new();
    while told.len() < 4 {
        told.extend(next(&mut *tail).await.into_iter().map(|record| record.bytes));
    }
    assert_eq!(told, ["before", "meanwhile", "one", "other"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_of_a_fetch_makes_a_tail_miss_a_record_or_tell_it_twice() {
    let cases = [
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_MSG,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        // Though it is not: the client stops there, and must be set going again.
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
    ];
    let mock = Mock::start().await;
    let (partition, reader) = (Partition::new(9).unwrap(), open(&mock.options).await);
    let mut tail = reader.tail(partition, Offset::ZERO);
    let mut told = next(&mut *tail).await;
    for (before, error) in cases.into_iter().enumerate() {
        mock.cluster.request_errors(RDKafkaApiKey::Fetch, &[error]);
        assert_eq!(mock.append(partition, "it").await, Outcome::Written);
        while told.len() <= before {
            told.extend(next(&mut *tail).await);
        }
    }
    assert_eq!(told.len(), cases.len());
    assert_eq!(told, read_all(&*reader, partition, Offset::ZERO, 1 << 20).await, "each record once and in order");
}
