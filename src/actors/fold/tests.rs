//! Time as the folds see it, and what lay too long on its way.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::actors::room::commands::{Command, End, Expire, RoomCommand};
use crate::actors::room::tests::support;
use crate::actors::wire::{MaySend, RoomKind};
use crate::ids::RoomId;
use crate::storage::journal::record::RecordError;

const NOW: Timestamp = Timestamp(support::T0);

fn of_room(room: RoomId, body: RoomCommand) -> Envelope {
    room::payload::envelope(Command { room, id: Uuid::from_u128(1), issued_at: NOW, ttl_ms: 0, body })
}

fn clock_at(time: u64) -> FoldClock {
    let watermark = WatermarkRow { fold_time: Timestamp(time), ..WatermarkRow::start(Partition::FIRST) };
    FoldClock::after(&watermark, FoldVersion::KNOWN)
}

#[test]
fn fold_time_never_goes_back() {
    let mut clock = clock_at(5);
    let times = [3, 7, 6, 7, 9].map(|at| clock.advance(Offset(0), Timestamp(at), &Envelope::default()).unwrap());
    assert_eq!(times.map(|now| now.fold.0), [5, 7, 7, 7, 9]);
    assert_eq!(times.map(|now| now.append.0), [3, 7, 6, 7, 9]);
    assert_eq!(clock.last(), Timestamp(9));
}

/// A direct chat of ann and bob with this time to live, and a function that folds: the append time from [`NOW`] on, in
/// milliseconds, and what ann wishes.
fn chat(ttl_ms: u64) -> impl FnMut(i64, RoomCommand) -> Outcome {
    let (ann, bob) = (support::user("ann"), support::user("bob"));
    let room = RoomId::direct(&ann, &bob);
    let create = room::commands::Create {
        ttl_ms,
        may_send: MaySend::Members,
        ..support::create(RoomKind::Direct, "ann", &["bob"])
    };
    let (mut state, mut clock) = (RoomState::absent(room), FoldClock::default());
    let mut ids = 0u128;
    let mut fold = move |ms, body| {
        ids += 1;
        let (placed, append) = (NOW.0.saturating_add_signed(ms), NOW.0.saturating_add_signed(ms) + 5);
        let command = Command { room, id: Uuid::from_u128(ids), issued_at: NOW, ttl_ms: 60_000, body };
        let envelope = room::payload::envelope(command).placed(Timestamp(placed), 3);
        fold_room(&mut state, clock.advance(Offset(0), Timestamp(append), &envelope).unwrap(), &envelope)
    };
    assert!(matches!(fold(0, RoomCommand::Create(create)), Outcome::Accepted(_)));
    fold
}

fn say() -> RoomCommand {
    RoomCommand::Send(support::send("ann", None))
}

const HOUR: i64 = 3_600_000;

#[test]
fn a_chat_expires_by_the_journals_clock() {
    let mut fold = chat(1_000);
    assert!(matches!(fold(994, say()), Outcome::Accepted(_)));
    assert_eq!(fold(1_000, say()), Outcome::Rejected(Reject::Expired));
    assert!(matches!(fold(1_000, RoomCommand::Expire(Expire)), Outcome::Accepted(_)));
}

#[test]
fn a_clock_that_was_wrong_for_one_record_mutes_nobody_and_ends_no_chat() {
    for wrong in [HOUR, 24 * HOUR, 365 * 24 * HOUR, -HOUR, -24 * HOUR] {
        let mut fold = chat(24 * HOUR as u64);
        let mut accepted = |ms, body: RoomCommand| match fold(ms, body.clone()) {
            Outcome::Accepted(event) => event.seq.0,
            // The chat is over by then: refused while the clock says so, and there again once it does not.
            Outcome::Rejected(Reject::Expired) if ms >= 24 * HOUR => 0,
            other => panic!("{wrong} {ms} {body:?}: {other:?}"),
        };
        let before = accepted(500, say());
        accepted(wrong, say());
        let after = accepted(1_000, say());
        accepted(2_000, support::edit("ann", after, "better"));
        accepted(2_000, support::edit("ann", before, "better"));
        accepted(3_000, support::delete("ann", before));
        accepted(23 * HOUR, say());
        accepted(23 * HOUR + 1_000, RoomCommand::End(End { by: support::user("ann") }));
    }
}

#[test]
fn an_expiry_by_a_clock_that_is_ahead_comes_to_nothing_once_the_clock_is_right() {
    let mut fold = chat(24 * HOUR as u64);
    assert_eq!(fold(25 * HOUR, say()), Outcome::Rejected(Reject::Expired));
    assert_eq!(fold(1_000, RoomCommand::Expire(Expire)), Outcome::Ignored);
    assert!(matches!(fold(2_000, say()), Outcome::Accepted(_)));
}

#[test]
fn what_lay_too_long_on_its_way_is_a_ghost_whatever_the_clocks_say() {
    let room = RoomId::open("news");
    let old = |placed: u64, age_ms| of_room(room, RoomCommand::Expire(Expire)).placed(Timestamp(placed), age_ms);
    let fold = |append: u64, envelope: Envelope| {
        let envelope = Envelope { ttl_ms: 60_000, ..envelope };
        let mut clock = clock_at(NOW.0 + 7 * 24 * 3_600_000);
        fold_room(
            &mut RoomState::absent(room),
            clock.advance(Offset(0), Timestamp(append), &envelope).unwrap(),
            &envelope,
        )
    };
    let stale = Outcome::Rejected(Reject::Stale);
    assert_eq!(fold(NOW.0 + 60_001, old(NOW.0, 0)), stale, "in the producer's queue");
    assert_eq!(fold(NOW.0, old(NOW.0, 60_001)), stale, "before");
    assert_eq!(fold(NOW.0 + 1, old(NOW.0, 60_000)), stale, "together");
    assert_ne!(fold(NOW.0, old(NOW.0, 60_000)), stale);
    assert_ne!(fold(NOW.0 - 3_600_000, old(NOW.0, 0)), stale, "the clock went back on the way");
}

#[test]
fn a_record_in_a_partition_of_others_belongs_to_nobody() {
    let room = RoomId::open("news");
    let envelope = of_room(room, RoomCommand::Expire(Expire));
    assert_eq!(entity_in(room.partition(), &envelope), Some(Entity::Room(room)));
    for partition in Partition::all().filter(|partition| *partition != room.partition()) {
        assert_eq!(entity_in(partition, &envelope), None);
    }
}

#[test]
fn a_barrier_belongs_to_nobody_and_is_no_mistake() {
    let record = barrier(Uuid::from_u128(3), NOW);
    let envelope = Envelope::decode_record(&record).unwrap();
    assert_eq!((entity_of(&envelope), envelope.id()), (None, Uuid::from_u128(3)));
    let unknown = Envelope { kind: kinds::CONTROL_VERSION + 1, ..envelope.clone() };
    assert_eq!(entity_of(&unknown), None);
    assert!(is_valid_control(&envelope) && !is_valid_control(&unknown));
}

fn versions(knows: FoldVersion, records: &[Bytes]) -> Result<Vec<u32>, RecordError> {
    let mut clock = FoldClock::after(&WatermarkRow::start(Partition::FIRST), knows);
    let envelopes = records.iter().map(|record| Envelope::decode_record(record).unwrap());
    envelopes.map(|envelope| Ok(clock.advance(Offset(0), NOW, &envelope)?.version.0)).collect()
}

#[test]
fn a_version_holds_from_its_barrier_on_and_a_lower_one_takes_nothing_back() {
    let (id, any) = (Uuid::from_u128(3), barrier(Uuid::from_u128(4), NOW));
    let [first, second] = [FoldVersion::FIRST, FoldVersion::SECOND].map(|version| version_barrier(id, NOW, version));
    let log = [any.clone(), second, any.clone(), first, any];
    assert_eq!(versions(FoldVersion::SECOND, &log), Ok(vec![1, 2, 2, 2, 2]));
}

#[test]
fn a_program_that_does_not_know_a_version_stops_before_its_barrier_by_name() {
    let newer = version_barrier(Uuid::from_u128(3), NOW, FoldVersion(FoldVersion::KNOWN.0 + 1));
    let error = versions(FoldVersion::KNOWN, std::slice::from_ref(&newer)).unwrap_err();
    assert_eq!(error, RecordError::NewerFold { version: FoldVersion::KNOWN.0 + 1, known: FoldVersion::KNOWN.0 });
    let watermark = WatermarkRow { fold_version: 7, ..WatermarkRow::start(Partition::FIRST) };
    assert!(FoldClock::after(&watermark, FoldVersion::KNOWN).check().is_err(), "rows of a newer program");
}

#[test]
fn a_version_barrier_with_anything_else_in_it_is_a_mistake_and_begins_nothing() {
    let good = Envelope::decode_record(&version_barrier(Uuid::nil(), NOW, FoldVersion::FIRST)).unwrap();
    assert!(is_valid_control(&good) && entity_of(&good).is_none());
    for payload in [&b""[..], b"\x02", b"\0\0\0\0", b"\x02\0\0\0\0"] {
        let bad = Envelope { payload: Bytes::from_static(payload), ..good.clone() };
        assert!(!is_valid_control(&bad), "{payload:?}");
        assert_eq!(versions(FoldVersion::KNOWN, &[bad.encode_record()]), Ok(vec![1]));
    }
}

#[test]
fn a_record_of_another_entity_is_invalid_and_changes_nothing() {
    let envelope = of_room(RoomId::open("news"), RoomCommand::Expire(Expire));
    let mut room = EntityState::room(RoomState::absent(RoomId::open("other")));
    let mut user = EntityState::user(UserState::new(support::user("ann")));
    let (before_room, before_user) = (room.hash(), user.hash());
    assert_eq!(room.fold(NOW, &envelope), EntityOutcome::Room(Outcome::Rejected(Reject::Invalid)));
    assert_eq!(user.fold(NOW, &envelope), EntityOutcome::User(UserOutcome::Rejected(Reject::Invalid)));
    assert_eq!((room.hash(), user.hash()), (before_room, before_user));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any envelope at all has a decision, and the same one for everybody.
    #[test]
    fn any_envelope_has_a_decision(
        kind in prop_oneof![0..14u32, 998..1009u32, 1999..2003u32, any::<u32>()],
        key in prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 16), Just(b"ann".to_vec())],
        command_id in prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 0..20)],
        payload in vec(any::<u8>(), 0..64),
        times in (any::<u64>(), any::<u64>(), any::<u64>()),
    ) {
        let (issued_at_ms, ttl_ms, now) = times;
        let envelope = Envelope {
            kind, key: key.into(), command_id: command_id.into(), issued_at_ms, ttl_ms, payload: payload.into(),
            placed_at_ms: issued_at_ms / 2, age_ms: issued_at_ms % 100_000,
            verified_end: now % 3, verified_hash: now,
        };
        let read = Envelope::decode_record(&envelope.encode_record()).unwrap();
        prop_assert_eq!(&read, &envelope);
        match entity_of(&envelope) {
            None => prop_assert_eq!(is_valid_control(&envelope), is_valid_control(&read)),
            Some(entity) => {
                let (mut one, mut other) = (EntityState::absent(&entity), EntityState::absent(&entity));
                prop_assert_eq!(one.entity(), entity);
                let (here, there) = (one.fold(Timestamp(now), &envelope), other.fold(Timestamp(now), &read));
                prop_assert_eq!(&here, &there);
                prop_assert_eq!(one.chain(), other.chain());
                prop_assert_eq!(one.hash(), other.hash());
            }
        }
    }

    /// Any bytes are a record or an error that halts; nothing panics.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..80)) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = crate::storage::journal::record::MAGIC;
        }
        let newer = bytes.get(1).is_some_and(|version| *version > crate::storage::journal::record::VERSION);
        let read = Envelope::decode_record(&bytes.clone().into());
        if newer && bytes.len() >= 6 {
            prop_assert_eq!(read, Err(RecordError::NewerVersion(bytes[1])));
        }
    }
}
