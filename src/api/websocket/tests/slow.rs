//! Readers that do not keep up: who reads is caught up, who does not is closed, comes back and recovers without a gap.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpSocket;

use super::rig::Rig;
use crate::env::Env;

#[tokio::test]
async fn a_reader_that_takes_nothing_is_closed_and_recovers_without_a_gap() {
    let rig = Rig::with(Env::system(), |config| {
        config.limits.outbox.0 = 64 * 1024;
        config.server.ping_interval = Duration::from_secs(600);
    })
    .await;
    let channel = rig.room(&["ann", "slow"]).await.channel();
    let mut ann = rig.client("ann").await;
    let socket = TcpSocket::new_v4().unwrap();
    // The kernel's own buffers would hold megabytes more.
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let stream = socket.connect(rig.address).await.unwrap();
    let mut slow = rig.over(stream, rig.request()).await.connected(&rig, "slow").await;
    slow.ask(json!({ "subscribe": { "channel": channel } })).await;
    let publish = json!({ "publish": { "channel": channel, "data": "x".repeat(30_000) } });
    let start = Instant::now();
    let mut sent = 0;
    while rig.metrics.slow_readers_closed.get() == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "never closed");
        if sent < 400 {
            ann.ask(publish.clone()).await;
            sent += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    // 1006 if the rest of its last frame did not fit any more.
    let code = slow.closed().await;
    assert!([3008, 1006].contains(&code), "{code}");
    let seen = slow.last_offset(&channel).unwrap_or(1);
    assert!(seen < 1 + sent, "it lacks something");
    let mut back = rig.client("slow").await;
    let subscribe = json!({ "subscribe": { "channel": channel, "recover": true, "epoch": "1", "offset": seen } });
    let reply = back.ask(subscribe).await;
    assert_eq!(reply["subscribe"]["recovered"], true);
    let first = reply["subscribe"]["publications"].as_array().unwrap();
    let mut offsets: Vec<_> = first.iter().map(|publication| publication["offset"].as_u64().unwrap()).collect();
    if offsets.last() != Some(&(1 + sent)) {
        offsets.extend(back.offsets(&channel, 1 + sent).await);
    }
    assert_eq!(offsets, (seen + 1..=1 + sent).collect::<Vec<_>>());
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
