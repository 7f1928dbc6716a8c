//! Which broker leads which room's partition, and whether all copies are there, as the brokers themselves say.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::rooms::Room;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Slots of one partition.
const SLOTS: u16 = 64;
const TOPIC: &str = "kervan.journal";

/// Asks the brokers.
pub(crate) struct Leaders {
    client: BaseConsumer,
}

impl Leaders {
    pub(crate) fn of(brokers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("reconnect.backoff.max.ms", "300").set("log_level", "0");
        Self { client: config.create().unwrap() }
    }

    /// Whether all three brokers have all that there is.
    pub(crate) fn is_whole(&self) -> bool {
        let Ok(metadata) = self.client.fetch_metadata(Some(TOPIC), PATIENCE) else { return false };
        let partitions = metadata.topics()[0].partitions();
        !partitions.is_empty() && partitions.iter().all(|partition| partition.isr().len() == 3)
    }

    /// The number of the broker that leads a room's partition, if it is known now.
    pub(crate) fn of_room(&self, room: &Room) -> Option<usize> {
        let id = room.room.as_ref()?;
        let partition = i32::from((crc16(id.as_bytes()) & 16_383) / SLOTS);
        let metadata = self.client.fetch_metadata(Some(TOPIC), PATIENCE).ok()?;
        let found = metadata.topics()[0].partitions().iter().find(|found| found.id() == partition)?;
        usize::try_from(found.leader()).ok()
    }
}

/// CRC16/XMODEM, as Redis Cluster makes hash slots of keys.
fn crc16(key: &[u8]) -> u16 {
    let shifted = |crc: u16| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
    key.iter().fold(0, |crc, byte| (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| shifted(crc)))
}

#[test]
fn slots_are_those_of_redis_cluster() {
    assert_eq!(crc16(b"123456789"), 0x31c3);
}
