//! Rooms with a full window are dear to make from their rows: the projector keeps many of them.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::projector::Projector;
use super::support::user_id;
use crate::actors::fold::room_weight;
use crate::actors::room::commands::{Command, RoomCommand, Send};
use crate::actors::room::payload;
use crate::actors::wire::{Content, Entity};
use crate::actors::workers::persistence::rows;
use crate::ids::{ClientId, MessageNo, Offset, Partition, RoomId, Seq, Timestamp};
use crate::limits;
use crate::storage::journal::StoredRecord;
use crate::storage::store::contract::{chat_row, member_row, uuid};
use crate::storage::store::rows::{ChatRow, EVENT_MESSAGE, MEMBER, RoomRows, WatermarkRow, WindowRow};

const EVENTS: u64 = limits::DEDUPE_WINDOW_EVENTS as u64;
const NOW: u64 = 1_800_000_000_000;

/// Where the rows of every partition are.
fn watermark(partition: Partition) -> WatermarkRow {
    WatermarkRow { next_offset: Offset(EVENTS), fold_time: Timestamp(NOW), ..WatermarkRow::start(partition) }
}

/// A client id like those of the SDKs.
fn client_id(n: u64) -> ClientId {
    ClientId::new(&Uuid::from_u64_pair(((NOW + n) << 16) | 0x7000, (2 << 62) | n).to_string()).unwrap()
}

/// The rows of a room in which so much was said that its window is full.
fn full(room: RoomId) -> RoomRows {
    let window = (1..=EVENTS).map(|seq| WindowRow {
        seq: Seq(seq),
        kind: EVENT_MESSAGE,
        actor: Some(user_id(["ann", "bob", "cem", "dan"][seq as usize % 4])),
        id: uuid(seq),
        client_id: Some(client_id(seq)),
        at: Timestamp(NOW),
        target: None,
    });
    let chat = ChatRow { head: Seq(EVENTS), last_no: MessageNo(EVENTS), ..chat_row(room) };
    RoomRows {
        watermark: watermark(room.partition()),
        chat: Some(chat),
        members: vec![member_row(room, "ann", MEMBER)],
        blocks: Vec::new(),
        window: window.collect(),
        sources: Vec::new(),
        decisions: bytes::Bytes::new(),
    }
}

fn message(room: RoomId, offset: u64) -> StoredRecord {
    let (sender, client_id) = (user_id("ann"), Some(client_id(offset + 1)));
    let content = Content { body: "hello".to_owned(), ..Content::default() };
    let body = RoomCommand::Send(Send { sender, client_id, device: None, prev: None, content, open: None });
    let command = Command { room, id: uuid(offset + 1), issued_at: Timestamp(NOW), ttl_ms: 60_000, body };
    let bytes = payload::encode(command);
    StoredRecord { offset: Offset(offset), time: Timestamp(NOW), bytes }
}

#[test]
fn two_hundred_rooms_with_a_full_window_fit_into_the_cache() {
    let room = RoomId(Uuid::from_u128(7));
    let mut state = rows::room_state(room, full(room)).unwrap();
    state.doze(limits::WINDOW_AWAKE_EVENTS);
    let fit = limits::PROJECTOR_CACHE_BYTES / room_weight(&state) as u64;
    assert!(fit >= 200, "{fit} fit, of {} bytes each", room_weight(&state));
}

/// A tenth of the rooms over a tenth of the cache.
#[test]
fn busy_rooms_are_made_from_their_rows_once() {
    let mut taken = BTreeSet::new();
    let rooms = (0u128..).map(|n| RoomId(Uuid::from_u128(n))).filter(|room| taken.insert(room.partition()));
    let rooms: Vec<RoomId> = rooms.take(20).collect();
    let mut projector = Projector::new(Partition::all().map(watermark).collect(), limits::PROJECTOR_CACHE_BYTES / 10);
    let mut hydrations = 0;
    for round in 0..4 {
        for room in &rooms {
            projector.push(room.partition(), vec![message(*room, EVENTS + round)]);
        }
        for entity in projector.missing() {
            let Entity::Room(room) = entity else { panic!("{entity:?} was not named") };
            projector.hydrate_room(room, full(room)).unwrap();
            hydrations += 1;
        }
        let commit = projector.fold().unwrap();
        assert_eq!(commit.room_events.len(), rooms.len(), "round {round}");
        projector.committed();
    }
    assert_eq!(hydrations, rooms.len());
}
