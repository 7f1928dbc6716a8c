//! The same contract on a real Redis server and on a real Redis Cluster; and what is left of it while they are dead or paused.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kervan_devcluster::Engine as _;
use kervan_devcluster::ports::Port;
use kervan_devcluster::process::{Process, Starter, bound_to_parent};
use kervan_devcluster::redis::{COUNT, Cluster};
use tokio::time::Instant;
use uuid::Uuid;

use super::acknowledgements::{Acknowledgements, key};
use super::{Redis, RedisError, look};
use crate::config::{RedisUrl, redis_url};
use crate::health::{Health, State};
use crate::ids::{RoomId, Seq, Slot, UserId};
use crate::limits;
use crate::shutdown::Shutdown;
use crate::testing::{found, until};

const PASSWORD: &str = "p@ss,:/word";

/// Longer than anybody ever waits for Redis: to connect, to find that it is none, and to be answered; and half of it for a busy
/// machine.
const BOUND: Duration = Duration::from_millis(3 * limits::REDIS_CONNECT_MS);

/// A server that stands alone and wants a password.
struct Server {
    process: Process,
    port: Port,
    folder: tempfile::TempDir,
    starter: Starter,
}

impl Server {
    fn start() -> Self {
        let (folder, port, starter) = (tempfile::tempdir().unwrap(), Port::free().unwrap(), Starter::new().unwrap());
        let process = Self::process(&starter, folder.path(), port.number());
        Self { process, port, folder, starter }
    }

    fn process(starter: &Starter, folder: &Path, port: u16) -> Process {
        let mut command = bound_to_parent(Path::new("redis-server"));
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string(), "--requirepass", PASSWORD]);
        command.current_dir(folder);
        Process::start(starter, "Redis", command, &folder.join("log")).unwrap()
    }

    fn start_again(&mut self) {
        self.process = Self::process(&self.starter, self.folder.path(), self.port.number());
    }

    fn url(&self) -> RedisUrl {
        redis_url(&format!("redis://:p%40ss%2C%3A%2Fword@127.0.0.1:{}", self.port.number()))
    }
}

/// A client and what it says of its health.
struct Client {
    hints: Acknowledgements,
    redis: Arc<Redis>,
    health: Health,
}

impl Client {
    async fn connect(url: &RedisUrl) -> Result<Self, RedisError> {
        let health = Health::new(Shutdown::new());
        let redis = Arc::new(Redis::connect(url, health.check("redis")).await?);
        let hints = Acknowledgements::new(Arc::clone(&redis), Duration::from_secs(3_600));
        Ok(Self { hints, redis, health })
    }

    /// As soon as the server is up.
    async fn of(url: &RedisUrl) -> Self {
        found("a connection", async || Self::connect(url).await.ok()).await
    }

    async fn acknowledges(&self, users: &[UserId], room: RoomId, seq: u64) {
        users.iter().for_each(|user| self.hints.note(user, room, Seq(seq)));
        self.within_bounds(self.hints.write()).await;
    }

    /// How many of the users are known to have the room up to there.
    async fn knows(&self, users: &[UserId], room: RoomId, seq: u64) -> usize {
        let known = self.within_bounds(self.hints.of(room, users)).await;
        known.values().filter(|known| known.0 == seq).count()
    }

    async fn within_bounds<T>(&self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let done = work.await;
        assert!(begun.elapsed() < BOUND, "somebody waited for Redis: {:?}", begun.elapsed());
        done
    }

    fn is_up(&self) -> bool {
        self.health.report().checks["redis"] == State::Up
    }
}

fn users(count: usize) -> Vec<UserId> {
    (0..count).map(|number| UserId::new(&format!("user{number}")).unwrap()).collect()
}

fn room(number: u128) -> RoomId {
    RoomId(Uuid::from_u128(number))
}

async fn contract(client: &Client) {
    let (all, one) = (users(200), users(1));
    assert_eq!(client.knows(&all, room(1), 7).await, 0, "nothing is known yet");
    client.acknowledges(&all, room(1), 7).await;
    assert_eq!(client.knows(&all, room(1), 7).await, all.len());
    assert_eq!(client.knows(&all, room(2), 7).await, 0, "another room");
    client.acknowledges(&one, room(1), 5).await;
    assert_eq!(client.knows(&one, room(1), 7).await, 1, "a mark never goes back");
    client.acknowledges(&one, room(1), 9).await;
    assert_eq!(client.knows(&one, room(1), 9).await, 1);

    let left: Vec<Option<i64>> = client.redis.ask(vec![vec!["PTTL".to_owned(), key(&one[0])]]).await;
    assert!((3_500_000..=3_600_000).contains(&left[0].unwrap()), "{left:?}");

    let other = UserId::new("\u{1f980}}{x").unwrap();
    let other = std::slice::from_ref(&other);
    for number in 0..limits::ACKNOWLEDGED_ROOMS as u128 {
        client.hints.note(&other[0], room(number), Seq(1));
    }
    client.hints.write().await;
    assert_eq!(client.knows(other, room(3), 1).await, 1);
    client.acknowledges(other, room(1 << 70), 1).await;
    assert_eq!(client.knows(other, room(3), 1).await, 0, "with too many rooms all are forgotten");
    assert!(client.is_up());
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_told_by_a_redis_server_and_missing_while_it_is_dead_or_paused() {
    let mut server = Server::start();
    let client = Client::of(&server.url()).await;
    contract(&client).await;
    let nodes = look(&server.url()).await.unwrap();
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].state.as_ref().unwrap().role, "master");
    let nobody = Client::connect(&redis_url(&format!("redis://127.0.0.1:{}", server.port.number()))).await;
    let error = nobody.err().unwrap().to_string();
    assert!(error.contains("NOAUTH") || error.contains("uthenti"), "{error}");

    let all = users(50);
    server.process.pause().unwrap();
    assert_eq!(client.knows(&all, room(1), 7).await, 0, "a paused one");
    client.acknowledges(&all, room(1), 8).await;
    assert!(!client.is_up());
    server.process.resume().unwrap();
    until("what is told now is known", async || {
        client.acknowledges(&all, room(1), 10).await;
        client.knows(&all, room(1), 10).await == all.len()
    })
    .await;
    assert!(client.is_up());

    server.process.kill().unwrap();
    assert_eq!(client.knows(&all, room(1), 10).await, 0, "a dead one");
    client.acknowledges(&all, room(1), 11).await;
    assert!(!client.is_up());
    server.start_again();
    until("what is told now is known", async || {
        client.acknowledges(&all, room(1), 12).await;
        client.knows(&all, room(1), 12).await == all.len()
    })
    .await;
    assert!(client.is_up());
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_told_by_a_redis_cluster_and_missing_as_far_as_its_nodes_are_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let started = tokio::task::spawn_blocking(move || Cluster::start(&path, None)).await;
    let mut cluster = started.unwrap().unwrap();
    // One is enough to find the others.
    let client = Client::of(&redis_url(&format!("redis://127.0.0.1:{}", cluster.port(1)))).await;
    contract(&client).await;
    let nodes = look(&redis_url(&format!("redis://127.0.0.1:{}", cluster.port(2)))).await.unwrap();
    let roles = nodes.iter().map(|node| node.state.as_ref().unwrap().role.as_str());
    assert_eq!((nodes.len(), roles.filter(|role| *role == "master").count()), (COUNT, 3));

    let all = users(60);
    let is_master = |number: &usize| cluster.ask(*number, &["role"]).unwrap().starts_with("master");
    let paused = (1..=COUNT).find(is_master).unwrap();
    let slots = cluster.ask(paused, &["cluster", "nodes"]).unwrap();
    let own = slots.lines().find(|line| line.contains("myself")).unwrap().split(' ').next_back().unwrap().to_owned();
    let (first, last) = own.split_once('-').unwrap();
    let own = first.parse::<u16>().unwrap()..=last.parse::<u16>().unwrap();
    let there = all.iter().filter(|user| own.contains(&Slot::of(key(user).as_bytes()).get())).count();
    assert!(0 < there && there < all.len(), "{there}");
    cluster.pause(paused).unwrap();
    assert_eq!(client.knows(&all, room(1), 7).await, all.len() - there, "its slots, and no others");
    cluster.resume(paused).unwrap();
    until("all are known again", async || {
        client.acknowledges(&all, room(1), 13).await;
        client.knows(&all, room(1), 13).await == all.len()
    })
    .await;

    (1..=COUNT).for_each(|number| cluster.kill(number).unwrap());
    assert_eq!(client.knows(&all, room(1), 13).await, 0);
    client.acknowledges(&all, room(1), 14).await;
    assert!(!client.is_up());
    (1..=COUNT).for_each(|number| cluster.launch(number).unwrap());
    until("what is told now is known", async || {
        client.acknowledges(&all, room(1), 15).await;
        client.knows(&all, room(1), 15).await == all.len()
    })
    .await;
    assert!(client.is_up());
}
