//! The client that follows partitions, on a thread of its own: what others wrote comes in by it, and whether the brokers' log is
//! still the one that was read.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kervan_kafka_calls::{leader_epoch, set_leader_epoch};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::parts::{Kept, LogPart, Pace, Resumption};
use super::settings::Options;
use super::{ASK, Shared, TICK, error};
use crate::ids::{Offset, PARTITIONS, Partition, Timestamp};
use crate::storage::journal::{Bounds, JournalError, StoredRecord};

/// How long a broker may not have heard of a topic that was just made.
const HEARSAY: Duration = Duration::from_secs(10);
/// How often partitions that nobody follows any more are let go.
const SWEEP: Duration = Duration::from_secs(1);

/// Partitions that change their reader in one sweep at most.
const MOVES: usize = 32;

/// What a client can't go on with, as librdkafka tells it: in words, and without saying in which partition.
#[derive(Default)]
pub(super) struct Troubles(Mutex<Vec<ReadTrouble>>);

/// A position from which nothing can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ReadTrouble {
    /// The position, if it was told.
    pub at: Option<Offset>,
    /// Where the log was cut, if that is why.
    pub cut: Option<Offset>,
}

impl ReadTrouble {
    /// From a text like "Partition log truncation detected at offset 150 (leader epoch 0): broker end offset is 100".
    fn from_text(text: &str) -> Self {
        let number = |behind: &str| {
            let rest = text.split(behind).nth(1)?;
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok().map(Offset)
        };
        Self { at: number("detected at offset "), cut: number("end offset is ") }
    }
}

impl Troubles {
    fn push(&self, trouble: ReadTrouble) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(trouble);
    }

    pub(super) fn take(&self) -> Vec<ReadTrouble> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Troubles {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AutoOffsetReset) {
            tracing::debug!(%error, reason, "Kafka, reading");
            return;
        }
        tracing::warn!(reason, "Kafka: the log is not the one that was read");
        self.push(ReadTrouble::from_text(reason));
    }
}

impl ConsumerContext for Troubles {}

/// A client that reads.
pub(super) type Client = BaseConsumer<Troubles>;

/// A new one.
pub(super) fn client(options: &Options) -> Result<Client, JournalError> {
    Client::from_config_and_context(&options.consumer(), Troubles::default()).map_err(|why| error(&why))
}

/// One entry for a position in a partition.
pub(super) fn position(topic: &str, partition: Partition, to: Resumption) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    let offset = rdkafka::Offset::Offset(i64::try_from(to.at.0).unwrap_or(i64::MAX));
    list.add_partition_offset(topic, i32::from(partition.get()), offset)?;
    if let Some(epoch) = to.epoch {
        set_leader_epoch(&mut list, 0, epoch);
    }
    Ok(list)
}

/// Which partition a message is of.
pub(super) fn partition_of(message: &BorrowedMessage<'_>) -> Option<Partition> {
    u16::try_from(message.partition()).ok().and_then(Partition::new)
}

/// Where a message lies.
pub(super) fn place_of(message: &BorrowedMessage<'_>) -> Option<(Partition, Offset)> {
    Some((partition_of(message)?, Offset(u64::try_from(message.offset()).ok()?)))
}

/// The record of a message that lies at `offset`.
pub(super) fn record_at(message: &BorrowedMessage<'_>, offset: Offset) -> StoredRecord {
    let time = message.timestamp().to_millis().and_then(|time| u64::try_from(time).ok()).unwrap_or_default();
    let bytes = message.payload().unwrap_or_default().to_vec().into();
    StoredRecord { offset, time: Timestamp(time), bytes }
}

/// One client.
pub(super) struct Reader {
    client: Client,
    topic: String,
}

/// See the module.
pub(super) struct Readers {
    prompt: Reader,
    calm: Reader,
    /// Held by whoever changes which of them follows a partition.
    moving: Mutex<()>,
}

impl Readers {
    pub(super) fn new(options: &Options) -> Result<Self, JournalError> {
        let calm = Reader::with(options, &options.calm_consumer())?;
        Ok(Self { prompt: Reader::new(options)?, calm, moving: Mutex::default() })
    }

    pub(super) fn of(&self, pace: Pace) -> &Reader {
        match pace {
            Pace::Prompt => &self.prompt,
            Pace::Calm => &self.calm,
        }
    }

    /// Somebody follows a partition from here.
    pub(super) fn begin(&self, part: &LogPart, partition: Partition, from: Offset) {
        let _moving = self.moving();
        if let Some(resumption) = part.follows(from) {
            log(self.prompt.follow(partition, resumption));
        }
    }

    /// Lets a partition go that nobody follows any more. Whether that is so.
    fn end(&self, part: &LogPart, partition: Partition) -> bool {
        let _moving = self.moving();
        let is_over = part.followers.lowest().is_none();
        if is_over {
            part.forsake();
            log(self.of(part.pace()).leave(partition));
        }
        is_over
    }

    fn moving(&self) -> MutexGuard<'_, ()> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another one follows a partition from now on.
    pub(super) fn change(&self, part: &LogPart, partition: Partition, to: Pace) {
        let _moving = self.moving();
        let from = part.pace();
        let Some(at) = part.fetches().filter(|_| from != to) else { return };
        log(self.of(from).leave(partition));
        part.paced(to);
        log(self.of(to).follow(partition, at));
    }
}

impl Reader {
    pub(super) fn new(options: &Options) -> Result<Self, JournalError> {
        Self::with(options, &options.consumer())
    }

    fn with(options: &Options, config: &ClientConfig) -> Result<Self, JournalError> {
        let client = Client::from_config_and_context(config, Troubles::default()).map_err(|why| error(&why))?;
        Ok(Self { client, topic: options.topic.clone() })
    }

    /// What every partition holds.
    ///
    /// # Errors
    /// The brokers do not answer, or there is no such topic with 256 partitions.
    pub(super) fn bounds(&self, patience: Duration) -> Result<Vec<Bounds>, JournalError> {
        let begun = Instant::now();
        let count = loop {
            let metadata = self.client.fetch_metadata(Some(&self.topic), patience).map_err(|why| error(&why))?;
            let topic = metadata.topics().first().filter(|topic| topic.error().is_none());
            let count = topic.map_or(0, |topic| topic.partitions().len());
            if count > 0 || begun.elapsed() > HEARSAY {
                break count;
            }
            std::thread::park_timeout(TICK);
        };
        if count != usize::from(PARTITIONS) {
            let why = match count {
                0 => format!("there is no topic {}: `kervan topics create` makes it", self.topic),
                count => format!("the topic {} has {count} partitions, not {PARTITIONS}", self.topic),
            };
            return Err(JournalError::Incompatible(why));
        }
        Partition::all().map(|partition| self.bounds_of(partition, patience)).collect()
    }

    /// What a partition holds.
    pub(super) fn bounds_of(&self, partition: Partition, patience: Duration) -> Result<Bounds, JournalError> {
        let begun = Instant::now();
        let (start, end) = loop {
            match self.client.fetch_watermarks(&self.topic, i32::from(partition.get()), patience) {
                Ok(watermarks) => break watermarks,
                // A leader that moves, or is about to be told that it is one.
                Err(_) if begun.elapsed() < patience => std::thread::park_timeout(TICK),
                Err(why) => return Err(error(&why)),
            }
        };
        let offset = |n: i64| Offset(u64::try_from(n).unwrap_or_default());
        Ok(Bounds { start: offset(start), end: offset(end) })
    }

    /// Follows a partition from here, until nobody does any more.
    pub(super) fn follow(&self, partition: Partition, from: Resumption) -> KafkaResult<()> {
        self.client.incremental_assign(&position(&self.topic, partition, from)?)
    }

    fn leave(&self, partition: Partition) -> KafkaResult<()> {
        self.client.incremental_unassign(&self.list(partition))
    }

    /// Brings no more of a partition until [`Self::resume`].
    fn pause(&self, partition: Partition) -> KafkaResult<()> {
        self.client.pause(&self.list(partition))
    }

    pub(super) fn resume(&self, partition: Partition) -> KafkaResult<()> {
        self.client.resume(&self.list(partition))
    }

    fn list(&self, partition: Partition) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.topic, i32::from(partition.get()));
        list
    }
}

/// The thread of one.
pub(super) fn run(shared: &Arc<Shared>, pace: Pace) {
    let reader = shared.readers.of(pace);
    let mut swept_at = Instant::now();
    while !shared.stopped.load(Ordering::Acquire) {
        match reader.client.poll(TICK) {
            Some(Ok(message)) => take(shared, reader, &message),
            // What lies behind it comes as a trouble; a broker that is away comes back.
            Some(Err(error)) => tracing::debug!(%error, "Kafka, reading"),
            None => {}
        }
        let mut troubles = reader.client.context().take();
        // One for each partition, and many of them alike.
        troubles.dedup();
        for trouble in troubles {
            mend(shared, pace, &trouble);
        }
        if pace == Pace::Prompt && swept_at.elapsed() > SWEEP {
            swept_at = Instant::now();
            sweep(shared);
        }
    }
}

fn take(shared: &Shared, reader: &Reader, message: &BorrowedMessage<'_>) {
    let Some((partition, offset)) = place_of(message) else { return };
    let part = shared.parts.of(partition);
    let kept = part.fetched(offset, leader_epoch(message), || record_at(message, offset));
    if kept == Kept::TooMuch {
        log(reader.pause(partition));
    }
    if let Some(read) = part.read_for_reports() {
        shared.release(partition, read);
    }
    // Perhaps our own, whose report is about to tell it: it wakes whoever has more to hear.
    if kept != Kept::Known && !part.is_flying.load(Ordering::Acquire) {
        part.wake();
    }
}

/// A log is not the one that was read. Looks which one it is, and goes on where that is possible.
fn mend(shared: &Shared, pace: Pace, trouble: &ReadTrouble) {
    let reader = shared.readers.of(pace);
    let is_meant = |at: Offset| trouble.at.is_none_or(|told| told == at);
    for partition in Partition::all() {
        let part = shared.parts.of(partition);
        let Some(from) = part.fetches().filter(|from| is_meant(from.at)) else { continue };
        if part.pace() != pace {
            continue;
        }
        let looked = match look(shared, partition, from, trouble) {
            // It was another one, or the brokers were mistaken: the client stopped all the same.
            Ok(None) if trouble.at.is_some() => continue,
            Ok(looked) => looked,
            Err(error) => {
                tracing::warn!(%partition, %error, "Kafka: what the partition holds can't be had; it is asked again");
                reader.client.context().push(trouble.clone());
                return;
            }
        };
        let moving = shared.readers.moving();
        let resumption = match looked {
            Some((held, cut)) => part.mended(held, cut),
            None => part.fetches(),
        };
        if let Some(resumption) = resumption {
            tracing::warn!(%partition, at = resumption.at.0, "Kafka: reading goes on here");
            let reader = shared.readers.of(part.pace());
            log(reader.leave(partition));
            log(reader.follow(partition, resumption));
        }
        drop(moving);
        if looked.is_some() {
            // What was lost is known now.
            shared.release(partition, Offset(u64::MAX));
        }
        part.wake();
    }
}

/// What a partition holds, and where it was cut, if it is one that can't be read from `from` on.
fn look(
    shared: &Shared,
    partition: Partition,
    from: Resumption,
    trouble: &ReadTrouble,
) -> Result<Option<(Bounds, Option<Offset>)>, JournalError> {
    let held = shared.readers.prompt.bounds_of(partition, ASK)?;
    if from.at > held.end {
        return Ok(Some((held, trouble.cut.map(|cut| cut.min(held.end)))));
    }
    if trouble.cut.is_some() && shared.older.is_gone(partition, from)? {
        return Ok(Some((held, trouble.cut)));
    }
    Ok((from.at < held.start).then_some((held, None)))
}

fn sweep(shared: &Shared) {
    let mut moves = 0;
    for partition in Partition::all() {
        let part = shared.parts.of(partition);
        if part.fetches().is_none() {
            continue;
        }
        if shared.readers.end(part, partition) {
            shared.release(partition, Offset(u64::MAX));
        } else {
            let wanted = part.wanted();
            // Each takes a broker's answer; it is not urgent.
            if wanted != part.pace() && moves < MOVES {
                moves += 1;
                shared.readers.change(part, partition, wanted);
            }
        }
    }
}

/// Nothing follows from it but that something is slower, or comes again.
pub(super) fn log(done: KafkaResult<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, "Kafka: librdkafka refused a call");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_read_from_librdkafkas_words() {
        let text = "Partition log truncation detected at offset 15 (leader epoch 0): broker end offset is 10 (offset leader \
                    epoch 0). Reset to INVALID.: Local: Partition log truncation detected (broker 2)";
        let trouble = ReadTrouble::from_text(text);
        assert_eq!(trouble, ReadTrouble { at: Some(Offset(15)), cut: Some(Offset(10)) });
        let text =
            "fetch failed due to requested offset not available on the broker: Broker: Offset out of range (broker 1)";
        assert_eq!(ReadTrouble::from_text(text), ReadTrouble { at: None, cut: None });
    }
}
