//! One slow reader in a room of a hundred: the others do not notice, its memory is bounded, it is closed with 3008, comes
//! back and recovers without a gap.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::support::{Client, Pace, Paced, Rig, user};
use crate::api::protocol::codes::Disconnect;
use crate::env::Env;
use crate::ids::RoomId;
use crate::testing::until;

/// Those who read as fast as they can. The slow one is the hundredth.
const OTHERS: usize = 99;
/// Between two messages: with their envelopes some 110 KB/s for each reader.
const PAUSE: Duration = Duration::from_millis(20);
const BODY: usize = 2_000;
/// How long it is measured without the slow one.
const ALONE: Duration = Duration::from_secs(3);
const OUTBOX: usize = 64 * 1024;
/// How many messages the slow one misses while it is away.
const MEANWHILE: usize = 20;
/// A run with more noise of the machine than it bears says nothing; one that waits for the slow one fails each time.
const ATTEMPTS: usize = 3;

/// What all of the others saw: how long each message took to each of them.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<Duration>>>);

impl Seen {
    /// p50 and p99 of what was seen since the call before.
    fn take(&self) -> (Duration, Duration) {
        let mut all = std::mem::take(&mut *self.0.lock().unwrap());
        all.sort_unstable();
        (all[all.len() / 2], all[all.len() * 99 / 100])
    }
}

/// The number behind `name` in a message.
fn number(message: &str, name: &str) -> Option<u64> {
    let rest = &message[message.find(name)? + name.len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// Reads until the message "end"; each one in its turn, without a gap. Gives the last offset.
async fn listen(mut client: Client, channel: String, epoch: Instant, seen: Seen) -> u64 {
    let mut last = 1;
    while let Some(frame) = client.socket.next().await {
        let Message::Text(text) = frame.unwrap() else { panic!("no text") };
        for line in text.lines().filter(|line| line.contains(&channel) && line.contains("\"message\"")) {
            let offset = number(line, "\"offset\":").expect("a publication");
            assert_eq!(offset, last + 1, "each once, in order");
            last = offset;
            let Some(sent) = number(line, "\"body\":\"") else { return last };
            let took = epoch.elapsed().saturating_sub(Duration::from_micros(sent));
            seen.0.lock().unwrap().push(took);
        }
    }
    panic!("closed after {last}");
}

/// A room, its publisher, and those who read.
struct Crowd {
    rig: Rig,
    room: RoomId,
    ann: Client,
    epoch: Instant,
    sent: u64,
    seen: Seen,
    others: Vec<JoinHandle<u64>>,
}

impl Crowd {
    async fn gather() -> Self {
        let rig = Rig::with(Env::system(), |config| {
            config.limits.outbox.0 = OUTBOX;
            config.limits.slow_grace = Duration::from_secs(1);
            config.server.ping_interval = Duration::from_secs(600);
        })
        .await;
        let names: Vec<String> = (0..OTHERS).map(|n| format!("reader{n}")).collect();
        let members: Vec<&str> = ["ann", "slow"].into_iter().chain(names.iter().map(String::as_str)).collect();
        let room = rig.room(&members).await;
        let (epoch, seen) = (Instant::now(), Seen::default());
        let mut others = Vec::new();
        for name in &names {
            let mut client = rig.client(name).await;
            client.ask(json!({ "subscribe": { "channel": room.channel() } })).await;
            others.push(tokio::spawn(listen(client, room.channel(), epoch, seen.clone())));
        }
        let ann = rig.client("ann").await;
        Self { rig, room, ann, epoch, sent: 0, seen, others }
    }

    async fn publish(&mut self, body: String) {
        self.sent += 1;
        self.ann.send(json!({ "publish": { "channel": self.room.channel(), "data": body } })).await;
    }

    /// Publishes steadily as long as it is wanted; then p50 and p99 of the others, once all have everything.
    async fn publish_while(&mut self, mut wanted: impl FnMut(&Self) -> bool) -> (Duration, Duration) {
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let before = self.sent;
        while wanted(self) {
            ticks.tick().await;
            let now = self.epoch.elapsed().as_micros();
            self.publish(format!("{now} {}", "x".repeat(BODY))).await;
        }
        let all = (self.sent - before) as usize * OTHERS;
        until("everybody has everything", async || self.seen.0.lock().unwrap().len() >= all).await;
        self.seen.take()
    }
}

/// Keeps the most that the slow one's outbox held.
async fn watch(rig_hub: Arc<crate::actors::gateway::hub::Hub>, most: Arc<AtomicUsize>) {
    while let Some(connection) = rig_hub.sessions().of(&user("slow")).first() {
        most.fetch_max(connection.outbox.bytes(), Ordering::Relaxed);
        // Pauses: samples a figure while others work.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// One run. Gives the others' p50 and p99 without and with the slow one.
async fn run() -> [(Duration, Duration); 2] {
    let mut crowd = Crowd::gather().await;
    // Pauses: the length of a measurement.
    let end = Instant::now() + ALONE;
    let alone = crowd.publish_while(|_| Instant::now() < end).await;

    let pace = Pace::default();
    let line = Paced::connect(&crowd.rig, pace.clone()).await;
    let mut slow = crowd.rig.over(line).await.connected(&crowd.rig, "slow").await;
    let channel = crowd.room.channel();
    let reply = slow.ask(json!({ "subscribe": { "channel": channel } })).await;
    let from = reply["subscribe"]["offset"].as_u64().unwrap();
    assert_eq!(from, 1 + crowd.sent);
    let most = Arc::new(AtomicUsize::new(0));
    let watched = tokio::spawn(watch(crowd.rig.hub.clone(), most.clone()));
    let reading = tokio::spawn(async move { (slow.closed().await, slow) });
    // Pauses: the length of a measurement.
    let end = Instant::now() + Duration::from_secs(40);
    let beside = crowd
        .publish_while(|crowd| {
            assert!(Instant::now() < end, "the slow one is never closed");
            crowd.rig.metrics.slow_readers_closed.get() == 0
        })
        .await;
    // Its line gets better just when it is told to go: it hears why.
    pace.lift();
    let (code, slow) = reading.await.unwrap();
    assert_eq!((code, crowd.rig.ended_with(Disconnect::SLOW)), (3008, 1));
    watched.await.unwrap();
    let most = most.load(Ordering::Relaxed);
    assert!(most > OUTBOX / 2 && most <= OUTBOX, "the outbox held {most} bytes");

    // It comes back while the others go on talking.
    let had: Vec<u64> = slow.all_offsets(&channel);
    let mut back = crowd.rig.client("slow").await;
    let mut more = MEANWHILE;
    crowd.publish_while(|_| (more > 0).then(|| more -= 1).is_some()).await;
    let at = *had.last().expect("it read something");
    let all = (from + 1..=1 + crowd.sent).collect::<Vec<_>>();
    let rest = back.recovered(&channel, at, 1 + crowd.sent).await;
    let held = rest.len() - MEANWHILE;
    assert!(held >= OUTBOX / 4 / BODY, "what its outbox held comes by recovery: {held} of {}", all.len());
    assert_eq!([had, rest].concat(), all, "each once, in order, without a gap");

    crowd.publish("end".to_owned()).await;
    for other in std::mem::take(&mut crowd.others) {
        assert_eq!(other.await.unwrap(), 1 + crowd.sent);
    }
    assert_eq!(crowd.rig.metrics.slow_readers_closed.get(), 1, "and nobody else was slow");
    [alone, beside]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_in_a_room_of_a_hundred_is_no_ones_matter_but_its_own() {
    let mut runs = Vec::new();
    for _ in 0..ATTEMPTS {
        let [alone, beside] = run().await;
        runs.push([alone, beside]);
        let not_slower = beside.0 <= alone.0 * 2 + Duration::from_millis(5);
        if not_slower && beside.1 <= alone.1 * 3 + Duration::from_millis(50) {
            return;
        }
    }
    panic!("p50 and p99 of the others, alone and beside the slow one: {runs:?}");
}
