//! Realtime workers that are killed while others go on.

use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::*;

/// Members of a large room: more than fit into a page of a fan-out.
const CROWD: usize = limits::RELAY_MEMBERS + 100;

/// A worker that can be killed: whatever it does ends where it stands.
struct Killable(oneshot::Sender<()>);

impl Killable {
    async fn start(config: &Config, name: &str) -> Self {
        let mut config = config.clone();
        config.server.name = Some(name.to_owned());
        let (runs, running) = oneshot::channel();
        let (kill, killed) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let _worker = worker_of(&config, WorkerKind::Realtime).await;
                // Nobody waits any more if the test has failed.
                _ = runs.send(());
                _ = killed.await;
            });
            runtime.shutdown_background();
        });
        within("a worker starts", running).await.unwrap();
        Self(kill)
    }

    fn kill(self) {
        self.0.send(()).unwrap();
    }
}

fn guest(n: usize) -> UserId {
    UserId::new(&format!("guest{n}")).unwrap()
}

/// A call that is made until it is taken.
async fn insist(handlers: &Handlers, user: &UserId, method: &str, data: &Value) -> Value {
    loop {
        match call(handlers, user, method, data).await {
            Ok(reply) => return reply,
            // Pauses: a client that is told to try again does so a little later.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

/// A room of everybody; every second one ends. Each of its members is told both.
async fn crowd(rig: &Rig, n: usize) {
    let host = UserId::new(&format!("host{n}")).unwrap();
    let members: Vec<_> = (0..CROWD).map(|n| guest(n).to_string()).collect();
    let made = json!({ "kind": "group", "title": "a", "client_id": format!("crowd{n}"), "members": members });
    let room = insist(&rig.handlers, &host, "room.create", &made).await["room"].clone();
    if n.is_multiple_of(2) {
        insist(&rig.handlers, &host, "room.end", &json!({ "room": room })).await;
    }
}

/// Whoever is killed, and however many tell the same: each user has each room in his list as it is, as a database says that is made anew from
/// the brokers alone, where everything is told once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts brokers: `scripts/kafka` runs it"]
async fn on_kafka_everybody_is_told_once_whatever_becomes_of_realtime_workers() {
    let engines = Engines::start().await;
    let (database, anew) = (engines.postgres.fresh().await, engines.postgres.fresh().await);
    let api = api(engines.config("api", &database));
    let (rig, rows) = (Rig::of(api.clone()).await, worker(&api).await);
    let mut realtime = vec![Killable::start(&api, "one").await, Killable::start(&api, "two").await];
    for n in 0..6 {
        crowd(&rig, n).await;
        for k in 0..20 {
            let (host, other) = (guest(k), guest(100 + 7 * k + n));
            insist(&rig.handlers, &host, "room.create", &json!({ "kind": "direct", "user": other.to_string() })).await;
        }
        // While what was said is under way, one of them dies, and another one comes; once both.
        realtime.remove(0).kill();
        if n == 3 {
            realtime.remove(0).kill();
            realtime.push(Killable::start(&api, "three").await);
        }
        realtime.push(Killable::start(&api, &format!("later{n}")).await);
    }
    until_told(&rig).await;
    for worker in realtime {
        worker.kill();
    }
    rig.end().await;
    within("it stops", rows.stop()).await.unwrap();

    let rig = Rig::of(engines.config("anew", &anew)).await;
    until_told(&rig).await;
    rig.end().await;
    let (rows, expected) = (engines.postgres.rows(&database).await, engines.postgres.rows(&anew).await);
    assert!(expected["user_rooms"].len() > 3 * CROWD);
    for table in ["room_events", "members", "user_rooms", "user_events"] {
        println!("{table}: {} rows", rows[table].len());
        assert!(rows[table] == expected[table], "{table}: {} rows, {} anew", rows[table].len(), expected[table].len());
    }
}
