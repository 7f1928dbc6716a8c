//! Which partitions are whose among several workers of a kind: a consumer group of Kafka, with static membership. Nothing is
//! consumed by it, and no offset committed: workers keep their places in the rows.
//!
//! It spreads work, and guards nothing. While a group changes its mind two members may hold a partition, or nobody; whoever works
//! by it must do no harm at either.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::watch;

use super::settings::Options;
use super::{TICK, error};
use crate::ids::Partition;
use crate::storage::journal::JournalError;

/// How long a member may be silent before its partitions go to others. One that comes back earlier under its name keeps them, and
/// nobody else notices.
const SESSION_MS: u32 = 10_000;

/// What a member is told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Share {
    /// Its partitions.
    pub partitions: BTreeSet<Partition>,
    /// It has been told since it joined: until then it has none.
    pub is_told: bool,
    /// Why it is no member any more: somebody else has its name.
    pub is_out: Option<String>,
}

/// Being a member, until this goes.
pub(crate) struct Membership {
    share: watch::Receiver<Share>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Membership {
    /// Joins `group` under a name that is its own: a living member that has it is out from then on.
    ///
    /// # Errors
    /// A setting that librdkafka refuses. What brokers say of it comes later, by the share.
    pub(crate) fn join(options: &Options, group: &str, name: &str) -> Result<Self, JournalError> {
        let (told, share) = watch::channel(Share::default());
        let mut config = options.client();
        config.set("group.id", group).set("group.instance.id", name);
        config.set("session.timeout.ms", SESSION_MS.to_string()).set("heartbeat.interval.ms", "2000");
        // Whoever keeps a partition goes on with it while others move.
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "latest");
        let client = BaseConsumer::from_config_and_context(&config, Telling(told)).map_err(|why| error(&why))?;
        client.subscribe(&[&options.topic]).map_err(|why| error(&why))?;
        let stopped = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&stopped);
        let thread = std::thread::Builder::new()
            .name("kafka-member".to_owned())
            .spawn(move || {
                while !ends.load(Ordering::Acquire) {
                    look(&client);
                }
            })
            .map_err(|why| JournalError::Io(why.to_string()))?;
        Ok(Self { share, stopped, thread: Some(thread) })
    }

    /// What it is told, as it changes.
    pub(crate) fn share(&self) -> watch::Receiver<Share> {
        self.share.clone()
    }
}

impl Drop for Membership {
    /// Blocks for a moment. The name keeps its partitions for as long as a session lasts.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Lets the client do what is due.
fn look(client: &BaseConsumer<Telling>) {
    // A record of a partition that was given out a moment ago, before it was paused, is nobody's.
    if let Some(Err(why)) = client.poll(TICK) {
        tracing::debug!(%why, "Kafka, a group of workers");
    }
    if let Some((code, why)) = client.client().fatal_error() {
        client.context().0.send_if_modified(|share| {
            let is_new = share.is_out.is_none();
            *share = Share { is_out: Some(format!("{code}: {why}")), ..Share::default() };
            is_new
        });
        std::thread::park_timeout(Duration::from_secs(1));
    }
}

struct Telling(watch::Sender<Share>);

impl ClientContext for Telling {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka, a group of workers");
    }
}

impl ConsumerContext for Telling {
    fn post_rebalance(&self, client: &BaseConsumer<Self>, change: &Rebalance<'_>) {
        match change {
            Rebalance::Assign(given) => {
                if let Err(why) = client.pause(given) {
                    tracing::debug!(%why, "what nobody reads is fetched");
                }
                self.0.send_modify(|share| share.partitions.extend(partitions(given)));
            }
            Rebalance::Revoke(taken) => self.0.send_modify(|share| {
                for partition in partitions(taken) {
                    share.partitions.remove(&partition);
                }
            }),
            Rebalance::Error(why) => tracing::warn!(%why, "a group of workers can't share out its partitions now"),
        }
        self.0.send_modify(|share| share.is_told = true);
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements();
    elements.iter().filter_map(|element| u16::try_from(element.partition()).ok().and_then(Partition::new)).collect()
}
