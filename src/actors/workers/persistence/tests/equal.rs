//! Whatever the batches were, the rows are the same, and they are what the fold says.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::projector::Projector;
use super::support::{Dice, World};
use crate::actors::wire::{Entity, StreamEvent};
use crate::ids::{Offset, Partition};
use crate::storage::journal::StoredRecord;
use crate::storage::store::memory::Core;
use crate::storage::store::{Commit, StoreError};

/// The next records of a log, at most `most`.
fn next(
    logs: &BTreeMap<Partition, Vec<StoredRecord>>,
    partition: Partition,
    from: Offset,
    most: u64,
) -> Vec<StoredRecord> {
    let log = &logs[&partition];
    log[from.0 as usize..].iter().take(most as usize).cloned().collect()
}

/// Hydrates what is missing and folds.
pub(super) fn fold(projector: &mut Projector, store: &Core) -> Option<Commit> {
    for entity in projector.missing() {
        match &entity {
            Entity::Room(room) => projector.hydrate_room(*room, store.room(*room)).unwrap(),
            Entity::User(user) => projector.hydrate_user(user, store.user(user)).unwrap(),
        }
    }
    projector.fold()
}

/// Projects the whole world in random batches; with `trouble`, commits get lost, on their way there or on their way back,
/// and a rival projector writes in between.
fn project(world: &World, seed: u64, cache: u64, trouble: bool) -> Core {
    let (mut store, mut dice) = (Core::default(), Dice::new(seed));
    let mut projectors = [Projector::new(store.watermarks(), cache), Projector::new(store.watermarks(), cache)];
    let behind = |store: &Core| world.logs.iter().any(|(p, log)| store.watermark(*p).next_offset.0 < log.len() as u64);
    while behind(&store) {
        let projector = &mut projectors[if trouble { dice.below(2) as usize } else { 0 }];
        for partition in world.logs.keys() {
            if let Some(from) = projector.next_offset(*partition).filter(|_| dice.below(3) > 0) {
                projector.push(*partition, next(&world.logs, *partition, from, 1 + dice.below(40)));
            }
        }
        let missing = projector.missing();
        let moved = missing.iter().any(|entity| match entity {
            Entity::Room(room) => projector.hydrate_room(*room, store.room(*room)).is_err(),
            Entity::User(user) => projector.hydrate_user(user, store.user(user)).is_err(),
        });
        if moved {
            assert!(trouble);
            projector.reset(store.watermarks());
            continue;
        }
        let Some(commit) = projector.fold() else { continue };
        let fate = if trouble { dice.below(6) } else { 5 };
        // Lost on its way there: nothing is written.
        let done = if fate == 0 { Err(StoreError::Unavailable("lost".into())) } else { store.commit(commit) };
        match done {
            // Lost on its way back: it is written, and nobody knows.
            Ok(()) if fate == 1 => projector.reset(store.watermarks()),
            Ok(()) => _ = projector.committed(),
            Err(error) => {
                assert!(trouble, "{error}");
                projector.reset(store.watermarks());
            }
        }
        if trouble && dice.below(50) == 0 {
            projector.reset(store.watermarks());
        }
    }
    assert!(projectors.iter().all(|projector| projector.halted().count() == 0));
    store
}

/// What the properties below are worth: the random logs have every kind of event in them, and plenty of refusals.
#[test]
fn random_logs_have_everything_in_them() {
    let (mut rooms, mut users) = (BTreeSet::new(), BTreeSet::new());
    for seed in 0..20 {
        for event in World::random(seed, 700).events.values().flatten() {
            match event {
                StreamEvent::Room(event) => _ = rooms.insert(event.body.number()),
                StreamEvent::User(event) => _ = users.insert(event.body.number()),
            }
        }
    }
    assert_eq!(rooms, (1..=12).collect());
    assert_eq!(users, (1..=4).collect());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn the_rows_tell_what_the_fold_says(seed in any::<u64>(), batches in any::<u64>(), cache in 0u64..40_000) {
        let world = World::random(seed, 700);
        world.check(&project(&world, batches, cache, false));
    }

    #[test]
    fn lost_commits_and_rivals_change_nothing(seed in any::<u64>(), batches in any::<u64>(), cache in 0u64..40_000) {
        let world = World::random(seed, 500);
        let calm = project(&world, batches, u64::MAX, false);
        let store = project(&world, batches, cache, true);
        world.check(&store);
        prop_assert!(store == calm);
    }

    /// A store that is lost is rebuilt from an uncut journal: row by row what it was, whatever the batches were then.
    #[test]
    fn a_rebuilt_store_equals_the_lost_one_row_by_row(seed in any::<u64>(), one in any::<u64>(), other in any::<u64>()) {
        let world = World::random(seed, 500);
        prop_assert!(project(&world, one, 10_000, false) == project(&world, other, u64::MAX, false));
    }

    /// A store that fell back to an earlier moment catches up.
    #[test]
    fn a_store_that_fell_back_catches_up(seed in any::<u64>(), one in any::<u64>()) {
        let world = World::random(seed, 400);
        let whole = project(&world, one, 10_000, false);
        let (mut store, mut dice) = (Core::default(), Dice::new(one));
        let mut projector = Projector::new(store.watermarks(), 10_000);
        let mut backup = store.clone();
        let mut fell = 0;
        while world.logs.iter().any(|(p, log)| store.watermark(*p).next_offset.0 < log.len() as u64) {
            for partition in world.logs.keys() {
                let from = projector.next_offset(*partition).unwrap();
                projector.push(*partition, next(&world.logs, *partition, from, 1 + dice.below(20)));
            }
            if let Some(commit) = fold(&mut projector, &store) {
                store.commit(commit).unwrap();
                projector.committed();
            }
            match dice.below(6) {
                0 => backup = store.clone(),
                1 if fell < 5 => {
                    fell += 1;
                    store = backup.clone();
                    projector.reset(store.watermarks());
                }
                _ => {}
            }
        }
        prop_assert!(store == whole);
    }
}
