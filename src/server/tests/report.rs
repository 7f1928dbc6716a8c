//! What the views of the schema `report` say is what clients are told of the same rooms.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Rig, call};
use crate::ids::UserId;
use crate::storage::sql::support::{Postgres, report};
use crate::testing::until;

fn name(user: &str) -> UserId {
    UserId::new(user).unwrap()
}

/// What clients are told of a room, in the words of the views.
async fn told(rig: &Rig, room: &str) -> (Value, Vec<Value>) {
    let ask = async |method: &str, more: Value| {
        let mut data = json!({ "room": room });
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call(&rig.handlers, &name("alice"), method, &data).await.unwrap()
    };
    let about = ask("room.get", json!({})).await;
    let members = ask("room.members", json!({ "marks": true })).await;
    let history = ask("message.history", json!({})).await;
    let read = |sender: &Value, seq: u64| {
        let others = members["members"].as_array().unwrap().iter().filter(|member| member["user"] != *sender);
        others.filter_map(|member| member["read_seq"].as_u64()).any(|mark| mark >= seq)
    };
    let messages = history["messages"].as_array().unwrap().iter().map(|message| {
        let status = if read(&message["sender"], message["seq"].as_u64().unwrap()) { "read" } else { "sent" };
        json!({
            "id": message["id"], "seq": message["seq"], "sender": message["sender"], "body": message["body"],
            "message_type": message["message_type"], "metadata": message["metadata"], "ts": message["ts"],
            "reply_to": message["reply_to"], "edited_at": message["edited_at"], "status": status,
            "deleted": message["deleted"] == true,
        })
    });
    let chat = json!({
        "kind": about["kind"], "title": about["title"].as_str().unwrap_or_default(), "status": about["status"],
        "expires_at": about["expires_at"], "creator": about["creator"], "last_message_at": about["last_message_at"],
    });
    (chat, messages.collect())
}

const MS: &str = "(extract(epoch FROM {}) * 1000)::bigint";

fn ms(column: &str) -> String {
    format!("{} AS {column}_ms", MS.replace("{}", column))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_views_say_is_what_clients_are_told() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start().await);
    let database = postgres.fresh().await;
    let rig = Rig::start(folder.path(), &database).await;
    let go =
        async |user: &str, method: &str, data: Value| call(&rig.handlers, &name(user), method, &data).await.unwrap();
    let mut rooms = BTreeMap::new();
    for (title, peer, ttl) in [("lives", "bob", 0), ("ended", "carol", 0), ("expired", "dave", 1_000)] {
        let made = go("alice", "room.create", json!({ "kind": "direct", "user": peer, "ttl": ttl })).await;
        rooms.insert(title, made["room"].as_str().unwrap().to_owned());
    }
    let made =
        go("alice", "room.create", json!({ "kind": "group", "members": ["bob", "carol"], "title": "A group" })).await;
    rooms.insert("group", made["room"].as_str().unwrap().to_owned());
    for (title, room) in &rooms {
        for (n, metadata) in [json!({ "n": 1 }), json!("half \u{10ffff}"), json!([1, 2.5, null])].iter().enumerate() {
            let message = json!({ "room": room, "body": format!("{title} {n}"), "metadata": metadata });
            go("alice", "message.send", message).await;
        }
    }
    let (lives, group) = (&rooms["lives"], &rooms["group"]);
    let sent = go("bob", "message.send", json!({ "room": lives, "body": "well", "reply_to": 2 })).await;
    go("alice", "message.edit", json!({ "room": lives, "target": 3, "body": "better" })).await;
    go("alice", "message.delete", json!({ "room": lives, "target": 4 })).await;
    go("bob", "read.mark", json!({ "room": lives, "seq": 3 })).await;
    go("alice", "read.mark", json!({ "room": lives, "seq": sent["seq"] })).await;
    go("carol", "read.mark", json!({ "room": group, "seq": 2 })).await;
    go("carol", "room.end", json!({ "room": rooms["ended"] })).await;
    until("its time is up", async || {
        go("alice", "room.get", json!({ "room": rooms["expired"] })).await["status"] == "expired"
    })
    .await;
    let mut expected = BTreeMap::new();
    for (title, room) in &rooms {
        expected.insert(*title, told(&rig, room).await);
    }
    rig.end().await;

    for (title, room) in &rooms {
        let (chat, messages) = &expected[title];
        let [expires_at, last_message_at, created_at, edited_at] =
            ["expires_at", "last_message_at", "created_at", "edited_at"].map(ms);
        let chats = format!(
            "SELECT kind, title, status, creator_id AS creator, {expires_at}, {last_message_at} FROM report.chats \
             WHERE id = '{room}'"
        );
        let found = report::answer(&database, &chats).await.pop().unwrap();
        let found = json!({
            "kind": found["kind"], "title": found["title"], "status": found["status"], "creator": found["creator"],
            "expires_at": found["expires_at_ms"], "last_message_at": found["last_message_at_ms"],
        });
        assert_eq!(found, *chat, "{title}");
        let question = format!(
            "SELECT id, seq, sender_id AS sender, message AS body, message_type, metadata, {created_at}, \
             reply_to_seq AS reply_to, {edited_at}, status, deleted FROM report.messages WHERE chat_id = '{room}' ORDER BY seq"
        );
        let mut found = report::answer(&database, &question).await;
        for row in &mut found {
            let row = row.as_object_mut().unwrap();
            for (view, client) in [("created_at_ms", "ts"), ("edited_at_ms", "edited_at")] {
                let value = row.remove(view).unwrap();
                row.insert(client.to_owned(), value);
            }
        }
        assert_eq!(found, *messages, "{title}");
        assert!(found.len() >= 3, "{title}");
    }
    let statuses =
        |title: &str| expected[title].1.iter().map(|row| row["status"].as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(statuses("lives"), ["read", "read", "sent", "read"]);
    assert_eq!(expected["ended"].0["status"], "ended");
    let ended = "SELECT user1_id, user2_id, ended_by_user1, ended_by_user2 FROM report.chats WHERE status = 'ended'";
    let who = json!({ "user1_id": "alice", "user2_id": "carol", "ended_by_user1": false, "ended_by_user2": true });
    assert_eq!(report::answer(&database, ended).await, [who]);
}
