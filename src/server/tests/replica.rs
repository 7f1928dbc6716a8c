//! Pages of history from a replica that is told apart from the database by what it says.

use super::*;

/// The texts of the room's messages, as a page shows them.
async fn page(rig: &Rig, sender: &UserId, room: RoomId) -> Vec<String> {
    let question = json!({ "room": room.to_string(), "limit": 100 });
    let page = within("a page", call(&rig.handlers, sender, "message.history", &question)).await.unwrap();
    let text = |message: &Value| message["body"].as_str().unwrap().to_owned();
    page["messages"].as_array().unwrap().iter().map(text).collect()
}

async fn send(rig: &Rig, user: &UserId, room: RoomId, text: &str) -> u64 {
    let message = json!({ "room": room.to_string(), "body": text });
    let sent = within("an answer", call(&rig.handlers, user, "message.send", &message)).await.unwrap();
    sent["seq"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_tells_what_it_has_and_the_room_what_came_since() {
    let (folder, postgres) = (tempfile::tempdir().unwrap(), Postgres::start().await);
    let database = postgres.fresh().await;
    let mut replica = postgres.replica();
    let with_replica = |config: &mut Config| {
        config.store.database_url = Some(database.clone());
        config.store.replica_url = Some(replica.same(&database));
    };
    let (data, user) = (folder.path().to_owned(), UserId::new("alice").unwrap());
    let rig = Rig::with(&data, with_replica).await;
    let room = group_of(&rig, &user).await;
    let mut seqs = Vec::new();
    for n in 0..10 {
        seqs.push(send(&rig, &user, room, &format!("m{n}")).await);
    }
    until("the replica has all of it", async || replica.messages(&database).await == 10).await;

    // From here on it is on its own, and says something else.
    replica.promote(&database, "UPDATE messages SET body = 'of the replica' WHERE body IN ('m2', 'm3')").await;
    let edited = json!({ "room": room.to_string(), "target": seqs[3], "body": "edited" });
    within("an edit", call(&rig.handlers, &user, "message.edit", &edited)).await.unwrap();
    send(&rig, &user, room, "new").await;
    let expected = ["m0", "m1", "of the replica", "edited", "m4", "m5", "m6", "m7", "m8", "m9", "new"];
    assert_eq!(page(&rig, &user, room).await, expected);
    rig.end().await;

    // Nothing is in memory now, and the replica lags behind: the database is asked.
    let rig = Rig::with(&data, with_replica).await;
    let present = ["m0", "m1", "m2", "edited", "m4", "m5", "m6", "m7", "m8", "m9", "new"];
    assert_eq!(page(&rig, &user, room).await, present);
    // It does not answer.
    replica.kill();
    assert_eq!(page(&rig, &user, room).await, present);
    rig.end().await;
}
