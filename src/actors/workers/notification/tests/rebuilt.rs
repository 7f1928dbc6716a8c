//! Rows that are built anew push nothing anew, and what was read is read.

use uuid::Uuid;

use super::support::{World, everything, user_id};
use crate::actors::user::UserCommandBody;
use crate::actors::user::commands::{NotificationRead, RoomFact};
use crate::actors::wire::{RoomChange, RoomKind};
use crate::ids::{Offset, RoomId, Seq};
use crate::storage::notifications::Notifications;
use crate::storage::sql::support::{forget_everything, forget_what_is_derived};

/// A user's list, the newest first: what each is, what it is about, and whether it is read.
type List = Vec<(Uuid, String, String, bool)>;

async fn list(world: &World, user: &str) -> List {
    let rows = Notifications::new(world.connections.clone());
    let (found, unread) = rows.list(&user_id(user), None, false, 50).await.unwrap();
    assert_eq!(unread, found.iter().filter(|one| !one.read).count() as u64, "{found:?}");
    found.into_iter().map(|one| (one.id, one.kind, one.data, one.read)).collect()
}

async fn reads(world: &World, user: &str, up_to: Uuid, ids: &[Uuid]) {
    let ids = ids.to_vec();
    world.user(user, UserCommandBody::NotificationRead(NotificationRead { up_to, ids })).await;
}

/// As the relay tells that ann has made the user a member.
async fn is_told(world: &World, user: &str, room: RoomId, offset: u64) {
    let (source, change, by) = (room.partition(), RoomChange::Joined, Some(user_id("ann")));
    let (source_offset, kind) = (Offset(offset), RoomKind::Group);
    let fact = RoomFact { source, source_offset, room, kind, seq: Seq(1), by, change };
    world.user(user, UserCommandBody::RoomFact(fact)).await;
}

/// Bob has read all but the last, cem the second of four, and dan nothing.
async fn three_readers(world: &World) -> RoomId {
    let room = world.group("tea", "ann", &["bob", "cem", "dan"]).await;
    for user in ["bob", "cem", "dan"] {
        is_told(world, user, room, 0).await;
    }
    for _ in 0..2 {
        world.says(room, "ann").await;
        everything(world).await;
    }
    let (bob, cem) = (list(world, "bob").await, list(world, "cem").await);
    assert_eq!(bob.iter().map(|one| one.1.as_str()).collect::<Vec<_>>(), ["message", "message", "room.joined"]);
    reads(world, "bob", bob[1].0, &[]).await;
    reads(world, "cem", Uuid::nil(), &[cem[0].0, cem[2].0]).await;
    world.says(room, "ann").await;
    everything(world).await;
    room
}

async fn lists(world: &World) -> [List; 3] {
    [list(world, "bob").await, list(world, "cem").await, list(world, "dan").await]
}

fn read(lists: &[List; 3]) -> [Vec<bool>; 3] {
    lists.each_ref().map(|list| list.iter().map(|one| one.3).collect())
}

#[tokio::test]
async fn rows_that_are_built_anew_push_nothing_and_are_found_as_read_as_they_were() {
    let world = World::new().await;
    let room = three_readers(&world).await;
    let (before, requests) = (lists(&world).await, world.requests());
    assert_eq!(read(&before), [vec![false, false, true, true], vec![false, true, false, true], vec![false; 4]]);
    assert_eq!(requests, 9);
    forget_what_is_derived(&world.connections).await;
    assert_ne!(lists(&world).await, before, "nothing is lost yet");
    everything(&world).await;
    assert_eq!((lists(&world).await, world.requests()), (before, requests));
    world.says(room, "cem").await;
    everything(&world).await;
    assert_eq!(world.requests(), requests + 3, "and it goes on");
}

#[tokio::test]
async fn a_lost_database_pushes_nothing_of_before_and_everything_after() {
    let mut world = World::new().await;
    let room = three_readers(&world).await;
    let (before, requests) = (lists(&world).await, world.requests());
    world.loses_its_database().await;
    world.begins().await;
    everything(&world).await;
    // What the worker wrote is lost with its cursors; what the journal says itself is there.
    let joined = before.map(|list| list.into_iter().filter(|one| one.1 == "room.joined").collect::<List>());
    assert_eq!((lists(&world).await, world.requests()), (joined, requests));
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!(world.requests(), requests + 3);
    assert_eq!(read(&lists(&world).await), [[false, true], [false, true], [false, false]].map(Vec::from));
}

/// The cursors are those of the backup: what was decided since is decided anew, after the projector has read that it is read.
#[tokio::test]
async fn a_backup_from_the_beginning_finds_everything_as_read_as_it_was_and_sends_it_under_the_same_keys() {
    let world = World::new().await;
    three_readers(&world).await;
    let (before, told) = (lists(&world).await, world.told());
    forget_everything(&world.connections).await;
    world.stores().await;
    let joined = before.clone().map(|list| list.into_iter().filter(|one| one.1 == "room.joined").collect::<List>());
    assert_eq!(lists(&world).await, joined, "places that are held are not seen");
    everything(&world).await;
    assert_eq!((lists(&world).await, world.told()), (before, told));
}
