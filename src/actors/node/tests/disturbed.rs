//! A node whose journal stumbles, whose partitions halt, and that is asked for much that does not exist.

use super::*;
use crate::actors::digest::Chain;
use crate::actors::fold;
use crate::actors::partition::message::PartitionMessage;
use crate::storage::journal::{JournalError, ReadError};

fn io(what: &str) -> ReadError {
    JournalError::Io(what.to_owned()).into()
}

/// A room that the store has: no worker reads the journal for it any more.
async fn stored_direct(it: &Fixture) -> RoomId {
    let room = it.direct().await;
    let end = it.journal.bounds(room.partition()).end;
    it.node.stored().reach(room.partition(), end).await;
    room
}

/// A second node's record in the partition, so that this one has to read.
async fn written_by_another(it: &Fixture, room: RoomId, id: &str) {
    let other = it.journal.for_node(1);
    other.append(room.partition(), vec![it.record(room, message("bob", id))]).await.unwrap();
}

#[tokio::test]
async fn a_read_that_fails_for_a_moment_is_tried_again_and_halts_nothing() {
    let it = Fixture::new().await;
    let room = stored_direct(&it).await;
    written_by_another(&it, room, "m1").await;
    it.journal.fail_reads(room.partition(), [io("Too many open files"), io("Too many open files")]);
    assert_eq!(seq_of(it.say(room, "alice", "m2").await), 3, "behind the other's");
    assert!(it.node.context.metrics.read_errors.get() > 0);
    assert_eq!(it.health.report().checks["partitions"], State::Up);
}

#[tokio::test]
async fn a_read_that_finds_damage_halts_the_partition() {
    let it = Fixture::new().await;
    let room = stored_direct(&it).await;
    written_by_another(&it, room, "m1").await;
    it.journal.fail_reads(room.partition(), [JournalError::Damaged("segment 3, byte 7".to_owned()).into()]);
    assert_eq!(it.say(room, "alice", "m2").await, Answer::Unknown);
    let report = it.health.report();
    let State::Down(reason) = &report.checks["partitions"] else { panic!("{report:?}") };
    assert!(reason.contains("segment 3"), "{reason}");
}

/// Owner and projector fold apart from each other: if they disagree, nothing is healed by overwriting.
#[tokio::test]
async fn a_projection_that_disagrees_halts_the_partition() {
    let it = Fixture::new().await;
    let room = stored_direct(&it).await;
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2, "they agree");
    let applied = it.node.applied().get(room.partition());
    it.node
        .router()
        .cast(room.partition(), PartitionMessage::Stored(applied, vec![(Offset(applied.0 - 1), Chain(77))]));
    assert!(matches!(it.say(room, "alice", "m2").await, Answer::Unavailable { .. }));
    assert_eq!(it.journal.bounds(room.partition()).end, applied, "nothing more is written");
    let report = it.health.report();
    let State::Down(reason) = &report.checks["partitions"] else { panic!("{report:?}") };
    assert!(reason.contains("disagree"), "{reason}");
}

#[tokio::test]
async fn a_halted_partition_lets_its_rooms_go_and_refuses_what_comes() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    it.append_newer(room).await;
    assert_eq!(it.say(room, "alice", "m2").await, Answer::Unknown);
    assert!(matches!(it.say(room, "alice", "m3").await, Answer::Unavailable { .. }));
    resident_rooms(&it.node.context.metrics, 0).await;
    entries(it.node.router(), room.partition(), 0).await;
}

#[tokio::test]
async fn operators_do_not_wait_for_rows_of_a_halted_partition() {
    let it = Fixture::new().await;
    let (context, partition) = (&it.node.context, crate::ids::Partition::FIRST);
    context.applied.raise(partition, Offset(5));
    context.meant.raise(partition, Offset(5));
    // Pauses: it gives no time at all, only a look.
    let at_once = async || tokio::time::timeout(std::time::Duration::ZERO, it.node.rows()).await.is_ok();
    assert!(!at_once().await, "the rows lack something");
    context.halted.mark(partition, "a test wants it");
    assert!(at_once().await);
}

/// Waits until a partition keeps so many lists of listeners.
async fn entries(router: &Router, partition: crate::ids::Partition, count: usize) {
    until("it keeps so many", async || router.listeners(partition).len() == count).await;
}

/// Rooms of one partition that nobody has made.
fn strange_rooms(of: RoomId, count: usize) -> Vec<RoomId> {
    let rooms = (1..).map(|n| RoomId(Uuid::from_u128(n << 64))).filter(|room| room.partition() == of.partition());
    rooms.take(count).collect()
}

#[tokio::test]
async fn what_was_asked_for_and_let_go_leaves_nothing_behind() {
    let mut it = Fixture::new().await;
    let room = stored_direct(&it).await;
    for stranger in strange_rooms(room, 300) {
        it.listen(stranger, "bob");
    }
    it.listen(room, "bob");
    let mut granted = 0;
    for _ in 0..301 {
        granted += usize::from(matches!(it.frame().await, ToGateway::Granted { .. }));
    }
    assert_eq!(granted, 1);
    it.node.passivate_all();
    assert_eq!(it.node.residents(room.partition()).await, 0);
    entries(it.node.router(), room.partition(), 1).await;
    let request = it.request();
    it.node.router().send(ToOwner::Unlisten { request, stream: Entity::Room(room) }).unwrap();
    entries(it.node.router(), room.partition(), 0).await;
}

#[tokio::test]
async fn what_could_not_be_loaded_leaves_nothing_behind() {
    let mut it = Fixture::new().await;
    let room = stored_direct(&it).await;
    it.node.passivate_all();
    entries(it.node.router(), room.partition(), 0).await;
    it.store.set_down(true);
    for stranger in strange_rooms(room, 100) {
        it.listen(stranger, "bob");
    }
    for _ in 0..100 {
        assert!(matches!(it.frame().await, ToGateway::Denied { reason: Denial::Unavailable, .. }));
    }
    entries(it.node.router(), room.partition(), 0).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_question_behind() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    it.journal.hold();
    {
        let asked = it.say(room, "alice", "m1");
        tokio::pin!(asked);
        assert!(futures_util::poll!(asked.as_mut()).is_pending());
        assert_eq!(it.node.router().open_questions(), 1);
    }
    assert_eq!(it.node.router().open_questions(), 0);
    it.journal.release();
    assert_eq!(seq_of(it.say(room, "alice", "m2").await), 3, "it was written all the same");
}

/// Nothing is folded by the old rules behind a barrier, and the operator reads which program is wanted.
#[tokio::test]
async fn a_version_barrier_of_a_newer_program_halts_the_partition_by_name() {
    let it = Fixture::new().await;
    let room = it.direct().await;
    assert_eq!(seq_of(it.say(room, "alice", "m1").await), 2);
    let barrier = fold::version_barrier(Uuid::nil(), Timestamp(1), FoldVersion::SECOND);
    it.journal.append(room.partition(), vec![barrier]).await.unwrap();
    assert_eq!(it.say(room, "alice", "m2").await, Answer::Unknown);
    let report = it.health.report();
    let State::Down(reason) = &report.checks["partitions"] else { panic!("{report:?}") };
    assert!(reason.contains("version 2 of the fold begins here"), "{reason}");
}
