//! A node that leaves rows and relay to workers, on real brokers and a real PostgreSQL: workers die, hang and come back.

mod invitations;
mod realtime;

use kervan_devcluster::kafka::Brokers;

use super::*;
use crate::config::{Loaded, Role, Sources};
use crate::limits;
use crate::server::worker::{RunningWorker, Worker, WorkerKind};
use crate::storage::journal::kafka::{Options as Kafka, topics};
use crate::storage::store::rows::OutboxPlace;

/// Brokers with their topics, a database, and the configuration of a node on them that leaves all it can to workers.
struct Engines {
    folder: tempfile::TempDir,
    postgres: Postgres,
    brokers: Brokers,
}

impl Engines {
    async fn start() -> Self {
        let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start().await);
        let path = folder.path().join("kafka");
        let brokers = tokio::task::spawn_blocking(move || Brokers::start(&path, None)).await.unwrap().unwrap();
        let engines = Self { folder, postgres, brokers };
        let mut config = Config::default();
        config.journal.kafka_brokers = Some(engines.brokers.addresses());
        topics::create(&Kafka::of(&config.journal).unwrap()).await.unwrap();
        engines
    }

    /// Of a node with the folder `data`, which does all itself.
    fn config(&self, data: &str, database: &Database) -> Config {
        let mut config = Config::default();
        config.data.dir = self.folder.path().join(data);
        std::fs::create_dir_all(&config.data.dir).unwrap();
        config.journal.kafka_brokers = Some(self.brokers.addresses());
        config.store.database_url = Some(database.clone());
        config
    }
}

/// Starts the node that leaves what it can to workers, and all that one of them needs.
fn api(config: Config) -> Config {
    Config { server: crate::config::Server { role: Role::Api, ..config.server.clone() }, ..config }
}

/// A persistence worker of a configuration, with ports of its own.
async fn worker(config: &Config) -> RunningWorker {
    worker_of(config, WorkerKind::Persistence).await
}

async fn worker_of(config: &Config, kind: WorkerKind) -> RunningWorker {
    let mut loaded: Loaded = crate::config::load(&Sources::default()).unwrap();
    loaded.config = config.clone();
    (loaded.config.server.port, loaded.config.server.admin_port) = (0, None);
    let worker = Worker::bind(&loaded, Env::system()).await.unwrap();
    within("a worker starts", worker.start(kind)).await.unwrap()
}

/// Waits until the outbox is empty and all that means something is stored.
async fn until_told(rig: &Rig) {
    let node = rig.engine.node();
    until("all is told and stored", async || {
        let outbox = node.store().relay_next(OutboxPlace::first_of(Partition::FIRST), 1).await;
        outbox.is_ok_and(|rows| rows.is_empty()) && Partition::all().all(|partition| node.unstored(partition) == 0)
    })
    .await;
}

/// Whatever becomes of workers: sends are answered, and the rows come to be what was acknowledged, and what another database
/// is made of from the brokers alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/kafka` runs it"]
async fn on_kafka_rows_of_workers_are_what_was_acknowledged_whatever_becomes_of_them() {
    let mut engines = Engines::start().await;
    let (database, anew) = (engines.postgres.fresh().await, engines.postgres.fresh().await);
    let api = api(engines.config("api", &database));
    let (one, tells) = (worker(&api).await, worker_of(&api, WorkerKind::Realtime).await);
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
    engines.postgres.kill();
    each_sends(&senders, 30).await;
    engines.postgres.start_again();
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
    until_told(&rig).await;
    within("it drains, without a wait for rows of barriers", rig.end()).await;
    for worker in [tells, three] {
        within("it stops", worker.stop()).await.unwrap();
    }

    let rig = Rig::of(engines.config("anew", &anew)).await;
    rig.end().await;
    let (rows, expected) = (engines.postgres.rows(&database).await, engines.postgres.rows(&anew).await);
    // The barriers at the end are not stored by a worker, and what follows from when something was written differs.
    for table in ["messages", "room_events", "members", "user_rooms", "read_marks"] {
        assert!(rows[table] == expected[table], "{table}: {} rows, {} anew", rows[table].len(), expected[table].len());
        println!("{table}: {} rows", rows[table].len());
    }
}
