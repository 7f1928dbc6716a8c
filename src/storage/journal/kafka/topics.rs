//! Makes the topics, checks that they are as they must be, and deletes what lies below new starts of the journal's partitions.

use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::TopicPartitionList;

use super::settings::Options;
use super::{ASK, error};
use crate::ids::{Offset, PARTITIONS, Partition};
use crate::limits;
use crate::storage::journal::JournalError;

/// Copies of each partition.
pub const REPLICAS: i32 = 3;

/// A topic that the engine needs.
#[derive(Clone, Copy, Debug)]
pub struct Topic<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is for.
    pub holds: &'static str,
    /// How many partitions it must have.
    pub partitions: u16,
}

/// What each topic must say, and what another value would lose.
pub const SETTINGS: [(&str, &str, &str); 5] = [
    ("cleanup.policy", "delete", "compaction removes records"),
    ("retention.ms", "-1", "records go before they are stored; the engine trims by itself"),
    ("min.insync.replicas", "2", "a single broker's death can take acknowledged records along"),
    ("unclean.leader.election.enable", "false", "a broker that lags behind can become the leader and cut the log"),
    ("message.timestamp.type", "LogAppendTime", "ages are counted by the brokers' clock"),
];
/// How often topics are looked at before they are refused, and the pause between two looks.
const TIMES: u32 = 3;
const AGAIN: Duration = Duration::from_secs(1);
/// The bytes of a record that each topic takes.
const RECORD: (&str, usize) = ("max.message.bytes", 4 * limits::RECORD_BYTES);

/// A topic as the brokers have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicState {
    /// How many partitions it has.
    pub partitions: usize,
    /// Copies of its partitions: of the one that has fewest.
    pub replicas: usize,
    /// What is not as it must be, one sentence each.
    pub wrong: Vec<String>,
}

impl Options {
    /// The topics, the journal's first.
    #[must_use]
    pub fn topics(&self) -> [Topic<'_>; 2] {
        [
            Topic { name: &self.topic, holds: "the journal", partitions: PARTITIONS },
            Topic { name: &self.control_topic, holds: "the journal's identity, marks of backups", partitions: 1 },
        ]
    }
}

pub(super) fn admin(options: &Options) -> Result<AdminClient<DefaultClientContext>, JournalError> {
    options.client().create().map_err(|why| error(&why))
}

pub(super) fn patience() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
}

/// Makes the topics that are not there, with [`REPLICAS`] copies. Returns the names of those that it made, once the brokers say
/// that they are there, or have not said so for [`ASK`].
///
/// # Errors
/// The brokers do not answer, or refuse.
pub async fn create(options: &Options) -> Result<Vec<String>, JournalError> {
    let bytes = RECORD.1.to_string();
    let wanted = options.topics().map(|topic| {
        let new = NewTopic::new(topic.name, i32::from(topic.partitions), TopicReplication::Fixed(REPLICAS));
        SETTINGS.iter().fold(new, |new, (name, value, _)| new.set(name, value)).set(RECORD.0, &bytes)
    });
    let made = admin(options)?.create_topics(&wanted, &patience()).await.map_err(|why| error(&why))?;
    let mut names = Vec::new();
    for topic in made {
        match topic {
            Ok(name) => names.push(name),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, why)) => return Err(JournalError::Io(format!("Kafka does not make the topic {name}: {why}"))),
        }
    }
    let all = options.topics();
    let made = all.iter().filter(|topic| names.iter().any(|name| name == topic.name));
    // What is still not so is for whoever looks next to tell.
    _ = tokio::time::timeout(ASK, join_all(made.map(|topic| until_known(options, topic)))).await;
    Ok(names)
}

/// Brokers hear of a topic one after the other.
async fn until_known(options: &Options, topic: &Topic<'_>) {
    while !look(options, topic).await.is_ok_and(|found| found.is_some_and(|found| found.wrong.is_empty())) {
        tokio::time::sleep(AGAIN / 4).await;
    }
}

/// What the brokers have of a topic. `None` if there is none.
///
/// # Errors
/// The brokers do not answer.
pub async fn look(options: &Options, topic: &Topic<'_>) -> Result<Option<TopicState>, JournalError> {
    let (asked, name) = (options.clone(), topic.name.to_owned());
    // Without naming it: a broker may be set to make what it is asked for.
    let metadata = tokio::task::spawn_blocking(move || {
        let client = super::reader::client(&asked)?;
        let all = client.fetch_metadata(None, ASK).map_err(|why| error(&why))?;
        let found = all.topics().iter().find(|topic| topic.name() == name);
        let shape = |topic: &MetadataTopic| {
            let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
            (topic.partitions().len(), replicas.unwrap_or_default())
        };
        Ok::<_, JournalError>(found.map(shape))
    });
    let shape = metadata.await.map_err(|panic| JournalError::Io(panic.to_string()))??;
    let Some((partitions, replicas)) = shape else { return Ok(None) };
    let mut wrong = Vec::new();
    if partitions != usize::from(topic.partitions) {
        wrong.push(format!("it has {partitions} partitions and must have {}", topic.partitions));
    }
    if replicas < REPLICAS as usize {
        wrong.push(format!("it has {replicas} copies of a partition and must have {REPLICAS}"));
    }
    let told = admin(options)?.describe_configs(&[ResourceSpecifier::Topic(topic.name)], &patience()).await;
    for resource in told.map_err(|why| error(&why))? {
        let resource = resource.map_err(|why| JournalError::Io(format!("the topic {}: {why}", topic.name)))?;
        let value = |name: &str| resource.get(name).and_then(|entry| entry.value.clone()).unwrap_or_default();
        for (name, wanted, why) in SETTINGS {
            let found = value(name);
            if found != wanted {
                wrong.push(format!("{name} is {found} and must be {wanted}: else {why}"));
            }
        }
        let bytes = value(RECORD.0);
        if bytes.parse().is_ok_and(|bytes: usize| bytes < RECORD.1) {
            wrong.push(format!(
                "{} is {bytes} and must be at least {}: else large records are refused",
                RECORD.0, RECORD.1
            ));
        }
    }
    Ok(Some(TopicState { partitions, replicas, wrong }))
}

/// Refuses topics that are not there or not as they must be, once they were looked at [`TIMES`] times: a dying broker takes
/// questions along, and of what was just made brokers hear one after the other.
///
/// # Errors
/// All that is wrong, in words; or the brokers do not answer.
pub async fn check(options: &Options) -> Result<(), JournalError> {
    for _ in 1..TIMES {
        match check_once(options).await {
            Ok(()) => return Ok(()),
            Err(error) => tracing::warn!(%error, "the topics are looked at again"),
        }
        tokio::time::sleep(AGAIN).await;
    }
    check_once(options).await
}

async fn check_once(options: &Options) -> Result<(), JournalError> {
    let mut wrong = Vec::new();
    for topic in options.topics() {
        match look(options, &topic).await? {
            None => wrong.push(format!("there is no topic {}: `kervan topics create` makes it", topic.name)),
            Some(found) => wrong.extend(found.wrong.into_iter().map(|what| format!("topic {}: {what}", topic.name))),
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(JournalError::Incompatible(wrong.join("; "))) }
}

/// Deletes what lies below each start.
///
/// # Errors
/// The brokers do not answer, or refuse; some of it may be gone.
pub(crate) async fn delete_below(options: &Options, starts: &[(Partition, Offset)]) -> Result<(), JournalError> {
    let mut list = TopicPartitionList::new();
    for (partition, start) in starts {
        let offset = rdkafka::Offset::Offset(i64::try_from(start.0).unwrap_or(i64::MAX));
        let added = list.add_partition_offset(&options.topic, i32::from(partition.get()), offset);
        added.map_err(|why| error(&why))?;
    }
    if list.count() == 0 {
        return Ok(());
    }
    let done = admin(options)?.delete_records(&list, &patience()).await.map_err(|why| error(&why))?;
    done.elements().iter().try_for_each(|entry| entry.error()).map_err(|why| error(&why))
}
