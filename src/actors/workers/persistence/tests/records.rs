//! What records say of their writers and of the fold, and the chains that go into rows.

use uuid::Uuid;

use super::super::projector::{Halt, Projector, chains_of};
use super::examples::{create, group, project, say};
use super::support::World;
use crate::actors::digest::Chain;
use crate::actors::fold::version_barrier;
use crate::actors::kinds;
use crate::actors::moment::FoldVersion;
use crate::actors::wire::{Entity, RoomKind};
use crate::ids::{Offset, RoomId, Timestamp};
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::{Envelope, Prefix, RecordError};
use crate::storage::store::memory::Core;

/// Two rooms of one partition.
fn neighbours() -> (RoomId, RoomId) {
    let one = group("g");
    let mut others = (0..).map(|n| group(&format!("g{n}")));
    (one, others.find(|other| other.partition() == one.partition()).unwrap())
}

#[test]
fn a_version_of_the_fold_is_not_projected_by_a_program_that_does_not_know_it() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    project(&world, &mut store);
    let barrier = version_barrier(Uuid::nil(), Timestamp(1), FoldVersion::SECOND);
    let record = StoredRecord { offset: Offset(1), time: Timestamp(1), bytes: barrier };
    let mut old = Projector::new(store.watermarks(), 1 << 20);
    old.push(room.partition(), vec![record.clone()]);
    let newer = RecordError::NewerFold { version: 2, known: 1 };
    let halt = Halt::Record { offset: Offset(1), error: newer };
    assert_eq!(old.halted().next(), Some((room.partition(), &halt)));
    let mut knows = Projector::knowing(FoldVersion::SECOND, store.watermarks(), 1 << 20);
    knows.push(room.partition(), vec![record]);
    store.commit(knows.fold().unwrap()).unwrap();
    assert_eq!(store.watermark(room.partition()).fold_version, 2);
    let mut restarted = Projector::new(store.watermarks(), 1 << 20);
    assert_eq!(restarted.next_offset(room.partition()), None, "what it says of the rows is remembered by the rows");
    assert!(restarted.missing().is_empty());
}

#[test]
fn records_of_writers_that_read_another_log_are_not_projected() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    let prefix = world.prefixes[&room.partition()];
    project(&world, &mut store);
    for (hash, halts) in [(prefix.hash, false), (prefix.hash + 1, true)] {
        let envelope = Envelope { kind: kinds::CONTROL_BARRIER, ..Envelope::default() };
        let envelope = envelope.following(Prefix { hash, ..prefix });
        let record = StoredRecord { offset: Offset(1), time: Timestamp(1), bytes: envelope.encode_record() };
        let mut projector = Projector::new(store.watermarks(), 1 << 20);
        projector.push(room.partition(), vec![record]);
        assert_eq!(matches!(projector.halted().next(), Some((_, Halt::Misfit { .. }))), halts);
    }
}

#[test]
fn a_chain_goes_on_from_the_row_and_tells_one_room_from_its_neighbours() {
    let (mut world, mut store) = (World::new(), Core::default());
    let (one, other) = neighbours();
    for room in [one, other] {
        world.room(room, create(RoomKind::Group, &["bob"]));
    }
    project(&world, &mut store);
    for room in [one, other] {
        world.room(room, say("ann", "a"));
    }
    let mut projector = Projector::new(store.watermarks(), 1 << 20);
    let partition = one.partition();
    let from = store.watermark(partition).next_offset;
    projector.push(partition, world.logs[&partition][from.0 as usize..].to_vec());
    for entity in projector.missing() {
        let Entity::Room(room) = entity else { continue };
        let mut snapshot = store.room(room);
        if let Some(chat) = snapshot.chat.as_mut().filter(|_| room == one) {
            // A flipped row.
            chat.last_no = chat.last_no.next();
        }
        projector.hydrate_room(room, snapshot).unwrap();
    }
    let chains = chains_of(&projector.fold().unwrap()).remove(&partition).unwrap();
    let known = |room: RoomId| world.states[&Entity::Room(room)].chain();
    let found: Vec<Chain> = chains.into_iter().map(|(_, chain)| chain).collect();
    assert!(found.contains(&known(other)) && !found.contains(&known(one)), "{found:?}");
}
