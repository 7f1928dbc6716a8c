//! Readers that do not keep up: who reads is caught up, who does not is closed, comes back and recovers without a gap.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{FORMATS, Pace, Paced, Rig, narrow, user};
use crate::actors::wire::{Entity, Ephemeral};
use crate::api::protocol::codes::Disconnect;
use crate::env::Env;
use crate::testing::until;

const OUTBOX: usize = 64 * 1024;
const GRACE: Duration = Duration::from_secs(1);
/// Until the machine does what is due.
const MARGIN: Duration = Duration::from_secs(2);

async fn rig() -> Rig {
    Rig::with(Env::system(), |config| {
        config.limits.outbox.0 = OUTBOX;
        config.limits.slow_grace = GRACE;
        config.server.ping_interval = Duration::from_secs(600);
    })
    .await
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_closed_after_the_grace_and_recovers_without_a_gap() {
    let rig = rig().await;
    let channel = rig.room(&["ann", "slow"]).await.channel();
    let mut ann = rig.client("ann").await;
    let mut slow = rig.over(narrow(&rig).await).await.connected(&rig, "slow").await;
    slow.ask(json!({ "subscribe": { "channel": channel } })).await;
    let body = 8_000;
    let publish = json!({ "publish": { "channel": channel, "data": "x".repeat(body) } });
    let (mut sent, mut most) = (0, 0);
    let mut full = None;
    let start = Instant::now();
    // Its room is watched from outside: what it holds is all that the engine keeps for it.
    while let Some(connection) = rig.hub.sessions().of(&user("slow")).first() {
        assert!(start.elapsed() < Duration::from_secs(60), "never closed");
        ann.ask(publish.clone()).await;
        sent += 1;
        let bytes = connection.outbox.bytes();
        most = most.max(bytes);
        if bytes + body > OUTBOX {
            full.get_or_insert_with(Instant::now);
        }
        // Pauses: the pace of the writer.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = full.expect("its outbox was full").elapsed();
    assert!(took >= GRACE - MARGIN / 4 && took < GRACE + MARGIN, "closed {took:?} after its outbox was full");
    assert!(most <= OUTBOX, "the outbox held {most} bytes");
    assert_eq!((rig.ended_with(Disconnect::SLOW), rig.metrics.slow_readers_closed.get()), (1, 1));
    assert_eq!(slow.closed().await, 3008, "it reads again, and is told");
    let seen = slow.all_offsets(&channel).last().copied().unwrap_or(1);
    assert!(seen < 1 + sent, "it lacks something");
    let mut back = rig.client("slow").await;
    assert_eq!(back.recovered(&channel, seen, 1 + sent).await, (seen + 1..=1 + sent).collect::<Vec<_>>());
}

/// Who takes a little now and then is not slow by the bytes, and never comes to the ping.
#[tokio::test]
async fn a_reader_that_trickles_is_closed_by_the_ping_that_is_still_on_its_way_at_the_next_one() {
    for format in FORMATS {
        let mut rig = Rig::with(Env::system(), |config| {
            config.limits.outbox.0 = 8 << 20;
            config.limits.slow_grace = Duration::from_secs(600);
            config.server.ping_interval = Duration::from_secs(1);
            // Longer than a test waits: no pong is missed in it.
            config.server.pong_timeout = Duration::from_secs(600);
        })
        .await;
        rig.format = format;
        let mut ann = rig.client("ann").await;
        ann.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
        let line = Paced::connect(&rig, Pace::default()).await;
        let mut slow = rig.over(line).await.connected(&rig, "slow").await;
        slow.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
        let connection = rig.hub.sessions().of(&user("slow")).remove(0);
        let publish = json!({ "publish": { "channel": "lobby", "data": "x".repeat(30_000) } });
        while connection.outbox.bytes() < 512 * 1024 && rig.hub.sessions().is_online(&user("slow")) {
            ann.ask(publish.clone()).await;
        }
        let reading = tokio::spawn(async move { slow.closed().await });
        until("it is sent away", async || !rig.hub.sessions().is_online(&user("slow"))).await;
        assert_eq!(rig.ended_with(Disconnect::NO_PONG), 1, "{format:?}");
        assert_eq!(rig.metrics.slow_readers_closed.get(), 0, "by its bytes it was not slow");
        reading.abort();
    }
}

/// A burst that no outbox holds loses nobody who reads: he is caught up.
#[tokio::test]
async fn a_burst_larger_than_an_outbox_reaches_everybody_who_reads() {
    let rig = Rig::with(Env::system(), |config| config.limits.outbox.0 = 16 * 1024).await;
    let channel = rig.room(&["ann", "bob"]).await.channel();
    let (mut ann, mut bob) = (rig.client("ann").await, rig.client("bob").await);
    bob.ask(json!({ "subscribe": { "channel": channel } })).await;
    let publish = json!({ "publish": { "channel": channel, "data": "x".repeat(1_000) } });
    for _ in 0..10 {
        ann.send_all((0..50).map(|_| publish.clone())).await;
    }
    assert_eq!(bob.offsets(&channel, 501).await, (2..=501).collect::<Vec<_>>());
    assert_eq!(rig.metrics.slow_readers_closed.get(), 0);
}

#[tokio::test]
async fn what_has_no_place_in_the_stream_is_dropped_first() {
    let rig = rig().await;
    let room = rig.room(&["ann", "slow"]).await;
    let channel = room.channel();
    let mut ann = rig.client("ann").await;
    let mut slow = rig.over(narrow(&rig).await).await.connected(&rig, "slow").await;
    slow.ask(json!({ "subscribe": { "channel": channel } })).await;
    let connection = rig.hub.sessions().of(&user("slow")).remove(0);
    let publish = json!({ "publish": { "channel": channel, "data": "x".repeat(4_000) } });
    let mut sent = 0;
    while connection.outbox.bytes() <= OUTBOX / 4 {
        ann.ask(publish.clone()).await;
        sent += 1;
    }
    let typing = || rig.node.router().ephemeral(Entity::Room(room), Ephemeral::Typing { user: user("ann") }).unwrap();
    typing();
    // Durable bytes still find room.
    ann.ask(publish).await;
    assert_eq!(rig.metrics.outbox_dropped.get(), 1);
    assert_eq!(slow.offsets(&channel, 2 + sent).await, (2..=2 + sent).collect::<Vec<_>>());
    assert!(slow.unread().iter().all(|message| message["push"]["channel"] == "#slow"), "{:?}", slow.unread());
    typing();
    assert_eq!(slow.push(&channel, "pub").await["data"]["type"], "typing", "now that there is room");
    assert_eq!(rig.metrics.slow_readers_closed.get(), 0);
}
