//! What an operator does to accounts and in rooms.

use serde_json::{Value, json};

use super::support::{Rig, texts};
use crate::api::accounts::Client;
use crate::api::operations::admission::{Cost, Payer};
use crate::ids::UserId;

async fn delete(rig: &Rig, path: &str) -> (u16, Value) {
    rig.raw("DELETE", path, &[("host", "localhost"), ("x-kervan-admin", "1")], "").await
}

async fn acts(rig: &Rig) -> Vec<String> {
    let audit = rig.ok("/admin/audit").await;
    let line = |line: &Value| format!("{} {}", line["what"].as_str().unwrap(), line["outcome"].as_str().unwrap());
    audit["items"].as_array().unwrap().iter().rev().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_made_given_another_password_and_removed() {
    let rig = Rig::start().await;
    let new = r#"{"username":"Carol","password":"correct horse","email":"carol@example.com"}"#;
    let (status, made) = rig.post("/admin/users", new).await;
    assert_eq!((status, &made["username"]), (201, &json!("carol")), "{made}");
    let id = made["id"].as_str().unwrap();
    let again = r#"{"username":"carol","password":"correct horse"}"#;
    assert_eq!(rig.post("/admin/users", again).await.1["error"]["code"], "username_taken");
    let (status, said) = rig.post("/admin/users", r#"{"username":"c","password":"correct horse"}"#).await;
    assert!(status == 400 && said["error"]["message"].as_str().unwrap().contains("3 to 32"), "{said}");
    let accounts = rig.engine.accounts();
    let password = |text: &str| crate::config::Secret::new(text);
    let client = Client { network: std::net::Ipv4Addr::LOCALHOST.into(), agent: "" };
    accounts.log_in("carol", &password("correct horse"), client).await.unwrap();
    let path = format!("/admin/users/{id}");
    assert_eq!(rig.post(&format!("{path}/password"), r#"{"password":"short"}"#).await.0, 400);
    assert_eq!(
        rig.post(&format!("{path}/password"), r#"{"password":"battery staple"}"#).await,
        (200, json!({ "ended": 1 }))
    );
    assert!(accounts.log_in("carol", &password("correct horse"), client).await.is_err());
    let tokens = accounts.log_in("carol@example.com", &password("battery staple"), client).await.unwrap();
    let connection = rig.connect(id);
    assert_eq!(rig.post(&format!("{path}/sign-out"), "").await, (200, json!({ "closed": 1 })));
    assert!(accounts.refresh(&tokens.refresh, client.network, |_| Ok(())).await.is_err());
    rig.engine.hub().sessions().remove(&connection);
    rig.connect(id);
    assert_eq!(delete(&rig, &path).await, (200, json!({ "closed": 1 })));
    assert!(accounts.log_in("carol", &password("battery staple"), client).await.is_err());
    assert!(accounts.refresh(&tokens.refresh, client.network, |_| Ok(())).await.is_err());
    assert_eq!(delete(&rig, &path).await.0, 404, "there is no account any more");
    assert_eq!(rig.post(&format!("{path}/password"), r#"{"password":"battery staple"}"#).await.0, 404);
    assert_eq!(rig.post("/admin/users", new).await.0, 201, "the name is free");
    let expected = [
        "user.create done",
        "user.create username_taken",
        "user.create bad_request",
        "user.password bad_request",
        "user.password done",
        "user.sign_out done",
        "user.delete done",
        "user.delete not_found",
        "user.password not_found",
        "user.create done",
    ];
    assert_eq!(acts(&rig).await, expected);
    let audit = rig.ok("/admin/audit").await.to_string();
    assert!(!audit.contains("battery") && !audit.contains("horse"), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_deletes_a_message_sends_a_member_away_and_ends_a_room() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann", "bob"]).await;
    rig.call("bob", "room.join", json!({ "room": room })).await;
    let sent = rig.call("bob", "message.send", json!({ "room": room, "body": "spam" })).await;
    rig.settle().await;
    let path = format!("/admin/rooms/{room}");
    let message = format!("{path}/messages/{}", sent["seq"]);
    let (status, deleted) = delete(&rig, &message).await;
    assert_eq!(status, 200, "{deleted}");
    assert_eq!(delete(&rig, &message).await.1["existing"], true);
    assert_eq!(delete(&rig, &format!("{path}/messages/1")).await.0, 404, "no message");
    assert_eq!(delete(&rig, &format!("{path}/messages/x")).await.0, 400);
    rig.settle().await;
    let page = rig.ok(&format!("{path}/messages?bodies=true")).await;
    assert_eq!((&page["items"][0]["deleted"], &page["items"][0]["body"]), (&json!(true), &json!("")));
    let kick = |user: &str| json!({ "user": user }).to_string();
    assert_eq!(rig.post(&format!("{path}/kick"), &kick("ann")).await.1["error"]["code"], "wrong_kind");
    assert_eq!(rig.post(&format!("{path}/kick"), &kick("bob")).await.0, 200);
    assert_eq!(rig.post(&format!("{path}/kick"), &kick("nobody")).await.1["error"]["code"], "not_member");
    assert_eq!(rig.post(&format!("{path}/kick"), "{}").await.0, 400);
    assert_eq!(rig.post(&format!("{path}/end"), "").await.0, 200);
    assert_eq!(rig.post(&format!("{path}/end"), "").await.1["existing"], true);
    rig.settle().await;
    let one = rig.ok(&path).await;
    assert_eq!(one["status"], "ended");
    let members = one["members"]["items"].as_array().unwrap();
    assert_eq!(
        (texts(members, "user"), texts(members, "state")),
        (vec!["ann".into(), "bob".into()], vec!["member".into(), "kicked".into()])
    );
    assert_eq!(rig.post("/admin/rooms/00000000-0000-0000-0000-000000000001/end", "").await.0, 404);
    let done: Vec<_> = acts(&rig).await.into_iter().filter(|act| act.ends_with("done")).collect();
    assert_eq!(
        done,
        [
            "room.delete_message done",
            "room.delete_message done",
            "room.bodies done",
            "room.kick done",
            "room.end done",
            "room.end done"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_acts_whatever_is_left_in_the_accounts_of_those_in_whose_name_it_is_done() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann", "bob"]).await;
    let spam = rig.call("bob", "message.send", json!({ "room": room, "body": "spam" })).await;
    rig.settle().await;
    let admission = rig.engine.handlers().admission();
    let spend_all = || {
        for user in ["ann", "bob"] {
            let account = Payer::User(UserId::new(user).unwrap());
            admission.charge(&account, Cost::Change { users: 10_000, bytes: 0 });
            admission.charge(&account, Cost::Question { rows: 1_000_000 });
        }
    };
    let path = format!("/admin/rooms/{room}");
    spend_all();
    assert_eq!(delete(&rig, &format!("{path}/messages/{}", spam["seq"])).await.0, 200);
    spend_all();
    assert_eq!(rig.post(&format!("{path}/kick"), &json!({ "user": "bob" }).to_string()).await.0, 200);
    spend_all();
    assert_eq!(rig.post(&format!("{path}/end"), "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_takes_back_what_a_user_invited() {
    let rig = Rig::start().await;
    let room = rig.group(&["ann", "bob"]).await;
    for n in 0..5 {
        rig.call("bob", "room.invite", json!({ "room": room, "user": format!("u{n}") })).await;
    }
    rig.call("ann", "room.invite", json!({ "room": room, "user": "cat" })).await;
    rig.settle().await;
    // Whatever the user's own account says.
    let (all, of_bob) = (rig.engine.handlers().admission(), Payer::User(UserId::new("bob").unwrap()));
    all.charge(&of_bob, Cost::Change { users: 1_000, bytes: 0 });
    assert_eq!(delete(&rig, "/admin/users/bob/invitations").await, (200, json!({ "taken": 5 })));
    rig.settle().await;
    assert_eq!(delete(&rig, "/admin/users/bob/invitations").await, (200, json!({ "taken": 0 })));
    let members = rig.ok(&format!("/admin/rooms/{room}/members")).await;
    let states = texts(members["items"].as_array().unwrap(), "state");
    assert_eq!(states, ["member", "member", "invited"], "and no more than that");
    assert_eq!(acts(&rig).await, ["user.uninvite done", "user.uninvite done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_chat_is_ended_in_the_name_of_one_of_its_two() {
    let rig = Rig::start().await;
    let room = rig.call("ann", "room.create", json!({ "kind": "direct", "user": "bob" })).await;
    rig.settle().await;
    let path = format!("/admin/rooms/{}", room["room"].as_str().unwrap());
    assert_eq!(rig.post(&format!("{path}/end"), "").await.0, 200);
    rig.settle().await;
    assert_eq!(rig.ok(&path).await["status"], "ended");
}
