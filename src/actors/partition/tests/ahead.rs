//! Rows that are ahead of the owner: whoever made them has read further.

use super::*;
use crate::actors::moment::Moment;
use crate::actors::partition::entity::{Emit, EntityCore};
use crate::actors::partition::listeners::Listeners;
use crate::actors::wire::Reject;
use crate::ids::Seq;

#[test]
fn an_owner_goes_on_from_rows_that_are_ahead_of_it() {
    let mut core = core(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    core.submit(origin(9), record(9), NOW, NOW, &mut out);
    out.clear();
    told(&mut core, vec![stored(0, 1)], &mut out);
    out.clear();
    // Somebody else has made rows of the record already.
    load(&mut core, &entity(), 1, &mut out);
    assert_eq!(delivered(&out), [(0, None)], "the entity passes over it");
    assert!(!out.iter().any(|action| matches!(action, Action::Restart { .. })), "{out:?}");
    append_of(&out);
}

#[test]
fn rows_that_a_newer_program_made_are_not_gone_on_from() {
    let mut core = core(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1)], &mut out);
    out.clear();
    core.loaded(&entity(), Loaded { is_newer: true, ..loaded(&entity(), 1, None) }, NOW, &mut out);
    assert!(matches!(out.last(), Some(Action::Restart { .. })), "{out:?}");
    assert!(delivered(&out).is_empty(), "{out:?}");
}

/// Records of the room: what makes it, and messages, with who asked for them.
fn batches(out: &Actions) -> Vec<Arc<crate::actors::partition::item::Batch>> {
    out.iter()
        .filter_map(|action| match action {
            Action::Deliver { batch, .. } => Some(Arc::clone(batch)),
            _ => None,
        })
        .collect()
}

/// A core whose first record was asked for and is in the log: no other makes verified records.
fn appended(out: &mut Actions) -> Core {
    let mut core = ready(Rule::ReadableIsDurable);
    core.submit(origin(1), record(1), NOW, NOW, out);
    let ticket = append_of(out);
    out.clear();
    core.appended(ticket, Ok(report(0, 1)), NOW, out);
    core
}

#[test]
fn what_the_rows_have_is_passed_over_and_what_follows_is_folded() {
    let mut out = Actions::new();
    let mut core = appended(&mut out);
    told(&mut core, vec![stored(1, 2)], &mut out);
    let batches = batches(&out);
    assert_eq!(batches.len(), 2);

    let listeners = Arc::new(Listeners::default());
    let mut state = EntityState::absent(&entity());
    state.fold(NOW, &Envelope::decode_record(&created(&[])).unwrap());
    let before = state.hash();
    let mut entity = EntityCore::new(entity(), state, Arc::clone(&listeners), Offset(1));
    listeners.add(NodeId::default(), RequestId(5));
    let mut emits = Vec::new();
    entity.apply(&batches[0], Offset(1), &mut emits);
    assert_eq!(entity.state().hash(), before, "nothing is folded twice");
    let is_unknown = |emit: &Emit| {
        matches!(emit, Emit::Frame { frame: ToGateway::Answer { answer: Answer::Unknown, request: RequestId(1) }, .. })
    };
    let is_head = |emit: &Emit| matches!(emit, Emit::Frame { frame: ToGateway::Head { head: Seq(1), .. }, .. });
    let is_decided =
        |emit: &Emit| matches!(emit, Emit::Decided(decided) if decided.iter().all(|record| record.chain.is_none()));
    assert!(is_unknown(&emits[0]) && is_head(&emits[1]) && is_decided(&emits[2]), "{emits:?}");
    emits.clear();
    entity.apply(&batches[1], Offset(1), &mut emits);
    assert!(matches!(&emits[..], [Emit::Decided(decided)] if decided[0].chain.is_some()), "{emits:?}");
}

/// What the owner hears of its own records, of which another one has made rows already.
fn passed_over(state: &EntityState, batch: &crate::actors::partition::item::Batch) -> Answer {
    let mut entity = EntityCore::new(entity(), state.clone(), Arc::new(Listeners::default()), Offset(9));
    let mut emits = Vec::new();
    entity.apply(batch, Offset(9), &mut emits);
    let answer = emits.into_iter().find_map(|emit| match emit {
        Emit::Frame { frame: ToGateway::Answer { answer, .. }, .. } => Some(answer),
        _ => None,
    });
    answer.expect("somebody asked for it")
}

#[test]
fn who_asked_for_what_the_rows_have_is_told_what_the_log_made_of_it() {
    let mut out = Actions::new();
    appended(&mut out);
    let batch = &batches(&out)[0];
    let item = batch.items()[0].get();
    let made_before = |before: Timestamp| {
        let mut state = EntityState::absent(&entity());
        state.fold(before, &Envelope::decode_record(&created(&["alice"])).unwrap());
        state
    };
    let at = |ms: u64| Moment { fold: Timestamp(ms), append: Timestamp(ms), ..item.now };
    let time = item.now.fold.0;

    let mut accepted = made_before(Timestamp(time - 2));
    assert!(accepted.fold(item.now, &item.envelope).event().is_some());
    let told = passed_over(&accepted, batch);
    assert!(matches!(told, Answer::Accepted { seq: Seq(2), duplicate: false, .. }), "{told:?}");

    let mut repeated = made_before(Timestamp(time - 2));
    assert!(repeated.fold(at(time - 1), &item.envelope).event().is_some());
    let told = passed_over(&repeated, batch);
    assert!(matches!(told, Answer::Accepted { seq: Seq(2), duplicate: true, .. }), "{told:?}");

    let mut later = made_before(Timestamp(time - 2));
    assert!(later.fold(at(time + 1), &item.envelope).event().is_some());
    assert_eq!(passed_over(&later, batch), Answer::Unknown, "what the record itself came to is not known");

    let mut refused = made_before(Timestamp(time - 2));
    let EntityState::Room(room) = &mut refused else { unreachable!() };
    let command = payload::decode(&item.envelope).unwrap();
    room.refuse(item.now, command, Reject::Stale);
    assert_eq!(passed_over(&refused, batch), Answer::Rejected(Reject::Stale));

    let forgotten = made_before(Timestamp(time - 2));
    assert_eq!(passed_over(&forgotten, batch), Answer::Unknown);
}

/// What makes the room.
fn created(members: &[&str]) -> Bytes {
    use crate::actors::room::commands::Create;
    use crate::actors::wire::{HistoryBound, MaySend, RoomKind};
    let create = Create {
        kind: RoomKind::Group,
        creator: UserId::new("bob").unwrap(),
        members: members.iter().map(|name| UserId::new(name).unwrap()).collect(),
        title: "a".to_owned(),
        channel: String::new(),
        ttl_ms: 0,
        public: false,
        may_send: MaySend::Members,
        max_members: 9,
        history: HistoryBound::default(),
    };
    let (id, body) = (Uuid::from_u128(3), RoomCommand::Create(create));
    payload::encode(Command { room: room(), id, issued_at: NOW, ttl_ms: 0, body })
}
