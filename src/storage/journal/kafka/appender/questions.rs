//! What brokers are asked, and what they answer, in our terms: to write batches, who leads which partition, an id to number
//! records under.

use std::io::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, MetadataRequest, ProduceRequest, ProduceResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use super::connection::{AskError, BrokerConnection};
use super::sending::{Chunk, ProduceAnswer, ProducerIdentity};
use crate::ids::{PARTITIONS, Partition};
use crate::limits;

/// How long a broker may wait for the replicas. A leader that stops waiting leaves it open what becomes of a batch.
const REPLICAS_MS: i32 = 10_000;
/// Batches of fewer bytes go out as they are: there is little to gain.
const COMPRESS_BYTES: usize = 1024;

/// Who leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Leaders {
    /// Each broker's number and `host:port`.
    pub brokers: Vec<(i32, String)>,
    /// Of each partition, the number of its leader, if it has one.
    pub leaders: Vec<Option<i32>>,
}

/// Asks who leads the partitions of `topic`.
///
/// # Errors
/// The broker does not answer, or does not know the topic.
pub(super) async fn leaders(connection: &mut BrokerConnection, topic: &str) -> Result<Leaders, AskError> {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let question = MetadataRequest::default()
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name))]))
        .with_allow_auto_topic_creation(false);
    let answer = connection.ask(&question, 4..=12).await?;
    let brokers = answer.brokers.iter().map(|broker| (broker.node_id.0, format!("{}:{}", broker.host, broker.port)));
    let Some(found) = answer.topics.first().filter(|topic| topic.error_code == 0) else {
        return Err(AskError::Unanswered(format!("the broker does not know topic {topic}")));
    };
    let mut leaders = vec![None; usize::from(PARTITIONS)];
    for partition in &found.partitions {
        let place = usize::try_from(partition.partition_index).ok().and_then(|at| leaders.get_mut(at));
        if let Some(place) = place {
            *place = Some(partition.leader_id.0).filter(|leader| *leader >= 0);
        }
    }
    Ok(Leaders { brokers: brokers.collect(), leaders })
}

/// Asks for an id that nobody has.
///
/// # Errors
/// The broker does not answer, or has none now.
pub(super) async fn identity(connection: &mut BrokerConnection) -> Result<ProducerIdentity, AskError> {
    let question = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(REPLICAS_MS)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    let answer = connection.ask(&question, 0..=4).await?;
    if answer.error_code != 0 {
        return Err(AskError::Unanswered(format!("no producer id: error {}", answer.error_code)));
    }
    Ok(ProducerIdentity { id: answer.producer_id.0, epoch: answer.producer_epoch })
}

/// Has a leader write batches, each of another partition; returns its answers.
///
/// # Errors
/// There is no answer.
pub(super) async fn produce(
    connection: &mut BrokerConnection,
    topic: &str,
    chunks: &[(Partition, Chunk)],
) -> Result<Vec<(Partition, ProduceAnswer)>, AskError> {
    let batches = chunks.iter().map(|(partition, chunk)| {
        let records = batch(chunk).map_err(AskError::NotSent)?;
        Ok(PartitionProduceData::default().with_index(i32::from(partition.get())).with_records(Some(records)))
    });
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let topic = TopicProduceData::default().with_name(name).with_partition_data(batches.collect::<Result<_, _>>()?);
    let question = ProduceRequest::default().with_acks(-1).with_timeout_ms(REPLICAS_MS).with_topic_data(vec![topic]);
    connection.ask(&question, 3..=12).await.map(|answer| answers(&answer))
}

fn answers(answer: &ProduceResponse) -> Vec<(Partition, ProduceAnswer)> {
    let parts = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    let answered = parts.filter_map(|part| {
        let partition = u16::try_from(part.index).ok().and_then(Partition::new)?;
        Some((partition, ProduceAnswer::of(part.error_code, part.base_offset, part.log_append_time_ms)))
    });
    answered.collect()
}

/// A batch as it stands in the log, but for offset and time, which the leader gives.
fn batch(chunk: &Chunk) -> Result<Bytes, String> {
    let record = |(n, value): (i32, &Bytes)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: chunk.identity.id,
        producer_epoch: chunk.identity.epoch,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(n),
        sequence: chunk.sequence.wrapping_add(n),
        timestamp: 0,
        key: None,
        value: Some(value.clone()),
        headers: Default::default(),
    };
    let records: Vec<Record> = (0..).zip(&chunk.records).map(record).collect();
    let bytes: usize = chunk.records.iter().map(Bytes::len).sum();
    let compression = if bytes < COMPRESS_BYTES { Compression::None } else { Compression::Lz4 };
    let mut batch = BytesMut::with_capacity(bytes + chunk.records.len() * limits::KAFKA_RECORD_OVERHEAD);
    let options = RecordEncodeOptions { version: 2, compression };
    let compress = |records: &mut BytesMut, into: &mut BytesMut, compression| {
        match compression {
            Compression::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(into.writer());
                encoder.write_all(records)?;
                encoder.finish()?;
            }
            _ => into.extend_from_slice(records),
        }
        Ok(())
    };
    RecordBatchEncoder::encode_with_custom_compression(&mut batch, &records, &options, Some(compress))
        .map_err(|why| why.to_string())?;
    Ok(batch.freeze())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::records::RecordBatchDecoder;

    use super::*;

    #[test]
    fn a_batch_holds_its_records_under_its_producers_numbers_compressed_or_not() {
        for (count, text) in [(1, "a"), (3, "short"), (400, "a longer text of which there are many")] {
            let records: Vec<Bytes> = (0..count).map(|n| Bytes::from(format!("{text} {n}"))).collect();
            let identity = ProducerIdentity { id: 77, epoch: 2 };
            let chunk = Chunk { identity, sequence: 5, records: records.clone() };
            let mut encoded = batch(&chunk).unwrap();
            let decompress = |bytes: &mut Bytes, compression: Compression| {
                assert_eq!(compression, if count < 400 { Compression::None } else { Compression::Lz4 });
                let mut plain = Vec::new();
                match compression {
                    Compression::Lz4 => {
                        std::io::Read::read_to_end(&mut lz4_flex::frame::FrameDecoder::new(&bytes[..]), &mut plain)?;
                    }
                    _ => plain.extend_from_slice(bytes),
                }
                Ok(Bytes::from(plain))
            };
            let set = RecordBatchDecoder::decode_with_custom_compression(&mut encoded, Some(decompress)).unwrap();
            assert!(encoded.is_empty(), "one batch");
            let found: Vec<_> =
                set.records.iter().map(|record| (record.sequence, record.value.clone().unwrap())).collect();
            assert_eq!(found, (5..).zip(records).collect::<Vec<_>>());
            assert!(set.records.iter().all(|record| (record.producer_id, record.producer_epoch) == (77, 2)));
        }
    }
}
