//! Loads a topic with a journal that was kept elsewhere: each record at the offset that it had, byte for byte, with the time
//! at which it was appended.
//!
//! Meanwhile the topic takes its records' times as they are given ([`begin`]). A server refuses such a topic, so nobody else
//! writes into it. [`open`] ends that. What a record must have as its offset is compared with each delivery report: a topic in
//! which something else came in between is never gone on with.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::Timestamp as Time;
use rdkafka::admin::{AlterConfig, ConfigSource, ResourceSpecifier};
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;
use uuid::Uuid;

use super::reader::{Reader, client, place_of, record_at};
use super::settings::Options;
use super::topics::{self, admin, patience};
use super::{ASK, error, identity};
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::{Bounds, JournalError, StoredRecord};

/// Whose times records have.
const TIMES: &str = "message.timestamp.type";
/// Of the writer.
const GIVEN: &str = "CreateTime";
/// Of the brokers.
const OWN: &str = "LogAppendTime";
/// How far the writer's clock may be ahead. A clock of years ago may have been.
const AHEAD: &str = "message.timestamp.after.max.ms";

/// How long a setting may take to reach every broker: they read it from the log of their controllers.
const HEARSAY: Duration = Duration::from_secs(1);
/// How long brokers may give nothing, or take nothing, before that is an error.
const SILENCE: Duration = Duration::from_secs(60);
/// Clients that write. Each asks a broker for one partition at a time.
const PRODUCERS: usize = 4;
/// Between two looks at a queue that is full.
const PAUSE: Duration = Duration::from_millis(2);

/// What is there to be loaded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct TopicsToLoad {
    /// The journal that the control topic names.
    pub journal: Option<Uuid>,
    /// What the journal's partitions hold, by number; nothing if there is no such topic.
    pub bounds: Vec<Bounds>,
    /// Times are taken as they are given.
    pub is_loading: bool,
    /// What is not as it must be, other than that.
    pub wrong: Vec<String>,
}

/// Looks at the topics, and changes nothing.
///
/// # Errors
/// The brokers do not answer; the control topic begins with something else.
pub(crate) async fn look(options: &Options) -> Result<TopicsToLoad, JournalError> {
    let mut found = TopicsToLoad::default();
    let mut names = Vec::new();
    for topic in options.topics() {
        let Some(state) = topics::look(options, &topic).await? else { continue };
        let is_journal = topic.name == options.topic;
        let (times, wrong): (Vec<_>, Vec<_>) =
            state.wrong.into_iter().partition(|what| is_journal && what.starts_with(TIMES));
        found.is_loading |= !times.is_empty();
        found.wrong.extend(wrong.into_iter().map(|what| format!("topic {}: {what}", topic.name)));
        names.push(topic.name);
    }
    let (has_journal, has_control) =
        (names.contains(&options.topic.as_str()), names.contains(&options.control_topic.as_str()));
    if !found.wrong.is_empty() {
        return Ok(found);
    }
    let options = options.clone();
    blocking(move || {
        if has_journal {
            found.bounds = bounds(&options)?;
        }
        if has_control {
            found.journal = identity::known(&options)?;
        }
        Ok(found)
    })
    .await
}

/// Makes what topics are missing, gives them the identity `id`, and lets the journal's take times as they are given.
///
/// # Errors
/// They have another identity: then nothing else is changed. The brokers do not answer, or refuse.
pub(crate) async fn begin(options: &Options, id: Uuid) -> Result<(), JournalError> {
    topics::create(options).await?;
    let asked = options.clone();
    let found = blocking(move || identity::identity(&asked, id)).await?;
    if found != id {
        return Err(JournalError::Incompatible(format!(
            "the topics belong to the journal {found}, and this one is {id}"
        )));
    }
    take_times(options, GIVEN).await
}

/// Lets the journal's topic take the brokers' times, and checks that all topics are as a server wants them.
///
/// # Errors
/// They are not, or the brokers do not answer.
pub(crate) async fn open(options: &Options) -> Result<(), JournalError> {
    take_times(options, OWN).await?;
    topics::check(options).await
}

/// Sets whose times records have, and waits until the brokers say so. What else was set for the topic stays: the call replaces
/// all of it.
async fn take_times(options: &Options, whose: &str) -> Result<(), JournalError> {
    let admin = admin(options)?;
    let topic = ResourceSpecifier::Topic(&options.topic);
    let begun = Instant::now();
    loop {
        let told = admin.describe_configs(&[topic], &patience()).await.map_err(|why| error(&why))?;
        let resource = told.into_iter().next().and_then(Result::ok);
        let entries = resource.map(|resource| resource.entries).unwrap_or_default();
        let value =
            |name: &str| entries.iter().find(|entry| entry.name == name).and_then(|entry| entry.value.as_deref());
        if value(TIMES) == Some(whose) {
            tokio::time::sleep(HEARSAY).await;
            return Ok(());
        }
        if begun.elapsed() > ASK {
            return Err(JournalError::Io(format!("the brokers do not set {TIMES} of {} to {whose}", options.topic)));
        }
        let own = entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
        let own = own.filter(|entry| ![TIMES, AHEAD].contains(&entry.name.as_str()));
        let own = own.filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)));
        let mut wanted = own.fold(AlterConfig::new(topic).set(TIMES, whose), |all, (name, value)| all.set(name, value));
        if whose == GIVEN {
            wanted = wanted.set(AHEAD, "9223372036854775807");
        }
        for done in admin.alter_configs([&wanted], &patience()).await.map_err(|why| error(&why))? {
            done.map_err(|(_, why)| {
                JournalError::Io(format!("Kafka does not set {TIMES} of {}: {why}", options.topic))
            })?;
        }
        tokio::time::sleep(HEARSAY / 10).await;
    }
}

/// What the journal's partitions hold, by number, as soon as that stays the same for a second: what a writer that has died had
/// sent may still come in. Blocks.
///
/// # Errors
/// The brokers do not answer, or it does not stay.
pub(crate) fn settled(options: &Options) -> Result<Vec<Bounds>, JournalError> {
    let begun = Instant::now();
    let mut before = bounds(options)?;
    while begun.elapsed() < SILENCE {
        std::thread::park_timeout(HEARSAY);
        let now = bounds(options)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    Err(JournalError::Io(format!("somebody else writes into the topic {}", options.topic)))
}

/// What the journal's partitions hold, by number. Blocks.
///
/// # Errors
/// The brokers do not answer.
pub(crate) fn bounds(options: &Options) -> Result<Vec<Bounds>, JournalError> {
    Reader::new(options)?.bounds(ASK)
}

/// Reads what the partitions hold, and hands each record on: those of a partition in their order. Blocks.
///
/// # Errors
/// The brokers give something else, or nothing for a minute; what `each` says.
pub(crate) fn read<E: From<JournalError>>(
    options: &Options,
    held: &[(Partition, Bounds)],
    mut each: impl FnMut(Partition, StoredRecord) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |why: KafkaError| E::from(error(&why));
    let client = client(options)?;
    let mut list = TopicPartitionList::new();
    let mut ends = std::collections::BTreeMap::new();
    for (partition, bounds) in held.iter().filter(|(_, bounds)| bounds.end > bounds.start) {
        let offset = rdkafka::Offset::Offset(i64::try_from(bounds.start.0).unwrap_or(i64::MAX));
        list.add_partition_offset(&options.topic, i32::from(partition.get()), offset).map_err(failed)?;
        ends.insert(*partition, *bounds);
    }
    client.assign(&list).map_err(failed)?;
    let mut heard = Instant::now();
    while !ends.is_empty() {
        match client.poll(ASK) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let Some((partition, offset)) = place_of(&message) else { continue };
                let Some(rest) = ends.get_mut(&partition) else { continue };
                if offset != rest.start {
                    let why = format!("partition {partition} of the topic has no record {}", rest.start);
                    return Err(JournalError::Damaged(why).into());
                }
                rest.start = offset.next();
                if rest.start == rest.end {
                    ends.remove(&partition);
                }
                each(partition, record_at(&message, offset))?;
            }
            Some(Err(why)) if why.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) => {
                return Err(failed(why));
            }
            // A broker that is away comes back.
            Some(Err(_)) | None if heard.elapsed() < SILENCE => {}
            _ => {
                let why = format!("Kafka gave nothing of {} for {} s", options.topic, SILENCE.as_secs());
                return Err(JournalError::Io(why).into());
            }
        }
    }
    Ok(())
}

/// The records at these places, one of each partition at most. Blocks.
///
/// # Errors
/// As [`read`].
pub(super) fn records_at(
    options: &Options,
    places: &[(Partition, Offset)],
) -> Result<Vec<(Partition, StoredRecord)>, JournalError> {
    let one = |(partition, at): &(Partition, Offset)| (*partition, Bounds { start: *at, end: at.next() });
    let held: Vec<_> = places.iter().map(one).collect();
    let mut found = Vec::with_capacity(held.len());
    read(options, &held, |partition, record| {
        found.push((partition, record));
        Ok::<_, JournalError>(())
    })?;
    Ok(found)
}

/// Writes records to their places.
pub(crate) struct Loader {
    topic: String,
    producers: Vec<ThreadedProducer<Reports>>,
    trouble: Arc<Trouble>,
}

/// Why the load can't go on; the first reason counts.
#[derive(Default)]
struct Trouble {
    is_there: AtomicBool,
    why: Mutex<Option<String>>,
}

impl Trouble {
    fn tell(&self, why: impl FnOnce() -> String) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(why);
        self.is_there.store(true, Ordering::Release);
    }

    fn look(&self) -> Result<(), JournalError> {
        if !self.is_there.load(Ordering::Acquire) {
            return Ok(());
        }
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(JournalError::Io(why.unwrap_or_default()))
    }
}

/// Compares delivery reports, on the threads of the producers.
struct Reports(Arc<Trouble>);

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "Kafka, loading");
    }
}

impl ProducerContext for Reports {
    /// The offset that the record must have.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, wanted: usize) {
        match result {
            Err((error, _)) => self.0.tell(|| format!("Kafka did not take a record: {error}")),
            // A broker that knows a record already may not say where it lies: the comparison of all of it does.
            Ok(message) if message.offset() < 0 => {}
            Ok(message) if usize::try_from(message.offset()).ok() != Some(wanted) => self.0.tell(|| {
                let (partition, found) = (message.partition(), message.offset());
                unlike(message.topic(), format_args!("record {wanted} of partition {partition} came to lie at {found}"))
            }),
            Ok(message) if matches!(message.timestamp(), Time::LogAppendTime(_)) => {
                self.0.tell(|| unlike(message.topic(), format_args!("the brokers gave a record their own time")));
            }
            Ok(_) => {}
        }
    }
}

/// A topic that can't become the journal any more.
fn unlike(topic: &str, why: std::fmt::Arguments<'_>) -> String {
    format!(
        "the topic {topic} is not the journal: {why}. Nothing but the copy is in it: remove the topic, and run the same again"
    )
}

/// The same for whoever compares.
pub(crate) fn differs(options: &Options, why: std::fmt::Arguments<'_>) -> JournalError {
    JournalError::Damaged(unlike(&options.topic, why))
}

impl Loader {
    /// Opens its connections.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub(crate) fn new(options: &Options) -> Result<Self, JournalError> {
        let trouble = Arc::new(Trouble::default());
        let mut config = options.producer();
        // Nobody waits for a single record: batches are to be full.
        config.set("linger.ms", "50");
        let producer = |_| ThreadedProducer::from_config_and_context(&config, Reports(Arc::clone(&trouble)));
        let producers = (0..PRODUCERS).map(producer).collect::<Result<_, _>>();
        Ok(Self { topic: options.topic.clone(), producers: producers.map_err(|why| error(&why))?, trouble })
    }

    /// Writes a record, or one that holds nothing. Records of a partition come in their order. Blocks while the queue is full.
    ///
    /// # Errors
    /// Something that was written before did not come to its place; nothing is taken for a minute.
    pub(crate) fn put(
        &self,
        partition: Partition,
        offset: Offset,
        time: Timestamp,
        bytes: Option<&[u8]>,
    ) -> Result<(), JournalError> {
        self.trouble.look()?;
        let wanted = usize::try_from(offset.0).unwrap_or(usize::MAX);
        let mut record = BaseRecord::<(), [u8], usize>::with_opaque_to(&self.topic, wanted);
        record = record.partition(i32::from(partition.get())).timestamp(time.as_i64());
        if let Some(bytes) = bytes {
            record = record.payload(bytes);
        }
        let producer = &self.producers[partition.index() % self.producers.len()];
        let begun = Instant::now();
        loop {
            match producer.send(record) {
                Ok(()) => return Ok(()),
                Err((why, back)) if why.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    self.trouble.look()?;
                    if begun.elapsed() > SILENCE {
                        return Err(JournalError::Io(format!("Kafka took nothing for {} s", SILENCE.as_secs())));
                    }
                    record = back;
                    std::thread::park_timeout(PAUSE);
                }
                Err((why, _)) => return Err(error(&why)),
            }
        }
    }

    /// Waits until each record has its report. Blocks.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub(crate) fn flush(&self) -> Result<(), JournalError> {
        for producer in &self.producers {
            producer.flush(SILENCE).map_err(|why| error(&why))?;
        }
        self.trouble.look()
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, JournalError> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| JournalError::Io(panic.to_string()))?
}
