//! What the projector does in particular cases.

use bytes::Bytes;

use super::super::outbox;
use super::super::projector::{Halt, Projector};
use super::equal::fold;
use super::support::{World, user_id};
use crate::actors::fold::EntityOutcome;
use crate::actors::room::commands::{Create, Delete, Edit, End, Invite, Join, Kick, Leave, RoomCommand};
use crate::actors::room::{self, Outcome};
use crate::actors::user::commands;
use crate::actors::user::{self, UserCommandBody};
use crate::actors::wire::{Content, HistoryBound, MaySend, Reject, RoomKind};
use crate::ids::{ClientId, Offset, Partition, RoomId, Seq, Timestamp};
use crate::limits;
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::{Envelope, RecordError};
use crate::storage::store::memory::Core;
use crate::storage::store::rows::{OutboxPlace, PageBound, Shelf};
use crate::storage::store::{SeqRange, StoreError};

pub(super) fn group(name: &str) -> RoomId {
    RoomId::group(&user_id("ann"), &ClientId::new(name).unwrap())
}

pub(super) fn create(kind: RoomKind, members: &[&str]) -> RoomCommand {
    RoomCommand::Create(Create {
        kind,
        creator: user_id("ann"),
        members: members.iter().map(|name| user_id(name)).collect(),
        title: String::new(),
        channel: String::new(),
        ttl_ms: 0,
        public: true,
        may_send: MaySend::Members,
        max_members: 0,
        history: HistoryBound::default(),
    })
}

pub(super) fn say(sender: &str, body: &str) -> RoomCommand {
    RoomCommand::Send(room::commands::Send {
        sender: user_id(sender),
        client_id: None,
        device: None,
        prev: None,
        content: Content { body: body.to_owned(), ..Default::default() },
        open: None,
    })
}

/// Projects all of a world into a store.
pub(super) fn project(world: &World, store: &mut Core) -> Projector {
    let mut projector = Projector::new(store.watermarks(), 1 << 20);
    for (partition, log) in &world.logs {
        let from = projector.next_offset(*partition).unwrap().0 as usize;
        projector.push(*partition, log[from..].to_vec());
    }
    if let Some(commit) = fold(&mut projector, store) {
        store.commit(commit).unwrap();
        projector.committed();
    }
    projector
}

#[test]
fn a_deleted_message_leaves_no_trace_of_its_content_in_any_row() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    world.room(room, say("bob", "SECRET one"));
    world.room(
        room,
        RoomCommand::Edit(Edit { by: user_id("bob"), target: Seq(2), body: "SECRET two".into(), metadata: None }),
    );
    project(&world, &mut store);
    assert!(format!("{store:?}").contains("SECRET"));
    world.room(room, RoomCommand::Delete(Delete { by: user_id("bob"), target: Seq(2), author: None }));
    project(&world, &mut store);
    assert!(!format!("{store:?}").contains("SECRET"));
    world.check(&store);
    // And the same if all of it is one commit.
    let mut at_once = Core::default();
    project(&world, &mut at_once);
    assert!(at_once == store);
}

#[test]
fn an_edit_and_a_deletion_reach_the_message_whether_or_not_they_come_in_one_commit() {
    for at_once in [true, false] {
        let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
        let bob = || user_id("bob");
        let present = |store: &Core| {
            let rows = store.messages(room, SeqRange::all(), 9).into_iter();
            rows.map(|row| (row.message.body, row.edited_at.is_some(), row.message.deleted)).collect::<Vec<_>>()
        };
        world.room(room, create(RoomKind::Group, &["bob"]));
        for text in ["one", "two"] {
            world.room(room, say("bob", text));
        }
        if !at_once {
            project(&world, &mut store);
        }
        world.room(room, RoomCommand::Edit(Edit { by: bob(), target: Seq(2), body: "better".into(), metadata: None }));
        world.room(room, RoomCommand::Delete(Delete { by: bob(), target: Seq(3), author: None }));
        project(&world, &mut store);
        assert_eq!(present(&store), [("better".to_owned(), true, false), (String::new(), false, true)]);
    }
}

/// Large rooms are looked up when somebody lists; the others are followed, and change over when they grow.
#[test]
fn the_rows_of_a_rooms_members_follow_it_until_it_is_large() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    let listings = |world: &World, store: &mut Core| {
        let mut projector = Projector::new(store.watermarks(), 1 << 20);
        for (partition, log) in &world.logs {
            let from = projector.next_offset(*partition).unwrap().0 as usize;
            projector.push(*partition, log[from..].to_vec());
        }
        let commit = fold(&mut projector, store).unwrap();
        store.commit(commit.clone()).unwrap();
        commit.listings.into_iter().map(|listing| listing.at.map(|(shelf, _)| shelf)).collect::<Vec<_>>()
    };
    assert_eq!(listings(&world, &mut store), [Some(Shelf::Live)]);
    world.pass(1_000);
    world.room(room, say("ann", "moves it up"));
    assert_eq!(listings(&world, &mut store), [Some(Shelf::Live)]);
    world.room(room, RoomCommand::Update(room::commands::Update { title: Some("t".into()), ..update("ann") }));
    assert_eq!(listings(&world, &mut store), [], "nothing that a list is sorted by");
    for n in 2..=limits::LISTED_PLACES {
        world.room(room, RoomCommand::Join(Join { user: user_id(&format!("user{n}")) }));
    }
    assert_eq!(listings(&world, &mut store), [None], "too many");
    world.room(room, say("ann", "moves nobody's row"));
    assert_eq!(listings(&world, &mut store), []);
    world.room(room, RoomCommand::Leave(Leave { user: user_id("user2") }));
    assert_eq!(listings(&world, &mut store), [Some(Shelf::Live)]);
    world.room(room, RoomCommand::End(End { by: user_id("ann") }));
    assert_eq!(listings(&world, &mut store), [Some(Shelf::Over)]);
}

fn update(by: &str) -> room::commands::Update {
    room::commands::Update { by: user_id(by), title: None, ttl_ms: None, may_send: None, public: None }
}

#[test]
fn unread_counts_begin_at_the_joining() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    for n in 0..5 {
        world.room(room, say("ann", &format!("{n}")));
    }
    world.room(room, RoomCommand::Join(Join { user: user_id("cem") }));
    world.room(room, say("ann", "5"));
    project(&world, &mut store);
    let unread = |name: &str, store: &Core| {
        store.room_list(&user_id(name), Shelf::Live, None, PageBound::rows(9)).rows[0].unread
    };
    assert_eq!((unread("ann", &store), unread("bob", &store), unread("cem", &store)), (0, 6, 1));
    world.room(room, say("bob", "6"));
    project(&world, &mut store);
    assert_eq!((unread("ann", &store), unread("bob", &store), unread("cem", &store)), (1, 0, 2));
}

#[test]
fn a_record_of_a_newer_version_halts_its_partition_and_no_other() {
    let (mut world, mut store) = (World::new(), Core::default());
    let (one, other) = (group("one"), group("other"));
    assert_ne!(one.partition(), other.partition());
    for room in [one, other] {
        world.room(room, create(RoomKind::Group, &["bob"]));
        world.room(room, say("ann", "a"));
    }
    let log = world.logs.get_mut(&one.partition()).unwrap();
    let mut newer = log[1].bytes.to_vec();
    newer[1] = 99;
    log[1].bytes = newer.into();
    let projector = project(&world, &mut store);
    let halted: Vec<_> = projector.halted().collect();
    let why = Halt::Record { offset: Offset(1), error: RecordError::NewerVersion(99) };
    assert_eq!(halted, [(one.partition(), &why)]);
    assert_eq!(store.watermark(one.partition()).next_offset, Offset(1));
    assert_eq!(store.watermark(other.partition()).next_offset, Offset(2));
    assert_eq!(projector.next_offset(one.partition()), None);
}

#[test]
fn records_that_do_not_follow_the_watermark_halt() {
    let (mut world, room) = (World::new(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    world.room(room, say("ann", "a"));
    let mut projector = Projector::new(Core::default().watermarks(), 1 << 20);
    projector.push(room.partition(), world.logs[&room.partition()][1..].to_vec());
    assert_eq!(projector.pending(), (0, 0));
    let gap = Halt::Gap { got: Offset(1), expected: Offset(0) };
    assert_eq!(projector.halted().next(), Some((room.partition(), &gap)));
}

#[test]
fn an_invalid_payload_is_rejected_and_copied_to_the_dead_letters() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    let key = Bytes::copy_from_slice(room.0.as_bytes());
    let command_id = Bytes::copy_from_slice(&[7; 16]);
    let payload = Bytes::from_static(b"\xff\xff\xff");
    let envelope = Envelope { kind: 2, key, command_id, payload, ..Envelope::default() };
    let bad = envelope.encode_record();
    let outcome = world.append(room.partition(), bad.clone()).unwrap();
    assert_eq!(outcome, EntityOutcome::Room(Outcome::Rejected(Reject::Invalid)));
    world.room(room, say("ann", "goes on"));
    project(&world, &mut store);
    world.check(&store);
    let letters = store.dead_letters(room.partition(), 9);
    assert_eq!((letters.len(), letters[0].offset, &letters[0].record), (1, Offset(1), &bad));
}

#[test]
fn of_a_flood_of_invalid_records_the_last_ones_are_kept() {
    let (mut world, mut store) = (World::new(), Core::default());
    let unknown = Envelope { kind: 777, ..Envelope::default() }.encode_record();
    for _ in 0..3 * limits::DEAD_LETTERS {
        world.append(Partition::FIRST, unknown.clone());
    }
    project(&world, &mut store);
    let letters = store.dead_letters(Partition::FIRST, usize::MAX);
    assert_eq!((letters.len(), letters[0].offset), (limits::DEAD_LETTERS, Offset(2 * limits::DEAD_LETTERS as u64)));
}

#[test]
fn a_snapshot_of_another_moment_is_refused() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    project(&world, &mut store);
    let mut late = Projector::new(store.watermarks(), 1 << 20);
    world.room(room, say("ann", "a"));
    world.room(room, say("ann", "b"));
    late.push(room.partition(), world.logs[&room.partition()][1..2].to_vec());
    project(&world, &mut store);
    assert_eq!(late.missing().len(), 1);
    let moved = late.hydrate_room(room, store.room(room)).unwrap_err();
    assert_eq!((moved.found, moved.expected), (Offset(3), Offset(1)));
}

#[test]
fn without_the_guard_a_rival_would_write_twice() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    let mut projectors = [0, 1].map(|_| Projector::new(store.watermarks(), 1 << 20));
    let commits = projectors.each_mut().map(|projector| {
        projector.push(room.partition(), world.logs[&room.partition()].clone());
        fold(projector, &store).unwrap()
    });
    let [first, second] = commits;
    store.commit(first).unwrap();
    let stale = StoreError::Stale { partition: room.partition(), found: Offset(1) };
    assert_eq!(store.commit(second), Err(stale));
}

#[test]
fn the_cache_is_bounded_and_nothing_of_the_batch_goes_before_it_is_written() {
    let (mut world, mut store) = (World::new(), Core::default());
    for n in 0..100 {
        world.room(group(&format!("g{n}")), create(RoomKind::Group, &["bob"]));
    }
    project(&world, &mut store);
    for n in 0..100 {
        world.room(group(&format!("g{n}")), say("bob", "x"));
    }
    let mut projector = Projector::new(store.watermarks(), 10_000);
    for (partition, log) in &world.logs {
        let from = projector.next_offset(*partition).unwrap().0 as usize;
        projector.push(*partition, log[from..].to_vec());
    }
    let commit = fold(&mut projector, &store).unwrap();
    assert_eq!(projector.cached(), 100);
    store.commit(commit).unwrap();
    projector.committed();
    assert!((1..=10).contains(&projector.cached()), "{}", projector.cached());
    world.check(&store);
}

#[test]
fn old_rows_of_a_bounded_channel_go() {
    let (mut world, mut store) = (World::new(), Core::default());
    let room = RoomId::open("news");
    let publish = |n: u64| {
        RoomCommand::Send(room::commands::Send {
            sender: user_id("anon:1"),
            client_id: None,
            device: None,
            prev: None,
            content: Content { data: Bytes::from(format!("{n}")), ..Default::default() },
            open: Some(room::commands::OpenChannel {
                channel: "news".to_owned(),
                history: HistoryBound { events: 10, age_ms: 0 },
            }),
        })
    };
    for n in 0..200 {
        world.room(room, publish(n));
    }
    project(&world, &mut store);
    // The fold still needs them: the dedupe window is a day.
    assert_eq!(store.events(room, SeqRange::all(), 1_000).len(), 200);
    world.pass(limits::DEDUPE_WINDOW_MS + 1);
    for n in 0..20 {
        world.room(room, publish(n));
    }
    project(&world, &mut store);
    let rows = store.events(room, SeqRange::all(), 1_000);
    assert_eq!(rows[0].seq, Seq(192), "below the window, in steps of 64");
    world.check(&store);
}

#[test]
fn facts_go_to_those_whom_they_concern() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    world.room(room, say("ann", "nobody else is told"));
    world.room(room, RoomCommand::Invite(Invite { by: user_id("ann"), user: user_id("cem") }));
    world.room(room, RoomCommand::Join(Join { user: user_id("cem") }));
    world.room(room, RoomCommand::Kick(Kick { by: user_id("ann"), user: user_id("bob") }));
    world.room(room, RoomCommand::Leave(Leave { user: user_id("cem") }));
    world.room(room, RoomCommand::End(End { by: user_id("ann") }));
    project(&world, &mut store);
    let outbox = store.relay_next(OutboxPlace::first_of(Partition::FIRST), 100);
    let told: Vec<_> = outbox
        .iter()
        .map(|row| {
            let command = user::payload::decode(&Envelope::decode_record(&row.record).unwrap()).unwrap();
            assert_eq!(row.target, command.user.partition());
            let UserCommandBody::RoomFact(fact) = command.body else { unreachable!() };
            assert_eq!((fact.source, fact.source_offset, fact.room), (room.partition(), row.offset, room));
            (command.user.to_string(), row.offset.0, fact.change as u8)
        })
        .collect();
    let expected =
        [("ann", 0, 1), ("bob", 0, 1), ("cem", 2, 3), ("cem", 3, 1), ("bob", 4, 4), ("cem", 5, 2), ("ann", 6, 5)];
    assert_eq!(told, expected.map(|(name, offset, change)| (name.to_owned(), offset, change)));
}

#[test]
fn what_all_members_of_a_large_room_are_told_is_one_row() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    let names: Vec<String> = (0..limits::LISTED_PLACES).map(|n| format!("user{n}")).collect();
    world.room(room, create(RoomKind::Group, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    world.room(room, RoomCommand::End(End { by: user_id("ann") }));
    project(&world, &mut store);
    let outbox = store.relay_next(OutboxPlace::first_of(Partition::FIRST), 1_000);
    assert_eq!(outbox.len(), limits::LISTED_PLACES + 2, "each is told of the making");
    let last = outbox.last().unwrap();
    assert_eq!(last.fan_out.as_ref().map(|fan_out| fan_out.room), Some(room));
    let pattern = Envelope::decode_record(&last.record).unwrap();
    let addressed = outbox::for_member(&pattern, &user_id("ann"));
    let command = user::payload::decode(&Envelope::decode_record(&addressed.record).unwrap()).unwrap();
    assert_eq!((command.user, addressed.partition), (user_id("ann"), user_id("ann").partition()));
}

#[test]
fn a_block_goes_to_the_direct_room_of_the_two() {
    let (mut world, mut store) = (World::new(), Core::default());
    world.user("ann", UserCommandBody::Block(commands::Block { user: user_id("bob") }));
    world.user("ann", UserCommandBody::Block(commands::Block { user: user_id("bob") }));
    world.user("ann", UserCommandBody::Unblock(commands::Unblock { user: user_id("bob") }));
    project(&world, &mut store);
    let outbox = store.relay_next(OutboxPlace::first_of(Partition::FIRST), 100);
    assert_eq!(outbox.len(), 2);
    let room = RoomId::direct(&user_id("ann"), &user_id("bob"));
    for (row, blocked) in outbox.iter().zip([true, false]) {
        let command = room::payload::decode(&Envelope::decode_record(&row.record).unwrap()).unwrap();
        assert_eq!((command.room, row.target), (room, room.partition()));
        let RoomCommand::Block(block) = command.body else { unreachable!() };
        assert_eq!((block.blocked, block.source_offset), (blocked, row.offset));
    }
    // It arrives, twice: the room knows it and its rows do.
    for row in outbox[..1].iter().chain(&outbox[..1]) {
        world.append(row.target, row.record.clone());
    }
    project(&world, &mut store);
    world.check(&store);
    assert_eq!(store.room(room).blocks, [user_id("ann")]);
    assert_eq!(store.chat(room), None);
}

#[test]
fn a_piece_of_the_window_says_what_the_rows_of_its_events_say() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    let (by, mut pieces) = (user_id("ann"), Vec::new());
    for n in 1..=1_200 {
        world.pass(10);
        let target = Seq(n - n.min(3) + 1);
        world.room(
            room,
            match n % 90 {
                7 => RoomCommand::Edit(Edit { by: by.clone(), target, body: "x".into(), metadata: None }),
                8 => RoomCommand::Delete(Delete { by: by.clone(), target, author: None }),
                9 => RoomCommand::Invite(Invite { by: by.clone(), user: user_id("cem") }),
                10 => RoomCommand::Join(Join { user: user_id("cem") }),
                11 => RoomCommand::Kick(Kick { by: by.clone(), user: user_id("cem") }),
                _ => say(["ann", "bob"][n as usize % 2], "hello"),
            },
        );
        if n % 170 == 0 || n == 1_200 {
            // Made of the rows each time, so that pieces begin before and end after.
            let mut projector = Projector::new(store.watermarks(), 1 << 20);
            let from = projector.next_offset(room.partition()).unwrap().0 as usize;
            projector.push(room.partition(), world.logs[&room.partition()][from..].to_vec());
            let commit = fold(&mut projector, &store).unwrap();
            pieces.extend(commit.window_pieces.clone());
            store.commit(commit).unwrap();
        }
    }
    let rows = store.room(room).window;
    assert!(rows.iter().any(|row| row.target.is_some()));
    let expected: Vec<_> = rows.chunks_exact(limits::WINDOW_PIECE_EVENTS as usize).take(2).collect();
    assert_eq!(pieces.iter().map(|piece| &piece.events[..]).collect::<Vec<_>>(), expected);
    assert!(pieces.iter().all(|piece| (piece.room, piece.window) == (room, Seq(1))));
}

#[test]
fn of_a_room_whose_window_has_gone_on_no_piece_is_packed() {
    let (mut world, store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    for n in 0..600 {
        // Two days, so that whatever came before has left the window.
        world.pass(if n == 300 { 2 * limits::DEDUPE_WINDOW_MS } else { 10 });
        world.room(room, say("bob", "hello"));
    }
    let mut projector = Projector::new(store.watermarks(), 1 << 20);
    projector.push(room.partition(), world.logs[&room.partition()].clone());
    let commit = fold(&mut projector, &store).unwrap();
    assert_eq!((commit.room_events.len(), commit.window_pieces.len()), (601, 0));
}

#[test]
fn rows_that_make_no_room_halt_the_partition_at_what_is_written() {
    let (mut world, mut store, room) = (World::new(), Core::default(), group("g"));
    world.room(room, create(RoomKind::Group, &["bob"]));
    world.room(room, say("ann", "a"));
    project(&world, &mut store);
    world.room(room, say("ann", "b"));
    let mut projector = Projector::new(store.watermarks(), 1 << 20);
    projector.push(room.partition(), world.logs[&room.partition()][2..].to_vec());
    let mut broken = store.room(room);
    broken.window.pop();
    projector.hydrate_room(room, broken).unwrap();
    assert!(projector.fold().is_none());
    assert!(matches!(projector.halted().next(), Some((_, Halt::Rows(_)))));
}

#[test]
fn time_that_goes_back_does_not() {
    let mut projector = Projector::new(Core::default().watermarks(), 1 << 20);
    let barrier = crate::actors::fold::barrier(uuid::Uuid::nil(), Timestamp(5));
    let record = |offset, time| StoredRecord { offset: Offset(offset), time: Timestamp(time), bytes: barrier.clone() };
    projector.push(Partition::FIRST, vec![record(0, 50), record(1, 40)]);
    let commit = projector.fold().unwrap();
    assert_eq!(commit.watermarks[0].to.fold_time, Timestamp(50));
}
