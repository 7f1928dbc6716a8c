//! The worker around the projector: how far it goes, and what it does when the store does not answer.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::projector::Chains;
use super::super::worker::{Deps, Options, spawn};
use super::support::World;
use crate::actors::digest::Chain;
use crate::actors::wire::Entity;
use crate::actors::{fold, kinds};
use crate::env::ManualClock;
use crate::ids::{Offset, Partition};
use crate::storage::journal::StoredRecord;
use crate::storage::journal::memory::{Fate, MemoryJournal};
use crate::storage::journal::record::Envelope;
use crate::storage::store::commit::Commit;
use crate::storage::store::contract::event_row;
use crate::storage::store::memory::MemoryStore;
use crate::storage::store::rows::{OutboxPlace, PageBound, Shelf};
use crate::storage::store::sql::SqlStore;
use crate::storage::store::{SeqRange, Store};
use crate::testing::within;

/// A journal that holds the world's logs.
pub(super) fn journal(world: &World) -> MemoryJournal {
    let journal = MemoryJournal::new(Arc::new(ManualClock::default()));
    journal.with_log(|log| {
        for (partition, records) in &world.logs {
            for record in records {
                log.append(0, record.time, *partition, vec![record.bytes.clone()], Fate::Deliver).unwrap();
            }
        }
    });
    journal
}

fn deps(world: &World, store: Arc<dyn Store>) -> Deps {
    let options = Options {
        batch_records: 50,
        cache_bytes: 20_000,
        gather: Duration::from_millis(1),
        retry_first: Duration::from_millis(1),
        retry_most: Duration::from_millis(4),
        ..Options::default()
    };
    let (applied, stored, outbox) = (Arc::default(), Arc::default(), Arc::default());
    let (journal, report) = (Arc::new(journal(world)), Arc::new(|_, _, _| ()));
    Deps { journal, store, applied, stored, outbox, report, options }
}

/// Lets the worker go up to a part of each log.
fn apply(world: &World, deps: &Deps, part: impl Fn(u64) -> u64) {
    for (partition, log) in &world.logs {
        deps.applied.raise(*partition, Offset(part(log.len() as u64)));
    }
}

async fn reached(world: &World, deps: &Deps, part: impl Fn(u64) -> u64) {
    for (partition, log) in &world.logs {
        let to = Offset(part(log.len() as u64));
        within("the store is brought up to date", deps.stored.reach(*partition, to)).await;
    }
}

#[tokio::test]
async fn what_is_trimmed_before_it_is_stored_halts_its_partition_by_name_and_no_other() {
    let (world, store) = (World::random(1, 600), Arc::new(MemoryStore::new()));
    let (lost, trimmed) = (*world.logs.keys().next().unwrap(), journal(&world));
    trimmed.with_log(|log| log.trim(&[(lost, Offset(1))])).unwrap();
    let deps = Deps { journal: Arc::new(trimmed), ..deps(&world, store.clone()) };
    let worker = spawn(deps.clone());
    apply(&world, &deps, |len| len);
    for (partition, log) in world.logs.iter().filter(|(partition, _)| **partition != lost) {
        within("others are stored", deps.stored.reach(*partition, Offset(log.len() as u64))).await;
    }
    let mut status = worker.status().clone();
    let halted = within("it halts", status.wait_for(|status| !status.halted.is_empty())).await.unwrap().halted.clone();
    assert_eq!(halted.iter().map(|(partition, _)| *partition).collect::<Vec<_>>(), [lost]);
    let why = &halted[0].1;
    assert!(
        why.contains("offset 0") && why.contains("is trimmed") && why.contains("restore the newest backup"),
        "{why}"
    );
    assert_eq!(store.snapshot().watermark(lost).next_offset, Offset::ZERO, "nothing was passed over");
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_owner_has_applied_is_stored_and_nothing_beyond() {
    let (world, store) = (World::random(1, 600), Arc::new(MemoryStore::new()));
    let deps = deps(&world, store.clone());
    let worker = spawn(deps.clone());
    apply(&world, &deps, |len| len / 2);
    reached(&world, &deps, |len| len / 2).await;
    let half = store.snapshot();
    for (partition, log) in &world.logs {
        assert_eq!(half.watermark(*partition).next_offset, Offset(log.len() as u64 / 2));
    }
    apply(&world, &deps, |len| len);
    reached(&world, &deps, |len| len).await;
    world.check(&store.snapshot());
    let status = worker.status().borrow().clone();
    assert_eq!((status.failing, status.halted), (None, Vec::new()));
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn the_chains_are_reported_before_the_mark_is_raised() {
    let world = World::random(2, 300);
    let mut deps = deps(&world, Arc::new(MemoryStore::new()));
    let seen: Arc<Mutex<Chains>> = Arc::default();
    let (reports, stored) = (seen.clone(), deps.stored.clone());
    deps.report = Arc::new(move |partition, to, chains| {
        assert!(chains.iter().all(|(at, _)| stored.get(partition) <= *at && *at < to));
        reports.lock().unwrap().entry(partition).or_default().extend(chains);
    });
    apply(&world, &deps, |len| len);
    let worker = spawn(deps.clone());
    reached(&world, &deps, |len| len).await;
    worker.stop().await.unwrap();
    let seen = seen.lock().unwrap();
    for (entity, state) in world.states.iter().filter(|(_, state)| state.chain() != Chain::START) {
        let last = seen[&entity.partition()].iter().rev().find(|(_, chain)| *chain == state.chain());
        assert!(last.is_some(), "{entity:?}");
    }
}

#[tokio::test]
async fn while_the_store_is_away_nothing_is_dropped() {
    let (world, store) = (World::random(3, 400), Arc::new(MemoryStore::new()));
    store.set_down(true);
    let deps = deps(&world, store.clone());
    let worker = spawn(deps.clone());
    let mut status = worker.status();
    for part in 1..=4 {
        store.set_down(true);
        apply(&world, &deps, |len| len * part / 4);
        let down = status.wait_for(|status| status.failing.is_some());
        within("it says that the store is away", down).await.unwrap();
        store.set_down(false);
        reached(&world, &deps, |len| len * part / 4).await;
    }
    world.check(&store.snapshot());
    worker.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_stores_what_is_applied() {
    let (world, store) = (World::random(4, 400), Arc::new(MemoryStore::new()));
    let deps = deps(&world, store.clone());
    apply(&world, &deps, |len| len);
    within("it stops", spawn(deps).stop()).await.unwrap();
    world.check(&store.snapshot());
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_store_that_is_away() {
    let (world, store) = (World::random(4, 100), Arc::new(MemoryStore::new()));
    store.set_down(true);
    let mut deps = deps(&world, store);
    deps.options.retry_first = Duration::from_secs(3_600);
    deps.options.retry_most = Duration::from_secs(3_600);
    apply(&world, &deps, |len| len);
    within("it stops", spawn(deps).stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_on_one_store_do_no_harm() {
    let (world, store) = (World::random(5, 600), Arc::new(MemoryStore::new()));
    let (one, two) = (deps(&world, store.clone()), deps(&world, store.clone()));
    let workers = [&one, &two].map(|deps| {
        apply(&world, deps, |len| len);
        spawn(deps.clone())
    });
    reached(&world, &one, |len| len).await;
    reached(&world, &two, |len| len).await;
    world.check(&store.snapshot());
    for worker in workers {
        assert_eq!(worker.status().borrow().halted, []);
        worker.stop().await.unwrap();
    }
}

/// A row that contradicts the log is in the way of one partition: that one halts, the others are stored.
#[tokio::test]
async fn damage_halts_the_partition_that_it_is_in() {
    let (world, store) = (World::random(6, 400), Arc::new(MemoryStore::new()));
    let room = *world
        .states
        .keys()
        .find_map(|entity| if let Entity::Room(room) = entity { Some(room) } else { None })
        .unwrap();
    let mut core = store.snapshot();
    core.apply(Commit { room_events: vec![event_row(room, 1, 5)], ..Commit::default() });
    store.restore(core);
    let deps = deps(&world, store.clone());
    apply(&world, &deps, |len| len);
    let worker = spawn(deps.clone());
    let others = world.logs.iter().filter(|(partition, _)| **partition != room.partition());
    for (partition, log) in others {
        let to = Offset(log.len() as u64);
        within("the store is brought up to date", deps.stored.reach(*partition, to)).await;
    }
    let mut status = worker.status();
    let halted = status.wait_for(|status| !status.halted.is_empty());
    let status = within("it halts", halted).await.unwrap().clone();
    assert_eq!(status.halted.len(), 1);
    assert_eq!(status.halted[0].0, room.partition());
    worker.stop().await.unwrap();
    // What lies before the record that makes the room may be stored, and nothing from there on.
    let makes_room = |record: &&StoredRecord| {
        let envelope = Envelope::decode_record(&record.bytes).unwrap();
        kinds::name(envelope.kind) == "room.create" && fold::entity_of(&envelope) == Some(Entity::Room(room))
    };
    let first = world.logs[&room.partition()].iter().find(makes_room).unwrap().offset;
    assert!(store.snapshot().watermark(room.partition()).next_offset <= first);
}

/// The store in a file tells the same as the one in memory, of everything that can be asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rows_in_a_file_are_those_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (world, memory) = (World::random(7, 1_500), Arc::new(MemoryStore::new()));
    let file = Arc::new(SqlStore::open_file(&folder.path().join("store.db")).await.unwrap());
    for store in [memory.clone() as Arc<dyn Store>, file.clone()] {
        let deps = deps(&world, store);
        apply(&world, &deps, |len| len);
        let worker = spawn(deps.clone());
        reached(&world, &deps, |len| len).await;
        worker.stop().await.unwrap();
    }
    world.check(&memory.snapshot());
    let (all, limit) = (SeqRange::all(), 100_000);
    assert_eq!(file.watermarks().await, memory.watermarks().await);
    for entity in world.states.keys() {
        match entity {
            Entity::Room(room) => {
                assert_eq!(file.room(*room).await, memory.room(*room).await);
                assert_eq!(file.events(*room, all, limit).await, memory.events(*room, all, limit).await);
                assert_eq!(file.messages(*room, all, limit).await, memory.messages(*room, all, limit).await);
                assert_eq!(file.read_marks(*room, None, limit).await, memory.read_marks(*room, None, limit).await);
            }
            Entity::User(user) => {
                assert_eq!(file.user(user).await, memory.user(user).await);
                assert_eq!(file.user_events(user, all, limit).await, memory.user_events(user, all, limit).await);
                for shelf in [Shelf::Live, Shelf::Over] {
                    let page = PageBound::rows(limit);
                    let listed = file.room_list(user, shelf, None, page).await;
                    assert_eq!(listed, memory.room_list(user, shelf, None, page).await);
                }
            }
        }
    }
    let first = Partition::FIRST;
    let start = OutboxPlace::first_of(first);
    assert_eq!(file.relay_next(start, limit).await, memory.relay_next(start, limit).await);
    assert_eq!(file.dead_letters(first, limit).await, memory.dead_letters(first, limit).await);
    let later = crate::ids::Timestamp(u64::MAX >> 1);
    assert_eq!(file.expiring(later, None, limit).await, memory.expiring(later, None, limit).await);
    let mut events = 0;
    for room in world.rooms() {
        events += file.events(room, all, limit).await.unwrap().len();
    }
    assert!(events > 150, "{events}");
}
