//! The control topic: what concerns the journal as a whole, in the order in which it became so. One partition, whose first record is
//! the journal's [identity](super::identity); marks of backups follow. Nothing in it is ever trimmed.

use std::time::Instant;

use prost::Message as _;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use uuid::Uuid;

use super::parts::Resumption;
use super::reader::{Client, place_of, position, record_at};
use super::settings::Options;
use super::{ASK, TICK, error};
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::JournalError;
use crate::storage::journal::marks::BackupMark;

/// Its only partition.
const CONTROL: Partition = Partition::FIRST;

/// A record of it: one of these.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ControlRecord {
    /// 16 bytes: a journal begins.
    #[prost(bytes = "vec", tag = "1")]
    pub journal: Vec<u8>,
    /// A backup is there.
    #[prost(message, optional, tag = "2")]
    pub mark: Option<MarkRecord>,
}

/// A mark, without when it came: that is the record's append time.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct MarkRecord {
    #[prost(bytes = "vec", tag = "1")]
    id: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(uint64, tag = "3")]
    reaches: u64,
    #[prost(uint64, repeated, tag = "4")]
    watermarks: Vec<u64>,
}

impl From<&BackupMark> for ControlRecord {
    fn from(mark: &BackupMark) -> Self {
        let watermarks = mark.watermarks.iter().map(|at| at.0).collect();
        let (id, name) = (mark.id.as_bytes().to_vec(), mark.name.clone());
        let mark = MarkRecord { id, name, reaches: mark.reaches.0, watermarks };
        Self { journal: Vec::new(), mark: Some(mark) }
    }
}

impl MarkRecord {
    fn at(self, marked_at: Timestamp) -> Option<BackupMark> {
        Some(BackupMark {
            id: Uuid::from_slice(&self.id).ok()?,
            name: self.name,
            marked_at,
            reaches: Timestamp(self.reaches),
            watermarks: self.watermarks.into_iter().map(Offset).collect(),
        })
    }
}

/// Where it begins and ends. One that was just made may have no leader for a moment.
pub(super) fn held(client: &Client, topic: &str) -> Result<(Offset, Offset), JournalError> {
    let begun = Instant::now();
    let offset = |n: i64| Offset(u64::try_from(n).unwrap_or_default());
    loop {
        match client.fetch_watermarks(topic, i32::from(CONTROL.get()), ASK) {
            Ok((start, end)) => return Ok((offset(start), offset(end))),
            Err(_) if begun.elapsed() < ASK => std::thread::park_timeout(TICK),
            Err(why) => return Err(error(&why)),
        }
    }
}

/// Appends a record. What became of it is read: see [`read`].
///
/// # Errors
/// The brokers do not answer; it may be there all the same.
pub(super) fn append(options: &Options, record: &ControlRecord) -> Result<(), JournalError> {
    let record = record.encode_to_vec();
    let producer: BaseProducer = BaseProducer::from_config(&options.producer()).map_err(|why| error(&why))?;
    let message =
        BaseRecord::<(), [u8]>::to(&options.control_topic).partition(i32::from(CONTROL.get())).payload(&record[..]);
    producer.send(message).map_err(|(why, _)| error(&why))?;
    producer.flush(ASK).map_err(|why| error(&why))
}

/// Hands on each record of `from..to` with the append time that it has, in order. Blocks.
///
/// # Errors
/// The brokers do not give them, or one of them is none.
pub(super) fn read(
    client: &Client,
    topic: &str,
    (from, to): (Offset, Offset),
    mut each: impl FnMut(Timestamp, ControlRecord),
) -> Result<(), JournalError> {
    let start = position(topic, CONTROL, Resumption { at: from, epoch: None });
    start.and_then(|start| client.assign(&start)).map_err(|why| error(&why))?;
    let (mut next, mut heard) = (from, Instant::now());
    while next < to {
        if let Some(Ok(message)) = client.poll(ASK / 10) {
            let Some((_, offset)) = place_of(&message).filter(|(_, offset)| *offset >= next) else { continue };
            let stored = record_at(&message, offset);
            let record = ControlRecord::decode(stored.bytes).map_err(|why| {
                JournalError::Incompatible(format!("record {offset} of the topic {topic} can't be read: {why}"))
            })?;
            (next, heard) = (offset.next(), Instant::now());
            each(stored.time, record);
        } else if heard.elapsed() > ASK {
            return Err(JournalError::Io(format!("Kafka does not give record {next} of {topic}")));
        }
    }
    client.unassign().map_err(|why| error(&why))
}

/// The marks in `from..to`, in order. Records that say something else, also what only a newer program knows, are passed over:
/// none of them takes a mark back. Blocks.
///
/// # Errors
/// As [`read`]; a mark that can't be read.
pub(super) fn marks_in(
    client: &Client,
    topic: &str,
    (from, to): (Offset, Offset),
) -> Result<Vec<BackupMark>, JournalError> {
    let (mut marks, mut is_damaged) = (Vec::new(), false);
    read(client, topic, (from, to), |time, record| {
        let mark = record.mark.map(|mark| mark.at(time));
        is_damaged |= mark == Some(None);
        marks.extend(mark.flatten());
    })?;
    if is_damaged {
        return Err(JournalError::Damaged(format!("a mark in the topic {topic} has no id")));
    }
    Ok(marks)
}
