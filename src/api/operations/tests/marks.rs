//! Read marks, deliveries, typing, presence, devices, preferences.

use serde_json::json;
use uuid::{Builder, Uuid};

use super::support::{Fixture, START, caller, user};
use crate::actors::wire::{Ephemeral, ReceiptStatus, UserEventBody};
use crate::actors::workers::persistence::rows;
use crate::ids::Seq;
use crate::storage::journal::Journal as _;
use crate::storage::store::{SeqRange, Store as _};
use crate::testing::found;

#[tokio::test]
async fn a_read_mark_moves_forward_and_the_room_hears_of_it() {
    let mut f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    for n in 0..4 {
        f.say("alice", &room, &n.to_string()).await;
    }
    f.listen(&room, "alice").await;
    let marked = f.ok("bob", "read.mark", json!({ "room": room, "seq": 99 })).await;
    assert_eq!(marked, json!({ "seq": 5, "no": 4, "unread": 0 }), "beyond the head is the head");
    let receipt = Ephemeral::Receipt { user: user("bob"), status: ReceiptStatus::Read, seq: Seq(5) };
    assert_eq!(f.ephemeral().await, receipt);
    f.ok("bob", "read.mark", json!({ "room": room, "seq": 2 })).await;
    f.settle().await;
    let members = f.ok("alice", "room.members", json!({ "room": room, "marks": true })).await;
    assert_eq!(members["members"][1]["read_seq"], 5, "a mark never goes back");
    assert_eq!(f.code("bob", "read.mark", json!({ "room": room, "seq": 0 })).await, 107);
}

#[tokio::test]
async fn a_mark_that_is_set_back_is_answered_with_where_it_stands() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    for n in 0..6 {
        f.say("alice", &room, &n.to_string()).await;
    }
    let stands = json!({ "seq": 6, "no": 5, "unread": 1 });
    assert_eq!(f.ok("bob", "read.mark", json!({ "room": room, "seq": 6 })).await, stands);
    assert_eq!(f.ok("bob", "read.mark", json!({ "room": room, "seq": 1 })).await, stands);
    assert_eq!(f.ok("bob", "read.mark", json!({ "room": room, "seq": 6 })).await, stands);
}

#[tokio::test]
async fn what_was_said_before_somebody_came_is_not_unread_to_him() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    for n in 0..3 {
        f.say("alice", &room, &n.to_string()).await;
    }
    f.ok("alice", "room.invite", json!({ "room": room, "user": "carol" })).await;
    f.ok("carol", "room.join", json!({ "room": room })).await;
    f.say("alice", &room, "welcome").await;
    f.settle().await;
    let listed = f.ok("carol", "room.list", json!({})).await["rooms"][0]["unread"].clone();
    assert_eq!(listed, 1);
    let marked = f.ok("carol", "read.mark", json!({ "room": room, "seq": 1 })).await;
    assert_eq!(marked["unread"], listed, "the answer and the list count alike");
}

#[tokio::test]
async fn a_mark_on_a_message_older_than_the_window_has_its_number_from_the_store() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    f.say("alice", &room, "a").await;
    let old = f.say("alice", &room, "b").await;
    f.ok("alice", "room.update", json!({ "room": room, "title": "x" })).await;
    f.clock.advance(25 * 60 * 60 * 1000);
    for n in 0..3 {
        f.say("alice", &room, &n.to_string()).await;
    }
    f.settle().await;
    let marked = f.ok("bob", "read.mark", json!({ "room": room, "seq": old })).await;
    assert_eq!(marked, json!({ "seq": old, "no": 2, "unread": 3 }));
}

#[tokio::test]
async fn marks_that_come_together_are_one_or_two_records_and_all_are_answered() {
    let f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    for n in 0..20 {
        f.say("alice", &room, &n.to_string()).await;
    }
    let partition = user("bob").partition();
    let before = f.journal.bounds(partition).end;
    let marks = (2..=21).map(|seq| {
        let (f, room) = (&f, &room);
        async move { f.ok("bob", "read.mark", json!({ "room": room, "seq": seq })).await["seq"].as_u64().unwrap() }
    });
    let answers = futures_util::future::join_all(marks).await;
    for (asked, answer) in (2..=21).zip(&answers) {
        assert!(*answer >= asked, "asked for {asked}, answered {answer}");
    }
    let records = f.journal.bounds(partition).end.0 - before.0;
    assert!((1..=4).contains(&records), "{records} records for 20 marks");
}

#[tokio::test]
async fn deliveries_and_typing_reach_the_listeners_and_say_something_new_each() {
    let mut f = Fixture::new().await;
    let room = f.group(&["alice", "bob"]).await;
    let seq = f.say("alice", &room, "x").await;
    f.listen(&room, "alice").await;
    for _ in 0..3 {
        f.ok("bob", "message.delivered", json!({ "room": room, "seq": seq + 7 })).await;
        f.ok("bob", "typing", json!({ "room": room })).await;
    }
    let delivered =
        |seq: u64| Ephemeral::Receipt { user: user("bob"), status: ReceiptStatus::Delivered, seq: Seq(seq) };
    let typing = Ephemeral::Typing { user: user("bob") };
    f.clock.advance(1_000);
    f.ok("bob", "typing", json!({ "room": room })).await;
    let next = f.say("alice", &room, "y").await;
    f.ok("bob", "message.delivered", json!({ "room": room, "seq": next })).await;
    for expected in [delivered(seq), typing.clone(), typing, delivered(next)] {
        assert_eq!(f.ephemeral().await, expected, "once each, and nothing between");
    }
    assert_eq!(f.code("bob", "message.delivered", json!({ "room": room, "seq": 0 })).await, 107);
}

#[tokio::test]
async fn presence_tells_who_is_online() {
    let f = Fixture::new().await;
    f.online.lock().unwrap().insert(user("bob"));
    let presence = f.ok("alice", "presence.get", json!({ "users": ["bob", "carol"] })).await;
    assert_eq!(presence, json!({ "users": { "bob": { "online": true }, "carol": { "online": false } } }));
    let many: Vec<String> = (0..101).map(|n| format!("u{n}")).collect();
    assert_eq!(f.code("alice", "presence.get", json!({ "users": many })).await, 106);
}

#[tokio::test]
async fn a_room_is_muted_for_oneself_until_a_time_or_for_ever() {
    let f = Fixture::new().await;
    let made = f.ok("alice", "room.create", json!({ "kind": "group", "members": ["bob"] })).await;
    let room = made["room"].as_str().unwrap();
    let mutes = async |who: &str| f.ok(who, "user.mutes", json!({})).await["mutes"].clone();
    // That bob is in comes to him by the relay, a moment later.
    found("bob has the room", async || {
        let data = json!({ "room": room }).to_string();
        f.handlers.call(&caller("bob"), "room.mute", data.as_bytes()).await.ok()
    })
    .await;
    assert_eq!(mutes("bob").await, json!({ room: {} }));
    assert_eq!(mutes("alice").await, json!({}), "nobody else's matter");
    let until = 8_000_000_000_000_u64;
    f.ok("bob", "room.mute", json!({ "room": room, "until": until })).await;
    assert_eq!(mutes("bob").await, json!({ room: { "until": until } }));
    f.ok("bob", "room.unmute", json!({ "room": room })).await;
    assert_eq!(mutes("bob").await, json!({}));
    assert_eq!(f.code("bob", "room.mute", json!({ "room": room, "until": 1 })).await, 107);
    assert_eq!(f.code("bob", "room.mute", json!({ "room": room, "until": u64::MAX })).await, 107);
    let strange = "00000000-0000-4000-8000-000000000000";
    assert_eq!(
        f.code("bob", "room.mute", json!({ "room": strange })).await,
        f.code("bob", "room.get", json!({ "room": strange })).await
    );
}

#[tokio::test]
async fn notifications_are_read_one_by_one_or_up_to_one() {
    let f = Fixture::new().await;
    let id = |n: u8| Builder::from_unix_timestamp_millis(u64::from(n), &[n; 10]).into_uuid();
    f.ok("bob", "notification.read", json!({ "ids": [id(1), id(2)] })).await;
    f.ok("bob", "notification.read", json!({ "all": true, "up_to": id(3) })).await;
    f.ok("bob", "notification.read", json!({ "all": true, "up_to": id(2) })).await;
    f.ok("bob", "notification.read", json!({ "all": true })).await;
    f.settle().await;
    let told = f.store.user_events(&user("bob"), SeqRange::all(), 9).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|row| rows::user_event(row).unwrap().body).collect();
    let read = |up_to, ids: &[Uuid]| UserEventBody::NotificationsRead { up_to, ids: ids.to_vec() };
    let now = Builder::from_unix_timestamp_millis(START.0, &[u8::MAX; 10]).into_uuid();
    // What is read already is told to nobody.
    assert_eq!(told, [read(None, &[id(1), id(2)]), read(Some(id(3)), &[]), read(Some(now), &[])]);
    for (bad, code) in [
        (json!({}), 107),
        (json!({ "all": true, "ids": [id(1)] }), 107),
        (json!({ "ids": [id(1)], "up_to": id(2) }), 107),
        (json!({ "ids": ["x"] }), 107),
        (json!({ "ids": vec![id(1); 101] }), 106),
    ] {
        assert_eq!(f.code("bob", "notification.read", bad.clone()).await, code, "{bad}");
    }
}

#[tokio::test]
async fn devices_and_preferences_are_the_users_own() {
    let f = Fixture::new().await;
    assert_eq!(f.ok("alice", "user.preferences", json!({})).await, json!({}));
    let wanted = json!({ "preferences": { "mute": ["x"], "n": 1 } });
    assert_eq!(f.ok("alice", "user.preferences", wanted.clone()).await, wanted);
    assert_eq!(f.ok("alice", "user.preferences", json!({})).await, wanted);
    assert_eq!(f.ok("bob", "user.preferences", json!({})).await, json!({}));
    assert_eq!(f.code("alice", "user.preferences", json!({ "preferences": [1] })).await, 107);
    let large = json!({ "preferences": { "x": "y".repeat(8 * 1024) } });
    assert_eq!(f.code("alice", "user.preferences", large).await, 430);
    let device = json!({ "device": "phone", "platform": "ios", "push_token": "t" });
    assert_eq!(f.ok("alice", "user.device", device).await, json!({}));
    assert_eq!(f.ok("alice", "user.device", json!({ "device": "phone", "remove": true })).await, json!({}));
    assert_eq!(f.code("alice", "user.device", json!({ "device": "d", "platform": "x".repeat(33) })).await, 430);
    assert_eq!(f.code("alice", "user.device", json!({ "device": "d", "push_token": "x".repeat(2_049) })).await, 430);
    let keys = json!({
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    });
    let browser = |endpoint: &str| {
        let subscription = json!({ "endpoint": endpoint, "keys": keys }).to_string();
        json!({ "device": "browser", "platform": "web", "push_token": subscription })
    };
    f.ok("alice", "user.device", browser("https://push.example.com/x")).await;
    for endpoint in ["http://push.example.com/x", "https://169.254.169.254/latest", "https://localhost/x"] {
        assert_eq!(f.code("alice", "user.device", browser(endpoint)).await, 107, "{endpoint}");
    }
    assert_eq!(f.code("alice", "user.device", json!({ "device": "browser", "push_token": "{" })).await, 107);
    assert_eq!(f.code("alice", "user.block", json!({ "user": "alice" })).await, 107);
}
