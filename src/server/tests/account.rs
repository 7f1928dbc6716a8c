//! Rows that accounts have before the journal says anything of their users.

use super::*;
use crate::ids::Timestamp;
use crate::server::storage;
use crate::storage::accounts::AccountRows;

/// The account's row is of no record, so it disagrees with nobody's: not with the record of another user at the same place.
#[tokio::test]
async fn an_account_that_was_just_made_halts_no_partition() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    folder.path().clone_into(&mut config.data.dir);
    let rig = Rig::of(config.clone()).await;
    let alice = UserId::new("alice").unwrap();
    let room = group_of(&rig, &alice).await;

    let bob = (0..)
        .map(|n| UserId::new(&format!("bob{n}")).unwrap())
        .find(|user| user.partition() == room.partition())
        .unwrap();
    let (connections, _store) = storage::rows(&config).await.unwrap();
    AccountRows::new(connections).set_tokens_from(&bob, Timestamp(1)).await.unwrap();
    let room = group_of(&rig, &bob).await;
    until("bob is told of his room", async || {
        let listed = within("a list", call(&rig.handlers, &bob, "room.list", &json!({}))).await.unwrap();
        listed["rooms"].as_array().unwrap().iter().any(|listed| listed["room"] == room.to_string())
    })
    .await;
    rig.end().await;
}
