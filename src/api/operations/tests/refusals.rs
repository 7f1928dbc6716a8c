//! Who is told nothing.

use serde_json::json;
use uuid::Uuid;

use super::support::{Fixture, caller};
use crate::api::operations::{Caller, Method};
use crate::ids::{RoomId, UserId};

#[tokio::test]
async fn an_unknown_method_is_104_and_an_anonymous_user_has_none() {
    let f = Fixture::new().await;
    assert_eq!(f.code("alice", "room.destroy", json!({})).await, 104);
    let anonymous = Caller::new(UserId::anonymous(Uuid::from_u128(1)));
    for method in Method::ALL {
        let error = f.handlers.call(&anonymous, method.name(), b"{}").await.unwrap_err();
        assert_eq!(error.to_protocol().code, 103, "{}", method.name());
    }
}

#[tokio::test]
async fn a_stranger_gets_the_same_answer_whether_or_not_there_is_such_a_room() {
    let f = Fixture::new().await;
    let group = f.group(&["alice", "bob"]).await;
    let direct = f.direct("alice", "bob").await;
    let none = Uuid::from_u128(77).to_string();
    for method in [
        "message.send",
        "message.edit",
        "message.delete",
        "message.history",
        "message.delivered",
        "room.get",
        "room.update",
        "room.join",
        "room.leave",
        "room.invite",
        "room.kick",
        "room.end",
        "room.members",
        "read.mark",
        "typing",
    ] {
        let mut answers = Vec::new();
        for room in [&none, &group, &direct] {
            let data = json!({
                "room": room, "body": "x", "target": 1, "seq": 1, "user": "bob", "title": "t",
            });
            let error = f.handlers.call(&caller("mallory"), method, data.to_string().as_bytes()).await;
            answers.push(error.unwrap_err().to_protocol());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{method}: {answers:?}");
        assert_eq!(answers[0].code, if method == "room.join" { 441 } else { 412 }, "{method}");
    }
}

#[tokio::test]
async fn a_member_is_told_what_his_room_is_not_made_for() {
    let f = Fixture::new().await;
    let direct = f.direct("alice", "bob").await;
    for (method, data) in [
        ("room.join", json!({ "room": direct })),
        ("room.leave", json!({ "room": direct })),
        ("room.invite", json!({ "room": direct, "user": "carol" })),
        ("room.kick", json!({ "room": direct, "user": "bob" })),
        ("room.update", json!({ "room": direct, "public": true })),
    ] {
        assert_eq!(f.code("alice", method, data).await, 442, "{method}");
    }
}

#[tokio::test]
async fn the_uuid_of_an_open_channel_is_no_way_around_its_namespace() {
    let f = Fixture::new().await;
    let alice = caller("alice");
    let data = bytes::Bytes::from_static(b"{\"x\":1}");
    let record = f.handlers.prepare_open_publish(&alice, "news", Default::default(), data, None).unwrap();
    let answer = f.node.router().command(record.partition, record.record).get().await;
    assert_eq!(f.handlers.sent(&alice, Some(RoomId::open("news")), answer).unwrap().seq.0, 1);
    let room = RoomId::open("news").to_string();
    for (method, code) in [
        ("message.history", 412),
        ("message.edit", 412),
        ("message.delete", 412),
        ("room.get", 412),
        ("room.members", 412),
        ("typing", 412),
        ("room.join", 441),
        ("message.send", 412),
    ] {
        let data = json!({ "room": room, "target": 1, "body": "x" });
        assert_eq!(f.code("alice", method, data).await, code, "{method}");
    }
}
