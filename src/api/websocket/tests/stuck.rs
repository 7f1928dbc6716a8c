//! Clients that do not read what they are sent: they do nothing any more that they may not, and go when they are sent away.

use std::time::Duration;

use serde_json::json;

use super::support::{Client, FORMATS, Rig, narrow, user};
use crate::actors::gateway::order::Order;
use crate::actors::room::RoomCommand;
use crate::actors::room::commands::Kick;
use crate::api::protocol::codes::Disconnect;
use crate::config::Limits;
use crate::env::Env;
use crate::limits;
use crate::testing::until;

/// A node on which nobody is closed for being slow, within a test's time.
async fn rig(format: crate::api::protocol::Format) -> Rig {
    let mut rig = Rig::with(Env::system(), |config| {
        config.limits.slow_grace = Duration::from_secs(600);
        config.server.ping_interval = Duration::from_secs(600);
    })
    .await;
    rig.format = format;
    rig
}

/// A client of this name, subscribed, and so much said there that its socket takes no more of it. Gives the last seq.
async fn stuck(rig: &Rig, ann: &mut Client, name: &str, channel: &str) -> (Client, u64) {
    let mut client = rig.over(narrow(rig).await).await.connected(rig, name).await;
    client.ask(json!({ "subscribe": { "channel": channel } })).await;
    let connection = rig.hub.sessions().of(&user(name)).remove(0);
    let mut sent = 1;
    while connection.outbox.bytes() < 20_000 {
        ann.ask(json!({ "publish": { "channel": channel, "data": "x".repeat(8_000) } })).await;
        sent += 1;
    }
    (client, sent)
}

/// Until the node knows no connection of this user any more.
async fn gone(rig: &Rig, name: &str) {
    // Well below the time after which a socket that takes nothing counts as dead: that is ten minutes here.
    until("it goes though its socket is stuck", async || !rig.hub.sessions().is_online(&user(name))).await;
}

#[tokio::test]
async fn who_is_kicked_reads_nothing_more_though_he_did_not_read_of_it() {
    for format in FORMATS {
        let rig = rig(format).await;
        let room = rig.room(&["ann", "mallory"]).await;
        let channel = room.channel();
        let mut ann = rig.client("ann").await;
        let (mut mallory, last) = stuck(&rig, &mut ann, "mallory", &channel).await;
        rig.command(room, RoomCommand::Kick(Kick { by: user("ann"), user: user("mallory") })).await;
        for n in 0..5 {
            ann.ask(json!({ "publish": { "channel": channel, "data": format!("secret {n}") } })).await;
        }
        let since = json!({ "offset": last, "epoch": "" });
        let asked = [
            json!({ "history": { "channel": channel, "limit": -1, "since": since } }),
            json!({ "history": { "channel": channel } }),
            json!({ "presence": { "channel": channel } }),
            json!({ "presence_stats": { "channel": channel } }),
            json!({ "sub_refresh": { "channel": channel, "token": "x" } }),
        ];
        for id in mallory.send_all(asked).await {
            let reply = mallory.reply(id).await;
            assert_eq!(reply["error"]["code"], 103, "{reply}");
        }
        assert_eq!(mallory.push(&channel, "unsubscribe").await["code"], 2000);
        assert_eq!(mallory.all_offsets(&channel).last(), Some(&(last + 1)), "the kick is the last that he gets");
    }
}

#[tokio::test]
async fn who_is_sent_away_says_nothing_more_and_goes_though_he_does_not_read() {
    for format in FORMATS {
        let rig = rig(format).await;
        let mut ann = rig.client("ann").await;
        let channel = rig.room(&["ann", "banned", "drained"]).await.channel();
        let (mut banned, _) = stuck(&rig, &mut ann, "banned", &channel).await;
        let (mut drained, _) = stuck(&rig, &mut ann, "drained", &channel).await;
        ann.ask(json!({ "subscribe": { "channel": channel } })).await;
        rig.hub.sessions().disconnect(&user("banned"), 3503);
        let connection = rig.hub.sessions().of(&user("drained")).remove(0);
        connection.outbox.order(Order::close(3001));
        for client in [&mut banned, &mut drained] {
            client.send(json!({ "publish": { "channel": channel, "data": "still here" } })).await;
        }
        gone(&rig, "banned").await;
        gone(&rig, "drained").await;
        ann.ask(json!({ "publish": { "channel": channel, "data": "alone" } })).await;
        assert_eq!(ann.push(&channel, "pub").await["data"]["body"], "alone", "nobody else was heard");
    }
}

#[tokio::test]
async fn who_is_unsubscribed_by_a_back_end_may_not_do_what_subscribers_may() {
    for format in FORMATS {
        let rig = rig(format).await;
        let mut ann = rig.client("ann").await;
        ann.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
        let (mut bob, _) = stuck(&rig, &mut ann, "bob", "lobby").await;
        rig.hub.sessions().of(&user("bob")).remove(0).outbox.order(Order::Unsubscribe { channel: "lobby".into() });
        let asked = [
            json!({ "publish": { "channel": "lobby", "data": "still here" } }),
            json!({ "history": { "channel": "lobby", "limit": -1 } }),
            json!({ "presence": { "channel": "lobby" } }),
        ];
        for id in bob.send_all(asked).await {
            assert_eq!(bob.reply(id).await["error"]["code"], 103);
        }
    }
}

/// What he asks for and does not read takes a bounded place, and not for long.
#[tokio::test]
async fn who_asks_and_does_not_read_is_bounded_and_goes() {
    for format in FORMATS {
        let mut rig = Rig::with(Env::system(), |config| {
            config.limits.slow_grace = Duration::from_secs(1);
            config.server.ping_interval = Duration::from_secs(600);
        })
        .await;
        rig.format = format;
        let mut ann = rig.client("ann").await;
        ann.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
        for _ in 0..20 {
            ann.ask(json!({ "publish": { "channel": "lobby", "data": "x".repeat(30_000) } })).await;
        }
        let mut bob = rig.over(narrow(&rig).await).await.connected(&rig, "bob").await;
        bob.ask(json!({ "subscribe": { "channel": "lobby" } })).await;
        let connection = rig.hub.sessions().of(&user("bob")).remove(0);
        let history = json!({ "history": { "channel": "lobby", "limit": -1 } });
        bob.send_all((0..100).map(|_| history.clone())).await;
        let mut most = 0;
        let gone = async || {
            most = most.max(connection.outbox.bytes());
            !rig.hub.sessions().is_online(&user("bob"))
        };
        until("he is slow", gone).await;
        assert!(most <= Limits::default().outbox.0 / 2 + limits::PAGE_BYTES + 1_024, "the outbox held {most} bytes");
        assert_eq!(rig.ended_with(Disconnect::SLOW), 1);
    }
}
