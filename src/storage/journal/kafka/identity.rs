//! Which journal it is: the first record of the control topic. Whoever comes first writes one; the log decides who that was.

use std::time::Instant;

use prost::Message as _;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use uuid::Uuid;

use super::parts::Resumption;
use super::reader::{Client, client, position};
use super::settings::Options;
use super::{ASK, TICK, error};
use crate::ids::{Offset, Partition};
use crate::storage::journal::JournalError;

/// The only partition of the control topic.
const CONTROL: Partition = Partition::FIRST;

/// A record of the control topic.
#[derive(Clone, PartialEq, prost::Message)]
struct ControlRecord {
    /// 16 bytes: a journal begins.
    #[prost(bytes = "vec", tag = "1")]
    journal: Vec<u8>,
}

/// Reads it; `fresh` is what an empty control topic gets. Blocks.
///
/// # Errors
/// The brokers do not answer; there is no such topic, or its first record is something else.
pub(super) fn identity(options: &Options, fresh: Uuid) -> Result<Uuid, JournalError> {
    let client = client(options)?;
    let topic = &options.control_topic;
    let (start, end) = held(&client, topic)?;
    if start > 0 {
        return Err(JournalError::Damaged(format!("the topic {topic} has lost its first record")));
    }
    if end == 0 {
        propose(options, fresh)?;
    }
    first(&client, topic)
}

/// Reads it, if there is one. Blocks.
///
/// # Errors
/// As [`identity`].
pub(super) fn known(options: &Options) -> Result<Option<Uuid>, JournalError> {
    let client = client(options)?;
    let topic = &options.control_topic;
    let (_, end) = held(&client, topic)?;
    if end == 0 { Ok(None) } else { first(&client, topic).map(Some) }
}

/// Where the control topic begins and ends. One that was just made may have no leader for a moment.
fn held(client: &Client, topic: &str) -> Result<(i64, i64), JournalError> {
    let begun = Instant::now();
    loop {
        match client.fetch_watermarks(topic, i32::from(CONTROL.get()), ASK) {
            Ok(held) => return Ok(held),
            Err(_) if begun.elapsed() < ASK => std::thread::park_timeout(TICK),
            Err(why) => return Err(error(&why)),
        }
    }
}

fn propose(options: &Options, fresh: Uuid) -> Result<(), JournalError> {
    let record = ControlRecord { journal: fresh.as_bytes().to_vec() }.encode_to_vec();
    let producer: BaseProducer = BaseProducer::from_config(&options.producer()).map_err(|why| error(&why))?;
    let message =
        BaseRecord::<(), [u8]>::to(&options.control_topic).partition(i32::from(CONTROL.get())).payload(&record[..]);
    producer.send(message).map_err(|(why, _)| error(&why))?;
    producer.flush(ASK).map_err(|why| error(&why))
}

fn first(client: &Client, topic: &str) -> Result<Uuid, JournalError> {
    let start = position(topic, CONTROL, Resumption { at: Offset::ZERO, epoch: None });
    start.and_then(|start| client.assign(&start)).map_err(|why| error(&why))?;
    let begun = Instant::now();
    while begun.elapsed() < ASK {
        let Some(Ok(message)) = client.poll(ASK / 10) else { continue };
        let record = ControlRecord::decode(message.payload().unwrap_or_default()).ok();
        let id = record.and_then(|record| Uuid::from_slice(&record.journal).ok());
        return id.ok_or_else(|| {
            JournalError::Incompatible(format!("the topic {topic} does not begin with a journal's identity"))
        });
    }
    Err(JournalError::Io(format!("Kafka does not give the first record of {topic}")))
}
