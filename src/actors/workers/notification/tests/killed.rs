//! Killed at any moment: at the provider no notification has two keys, and none is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::super::rounds::NotifyStep;
use super::support::{Fate, Life, Told, World, create, message, user_id};
use crate::actors::room::commands::{Delete, Invite, Join, OpenChannel, RoomCommand, Send};
use crate::actors::user::UserCommandBody;
use crate::actors::user::commands::{Block, Read};
use crate::actors::wire::{HistoryBound, ReadPoint, RoomKind};
use crate::ids::{MessageNo, RoomId, Seq};

/// Longer than a claim of a killed sender holds.
const AWHILE: Duration = Duration::from_secs(15);

/// An afternoon in three rooms, stored; and who is to be told of what.
async fn afternoon() -> (World, BTreeSet<Told>) {
    let world = World::new().await;
    let group = world.group("tea", "ann", &["bob", "cem", "dan"]).await;
    world.user("dan", UserCommandBody::Block(Block { user: user_id("ann") })).await;
    let (first, again) = (Uuid::now_v7(), message("ann", Some("c1")));
    world.room_again(group, first, RoomCommand::Send(again.clone())).await;
    world.room_again(group, first, RoomCommand::Send(again.clone())).await;
    world.room(group, RoomCommand::Send(again)).await;
    world.says(group, "ann").await;
    world.says(group, "ann").await;
    let read = Read { room: group, to: ReadPoint { seq: Seq(3), no: MessageNo(2) } };
    world.user("bob", UserCommandBody::Read(read)).await;
    world.acknowledged.lock().unwrap().insert((user_id("cem"), group), Seq(2));
    world.room(group, RoomCommand::Invite(Invite { by: user_id("ann"), user: user_id("eve") })).await;
    world.room(group, RoomCommand::Join(Join { user: user_id("eve") })).await;
    world.says(group, "cem").await;
    world.says(group, "nobody").await;
    world.says(group, "ann").await;
    world.room(group, RoomCommand::Delete(Delete { by: user_id("ann"), target: Seq(8), author: None })).await;
    let direct = RoomId::direct(&user_id("ann"), &user_id("bob"));
    world.room(direct, RoomCommand::Create(create(RoomKind::Direct, "ann", vec![user_id("bob")]))).await;
    world.says(direct, "bob").await;
    let open = OpenChannel { channel: "news".to_owned(), history: HistoryBound { events: 5, age_ms: 0 } };
    let published = Send { open: Some(open), ..message("ann", None) };
    world.room(RoomId::open("news"), RoomCommand::Send(published)).await;
    world.stores().await;
    // Cem and ann have read what came before their own messages. 8 is deleted.
    let told = [("bob", group, 4), ("bob", group, 7), ("dan", group, 7), ("eve", group, 7), ("ann", direct, 2)];
    (world, told.into_iter().map(|(who, room, seq)| (who.to_owned(), room, seq)).collect())
}

#[tokio::test]
async fn wherever_it_is_killed_everybody_is_told_once_under_one_key() {
    let mut points = 0;
    loop {
        let (world, expected) = afternoon().await;
        let mut life = Life::of(points);
        let finished = world.lives(&mut life).await;
        world.passes(AWHILE);
        assert!(world.lives(&mut Life::without_end()).await);
        assert_eq!(world.told(), expected, "killed after {points}");
        if finished {
            assert!(points > 30, "only {points} moments were tried");
            return;
        }
        points += 1;
    }
}

#[tokio::test]
async fn killed_again_and_again_with_a_provider_that_fails_everybody_is_told_under_one_key() {
    for seed in 0..12_usize {
        let (world, expected) = afternoon().await;
        let fates = [Fate::LoseAnswer, Fate::Away, Fate::Take, Fate::Away, Fate::LoseAnswer];
        let lost = fates.into_iter().cycle().skip(seed).take(3 + seed);
        world.receiver.fates.lock().unwrap().extend(lost);
        let mut lives = 0;
        // Each life is a little longer than the one before: else none would come to anything.
        while !world.lives(&mut Life::of(seed % 5 + 2 * lives)).await {
            world.passes(AWHILE);
            lives += 1;
        }
        assert!(lives > 2, "seed {seed}: killed {lives} times");
        assert_eq!(world.told(), expected, "seed {seed}");
    }
}

#[tokio::test]
async fn two_workers_at_once_tell_everybody_once() {
    let (world, expected) = afternoon().await;
    let (mut one, mut other) = (Life::without_end(), Life::without_end());
    assert_eq!(tokio::join!(world.decides(&mut one), world.decides(&mut other)), (true, true));
    let (one, other) = (world.sender(100), world.sender(100));
    let (claimed, rest) = tokio::join!(one.claim(), other.claim());
    let (claimed, rest) = (claimed.unwrap(), rest.unwrap());
    assert_eq!(claimed.notifications.len() + rest.notifications.len(), expected.len(), "each is one sender's");
    tokio::join!(one.send(claimed), other.send(rest));
    assert_eq!(world.told(), expected);
    assert_eq!(world.requests(), expected.len() as u64, "nothing was sent twice");
}

#[tokio::test]
async fn who_waited_for_what_another_worker_decided_comes_to_rest() {
    let (world, _) = afternoon().await;
    let mut waiting = world.decider();
    let wait = loop {
        match waiting.step() {
            NotifyStep::Rest(wait) => break wait.unwrap(),
            step => waiting.carry_out(step).await,
        }
    };
    world.passes(wait);
    assert!(world.decides(&mut Life::without_end()).await);
    assert!(world.decides_with(&mut waiting, &mut Life::without_end()).await);
    assert!(matches!(waiting.step(), NotifyStep::Rest(None)));
}
