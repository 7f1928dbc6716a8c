//! A node that leaves rows to workers, on real brokers and a real PostgreSQL: workers die, hang and come back.

use kervan_devcluster::kafka::Brokers;

use super::*;
use crate::config::{Loaded, Role, Sources};
use crate::server::worker::{RunningWorker, Worker, WorkerKind};
use crate::storage::journal::kafka::{Options as Kafka, topics};

/// A worker of a configuration, with ports of its own.
async fn worker(config: &Config) -> RunningWorker {
    let mut loaded: Loaded = crate::config::load(&Sources::default()).unwrap();
    loaded.config = config.clone();
    (loaded.config.server.port, loaded.config.server.admin_port) = (0, None);
    let worker = Worker::bind(&loaded, Env::system()).await.unwrap();
    within("a worker starts", worker.start(WorkerKind::Persistence)).await.unwrap()
}

/// Whatever becomes of workers: sends are answered, and the rows come to be what was acknowledged, and what another database
/// is made of from the brokers alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/kafka` runs it"]
async fn on_kafka_rows_of_workers_are_what_was_acknowledged_whatever_becomes_of_them() {
    let (folder, mut postgres) = (tempfile::tempdir().unwrap(), Postgres::start().await);
    let path = folder.path().join("kafka");
    let brokers = tokio::task::spawn_blocking(move || Brokers::start(&path, None)).await.unwrap().unwrap();
    let (database, anew) = (postgres.fresh().await, postgres.fresh().await);
    let config = |data: &str, database: &Database| {
        let mut config = Config::default();
        config.data.dir = folder.path().join(data);
        std::fs::create_dir_all(&config.data.dir).unwrap();
        config.journal.kafka_brokers = Some(brokers.addresses());
        config.store.database_url = Some(database.clone());
        config
    };
    let mut api = config("api", &database);
    api.server.role = Role::Api;
    topics::create(&Kafka::of(&api.journal).unwrap()).await.unwrap();
    let one = worker(&api).await;
    let rig = Rig::of(api.clone()).await;
    let senders = Sender::all(&rig).await;
    each_sends(&senders, 30).await;

    // A second one beside it, then in its place; then none for a while, and the database away.
    let two = worker(&api).await;
    each_sends(&senders, 30).await;
    within("it stops", one.stop()).await.unwrap();
    each_sends(&senders, 30).await;
    within("it stops", two.stop()).await.unwrap();
    each_sends(&senders, 30).await;
    postgres.kill();
    each_sends(&senders, 30).await;
    postgres.start_again();
    let three = worker(&api).await;
    each_sends(&senders, 30).await;
    let figures = senders.iter().map(|sender| sender.acknowledged.load(Ordering::Relaxed)).sum::<usize>();
    println!("{figures} messages were acknowledged");
    for sender in senders {
        let (room, said) = sender.stop().await;
        let rows = async || {
            let rows = rig.engine.node().store().messages(room, SeqRange::all(), said.len() + 1).await.unwrap();
            rows.into_iter().map(|row| (row.seq, row.id.to_string(), row.message.body)).collect::<Said>()
        };
        until("all of it is stored", async || rows().await.len() == said.len()).await;
        assert!(rows().await == said, "room {room}");
    }
    let unstored = async || Partition::all().all(|partition| rig.engine.node().unstored(partition) == 0);
    until("the node hears that nothing is left", unstored).await;
    within("it drains, without a wait for rows of barriers", rig.end()).await;
    within("it stops", three.stop()).await.unwrap();

    let rig = Rig::of(config("anew", &anew)).await;
    rig.end().await;
    let (rows, expected) = (postgres.rows(&database).await, postgres.rows(&anew).await);
    // The barriers at the end are not stored by a worker, and what follows from when something was written differs.
    for table in ["messages", "room_events", "members", "user_rooms", "read_marks"] {
        assert!(rows[table] == expected[table], "{table}: {} rows, {} anew", rows[table].len(), expected[table].len());
        println!("{table}: {} rows", rows[table].len());
    }
}
