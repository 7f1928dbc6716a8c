//! `room.list`: unread, the last message, pages, and one's own writes.

use serde_json::{Value, json};

use super::support::{Fixture, user};
use crate::actors::room::RoomCommand;
use crate::actors::room::commands::Expire;
use crate::api::operations::room_record;
use crate::ids::{Offset, RoomId};
use crate::limits;
use crate::storage::journal::Journal as _;

async fn line(f: &Fixture, who: &str, room: &str) -> Value {
    let list = f.ok(who, "room.list", json!({})).await;
    let lines = list["rooms"].as_array().unwrap();
    lines.iter().find(|line| line["room"] == room).cloned().unwrap_or(Value::Null)
}

#[tokio::test]
async fn unread_counts_the_messages_of_others_above_ones_mark() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    f.say("alice", &room, "one").await;
    let two = f.say("alice", &room, "two").await;
    f.settle().await;
    assert_eq!(line(&f, "alice", &room).await["unread"], 0, "one's own");
    let bobs = line(&f, "bob", &room).await;
    assert_eq!((&bobs["unread"], &bobs["read_seq"], &bobs["head"]), (&json!(2), &json!(0), &json!(3)));
    assert_eq!(bobs["last_message"]["body"], "two");
    let marked = f.ok("bob", "read.mark", json!({ "room": room, "seq": two - 1 })).await;
    assert_eq!(marked, json!({ "seq": 2, "no": 1, "unread": 1 }));
    assert_eq!(line(&f, "bob", &room).await["unread"], 1, "his own mark, at once");
    f.say("bob", &room, "answer").await;
    assert_eq!(line(&f, "bob", &room).await["unread"], 0, "who answers has read");
    f.settle().await;
    assert_eq!(line(&f, "alice", &room).await["unread"], 1);
}

#[tokio::test]
async fn a_deleted_last_message_says_so_and_nothing_more() {
    let f = Fixture::new().await;
    let room = f.direct("alice", "bob").await;
    let seq = f.say("alice", &room, "secret").await;
    f.ok("alice", "message.delete", json!({ "room": room, "target": seq })).await;
    let line = line(&f, "alice", &room).await;
    assert_eq!((&line["last_message"]["deleted"], &line["last_message"]["body"]), (&json!(true), &json!("")));
    assert_eq!((&line["peer"], &line["kind"]), (&json!("bob"), &json!("direct")));
}

#[tokio::test]
async fn an_invitation_is_listed_without_what_is_said_inside() {
    let f = Fixture::new().await;
    let room = f.group(&["alice"]).await;
    f.say("alice", &room, "inside").await;
    f.ok("alice", "room.invite", json!({ "room": room, "user": "carol" })).await;
    f.settle().await;
    let line = line(&f, "carol", &room).await;
    assert_eq!((&line["state"], &line["unread"], &line["title"]), (&json!("invited"), &json!(0), &json!("team")));
    assert_eq!((line.get("last_message"), line.get("head")), (None, None));
}

#[tokio::test]
async fn the_latest_comes_first_and_pages_follow_each_other() {
    let f = Fixture::new().await;
    let mut rooms = Vec::new();
    for _ in 0..5 {
        rooms.push(f.group(&["alice", "bob"]).await);
        f.clock.advance(10);
    }
    f.say("alice", &rooms[1], "wakes it").await;
    let mut seen = Vec::new();
    let mut data = json!({ "limit": 2 });
    loop {
        let page = f.ok("alice", "room.list", data.clone()).await;
        seen.extend(page["rooms"].as_array().unwrap().iter().map(|line| line["room"].as_str().unwrap().to_owned()));
        match page.get("cursor") {
            Some(cursor) => data["cursor"] = cursor.clone(),
            None => break,
        }
    }
    let expected = [1, 4, 3, 2, 0].map(|n: usize| rooms[n].clone());
    assert_eq!(seen, expected);
    assert_eq!(f.code("alice", "room.list", json!({ "cursor": "x" })).await, 107);
}

/// A direct chat can't be left; with a day's life each, a list would grow for ever.
#[tokio::test]
async fn what_has_ended_or_expired_leaves_the_list_and_stays_within_reach() {
    let f = Fixture::new().await;
    let lives = f.direct("alice", "bob").await;
    let ended = f.direct("alice", "carol").await;
    let expired = f.ok("alice", "room.create", json!({ "kind": "direct", "user": "dave", "ttl": 1_000 })).await;
    let expired = expired["room"].as_str().unwrap().to_owned();
    f.say("alice", &ended, "last words").await;
    f.ok("alice", "room.end", json!({ "room": ended })).await;
    f.clock.advance(1_000);
    let record = room_record(f.node.env(), RoomId(expired.parse().unwrap()), RoomCommand::Expire(Expire));
    f.node.router().command(record.partition, record.record).get().await;
    f.settle().await;
    let rooms = async |data: Value| {
        let page = f.ok("alice", "room.list", data).await;
        let lines = page["rooms"].as_array().unwrap().iter();
        lines.map(|line| (line["room"].as_str().unwrap().to_owned(), line["status"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(rooms(json!({})).await, [(lives.clone(), json!("active"))]);
    let over = rooms(json!({ "ended": true })).await;
    assert_eq!(over.len(), 2);
    assert!(over.contains(&(ended.clone(), json!("ended"))) && over.contains(&(expired, json!("expired"))), "{over:?}");
    assert_eq!(f.bodies("alice", json!({ "room": ended })).await, ["last words"]);
    // Opened again it is back.
    f.direct("carol", "alice").await;
    f.settle().await;
    assert_eq!(rooms(json!({})).await.len(), 2);
}

#[tokio::test]
async fn a_page_of_large_last_messages_is_bounded_in_bytes_and_nothing_is_left_out() {
    let f = Fixture::new().await;
    let mut made = Vec::new();
    for _ in 0..12 {
        let room = f.group(&["alice", "bob"]).await;
        f.say("alice", &room, &"x".repeat(limits::BODY_BYTES)).await;
        made.push(room);
    }
    let (mut seen, mut pages, mut data) = (Vec::new(), 0, json!({ "limit": 300 }));
    loop {
        let page = f.ok("alice", "room.list", data.clone()).await;
        assert!(page.to_string().len() <= limits::ROOM_LIST_BYTES);
        pages += 1;
        seen.extend(page["rooms"].as_array().unwrap().iter().map(|line| line["room"].as_str().unwrap().to_owned()));
        match page.get("cursor") {
            Some(cursor) => data["cursor"] = cursor.clone(),
            None => break,
        }
    }
    assert_eq!(pages, 2);
    seen.sort();
    made.sort();
    assert_eq!(seen, made);
}

/// However far the store is behind: what somebody else writes must not make a list wait.
#[tokio::test]
async fn a_list_has_ones_own_writes_before_the_store_and_exactly_as_the_store_will() {
    let f = Fixture::new().await;
    let (talk, left) = (f.group(&["bob", "alice"]).await, f.group(&["bob", "alice"]).await);
    let (ended, quiet) = (f.direct("alice", "bob").await, f.group(&["alice", "bob"]).await);
    let asked = f.group(&["bob"]).await;
    f.ok("bob", "room.invite", json!({ "room": asked, "user": "alice" })).await;
    f.say("bob", &talk, "one").await;
    let two = f.say("bob", &talk, "two").await;
    f.settle().await;
    f.store.set_open(false);
    f.clock.advance(1_000);
    let mine = f.say("alice", &talk, "mine").await;
    f.ok("alice", "message.edit", json!({ "room": talk, "target": mine, "body": "better" })).await;
    f.say("bob", &talk, "three").await;
    f.ok("alice", "room.leave", json!({ "room": left })).await;
    f.ok("alice", "room.end", json!({ "room": ended })).await;
    f.ok("alice", "room.update", json!({ "room": quiet, "title": "new" })).await;
    f.ok("alice", "room.join", json!({ "room": asked })).await;
    f.say("bob", &asked, "welcome").await;
    let made = f.group(&["alice", "bob"]).await;
    f.say("bob", &made, "hello").await;
    f.ok("bob", "read.mark", json!({ "room": talk, "seq": two })).await;
    f.ok("alice", "read.mark", json!({ "room": made, "seq": 2 })).await;
    let lists = async || {
        let mut lists = Vec::new();
        for (who, data) in [
            ("alice", json!({})),
            ("alice", json!({ "ended": true })),
            ("bob", json!({ "limit": 2 })),
            // All that he wrote to; what others did elsewhere comes with the store.
            ("bob", json!({ "limit": 3 })),
        ] {
            lists.push(f.ok(who, "room.list", data).await);
        }
        lists
    };
    let from_memory = lists().await;
    let rooms = |list: &Value| list["rooms"].as_array().unwrap().iter().map(|l| l["room"].clone()).collect::<Vec<_>>();
    let alices = rooms(&from_memory[0]);
    assert!(alices.contains(&json!(made)) && !alices.contains(&json!(left)) && !alices.contains(&json!(ended)));
    assert_eq!(rooms(&from_memory[1]), [json!(ended)]);
    f.store.set_open(true);
    f.settle().await;
    assert_eq!(from_memory, lists().await);
}

#[tokio::test]
async fn what_was_acknowledged_before_a_crash_is_listed_after_it() {
    let f = Fixture::new().await;
    f.settle().await;
    f.store.set_open(false);
    let room = f.group(&["alice"]).await;
    let seq = f.say("alice", &room, "kept").await;
    let f = f.crash().await;
    let line = line(&f, "alice", &room).await;
    assert_eq!((&line["last_message"]["body"], &line["head"]), (&json!("kept"), &json!(seq)));
}

/// A start with a partition that halts: the others are served, and whoever has no room in it has his list.
#[tokio::test]
async fn a_halted_partition_takes_the_list_from_those_who_have_a_room_in_it_and_from_nobody_else() {
    let f = Fixture::new().await;
    let partition = |room: &str| RoomId(room.parse().unwrap()).partition();
    // Neither carol's nor bob's own stream lives there.
    let elsewhere = |room: &str| ["bob", "carol", "dave"].iter().all(|name| user(name).partition() != partition(room));
    let mut room = f.group(&["alice", "bob"]).await;
    while !elsewhere(&room) {
        room = f.group(&["alice", "bob"]).await;
    }
    let halted = partition(&room);
    let mut other = f.group(&["carol"]).await;
    while partition(&other) == halted {
        other = f.group(&["carol"]).await;
    }
    f.settle().await;
    let mut newer = f.journal.read(halted, Offset(0), 1).await.unwrap()[0].bytes.to_vec();
    newer[1] = 99;
    f.journal.append(halted, vec![newer.into()]).await.unwrap();
    let f = f.crash().await;
    assert!(f.node.halted().is(halted));
    assert_ne!(line(&f, "carol", &other).await, Value::Null);
    assert!(f.ok("dave", "room.list", json!({})).await["rooms"].as_array().unwrap().is_empty());
    assert_eq!(f.code("bob", "room.list", json!({})).await, 450);
    f.say("carol", &other, "goes on").await;
}
