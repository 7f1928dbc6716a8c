//! The engine on a PostgreSQL that dies, and on one that falls back to an older backup: what was acknowledged stays, rooms
//! that are in memory go on meanwhile, and the rows come to be what a fold of the whole journal makes of it.

mod account;
mod apart;
mod kafka;
mod other_log;
mod rate;
mod replica;
mod report;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Deps, Engine};
use crate::api::operations::admission::Rates;
use crate::api::operations::{Caller, Error, Handlers, Options};
use crate::config::{Config, Database};
use crate::env::Env;
use crate::health::{Health, State};
use crate::ids::{Partition, RoomId, Seq, UserId};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::sql::support::Postgres;
use crate::storage::store::SeqRange;
use crate::testing::{until, within};

/// Rooms, each with one who sends into it.
const ROOMS: usize = 6;

/// The engine on one database.
struct Rig {
    engine: Engine,
    handlers: Arc<Handlers>,
    health: Health,
    /// A send may be refused, or have an unknown outcome, and is sent again.
    journal_may_stall: bool,
}

impl Rig {
    async fn start(data: &Path, database: &Database) -> Self {
        Self::with(data, |config| config.store.database_url = Some(database.clone())).await
    }

    async fn with(data: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        config.data.dir = data.to_owned();
        change(&mut config);
        Self::of(config).await
    }

    async fn of(config: Config) -> Self {
        let journal_may_stall = config.journal.kafka_brokers.is_some();
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        let deps = Deps {
            config: Arc::new(config),
            env: Env::system(),
            health: health.clone(),
            metrics: Arc::new(Metrics::new()),
            shutdown,
        };
        let engine = within("the engine starts", Engine::start(deps)).await.unwrap();
        let options = Options { rates: Rates::unbounded(), ..Options::default() };
        let handlers = Arc::new(Handlers::new(Arc::clone(engine.node()), options, Arc::new(|_| true)));
        Self { engine, handlers, health, journal_may_stall }
    }

    /// Ends when all that was taken is stored. What halts is waited for by nobody: there must be none.
    async fn end(self) {
        let halted = self.engine.node().halted();
        assert_eq!(Partition::all().filter_map(|partition| halted.reason(partition)).collect::<Vec<_>>(), [""; 0]);
        drop(self.handlers);
        within("it drains", self.engine.drain()).await.unwrap();
    }

    fn store_is_down(&self) -> bool {
        matches!(self.health.report().checks["store"], State::Down(_))
    }
}

async fn call(handlers: &Handlers, user: &UserId, method: &str, data: &Value) -> Result<Value, Error> {
    let reply = handlers.call(&Caller::new(user.clone()), method, data.to_string().as_bytes()).await?;
    Ok(serde_json::from_slice(&reply).unwrap())
}

/// A new group of this user's.
async fn group_of(rig: &Rig, user: &UserId) -> RoomId {
    let made = call(&rig.handlers, user, "room.create", &json!({ "kind": "group", "title": "a" })).await.unwrap();
    made["room"].as_str().unwrap().parse().map(RoomId).unwrap()
}

/// What a sender was told: the seq, the id and the text of each message.
type Said = Vec<(Seq, String, String)>;

/// Somebody who sends into a room of his own, one message after the other, until he is told to stop.
struct Sender {
    user: UserId,
    room: RoomId,
    acknowledged: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    task: JoinHandle<Said>,
}

impl Sender {
    async fn start(rig: &Rig, n: usize) -> Self {
        let user = UserId::new(&format!("sender{n}")).unwrap();
        let room = group_of(rig, &user).await;
        let (acknowledged, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, told, handlers, sender) =
            (Arc::clone(&acknowledged), Arc::clone(&stop), Arc::clone(&rig.handlers), user.clone());
        let (may_stall, ids) = (rig.journal_may_stall, Env::system().ids);
        let task = tokio::spawn(async move {
            let mut said = Said::new();
            while !told.load(Ordering::Relaxed) {
                let text = format!("{n}: {}", said.len());
                let message = json!({ "room": room.to_string(), "client_id": ids.next().to_string(), "body": text });
                let sent = loop {
                    match call(&handlers, &sender, "message.send", &message).await {
                        Ok(sent) => break sent,
                        // Pauses: a client that is told to try again does so a little later.
                        Err(_) if may_stall => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                        // Whatever happens to the database, a warm room refuses nothing.
                        Err(error) => panic!("{error:?}"),
                    }
                };
                said.push((Seq(sent["seq"].as_u64().unwrap()), sent["id"].as_str().unwrap().to_owned(), text));
                counted.fetch_add(1, Ordering::Relaxed);
            }
            said
        });
        Self { user, room, acknowledged, stop, task }
    }

    async fn all(rig: &Rig) -> Vec<Self> {
        let mut senders = Vec::new();
        for n in 0..ROOMS {
            senders.push(Self::start(rig, n).await);
        }
        senders
    }

    async fn stop(self) -> (RoomId, Said) {
        self.stop.store(true, Ordering::Relaxed);
        (self.room, within("the last send is answered", self.task).await.unwrap())
    }
}

/// Waits until each of them was told of so many more.
async fn each_sends(senders: &[Sender], more: usize) {
    let before: Vec<usize> = senders.iter().map(|sender| sender.acknowledged.load(Ordering::Relaxed)).collect();
    let counts = || senders.iter().map(|sender| sender.acknowledged.load(Ordering::Relaxed)).zip(&before);
    until("each sends on", async || counts().all(|(now, before)| now >= before + more)).await;
}

/// Stops them; each message that was acknowledged stands in the rows, where its sender was told, once, with nothing between.
async fn stop_and_compare(rig: &Rig, senders: Vec<Sender>) {
    for sender in senders {
        let (room, said) = sender.stop().await;
        let end = rig.engine.node().applied().get(room.partition());
        within("all of it is stored", rig.engine.node().stored().reach(room.partition(), end)).await;
        let rows = rig.engine.node().store().messages(room, SeqRange::all(), said.len() + 1).await.unwrap();
        let rows: Said = rows.into_iter().map(|row| (row.seq, row.id.to_string(), row.message.body)).collect();
        assert!(rows == said, "room {room}: {} rows, {} acknowledged", rows.len(), said.len());
    }
}

/// The rows of `database` are those that the journal in `data` makes in an empty one.
async fn rows_are_what_the_journal_says(postgres: &Postgres, database: &Database, data: &Path) {
    let anew = postgres.fresh().await;
    Rig::start(data, &anew).await.end().await;
    let (rows, expected) = (postgres.rows(database).await, postgres.rows(&anew).await);
    assert!(expected["messages"].len() > ROOMS && expected["room_events"].len() > expected["messages"].len());
    for (table, expected) in expected {
        assert!(rows[&table] == expected, "{table}: {} rows, {} of the journal", rows[&table].len(), expected.len());
    }
}

/// Kills the database for so long as each sender takes for `sends`, and for at least `seconds`.
async fn dies_and_comes_back(sends: usize, seconds: u64) {
    let (folder, mut postgres) = (tempfile::tempdir().unwrap(), Postgres::start().await);
    let database = postgres.fresh().await;
    let rig = Rig::start(folder.path(), &database).await;
    let senders = Sender::all(&rig).await;
    each_sends(&senders, 50).await;

    postgres.kill();
    let down = tokio::time::Instant::now();
    until("the store is said to be down", async || rig.store_is_down()).await;
    each_sends(&senders, sends).await;
    // Pauses: how long it stays away is what is tested.
    tokio::time::sleep_until(down + std::time::Duration::from_secs(seconds)).await;
    // Memory tells what the rows can't.
    let page = json!({ "room": senders[0].room.to_string(), "limit": 5 });
    let page = within("a page", call(&rig.handlers, &senders[0].user, "message.history", &page)).await.unwrap();
    assert_eq!(page["messages"].as_array().unwrap().len(), 5, "{page}");
    each_sends(&senders, 5).await;

    postgres.start_again();
    until("the store is said to be up", async || !rig.store_is_down()).await;
    each_sends(&senders, 50).await;
    stop_and_compare(&rig, senders).await;
    rig.end().await;
    rows_are_what_the_journal_says(&postgres, &database, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgresql_is_dead_rooms_go_on_and_then_its_rows_are_what_was_acknowledged() {
    dies_and_comes_back(200, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a minute and more: `cargo test -- --ignored for_a_minute`"]
async fn while_postgresql_is_dead_for_a_minute_rooms_go_on() {
    dies_and_comes_back(1_000, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_from_an_older_backup_comes_to_be_what_it_was_by_replay_alone() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start().await);
    let (database, data, dump) = (postgres.fresh().await, folder.path().join("data"), folder.path().join("dump"));
    let rig = Rig::start(&data, &database).await;
    let senders = Sender::all(&rig).await;
    each_sends(&senders, 50).await;
    // Sends go on while it is taken: it is of one moment, whichever.
    let dumped = tokio::task::spawn_blocking({
        let (database, dump) = (database.clone(), dump.clone());
        move || {
            postgres.dump(&database, &dump);
            postgres
        }
    });
    let postgres = within("the dump", dumped).await.unwrap();
    each_sends(&senders, 50).await;
    stop_and_compare(&rig, senders).await;
    rig.end().await;

    let restored = postgres.restored(&dump).await;
    let before = postgres.rows(&restored).await["messages"].len();
    assert!(before < postgres.rows(&database).await["messages"].len(), "the backup is older");
    Rig::start(&data, &restored).await.end().await;
    let (was, is) = (postgres.rows(&database).await, postgres.rows(&restored).await);
    for (table, was) in was {
        assert!(is[&table] == was, "{table}: {} rows, there were {}", is[&table].len(), was.len());
    }
    rows_are_what_the_journal_says(&postgres, &restored, &data).await;
}
