//! Pushes to devices: who is pushed to, and what becomes of a token that leads nowhere.

use std::sync::atomic::Ordering;

use super::support::{Fate, Life, World, user_id};
use crate::actors::user::UserCommandBody;
use crate::actors::user::commands::{Device, DevicesForget};
use crate::ids::{DeviceId, RoomId};
use crate::storage::store::Store as _;
use crate::storage::store::sql::SqlStore;

async fn everything(world: &World) {
    world.stores().await;
    assert!(world.lives(&mut Life::without_end()).await);
    world.stores().await;
}

async fn known(world: &World, name: &str, device: &str, push_token: &str) {
    let (device, platform, push_token) = (DeviceId::new(device).unwrap(), "android".to_owned(), push_token.to_owned());
    world.user(name, UserCommandBody::Device(Device { device, platform, push_token })).await;
}

/// Bob's devices and their tokens, as the rows have them.
async fn tokens(world: &World) -> Vec<(String, String)> {
    let rows = SqlStore::new(world.connections.clone()).user(&user_id("bob")).await.unwrap();
    rows.devices.into_iter().map(|row| (row.device.to_string(), row.push_token)).collect()
}

fn pushed(world: &World) -> Vec<String> {
    let mut pushed = std::mem::take(&mut *world.receiver.pushed.lock().unwrap());
    pushed.sort();
    pushed
}

async fn world() -> (World, RoomId) {
    let world = World::new().await;
    world.receiver.is_push.store(true, Ordering::Relaxed);
    known(&world, "bob", "phone", "fcm-1").await;
    known(&world, "bob", "tablet", "fcm-2").await;
    known(&world, "bob", "browser", "{\"endpoint\": \"of another kind\"}").await;
    known(&world, "bob", "fridge", "").await;
    known(&world, "ann", "phone", "fcm-of-the-sender").await;
    let room = world.group("tea", "ann", &["bob", "cat"]).await;
    (world, room)
}

#[tokio::test]
async fn each_device_with_a_token_is_pushed_to_and_a_dead_token_is_taken_away() {
    let (world, room) = world().await;
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!(pushed(&world), ["fcm-1", "fcm-2"]);
    // What comes first is the phone's or the tablet's.
    world.receiver.fates.lock().unwrap().push_back(Fate::TokenGone);
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!(pushed(&world), ["fcm-1", "fcm-2"], "each once, and nobody tries again");
    assert_eq!(world.outbox.dead(None, 9).await.unwrap(), [], "an operator has nothing to do");
    let left: Vec<_> = tokens(&world).await.into_iter().filter(|(_, token)| token.starts_with("fcm")).collect();
    assert_eq!((left.len(), tokens(&world).await.len()), (1, 4), "the device stays");
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!(pushed(&world), [left[0].1.clone()]);
}

#[tokio::test]
async fn a_token_that_came_while_the_old_one_died_stays() {
    let (world, room) = world().await;
    world.says(room, "ann").await;
    world.stores().await;
    assert!(world.decides(&mut Life::without_end()).await);
    // The provider speaks of the old tokens; the rows, and so the sender, do not know the new ones yet.
    known(&world, "bob", "phone", "fcm-new").await;
    known(&world, "bob", "tablet", "fcm-newer").await;
    world.receiver.fates.lock().unwrap().extend([Fate::TokenGone, Fate::TokenGone]);
    assert!(world.lives(&mut Life::without_end()).await);
    world.stores().await;
    assert_eq!(pushed(&world), ["fcm-1", "fcm-2"]);
    let named: Vec<_> =
        tokens(&world).await.into_iter().map(|(_, token)| token).filter(|t| t.starts_with("fcm")).collect();
    assert_eq!(named, ["fcm-new", "fcm-newer"]);
}

#[tokio::test]
async fn who_signed_out_before_it_was_sent_is_not_pushed_to() {
    let (world, room) = world().await;
    world.says(room, "ann").await;
    world.stores().await;
    assert!(world.decides(&mut Life::without_end()).await);
    world.user("bob", UserCommandBody::DevicesForget(DevicesForget)).await;
    everything(&world).await;
    assert_eq!((pushed(&world), tokens(&world).await), (vec![], vec![]));
}
