//! What a block keeps away.

use serde_json::json;

use super::support::{Fixture, user};
use crate::actors::wire::{Entity, Ephemeral, Query, QueryAnswer, ReceiptStatus, Reject};
use crate::ids::{RoomId, Seq};
use crate::testing::until;

#[tokio::test]
async fn in_a_blocked_chat_neither_words_nor_titles_nor_typing_nor_receipts_pass() {
    let mut f = Fixture::new().await;
    let room = f.direct("kim", "lea").await;
    f.say("kim", &room, "hello").await;
    f.ok("lea", "user.block", json!({ "user": "kim" })).await;
    until("the relay has told", async || is_blocked(&f, &room, "kim").await).await;
    f.listen(&room, "lea").await;
    let said = json!({ "room": room, "body": "and another thing" });
    assert_eq!(f.code("kim", "message.send", said).await, 413);
    let edited = json!({ "room": room, "target": 2, "body": "another thing" });
    assert_eq!(f.code("kim", "message.edit", edited).await, 413);
    let named = json!({ "room": room, "title": "another thing" });
    assert_eq!(f.code("kim", "room.update", named).await, 413);
    assert_eq!(f.code("kim", "room.end", json!({ "room": room })).await, 413);
    for seq in [1, 2] {
        f.ok("kim", "message.delivered", json!({ "room": room, "seq": seq })).await;
        f.ok("kim", "read.mark", json!({ "room": room, "seq": seq })).await;
        f.ok("kim", "typing", json!({ "room": room })).await;
        f.clock.advance(2_000);
    }
    f.settle().await;
    f.ok("lea", "user.unblock", json!({ "user": "kim" })).await;
    until("the relay has told", async || !is_blocked(&f, &room, "kim").await).await;
    let next = f.say("lea", &room, "well?").await;
    f.ok("kim", "read.mark", json!({ "room": room, "seq": next })).await;
    let receipt = Ephemeral::Receipt { user: user("kim"), status: ReceiptStatus::Read, seq: Seq(next) };
    assert_eq!(f.ephemeral().await, receipt, "nothing came before it");
}

#[tokio::test]
async fn a_group_and_an_invitation_leave_out_who_blocks_their_maker_and_do_not_say_so() {
    let f = Fixture::new().await;
    f.ok("lea", "user.block", json!({ "user": "kim" })).await;
    let room = f.group(&["kim", "lea", "max"]).await;
    let members = f.ok("max", "room.members", json!({ "room": room })).await;
    assert_eq!(members["total"], 2, "lea is no member");
    let invited = f.ok("kim", "room.invite", json!({ "room": room, "user": "lea" })).await;
    assert_eq!(invited["seq"], 1, "the answer is one of an invitation, and there is no event: {invited}");
    assert_eq!(f.code("zoe", "room.invite", json!({ "room": room, "user": "lea" })).await, 412, "of members only");
    assert_eq!(f.code("kim", "room.invite", json!({ "room": room, "user": "anon:1" })).await, 103);
    f.settle().await;
    assert_eq!(f.ok("lea", "room.list", json!({})).await["rooms"], json!([]));
    // Others may ask her in, and then she is.
    f.ok("max", "room.invite", json!({ "room": room, "user": "lea" })).await;
    let again = f.ok("kim", "room.invite", json!({ "room": room, "user": "lea" })).await;
    assert_eq!((&again["seq"], &again["existing"]), (&json!(2), &json!(true)));
    f.ok("lea", "room.join", json!({ "room": room })).await;
    // In a room with others, a block keeps nothing back.
    f.say("kim", &room, "hello all").await;
    f.ok("kim", "room.end", json!({ "room": room })).await;
    assert_eq!(f.code("kim", "room.invite", json!({ "room": room, "user": "lou" })).await, 410);
}

#[tokio::test]
async fn who_blocks_is_not_seen_online() {
    let f = Fixture::new().await;
    f.online.lock().unwrap().extend([user("lea"), user("max")]);
    f.ok("lea", "user.block", json!({ "user": "kim" })).await;
    let asked = json!({ "users": ["lea", "max"] });
    let seen = f.ok("kim", "presence.get", asked.clone()).await;
    assert_eq!(seen, json!({ "users": { "lea": { "online": false }, "max": { "online": true } } }));
    assert_eq!(f.ok("max", "presence.get", asked).await["users"]["lea"]["online"], true);
    f.ok("lea", "user.unblock", json!({ "user": "kim" })).await;
    let seen = f.ok("kim", "presence.get", json!({ "users": ["lea"] })).await;
    assert_eq!(seen["users"]["lea"]["online"], true);
}

#[tokio::test]
async fn a_block_silences_the_direct_chat_and_an_unblock_opens_it() {
    let f = Fixture::new().await;
    let room = f.direct("alice", "bob").await;
    f.ok("bob", "user.block", json!({ "user": "alice" })).await;
    f.ok("bob", "user.block", json!({ "user": "alice" })).await;
    let data = json!({ "room": room, "body": "x" });
    until("the relay has told", async || is_blocked(&f, &room, "alice").await).await;
    assert_eq!(f.code("alice", "message.send", data.clone()).await, 413);
    assert_eq!(f.code("bob", "message.send", data.clone()).await, 413);
    f.ok("bob", "user.unblock", json!({ "user": "alice" })).await;
    until("the relay has told", async || !is_blocked(&f, &room, "alice").await).await;
    f.ok("alice", "message.send", data).await;
}

/// Whether a block keeps this member from saying anything.
async fn is_blocked(f: &Fixture, room: &str, member: &str) -> bool {
    let query = Query::TakesMessage { user: user(member) };
    match f.node.router().query(Entity::Room(RoomId(room.parse().unwrap())), query).await {
        QueryAnswer::TakesMessage(taken) => taken == Err(Reject::Blocked),
        other => panic!("{other:?}"),
    }
}
