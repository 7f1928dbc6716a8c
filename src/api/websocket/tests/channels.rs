//! What clients do all day, in both formats.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{FORMATS, Rig, ask_for, epoch, presence, user};
use crate::actors::room::RoomCommand;
use crate::actors::room::commands::Kick;
use crate::actors::router::owned::OwnerEpoch;
use crate::api::protocol::codes::Disconnect;
use crate::testing::within;

fn subscribe(channel: &str) -> Value {
    json!({ "subscribe": { "channel": channel } })
}

fn publish(channel: &str, data: Value) -> Value {
    json!({ "publish": { "channel": channel, "data": data } })
}

#[tokio::test]
async fn a_message_reaches_the_other_member_with_its_place() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let channel = rig.room(&["ann", "bob"]).await.channel();
        let (mut ann, mut bob) = (rig.client("ann").await, rig.client("bob").await);
        let subscribed = bob.ask(subscribe(&channel)).await;
        assert_eq!(subscribed["subscribe"]["offset"], 1, "{subscribed}");
        assert_eq!(subscribed["subscribe"]["epoch"], epoch());
        assert_eq!(subscribed["subscribe"]["recoverable"], true);
        let reply = ann.ask(publish(&channel, json!("hello"))).await;
        assert_eq!(reply, json!({ "id": 2, "publish": {} }));
        let publication = bob.push(&channel, "pub").await;
        assert_eq!(publication["offset"], 2);
        assert_eq!((&publication["data"]["body"], &publication["data"]["sender"]), (&json!("hello"), &json!("ann")));
    }
}

#[tokio::test]
async fn who_listens_goes_on_listening_when_the_partition_has_gone_and_come_back() {
    let rig = Rig::start().await;
    let room = rig.room(&["ann", "bob"]).await;
    let (mut ann, mut bob) = (rig.client("ann").await, rig.client("bob").await);
    bob.ask(subscribe(&room.channel())).await;
    rig.node.release(room.partition()).await.unwrap();
    let refused = ann.ask(publish(&room.channel(), json!("away"))).await;
    assert_eq!(refused["error"]["temporary"], true, "{refused}");
    rig.node.acquire(room.partition(), OwnerEpoch(2)).await.unwrap();
    ann.ask(publish(&room.channel(), json!("back"))).await;
    assert_eq!(bob.push(&room.channel(), "pub").await["data"]["body"], "back");
}

#[tokio::test]
async fn the_personal_channel_is_in_the_connect_reply() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let mut ann = rig.open().await;
        let reply = ann.ask(json!({ "connect": { "token": rig.token("ann") } })).await;
        let connect = &reply["connect"];
        assert_eq!(connect["subs"]["#ann"]["recoverable"], true, "{reply}");
        assert_eq!((&connect["ping"], &connect["pong"]), (&json!(25), &json!(true)));
        assert_eq!(ann.ask(subscribe("#ann")).await["error"]["code"], 105);
        assert_eq!(ann.ask(subscribe("#bob")).await["error"]["code"], 103);
    }
}

#[tokio::test]
async fn commands_after_connect_may_stand_in_the_same_frame_and_all_are_answered() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let mut ann = rig.open().await;
        let connect = json!({ "connect": { "token": rig.token("ann") } });
        let all = [connect, subscribe("lobby"), publish("lobby", json!(1)), ask_for("ann")];
        let ids = ann.send_all(all).await;
        let replies =
            [ann.reply(ids[0]).await, ann.reply(ids[1]).await, ann.reply(ids[2]).await, ann.reply(ids[3]).await];
        assert!(replies[0]["connect"].is_object() && replies[1]["subscribe"].is_object(), "{replies:?}");
        assert_eq!(replies[2], json!({ "id": 3, "publish": {} }));
        assert_eq!(replies[3]["rpc"]["data"], presence("ann", true));
        let publication = ann.push("lobby", "pub").await;
        assert_eq!((&publication["data"], &publication["info"]["user"]), (&json!(1), &json!("ann")));
    }
}

#[tokio::test]
async fn messages_of_one_connection_keep_their_order() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let room = rig.room(&["ann", "bob"]).await;
        let channel = room.channel();
        let (mut ann, mut bob) = (rig.client("ann").await, rig.client("bob").await);
        bob.ask(subscribe(&channel)).await;
        let commands = (0..400).map(|n| match n % 2 {
        0 => publish(&channel, json!(n.to_string())),
        _ => {
            json!({ "rpc": { "method": "message.send", "data": { "room": room.to_string(), "body": n.to_string() } } })
        }
    });
        let ids = ann.send_all(commands).await;
        for n in 0..400 {
            assert_eq!(bob.push(&channel, "pub").await["data"]["body"], n.to_string());
        }
        for id in ids {
            let reply = ann.reply(id).await;
            assert!(reply["error"].is_null(), "{reply}");
        }
    }
}

#[tokio::test]
async fn who_comes_back_gets_what_he_missed_and_only_that() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let channel = rig.room(&["ann", "bob"]).await.channel();
        let (mut ann, mut bob) = (rig.client("ann").await, rig.client("bob").await);
        bob.ask(subscribe(&channel)).await;
        for n in 0..3 {
            ann.ask(publish(&channel, json!(n.to_string()))).await;
        }
        assert_eq!(bob.offsets(&channel, 4).await, [2, 3, 4]);
        drop(bob);
        for n in 0..5 {
            ann.ask(publish(&channel, json!(n.to_string()))).await;
        }
        let mut bob = rig.client("bob").await;
        let recover = |epoch: &str, offset: u64| json!({ "subscribe": { "channel": channel, "recover": true, "epoch": epoch, "offset": offset } });
        let reply = bob.ask(recover(&epoch(), 4)).await;
        let result = &reply["subscribe"];
        assert_eq!((&result["recovered"], &result["was_recovering"]), (&json!(true), &json!(true)), "{reply}");
        let offsets: Vec<_> = result["publications"].as_array().unwrap().iter().map(|p| p["offset"].clone()).collect();
        assert_eq!(offsets, [5, 6, 7, 8, 9]);
        assert_eq!(result["offset"], 4, "a client moves on from here with each publication: {reply}");
        ann.ask(publish(&channel, json!("live"))).await;
        assert_eq!(bob.offsets(&channel, 10).await, [10]);
        bob.ask(json!({ "unsubscribe": { "channel": channel } })).await;
        let other_epoch = bob.ask(recover("7", 4)).await;
        assert!(other_epoch["subscribe"]["recovered"].is_null() && other_epoch["subscribe"]["publications"].is_null());
        bob.ask(json!({ "unsubscribe": { "channel": channel } })).await;
        let mut strict = recover("7", 4);
        strict["subscribe"]["flag"] = 2.into();
        assert_eq!(bob.ask(strict).await["error"]["code"], 112);
    }
}

#[tokio::test]
async fn a_long_absence_recovers_across_the_reply_and_the_stream() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let channel = rig.room(&["ann", "bob"]).await.channel();
        let mut ann = rig.client("ann").await;
        for _ in 0..8 {
            let ids = ann.send_all((0..100).map(|_| publish(&channel, json!("x".repeat(500))))).await;
            for id in ids {
                ann.reply(id).await;
            }
        }
        let mut bob = rig.client("bob").await;
        let reply = bob
            .ask(json!({ "subscribe": { "channel": channel, "recover": true, "epoch": epoch(), "offset": 1 } }))
            .await;
        let result = &reply["subscribe"];
        let in_reply = result["publications"].as_array().unwrap().len() as u64;
        assert_eq!(result["recovered"], true);
        assert_eq!(result["offset"], 1);
        assert!(in_reply > 0 && in_reply < 300, "{in_reply}");
        ann.ask(publish(&channel, json!("live"))).await;
        let rest = bob.offsets(&channel, 802).await;
        assert_eq!(rest, (2 + in_reply..=802).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_kicked_member_is_unsubscribed_at_the_kick() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let room = rig.room(&["ann", "bob"]).await;
        let channel = room.channel();
        let (mut ann, mut bob) = (rig.client("ann").await, rig.client("bob").await);
        bob.ask(subscribe(&channel)).await;
        rig.command(room, RoomCommand::Kick(Kick { by: user("ann"), user: user("bob") })).await;
        ann.ask(publish(&channel, json!("after"))).await;
        assert_eq!(bob.push(&channel, "unsubscribe").await["code"], 2000);
        assert_eq!(bob.push(&channel, "pub").await["data"]["type"], "member.kicked");
        assert_eq!(bob.ask(subscribe(&channel)).await["error"]["code"], 103);
        let unread = bob.unread().iter().filter(|message| message["push"]["channel"] == channel.as_str()).count();
        assert_eq!(unread, 0, "{:?}", bob.unread());
    }
}

#[tokio::test]
async fn subscribers_of_a_channel_see_each_other_come_and_go() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let (mut ann, mut bob) = (rig.client("ann").await, rig.client("bob").await);
        ann.ask(json!({ "subscribe": { "channel": "lobby", "join_leave": true } })).await;
        bob.ask(subscribe("lobby")).await;
        ann.push("lobby", "join").await;
        let join = ann.push("lobby", "join").await;
        assert_eq!(join["info"]["user"], "bob");
        let presence = bob.ask(json!({ "presence": { "channel": "lobby" } })).await;
        assert_eq!(presence["presence"]["presence"].as_object().unwrap().len(), 2, "{presence}");
        let stats = bob.ask(json!({ "presence_stats": { "channel": "lobby" } })).await;
        assert_eq!(stats["presence_stats"], json!({ "num_clients": 2, "num_users": 2 }));
        bob.ask(json!({ "unsubscribe": { "channel": "lobby" } })).await;
        assert_eq!(ann.push("lobby", "leave").await["info"], join["info"]);
        bob.ask(subscribe("lobby")).await;
        ann.push("lobby", "join").await;
        drop(bob);
        assert_eq!(ann.push("lobby", "leave").await["info"]["user"], "bob");
        let quiet = ann.ask(subscribe("quiet:x")).await;
        assert!(quiet["subscribe"]["recoverable"].is_null(), "{quiet}");
        for command in ["presence", "presence_stats", "history"] {
            assert_eq!(ann.ask(json!({ command: { "channel": "quiet:x" } })).await["error"]["code"], 108, "{command}");
            assert_eq!(
                ann.ask(json!({ command: { "channel": "elsewhere" } })).await["error"]["code"],
                103,
                "{command}"
            );
        }
        assert_eq!(ann.ask(publish("quiet:x", json!(1))).await["error"]["code"], 103);
        assert_eq!(ann.ask(publish("elsewhere", json!(1))).await["error"]["code"], 103, "subscribers only");
    }
}

#[tokio::test]
async fn history_is_read_in_both_directions() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let mut ann = rig.client("ann").await;
        ann.ask(subscribe("lobby")).await;
        for n in 1..=7 {
            ann.ask(publish("lobby", json!(n))).await;
        }
        for (history, expected) in [
            (json!({ "limit": 3 }), vec![1, 2, 3]),
            (json!({ "limit": 3, "reverse": true }), vec![7, 6, 5]),
            (json!({ "limit": -1 }), vec![1, 2, 3, 4, 5, 6, 7]),
            (json!({ "limit": 2, "since": { "offset": 3, "epoch": epoch() } }), vec![4, 5]),
            (json!({ "limit": 9, "since": { "offset": 3, "epoch": epoch() }, "reverse": true }), vec![2, 1]),
            (json!({ "limit": 9, "since": { "offset": 7, "epoch": epoch() } }), vec![]),
            (json!({}), vec![]),
        ] {
            let mut command = json!({ "history": history });
            command["history"]["channel"] = "lobby".into();
            let reply = ann.ask(command).await;
            let publications = reply["history"]["publications"].as_array().cloned().unwrap_or_default();
            let data: Vec<_> = publications.iter().map(|publication| publication["data"].as_i64().unwrap()).collect();
            assert_eq!(data, expected, "{reply}");
            assert_eq!((&reply["history"]["offset"], &reply["history"]["epoch"]), (&json!(7), &json!(epoch())));
        }
        let since = json!({ "offset": 3, "epoch": "9" });
        let other = ann.ask(json!({ "history": { "channel": "lobby", "limit": 1, "since": since } })).await;
        assert_eq!(other["error"]["code"], 112);
    }
}

#[tokio::test]
async fn a_user_is_held_to_his_rate_and_told_when_to_come_again() {
    let (env, clock) = super::support::manual_clock();
    let rig = Rig::with(env, |config| {
        config.limits.messages_per_minute = 60;
        config.limits.burst = 5;
    })
    .await;
    let (mut ann, mut other) = (rig.client("ann").await, rig.client("ann").await);
    ann.ask(subscribe("lobby")).await;
    other.ask(subscribe("lobby")).await;
    let mut passed = 0;
    for step in 0..120 {
        for client in [&mut ann, &mut other] {
            loop {
                let reply = client.ask(publish("lobby", json!(step))).await;
                if reply["error"].is_null() {
                    passed += 1;
                    continue;
                }
                assert_eq!(reply["error"]["code"], 111, "{reply}");
                assert!(reply["error"]["message"].as_str().unwrap().ends_with(" ms"), "{reply}");
                break;
            }
        }
        clock.advance(500);
    }
    let exact = 60 + 5;
    assert!((exact * 9 / 10..=exact * 11 / 10).contains(&passed), "{passed} of {exact} in a minute");
    let malformed = ann.ask(json!({ "publish": { "channel": "room:x", "data": 1 } })).await;
    assert_eq!(malformed["error"]["code"], 102, "what is refused anyway does not ask the rate");
}

#[tokio::test]
async fn a_drain_says_goodbye_so_that_clients_come_back() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let (mut ann, mut silent) = (rig.client("ann").await, rig.open().await);
        rig.shutdown.begin();
        assert_eq!(silent.closed().await, Disconnect::SHUTDOWN.code);
        rig.hub.sessions().disconnect_all(Disconnect::SHUTDOWN.code, Duration::from_millis(50)).await;
        assert_eq!(ann.closed().await, Disconnect::SHUTDOWN.code);
        drop((ann, silent));
        within("all are gone", rig.shutdown.all_gone()).await;
        assert_eq!((rig.hub.sessions().count(), rig.metrics.clients.get()), (0, 0));
    }
}

#[tokio::test]
async fn commands_behind_a_subscribe_mean_what_they_mean_after_it() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let room = rig.room(&["ann", "bob"]).await.channel();
        for channel in [&room[..], "lobby"] {
            let mut ann = rig.client("ann").await;
            let about = |command: &str| json!({ command: { "channel": channel } });
            let ids = ann
                .send_all([
                    subscribe(channel),
                    subscribe(channel),
                    about("presence"),
                    about("presence_stats"),
                    publish(channel, json!("own")),
                    json!({ "history": { "channel": channel, "limit": -1, "reverse": true } }),
                    about("unsubscribe"),
                    about("presence"),
                    subscribe(channel),
                    about("presence_stats"),
                ])
                .await;
            let mut replies = Vec::new();
            for id in ids {
                replies.push(ann.reply(id).await);
            }
            assert!(replies[0]["subscribe"].is_object(), "{replies:?}");
            assert_eq!(replies[1]["error"]["code"], 105);
            assert_eq!(replies[2]["presence"]["presence"].as_object().unwrap().len(), 1, "{replies:?}");
            assert_eq!(replies[3]["presence_stats"]["num_clients"], 1);
            assert!(replies[4]["publish"].is_object() && replies[5]["history"].is_object(), "{replies:?}");
            assert!(replies[6]["unsubscribe"].is_object(), "{replies:?}");
            assert_eq!(replies[7]["error"]["code"], 103);
            assert!(replies[8]["subscribe"].is_object(), "{replies:?}");
            assert_eq!(replies[9]["presence_stats"]["num_clients"], 1);
        }
        // Of one that is refused they are refused, too; and what is sent to a room comes behind its subscription.
        let mut eve = rig.client("eve").await;
        for id in eve
            .send_all([subscribe(&room), json!({ "presence": { "channel": room } }), publish(&room, json!("x"))])
            .await
        {
            let code = eve.reply(id).await["error"]["code"].as_u64().unwrap();
            assert!([103, 412].contains(&code), "{code}");
        }
        for _ in 0..20 {
            let mut bob = rig.client("bob").await;
            let send = json!({ "rpc": { "method": "message.send", "data": { "room": room.trim_start_matches("room:"), "body": "x" } } });
            let ids = bob.send_all([subscribe(&room), send]).await;
            let begun = bob.reply(ids[0]).await["subscribe"]["offset"].as_u64().unwrap();
            assert_eq!(bob.push(&room, "pub").await["offset"], begun + 1);
        }
    }
}

#[tokio::test]
async fn a_publication_tells_who_published_it_live_in_history_and_in_recovery() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let token = super::tokens::hs256(&json!({ "sub": "ann", "info": { "name": "Ann" } }));
        let of_channel = json!({ "sub": "ann", "channel": "token:x", "info": { "role": "host" } });
        let open = super::tokens::hs256(&json!({ "sub": "bob", "channel": "token:x" }));
        let mut ann = rig.open().await;
        let connected = ann.ask(json!({ "connect": { "token": token } })).await;
        let client = &connected["connect"]["client"];
        let mut bob = rig.client("bob").await;
        let with = |token: &str| json!({ "subscribe": { "channel": "token:x", "token": token } });
        bob.ask(with(&open)).await;
        ann.ask(with(&super::tokens::hs256(&of_channel))).await;
        ann.ask(publish("token:x", json!(1))).await;
        let info = json!({
            "user": "ann", "client": client, "conn_info": { "name": "Ann" }, "chan_info": { "role": "host" }
        });
        assert_eq!(bob.push("token:x", "pub").await["info"], info);
        let history = bob.ask(json!({ "history": { "channel": "token:x", "limit": -1 } })).await;
        assert_eq!(history["history"]["publications"][0]["info"], info);
        let mut again = rig.client("bob").await;
        let mut recover = with(&open);
        recover["subscribe"]["recover"] = json!(true);
        let recovered = again.ask(recover).await;
        assert_eq!(recovered["subscribe"]["recovered"], true, "no epoch is named: from the start");
        assert_eq!(recovered["subscribe"]["publications"][0]["info"], info);
    }
}

#[tokio::test]
async fn a_position_without_an_epoch_is_one_of_what_there_is() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let mut ann = rig.client("ann").await;
        let recover = |channel: &str| json!({ "subscribe": { "channel": channel, "recover": true, "flag": 2 } });
        let reply = ann.ask(recover("empty")).await;
        assert_eq!(reply["subscribe"]["recovered"], true, "nothing is missing of nothing: {reply}");
        ann.ask(subscribe("lobby")).await;
        for n in 0..3 {
            ann.ask(publish("lobby", json!(n))).await;
        }
        let mut bob = rig.client("bob").await;
        let reply = bob.ask(recover("lobby")).await;
        assert_eq!(reply["subscribe"]["recovered"], true, "{reply}");
        assert_eq!(reply["subscribe"]["publications"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn history_is_bounded_in_bytes_and_goes_on_from_what_it_gave() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let mut ann = rig.client("ann").await;
        ann.ask(subscribe("lobby")).await;
        for _ in 0..20 {
            ann.ask(publish("lobby", json!("x".repeat(30_000)))).await;
        }
        for reverse in [false, true] {
            let (mut seen, mut since) = (Vec::new(), if reverse { 1_000 } else { 0 });
            while seen.len() < 20 {
                let since_there = json!({ "offset": since, "epoch": "" });
                let asked = json!({ "channel": "lobby", "limit": -1, "since": since_there, "reverse": reverse });
                let reply = ann.ask(json!({ "history": asked })).await;
                let page = reply["history"]["publications"].as_array().expect("progress").clone();
                assert!(page.len() == 8 || seen.len() + page.len() == 20, "{} of {}", page.len(), seen.len());
                seen.extend(page.iter().map(|publication| publication["offset"].as_u64().unwrap()));
                since = *seen.last().unwrap();
            }
            let all: Vec<u64> = if reverse { (1..=20).rev().collect() } else { (1..=20).collect() };
            assert_eq!(seen, all);
        }
    }
}

#[tokio::test]
async fn data_that_is_nested_too_deeply_is_refused_for_its_command_alone() {
    for format in FORMATS {
        let rig = Rig::start_as(format).await;
        let room = rig.room(&["ann"]).await.channel();
        let mut ann = rig.client("ann").await;
        ann.ask(subscribe("lobby")).await;
        let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
        for channel in ["lobby", &room] {
            for (depth, code) in [(32, None), (33, Some(107)), (100, Some(107))] {
                let reply = ann.ask(publish(channel, nested(depth))).await;
                assert_eq!(reply["error"]["code"].as_u64(), code, "{channel} {depth}: {reply}");
            }
        }
        assert!(ann.ask(json!({ "ping": {} })).await["ping"].is_object(), "it goes on");
    }
}
