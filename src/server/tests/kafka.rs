//! The engine with its journal in Kafka, while brokers die.

use kervan_devcluster::Engine as _;
use kervan_devcluster::kafka::Brokers;

use super::*;
use crate::storage::journal::kafka::{Options as Kafka, topics};

fn config(data: &Path, brokers: &Brokers) -> Config {
    std::fs::create_dir_all(data).unwrap();
    let mut config = Config::default();
    config.data.dir = data.to_owned();
    config.journal.kafka_brokers = Some(brokers.addresses());
    config
}

/// The text of each message of a room, by its seq.
async fn texts(rig: &Rig, room: RoomId) -> Vec<(Seq, String)> {
    let rows = rig.engine.node().store().messages(room, SeqRange::all(), usize::MAX >> 1).await.unwrap();
    rows.into_iter().map(|row| (row.seq, row.message.body)).collect()
}

/// Whatever brokers do: a send that is repeated until it is acknowledged is in its room once and in its order, and so says a
/// database that is made anew from the brokers alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/test` runs it in a stage of its own"]
async fn on_kafka_what_was_acknowledged_stays_while_brokers_die() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kafka");
    let mut brokers = tokio::task::spawn_blocking(move || Brokers::start(&path, None)).await.unwrap().unwrap();
    let config = |data: &str| config(&folder.path().join(data), &brokers);
    let (first, anew) = (config("first"), config("anew"));
    topics::create(&Kafka::of(&first.journal).unwrap()).await.unwrap();
    let rig = Rig::of(first).await;
    let senders = Sender::all(&rig).await;
    each_sends(&senders, 30).await;

    brokers.kill(1).unwrap();
    each_sends(&senders, 30).await;
    tokio::task::block_in_place(|| brokers.start_again(1)).unwrap();
    each_sends(&senders, 30).await;
    for broker in [2, 3] {
        brokers.kill(broker).unwrap();
    }
    // Pauses: longer than a flight may be without a report.
    tokio::time::sleep(std::time::Duration::from_secs(7)).await;
    tokio::task::block_in_place(|| {
        [2, 3].into_iter().for_each(|broker| brokers.launch(broker).unwrap());
        [2, 3].into_iter().for_each(|broker| brokers.until_started(broker).unwrap());
    });
    each_sends(&senders, 30).await;

    let rooms: Vec<RoomId> = senders.iter().map(|sender| sender.room).collect();
    stop_and_compare(&rig, senders).await;
    let mut before = Vec::new();
    for room in &rooms {
        before.push(texts(&rig, *room).await);
    }
    rig.end().await;
    let rig = Rig::of(anew).await;
    for (room, before) in rooms.into_iter().zip(before) {
        let end = rig.engine.node().applied().get(room.partition());
        within("all of it is stored", rig.engine.node().stored().reach(room.partition(), end)).await;
        assert_eq!(texts(&rig, room).await, before, "a database from the brokers alone");
    }
    rig.end().await;
}
