//! How many invitations a user has out, and taking them back.

use serde_json::{Value, json};

use super::support::{Fixture, free};
use crate::actors::gateway::hub::Rate;
use crate::api::operations::Options;
use crate::api::operations::admission::Rates;
use crate::config::Limits;

const TOO_MANY: u32 = 106;

/// A node where a user may have this many invitations out.
async fn bounded(invitations: usize) -> Fixture {
    Fixture::with(Options { invitations, ..free() }).await
}

async fn invite(f: &Fixture, by: &str, room: &str, who: &str) -> Value {
    let done = f.ok(by, "room.invite", json!({ "room": room, "user": who })).await;
    f.settle().await;
    done
}

async fn refused(f: &Fixture, by: &str, room: &str, who: &str) {
    assert_eq!(f.code(by, "room.invite", json!({ "room": room, "user": who })).await, TOO_MANY, "{who}");
}

/// The rooms that a user is asked into.
async fn asked_into(f: &Fixture, who: &str) -> usize {
    let list = f.ok(who, "room.list", json!({})).await;
    list["rooms"].as_array().unwrap().iter().filter(|room| room["state"] == "invited").count()
}

#[tokio::test]
async fn a_user_has_so_many_unanswered_invitations_over_all_rooms_and_an_answer_frees_a_place() {
    let f = bounded(3).await;
    let (one, two) = (f.group(&["ann", "bob"]).await, f.group(&["ann", "bob"]).await);
    invite(&f, "bob", &one, "u1").await;
    invite(&f, "bob", &one, "u2").await;
    invite(&f, "bob", &two, "u1").await;
    refused(&f, "bob", &two, "u2").await;
    refused(&f, "bob", &one, "u3").await;
    let again = invite(&f, "bob", &two, "u1").await;
    assert_eq!(again["existing"], true, "a retry is told what it made");
    invite(&f, "ann", &two, "u2").await;
    f.ok("u1", "room.leave", json!({ "room": two })).await;
    f.settle().await;
    invite(&f, "bob", &two, "u3").await;
    refused(&f, "bob", &two, "u4").await;
    f.ok("u1", "room.join", json!({ "room": one })).await;
    f.settle().await;
    invite(&f, "bob", &two, "u4").await;
    refused(&f, "bob", &two, "u5").await;
    f.ok("ann", "room.end", json!({ "room": two })).await;
    f.settle().await;
    invite(&f, "bob", &one, "u5").await;
}

#[tokio::test]
async fn who_blocks_the_inviter_is_asked_into_nothing_by_him_any_more_and_frees_his_places() {
    let f = bounded(2).await;
    let (one, two) = (f.group(&["ann", "bob"]).await, f.group(&["ann", "bob"]).await);
    invite(&f, "bob", &one, "lea").await;
    invite(&f, "bob", &two, "lea").await;
    let others = f.group(&["max"]).await;
    invite(&f, "max", &others, "lea").await;
    refused(&f, "bob", &one, "kim").await;
    f.ok("lea", "user.block", json!({ "user": "bob" })).await;
    f.settle().await;
    assert_eq!(asked_into(&f, "lea").await, 1, "that of another stays");
    invite(&f, "bob", &one, "kim").await;
    f.ok("lea", "room.join", json!({ "room": others })).await;
}

#[tokio::test]
async fn all_unanswered_invitations_are_taken_back_at_once_or_those_of_a_room_or_of_one_user() {
    let f = Fixture::new().await;
    let (one, two) = (f.group(&["ann", "bob"]).await, f.group(&["ann", "bob"]).await);
    for room in [&one, &two] {
        for n in 0..20 {
            invite(&f, "bob", room, &format!("u{n}")).await;
        }
        invite(&f, "ann", room, "hers").await;
    }
    f.ok("u0", "room.join", json!({ "room": one })).await;
    f.settle().await;
    let taken = f.ok("bob", "room.uninvite", json!({ "user": "u1", "room": one })).await;
    assert_eq!(taken, json!({ "taken": 1 }));
    f.settle().await;
    let taken = f.ok("bob", "room.uninvite", json!({ "room": two })).await;
    assert_eq!(taken, json!({ "taken": 20 }));
    f.settle().await;
    assert_eq!(f.ok("bob", "room.uninvite", json!({})).await, json!({ "taken": 18 }));
    f.settle().await;
    assert_eq!(f.ok("bob", "room.uninvite", json!({})).await, json!({ "taken": 0 }));
    assert_eq!((asked_into(&f, "u1").await, asked_into(&f, "hers").await), (0, 2));
    assert_eq!(f.code("u2", "room.join", json!({ "room": one })).await, 441);
    let members = f.ok("bob", "room.members", json!({ "room": one })).await;
    assert_eq!(members["total"], 3, "u0 came in, and stays");
}

#[tokio::test]
async fn the_creator_takes_back_what_a_member_made_in_his_room_and_nobody_else_does() {
    let f = Fixture::new().await;
    let room = f.group(&["ann", "bob", "cat"]).await;
    for n in 0..3 {
        invite(&f, "bob", &room, &format!("u{n}")).await;
    }
    let bobs = json!({ "room": room, "inviter": "bob" });
    assert_eq!(f.code("cat", "room.uninvite", bobs.clone()).await, 103);
    assert_eq!(f.code("ann", "room.uninvite", json!({ "inviter": "bob" })).await, 107, "in which room?");
    assert_eq!(f.ok("ann", "room.uninvite", bobs).await, json!({ "taken": 3 }));
}

#[tokio::test]
async fn who_has_invited_as_many_as_may_be_pays_for_each_look_at_whether_their_rooms_live() {
    let (some, few) = (Rate { per_minute: 60, burst: 1_000 }, Rate { per_minute: 60, burst: 300 });
    let rates = Rates { messages: some, changes: some, questions: few, ..Rates::from(&Limits::default()) };
    let f = Fixture::with(Options { invitations: 1, rates, ..free() }).await;
    let room = f.group(&["ann", "bob"]).await;
    invite(&f, "bob", &room, "u1").await;
    let mut refused = 0;
    while f.code("bob", "room.invite", json!({ "room": room, "user": "u2" })).await == TOO_MANY {
        refused += 1;
    }
    assert!(refused <= 3, "{refused} looks at 10,000 rows for 300 questions");
}
