//! Rooms, members, messages: what may be done, and what comes back.

use serde_json::{Value, json};

use super::support::{Fixture, START, bodies, room_of};
use crate::ids::{RoomId, UserId};

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

#[tokio::test]
async fn a_direct_chat_is_one_room_for_both_and_lives_a_day_unless_said_otherwise() {
    let f = Fixture::new().await;
    let made = f.ok("alice", "room.create", json!({ "kind": "direct", "user": "bob" })).await;
    let id = RoomId::direct(&user("alice"), &user("bob"));
    assert_eq!(made, json!({ "room": id, "channel": id.channel(), "seq": 1, "ts": START }));
    let again = f.ok("bob", "room.create", json!({ "kind": "direct", "members": ["alice", "bob"] })).await;
    assert_eq!(again, json!({ "room": id, "channel": id.channel(), "seq": 1, "ts": START, "existing": true }));
    let room = f.ok("bob", "room.get", json!({ "room": id })).await;
    assert_eq!(room["peer"], "alice");
    assert_eq!(room["expires_at"], START.0 + 24 * 60 * 60 * 1000);
    assert_eq!((&room["kind"], &room["status"], &room["members"]), (&json!("direct"), &json!("active"), &json!(2)));
}

#[tokio::test]
async fn an_expired_direct_chat_says_so_and_is_opened_again_under_the_same_seqs() {
    let f = Fixture::new().await;
    let room = room_of(&f.ok("alice", "room.create", json!({ "kind": "direct", "user": "bob", "ttl": "2m" })).await);
    assert_eq!(f.say("alice", &room, "in time").await, 2);
    f.clock.advance(120_000);
    assert_eq!(f.code("bob", "message.send", json!({ "room": room, "body": "late" })).await, 411);
    assert_eq!(f.ok("bob", "room.get", json!({ "room": room })).await["status"], "expired");
    f.settle().await;
    let listed = f.ok("bob", "room.list", json!({})).await;
    assert_eq!(listed["rooms"][0]["status"], "expired");
    let opened = f.ok("bob", "room.create", json!({ "kind": "direct", "user": "alice", "ttl": 0 })).await;
    assert_eq!(opened.get("existing"), None);
    assert_eq!(f.ok("bob", "room.get", json!({ "room": room })).await.get("expires_at"), None);
    assert!(f.say("bob", &room, "again").await > 2);
    assert_eq!(f.bodies("alice", json!({ "room": room })).await, ["in time", "again"]);
}

#[tokio::test]
async fn a_group_under_one_client_id_is_made_once() {
    let f = Fixture::new().await;
    let data = json!({ "kind": "group", "client_id": "g1", "members": ["bob"], "title": "team", "public": true });
    let made = f.ok("alice", "room.create", data.clone()).await;
    let again = f.ok("alice", "room.create", data).await;
    assert_eq!((&made["room"], &made["seq"]), (&again["room"], &again["seq"]));
    assert_eq!(again["existing"], true);
    let other = json!({ "kind": "broadcast", "client_id": "g1" });
    assert_eq!(f.code("alice", "room.create", other).await, 415);
    let without = f.ok("alice", "room.create", json!({})).await;
    assert_ne!(without["room"], f.ok("alice", "room.create", json!({})).await["room"]);
    let room = f.ok("bob", "room.get", json!({ "room": made["room"] })).await;
    let expected = json!({
        "room": made["room"], "channel": made["channel"], "kind": "group", "title": "team", "status": "active",
        "public": true, "may_send": "members", "creator": "alice", "state": "member", "members": 2,
        "head": 1, "floor": 1, "last_no": 0, "joined": 1, "role": "member",
    });
    assert_eq!(room, expected);
}

#[tokio::test]
async fn bad_creations_have_their_codes() {
    let f = Fixture::new().await;
    let many: Vec<String> = (0..1_001).map(|n| format!("u{n}")).collect();
    for (data, code) in [
        (json!({ "kind": "direct" }), 107),
        (json!({ "kind": "direct", "user": "alice" }), 107),
        (json!({ "kind": "direct", "members": ["bob", "carol"] }), 107),
        (json!({ "kind": "direct", "user": "bob", "public": true }), 107),
        (json!({ "kind": "direct", "user": "anon:6ba7b810-9dad-51d1-80b4-00c04fd430c8" }), 103),
        (json!({ "kind": "broadcast", "may_send": "members" }), 107),
        (json!({ "title": "x".repeat(257) }), 430),
        (json!({ "title": "a\0" }), 107),
        (json!({ "members": many }), 106),
    ] {
        assert_eq!(f.code("alice", "room.create", data.clone()).await, code, "{data}");
    }
}

#[tokio::test]
async fn a_send_under_one_client_id_is_one_message() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let data = json!({ "room": room, "body": "hi", "client_id": "m1" });
    let first = f.ok("alice", "message.send", data.clone()).await;
    assert_eq!((&first["seq"], &first["ts"], first.get("duplicate")), (&json!(2), &json!(START), None));
    f.clock.advance(1_000);
    let mut again = f.ok("alice", "message.send", data).await;
    assert_eq!(again["duplicate"], true);
    again.as_object_mut().unwrap().remove("duplicate");
    assert_eq!(again, first);
    let missing = json!({ "room": room, "body": "x", "client_id": "m3", "prev": "m2", "device": "d" });
    assert_eq!(f.code("alice", "message.send", missing).await, 420);
    let old = json!({ "room": room, "body": "x", "client_id": "00000000-0001-7000-8000-000000000000" });
    // Only what left the window makes an id too old: one of a clock that is far behind is a message like any other, once.
    assert_eq!(f.ok("alice", "message.send", old.clone()).await.get("duplicate"), None);
    assert_eq!(f.ok("alice", "message.send", old).await["duplicate"], true);
}

#[tokio::test]
async fn a_caption_can_be_taken_away_and_the_picture_stays() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let picture = json!({ "room": room, "body": "the sea", "metadata": { "w": 1 } });
    let seq = f.ok("alice", "message.send", picture).await["seq"].clone();
    f.ok("alice", "message.edit", json!({ "room": room, "target": seq, "body": "" })).await;
    let page = f.ok("bob", "message.history", json!({ "room": room })).await;
    assert_eq!((&page["messages"][0]["body"], &page["messages"][0]["metadata"]), (&json!(""), &json!({ "w": 1 })));
    // Also when the message lies in the store alone, and once more.
    f.settle().await;
    f.ok("alice", "message.edit", json!({ "room": room, "target": seq, "body": "" })).await;
    let text = f.say("alice", &room, "text").await;
    let nothing = json!({ "room": room, "target": text, "body": "" });
    assert_eq!(f.code("alice", "message.edit", nothing).await, 107, "nothing would be left of it");
    let metadata = json!({ "room": room, "target": text, "body": "", "metadata": [] });
    f.ok("alice", "message.edit", metadata).await;
}

#[tokio::test]
async fn an_edit_and_a_deletion_are_seen_at_once_and_by_the_author_only_done() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let (one, two) = (f.say("alice", &room, "one").await, f.say("alice", &room, "two").await);
    let edit = |target: u64, body: &str| json!({ "room": room, "target": target, "body": body });
    assert_eq!(f.code("bob", "message.edit", edit(one, "mine")).await, 103);
    f.clock.advance(5);
    let edited = f.ok("alice", "message.edit", edit(one, "uno")).await;
    assert_eq!(edited, json!({ "seq": 4, "ts": START.0 + 5 }));
    assert_eq!(f.code("bob", "message.delete", json!({ "room": room, "target": two })).await, 103);
    let deleted = f.ok("alice", "message.delete", json!({ "room": room, "target": two })).await;
    assert_eq!(deleted["seq"], 5);
    let again = f.ok("alice", "message.delete", json!({ "room": room, "target": two })).await;
    assert_eq!((&again["seq"], &again["existing"]), (&json!(5), &json!(true)));
    let page = f.ok("bob", "message.history", json!({ "room": room })).await;
    assert_eq!(bodies(&page), ["uno", ""]);
    assert_eq!(page["messages"][0]["edited_at"], START.0 + 5);
    assert_eq!(page["messages"][1]["deleted"], true);
    for (target, code) in [(0, 107), (1, 432), (4, 432), (99, 432), (two, 432)] {
        assert_eq!(f.code("alice", "message.edit", edit(target, "x")).await, code, "target {target}");
    }
    assert_eq!(f.code("alice", "message.edit", edit(one, "")).await, 107);
    for (target, code) in [(0, 107), (1, 432), (99, 432)] {
        assert_eq!(
            f.code("alice", "message.delete", json!({ "room": room, "target": target })).await,
            code,
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_message_older_than_the_window_is_deleted_by_its_author_as_the_store_knows_him() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let old = f.say("alice", &room, "old").await;
    f.clock.advance(25 * 60 * 60 * 1000);
    f.say("bob", &room, "new").await;
    f.settle().await;
    let edit = json!({ "room": room, "target": old, "body": "x" });
    assert_eq!(f.code("alice", "message.edit", edit).await, 431);
    let delete = json!({ "room": room, "target": old });
    assert_eq!(f.code("bob", "message.delete", delete.clone()).await, 103);
    f.ok("alice", "message.delete", delete).await;
    assert_eq!(f.bodies("bob", json!({ "room": room })).await, ["", "new"]);
    // Seq 1 is the room's making: no message, in the window or out of it.
    assert_eq!(f.code("alice", "message.delete", json!({ "room": room, "target": 1 })).await, 432);
}

#[tokio::test]
async fn members_come_and_go() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let in_room = json!({ "room": room });
    let with = |user: &str| json!({ "room": room, "user": user });
    assert_eq!(f.code("carol", "room.join", in_room.clone()).await, 441);
    assert_eq!(f.ok("bob", "room.invite", with("carol")).await["seq"], 2);
    assert_eq!(f.ok("alice", "room.invite", with("carol")).await["existing"], true);
    let invited = f.ok("carol", "room.get", in_room.clone()).await;
    assert_eq!((&invited["state"], invited.get("head")), (&json!("invited"), None));
    assert_eq!(f.ok("carol", "room.join", in_room.clone()).await["seq"], 3);
    assert_eq!(f.ok("carol", "room.join", in_room.clone()).await["existing"], true);
    assert_eq!(f.code("bob", "room.kick", with("carol")).await, 103);
    assert_eq!(f.code("alice", "room.kick", with("alice")).await, 442);
    assert_eq!(f.code("alice", "room.kick", with("nobody")).await, 412);
    assert_eq!(f.ok("alice", "room.kick", with("carol")).await["seq"], 4);
    for (method, data) in [
        ("message.send", json!({ "room": room, "body": "x" })),
        ("message.history", in_room.clone()),
        ("room.get", in_room.clone()),
        ("room.members", in_room.clone()),
        ("read.mark", json!({ "room": room, "seq": 1 })),
    ] {
        assert_eq!(f.code("carol", method, data).await, 412, "{method} after the kick");
    }
    assert_eq!(f.ok("alice", "room.leave", in_room.clone()).await["seq"], 5);
    let page = f.ok("bob", "room.members", in_room.clone()).await;
    let bob = json!({ "user": "bob", "role": "creator", "joined": 1 });
    assert_eq!(page, json!({ "members": [bob], "total": 1 }));
}

#[tokio::test]
async fn members_come_in_pages_and_with_their_marks_if_asked() {
    let f = Fixture::new().await;
    let room = f.group(&["ann", "bea", "cid", "dan"]).await;
    let seq = f.say("ann", &room, "x").await;
    f.ok("bea", "read.mark", json!({ "room": room, "seq": seq })).await;
    f.settle().await;
    let names = |page: &Value| -> Vec<String> {
        page["members"].as_array().unwrap().iter().map(|m| m["user"].as_str().unwrap().to_owned()).collect()
    };
    let first = f.ok("dan", "room.members", json!({ "room": room, "limit": 3, "marks": true })).await;
    assert_eq!(
        (names(&first), &first["after"], &first["total"]),
        (vec!["ann".into(), "bea".into(), "cid".into()], &json!("cid"), &json!(4))
    );
    assert_eq!(first["members"][1]["read_seq"], seq);
    assert_eq!(first["members"][2]["read_seq"], 0);
    let second = f.ok("dan", "room.members", json!({ "room": room, "limit": 3, "after": "cid" })).await;
    assert_eq!((names(&second), second.get("after")), (vec!["dan".to_owned()], None));
    assert_eq!(second["members"][0].get("read_seq"), None);
}

#[tokio::test]
async fn settings_are_the_creators() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let update = |change: Value| {
        let mut data = json!({ "room": room });
        data.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        data
    };
    assert_eq!(f.code("bob", "room.update", update(json!({ "title": "x" }))).await, 103);
    assert_eq!(f.code("alice", "room.update", update(json!({}))).await, 107);
    assert_eq!(f.code("alice", "room.update", update(json!({ "title": "x".repeat(257) }))).await, 430);
    let change = json!({ "title": "new", "may_send": "creator", "public": true, "ttl": "1h" });
    assert_eq!(f.ok("alice", "room.update", update(change)).await["seq"], 2);
    let room_now = f.ok("bob", "room.get", json!({ "room": room })).await;
    assert_eq!((&room_now["title"], &room_now["may_send"]), (&json!("new"), &json!("creator")));
    assert_eq!(room_now["expires_at"], START.0 + 3_600_000);
    assert_eq!(f.code("bob", "message.send", json!({ "room": room, "body": "x" })).await, 103);
    // Public now: seen and entered by anybody.
    assert_eq!(f.ok("carol", "room.get", json!({ "room": room })).await["title"], "new");
    f.ok("carol", "room.join", json!({ "room": room })).await;
    assert_eq!(f.code("bob", "room.end", json!({ "room": room })).await, 103);
    let end = f.ok("alice", "room.end", json!({ "room": room })).await;
    assert_eq!(f.ok("alice", "room.end", json!({ "room": room })).await["seq"], end["seq"]);
    assert_eq!(f.code("alice", "message.send", json!({ "room": room, "body": "x" })).await, 410);
    assert_eq!(f.ok("bob", "room.get", json!({ "room": room })).await["status"], "ended");
}
