//! What the clients of Kafka are told. Each setting that decides about safety says why.

use rdkafka::ClientConfig;

use crate::config::Journal;
use crate::limits;

/// Where the brokers are and how they are spoken to.
#[derive(Clone, Debug)]
pub struct Options {
    /// `host:port,host:port`.
    pub brokers: String,
    /// The topic of the journal.
    pub topic: String,
    /// The topic with what concerns the journal as a whole: its identity.
    pub control_topic: String,
}

impl Options {
    /// What the configuration says, if it says that the journal is in Kafka.
    #[must_use]
    pub fn of(config: &Journal) -> Option<Self> {
        Some(Self {
            brokers: config.kafka_brokers.clone()?,
            topic: config.kafka_topic.clone(),
            control_topic: config.kafka_control_topic.clone(),
        })
    }

    /// What all clients have in common.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("client.id", "kervan");
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "300");
        config.set("retry.backoff.ms", "50").set("retry.backoff.max.ms", "200");
        config.set("topic.metadata.refresh.fast.interval.ms", "50");
        // The largest record, with what Kafka puts around it.
        config.set("message.max.bytes", (4 * limits::RECORD_BYTES).to_string());
        config
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("enable.idempotence", "true").set("acks", "all");
        // A record that timed out in the client makes it begin a new epoch and send the rest again, behind which the broker can't
        // know what it has: acknowledged records would stand twice in the log. The lanes have the deadlines.
        config.set("message.timeout.ms", "0");
        // A broker takes one request of a connection at a time anyway; a second one of the same partition under way would be
        // out of sequence after a leader's death.
        config.set("max.in.flight.requests.per.connection", "1");
        // Long enough that the records of a flight, which are handed over one by one, go out together: with one append time
        // their report is dense, and none of them is read back.
        config.set("compression.type", "lz4").set("linger.ms", "0.2");
        config.set("queue.buffering.max.kbytes", (2 * limits::KAFKA_QUEUE_BYTES / 1024).to_string());
        config.set("queue.buffering.max.messages", "1000000");
        config
    }

    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        // Nothing is subscribed to or committed; librdkafka wants a name all the same.
        config.set("group.id", "kervan-journal").set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        // Never to somewhere else silently.
        config.set("auto.offset.reset", "error");
        config.set("isolation.level", "read_uncommitted").set("check.crcs", "true");
        config.set("fetch.wait.max.ms", "500").set("fetch.min.bytes", "1");
        config.set("fetch.queue.backoff.ms", "10").set("fetch.error.backoff.ms", "50");
        config.set("queued.max.messages.kbytes", "16384");
        config.set("fetch.message.max.bytes", limits::APPEND_BYTES.to_string());
        config
    }

    /// Of the client that reads what only this node writes to: each broker answers when there is much, or after half a second.
    pub(super) fn calm_consumer(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.set("fetch.min.bytes", limits::APPEND_BYTES.to_string());
        config
    }
}
