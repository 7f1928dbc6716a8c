//! When a message notifies.

use std::sync::Arc;
use std::time::Duration;

use super::super::rounds::NotifyStep;
use super::super::worker::Decider;
use super::support::{AFTER, Fate, Life, World, everything, user_id};
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::user::UserCommandBody;
use crate::actors::user::commands::{Mute, Read, RoomFact};
use crate::actors::wire::{ReadPoint, RoomChange, RoomKind};
use crate::env::Clock as _;
use crate::ids::{MessageNo, Offset, Partition, Seq, Timestamp};
use crate::storage::journal::Journal as _;
use crate::storage::notifications::Notifications;
use crate::storage::sql::support::forget_what_is_derived;

async fn rows(world: &World, user: &str) -> Vec<(String, bool)> {
    let rows = Notifications::new(world.connections.clone());
    let (found, _) = rows.list(&user_id(user), None, false, 50).await.unwrap();
    found.into_iter().filter(|one| one.kind == "message").map(|one| (one.data, one.read)).collect()
}

#[tokio::test]
async fn a_message_waits_until_its_devices_had_their_time() {
    let world = World::new().await;
    let room = world.group("tea", "ann", &["bob"]).await;
    world.says(room, "ann").await;
    world.stores().await;
    let mut decider = world.decider();
    let mut waits = Vec::new();
    while waits.len() < 2 {
        match decider.step() {
            NotifyStep::Rest(wait) => {
                waits.push(wait);
                world.passes(AFTER - Duration::from_millis(1));
            }
            step => decider.carry_out(step).await,
        }
    }
    assert_eq!(waits, [Some(AFTER), Some(Duration::from_millis(1))]);
    assert_eq!(rows(&world, "bob").await, []);
    // Read in the last moment.
    let read = Read { room, to: ReadPoint { seq: Seq(2), no: MessageNo(1) } };
    world.user("bob", UserCommandBody::Read(read)).await;
    everything(&world).await;
    assert_eq!((rows(&world, "bob").await, world.requests()), (vec![], 0));
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!((rows(&world, "bob").await.len(), world.requests()), (1, 1));
}

/// Two of a kind share the partitions out: each decides on its own, and whatever one leaves is another one's.
#[tokio::test]
async fn a_worker_decides_on_its_share_alone() {
    let world = World::new().await;
    let (tea, rum) = (world.group("tea", "ann", &["bob"]).await, world.group("rum", "ann", &["cem"]).await);
    assert_ne!(tea.partition(), rum.partition());
    for room in [tea, rum] {
        world.says(room, "ann").await;
    }
    world.stores().await;
    world.passes(AFTER);
    let others = Partition::all().filter(|partition| *partition != tea.partition());
    for (share, told) in [(vec![tea.partition()], (1, 0)), (others.collect(), (1, 1))] {
        let mut deps = world.decider().deps;
        deps.options.owned = Arc::new(Owned::new(share, OwnerEpoch(1)));
        let mut decider = Decider::new(deps);
        loop {
            match decider.step() {
                NotifyStep::Rest(_) => break,
                step => decider.carry_out(step).await,
            }
        }
        assert_eq!((rows(&world, "bob").await.len(), rows(&world, "cem").await.len()), told);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nobody_wait_for_an_hour() {
    let world = World::new().await;
    let room = world.group("tea", "ann", &["bob"]).await;
    world.says(room, "ann").await;
    world.stores().await;
    let mut decider = world.decider();
    let now = world.clock.now();
    world.clock.set(Timestamp(now.0 - 3_600_000));
    let wait = loop {
        match decider.step() {
            NotifyStep::Rest(wait) => break wait,
            step => decider.carry_out(step).await,
        }
    };
    assert_eq!(wait, Some(AFTER));
    world.passes(AFTER);
    loop {
        match decider.step() {
            NotifyStep::Rest(_) => break,
            step => decider.carry_out(step).await,
        }
    }
    assert_eq!(rows(&world, "bob").await.len(), 1);
}

#[tokio::test]
async fn what_a_provider_refuses_is_dead_until_it_is_replayed() {
    let world = World::new().await;
    let room = world.group("tea", "ann", &["bob"]).await;
    world.receiver.fates.lock().unwrap().push_back(Fate::Refuse);
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!((world.told().len(), world.outbox.dead(None, 9).await.unwrap().len()), (0, 1));
    assert_eq!(world.outbox.dead(None, 9).await.unwrap()[0].why, "refused");
    world.outbox.replay(None, world.clock.now()).await.unwrap();
    everything(&world).await;
    assert_eq!((world.told().len(), world.outbox.dead(None, 9).await.unwrap().len()), (1, 0));
}

#[tokio::test]
async fn an_old_message_notifies_nobody() {
    let world = World::new().await;
    let room = world.group("tea", "ann", &["bob"]).await;
    world.says(room, "ann").await;
    world.passes(Duration::from_secs(3_600));
    everything(&world).await;
    assert_eq!((rows(&world, "bob").await, world.requests()), (vec![], 0));
    let cursor = world.outbox.cursors().await.unwrap()[room.partition().index()].next;
    assert_eq!(cursor.0, 2, "and the worker has passed it");
}

/// The start moves cursors up, so this is one that was overtaken while it ran.
#[tokio::test]
async fn a_notifier_whose_next_record_is_trimmed_halts_by_name_and_goes_on_behind_it_after_a_start() {
    let world = World::new().await;
    let room = world.group("tea", "ann", &["bob"]).await;
    world.says(room, "ann").await;
    world.stores().await;
    let partition = room.partition();
    let end = world.journal.bounds(partition).end;
    world.journal.with_log(|log| log.trim(&[(partition, end)])).unwrap();
    let mut decider = world.decider();
    assert!(world.decides_with(&mut decider, &mut Life::without_end()).await);
    let halted = decider.rounds.status().halted.clone();
    assert_eq!(halted.iter().map(|(partition, _)| *partition).collect::<Vec<_>>(), [partition]);
    let why = &halted[0].1;
    assert!(why.contains(&format!("of partition {partition} is trimmed")) && why.contains("the next start"), "{why}");
    world.begins().await;
    world.says(room, "ann").await;
    world.stores().await;
    world.passes(AFTER * 2);
    everything(&world).await;
    assert_eq!(world.told().into_iter().map(|(user, _, seq)| (user, seq)).collect::<Vec<_>>(), [("bob".to_owned(), 3)]);
}

#[tokio::test]
async fn a_muted_room_notifies_nobody_who_muted_it_also_by_rows_that_are_built_anew() {
    let world = World::new().await;
    let room = world.group("tea", "ann", &["bob", "cat"]).await;
    // As the relay tells them.
    for user in ["bob", "cat"] {
        let (source, change) = (room.partition(), RoomChange::Joined);
        let fact =
            RoomFact { source, source_offset: Offset(0), room, kind: RoomKind::Group, seq: Seq(1), by: None, change };
        world.user(user, UserCommandBody::RoomFact(fact)).await;
    }
    let until = Timestamp(world.clock.now().0 + 3_600_000);
    world.user("bob", UserCommandBody::Mute(Mute { room, until })).await;
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!((rows(&world, "bob").await.len(), rows(&world, "cat").await.len()), (0, 1));
    forget_what_is_derived(&world.connections).await;
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!((rows(&world, "bob").await.len(), rows(&world, "cat").await.len()), (0, 2));
    world.passes(Duration::from_secs(3_600));
    world.says(room, "ann").await;
    everything(&world).await;
    assert_eq!((rows(&world, "bob").await.len(), rows(&world, "cat").await.len()), (1, 3), "the mute is over");
}
