//! The engine with its journal in Kafka, while brokers die.

use kervan_devcluster::Engine as _;
use kervan_devcluster::kafka::Brokers;

use super::*;
use crate::config::Sources;
use crate::ids::Offset;
use crate::server::worker::{Worker, WorkerKind};
use crate::storage::journal::Journal as _;
use crate::storage::journal::kafka::marks::register;
use crate::storage::journal::kafka::{KafkaJournal, Options as Kafka, topics};
use crate::storage::sql::copy;

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

/// The text of each message of each room.
async fn all_texts(rig: &Rig, rooms: &[RoomId]) -> Vec<Vec<(Seq, String)>> {
    let mut all = Vec::new();
    for room in rooms {
        let partition = room.partition();
        let end = rig.engine.node().applied().get(partition);
        within("all of it is stored", rig.engine.node().stored().reach(partition, end)).await;
        all.push(texts(rig, *room).await);
    }
    all
}

/// A dump is marked, the log is trimmed behind it, the database is lost: the restored dump and the rest of the log are all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/test` runs it in a stage of its own"]
async fn on_kafka_a_marked_dump_and_what_is_left_of_the_log_are_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kafka");
    let brokers = tokio::task::spawn_blocking(move || Brokers::start(&path, None)).await.unwrap().unwrap();
    let postgres = Postgres::start().await;
    let config = |data: &str, database: &Database| {
        let mut config = config(&folder.path().join(data), &brokers);
        config.store.database_url = Some(database.clone());
        config.data.journal_retention = std::time::Duration::from_millis(1);
        config
    };
    let live = postgres.fresh().await;
    let options = Kafka::of(&config("first", &live).journal).unwrap();
    topics::create(&options).await.unwrap();
    let rig = Rig::of(config("first", &live)).await;
    let [too_old, dump] = ["too old", "dump"].map(|name| folder.path().join(name));
    postgres.dump(&live, &too_old);
    let senders = Sender::all(&rig).await;
    each_sends(&senders, 30).await;
    let rooms: Vec<RoomId> = senders.iter().map(|sender| sender.room).collect();
    all_texts(&rig, &rooms).await;
    postgres.dump(&live, &dump);
    each_sends(&senders, 30).await;
    assert_eq!(rig.engine.retention().trim().await.unwrap(), 0, "nothing is marked");

    let copy = copy::look(&postgres.restored(&dump).await, false).await.unwrap();
    let (at, id) = (options.clone(), Env::system().ids.next());
    let mark = tokio::task::spawn_blocking(move || register(&at, &copy, id, "dump")).await.unwrap().unwrap();
    assert!(rig.engine.retention().trim().await.unwrap() > 0);
    assert_eq!(rig.engine.retention().last_backup(), Some(mark.marked_at));
    for room in &rooms {
        let (start, marked) =
            (rig.engine.node().journal().bounds(room.partition()).start, mark.watermarks[room.partition().index()]);
        assert!(start > Offset::ZERO && start < marked, "{start} and {marked}");
    }
    each_sends(&senders, 30).await;
    stop_and_compare(&rig, senders).await;
    let before = all_texts(&rig, &rooms).await;
    rig.end().await;

    let refused = async |config: Config| {
        let deps = Deps {
            config: Arc::new(config),
            env: Env::system(),
            health: Health::new(Shutdown::new()),
            metrics: Arc::new(Metrics::new()),
            shutdown: Shutdown::new(),
        };
        within("it answers", Engine::start(deps)).await.err().expect("it is refused").to_string()
    };
    for (data, dump) in [("empty", None), ("old", Some(&too_old))] {
        let database = match dump {
            None => postgres.fresh().await,
            Some(dump) => postgres.restored(dump).await,
        };
        let refused = refused(config(data, &database)).await;
        assert!(refused.contains("trimmed beyond this store") && refused.contains("marks ls"), "{data}: {refused}");
    }
    // Another topic that reaches as far, beside the same control topic.
    let mut other = config("other", &postgres.restored(&dump).await);
    other.journal.kafka_topic = "another.journal".to_owned();
    let at = Kafka::of(&other.journal).unwrap();
    topics::create(&at).await.unwrap();
    let journal = tokio::task::spawn_blocking(move || KafkaJournal::open(at, Env::system())).await.unwrap().unwrap();
    for (partition, records) in Partition::all().zip(&mark.watermarks).filter(|(_, records)| **records > Offset::ZERO) {
        let batch = vec![bytes::Bytes::from_static(b"another"); records.0 as usize];
        within("it is written", journal.append(partition, batch)).await.unwrap();
    }
    let mut loaded = crate::config::load(&Sources::default()).unwrap();
    loaded.config = other.clone();
    (loaded.config.server.port, loaded.config.server.admin_port) = (0, None);
    let worker = Worker::bind(&loaded, Env::system()).await.unwrap();
    let worker = within("it answers", worker.start(WorkerKind::Persistence)).await.err().expect("it is refused");
    for said in [refused(other).await, worker.to_string()] {
        assert!(said.contains("the log is not the one that the rows were made from: record "), "{said}");
    }

    let rig = Rig::of(config("restored", &postgres.restored(&dump).await)).await;
    assert_eq!(all_texts(&rig, &rooms).await, before, "by the rest of the log alone");
    for (n, (room, before)) in rooms.iter().zip(&before).enumerate() {
        let user = UserId::new(&format!("sender{n}")).unwrap();
        let message = json!({ "room": room.to_string(), "body": "and on" });
        let sent = within("an answer", call(&rig.handlers, &user, "message.send", &message)).await.unwrap();
        assert_eq!(sent["seq"].as_u64(), before.last().map(|(seq, _)| seq.0 + 1), "the same seqs go on");
    }
    rig.end().await;
}
