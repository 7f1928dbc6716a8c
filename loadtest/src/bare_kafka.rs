//! What bare producers of librdkafka reach on the same brokers: one record at a time for each sender, told when it is durable. They are
//! as safe as the engine's journal, and set for the same latency.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kervan::storage::journal::kafka::{Options, topics};
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::measure::{Run, measure};

const PARTITIONS: usize = 256;
const TOPIC: &str = "kervan.loadtest";

/// Tells who waits for a record.
struct Reports;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<oneshot::Sender<bool>>;

    fn delivery(&self, result: &DeliveryResult<'_>, told: Self::DeliveryOpaque) {
        // A sender that has gone needs no answer.
        let _ = told.send(result.is_ok());
    }
}

/// A partition always has the same one. 4 unless `BARE_PRODUCERS` says otherwise.
fn producers() -> usize {
    let said = std::env::var("BARE_PRODUCERS").ok();
    said.and_then(|count| count.parse().ok()).unwrap_or(4).max(1)
}

/// See the module.
pub(crate) struct BareProducers(Vec<ThreadedProducer<Reports>>);

impl BareProducers {
    /// Producers into a topic of their own.
    ///
    /// # Errors
    /// The brokers do not answer, or refuse.
    pub(crate) async fn start(brokers: &str) -> Result<Self> {
        let options =
            Options { brokers: brokers.to_owned(), topic: TOPIC.to_owned(), control_topic: format!("{TOPIC}.control") };
        topics::create(&options).await?;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("enable.idempotence", "true").set("acks", "all");
        config.set("message.timeout.ms", "0").set("max.in.flight.requests.per.connection", "1");
        config.set("compression.type", "lz4").set("linger.ms", "0.2");
        let producers = (0..producers()).map(|_| ThreadedProducer::from_config_and_context(&config, Reports));
        Ok(Self(producers.collect::<Result<_, _>>()?))
    }

    async fn append(&self, partition: usize, record: &[u8]) -> Result<()> {
        let (told, report) = oneshot::channel();
        let message = BaseRecord::<(), [u8], _>::with_opaque_to(TOPIC, Box::new(told));
        let message = message.partition(i32::try_from(partition)?).payload(record);
        self.0[partition % self.0.len()].send(message).map_err(|(error, _)| anyhow!(error))?;
        report.await?.then_some(()).context("a record was not taken")
    }

    /// So many senders, one record in flight each, in as many partitions as there are rooms.
    ///
    /// # Errors
    /// A record was not taken.
    pub(crate) async fn appends(self: &Arc<Self>, senders: usize, rooms: usize, duration: Duration) -> Result<Run> {
        measure(senders, duration, |n| {
            let (bare, partition) = (Arc::clone(self), (n % rooms) * 37 % PARTITIONS);
            move || {
                let bare = Arc::clone(&bare);
                async move { bare.append(partition, &[7u8; 300]).await }
            }
        })
        .await
    }
}
