//! Rows that are ahead of the owner: whoever made them has read further.

use super::*;
use crate::actors::partition::entity::{Emit, EntityCore};
use crate::actors::partition::listeners::Listeners;
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

#[test]
fn what_the_rows_have_is_passed_over_and_what_follows_is_folded() {
    // The batch comes from a core, as no other makes verified records.
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    out.clear();
    core.appended(ticket, Ok(report(0, 1)), NOW, &mut out);
    told(&mut core, vec![stored(1, 2)], &mut out);
    let batches = batches(&out);
    assert_eq!(batches.len(), 2);

    let listeners = Arc::new(Listeners::default());
    let mut state = EntityState::absent(&entity());
    state.fold(NOW, &Envelope::decode_record(&created()).unwrap());
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

/// What makes the room.
fn created() -> Bytes {
    use crate::actors::room::commands::Create;
    use crate::actors::wire::{HistoryBound, MaySend, RoomKind};
    let create = Create {
        kind: RoomKind::Group,
        creator: UserId::new("bob").unwrap(),
        members: Vec::new(),
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
