//! What a core decides beside records: deaths, heads, memory, loads, and when its tail may go on.

use super::*;
use crate::actors::fold::EntityState;
use crate::actors::partition::memory::RESIDENT_BYTES;
use crate::ids::{Generation, Seq};
use crate::limits;
use crate::storage::journal::{JournalError, ReadError, Tailed};

fn tick(core: &mut Core, stored: u64, out: &mut Actions) {
    core.tick(NOW, Offset(stored), RESIDENT, || fold::barrier(Uuid::nil(), NOW), out);
}

fn follows(out: &Actions) -> Vec<usize> {
    let bytes = out.iter().filter_map(|action| match action {
        Action::Follow { bytes } => Some(*bytes),
        _ => None,
    });
    bytes.collect()
}

/// A core that replays a journal of so many records, with so much memory.
fn replaying(records: u64, memory: usize) -> Core {
    Core::new(Deps { journal_end: Offset(records), ..deps(Rule::ReadableIsDurable, memory) })
}

#[test]
fn a_record_that_kills_its_room_again_and_again_halts_the_partition() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1)], &mut out);
    for _ in 0..limits::DEATHS_OVER_A_RECORD {
        out.clear();
        core.died(&entity(), &mut out);
        assert!(matches!(&out[..], [Action::Load { .. }]), "{out:?}");
        load(&mut core, &entity(), 0, &mut out);
    }
    // What an operator wants made anew did not die over its record.
    core.remake(&entity(), &mut out);
    load(&mut core, &entity(), 0, &mut out);
    out.clear();
    core.died(&entity(), &mut out);
    assert!(matches!(&out[..], [Action::Halt { reason }] if reason.contains("offset 0")), "{out:?}");
}

#[test]
fn deaths_over_different_records_are_borne() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    for offset in 0..10 {
        told(&mut core, vec![stored(offset, u128::from(offset))], &mut out);
        core.died(&entity(), &mut out);
        load(&mut core, &entity(), 0, &mut out);
        let batches = out.drain(..).filter_map(|action| match action {
            Action::Deliver { batch, .. } => Some(batch),
            _ => None,
        });
        batches.for_each(|batch| batch.finish());
    }
    assert!(!core.is_halted());
}

#[test]
fn a_head_is_announced_some_times_behind_its_last_event_and_also_when_the_room_has_gone() {
    let deps = deps(Rule::ReadableIsDurable, 1 << 30);
    let listeners = Arc::clone(&deps.listeners);
    let mut core: Core = Core::new(deps);
    let mut out = Actions::new();
    core.begin(&mut out);
    listeners.of(&entity()).add(NodeId { number: 3, life: 0 }, RequestId(1));
    listeners.of(&entity()).note_head(Generation::FIRST, Seq(1));
    told(&mut core, vec![stored(0, 1)], &mut out);
    load(&mut core, &entity(), 0, &mut out);
    let Some(Action::Deliver { batch, .. }) = out.pop() else { panic!("{out:?}") };
    batch.finish();
    out.clear();
    tick(&mut core, 0, &mut out);
    assert!(matches!(&out[..], [Action::Announce { .. }]), "by the room itself: {out:?}");
    out.clear();
    core.let_go(NOW, Offset(1), &mut out);
    assert!(matches!(&out[..], [Action::Passivate { .. }]), "{out:?}");
    for _ in 1..limits::HEAD_ANNOUNCEMENTS {
        out.clear();
        tick(&mut core, 1, &mut out);
        assert!(
            matches!(&out[..], [Action::Send { to: NodeId { number: 3, life: 0 }, frame: ToGateway::Head { .. } }]),
            "{out:?}"
        );
    }
    out.clear();
    tick(&mut core, 1, &mut out);
    assert!(out.is_empty(), "{out:?}");
}

#[test]
fn without_memory_commands_are_refused_and_records_are_folded_all_the_same() {
    let mut core: Core = Core::new(deps(Rule::ReadableIsDurable, RESIDENT_BYTES - 1));
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    assert_eq!(answers(&out), [(1, Answer::Unavailable { retry_after_ms: 50 })]);
    assert!(matches!(&out[0], Action::NoMemory), "{out:?}");
    out.clear();
    told(&mut core, vec![stored(0, 1)], &mut out);
    assert!(matches!(&out[..], [Action::Load { .. }]), "{out:?}");
}

#[test]
fn the_tail_tells_one_thing_and_waits_to_be_let() {
    let mut core = replaying(2, 1 << 30);
    let mut out = Actions::new();
    core.begin(&mut out);
    assert_eq!(follows(&out), [limits::TAIL_REPLAY_BYTES]);
    out.clear();
    core.heard(
        Ok(Tailed::Batch { records: vec![stored(0, 1), stored(1, 2)], end: Offset(2), losses: 0 }),
        NOW,
        &mut out,
    );
    assert_eq!(follows(&out), [limits::TAIL_BATCH_BYTES], "what was there at the start is folded");
    out.clear();
    tick(&mut core, 0, &mut out);
    assert!(follows(&out).is_empty(), "it is let once: {out:?}");
}

#[test]
fn a_read_that_may_succeed_later_is_tried_again_and_any_other_failure_halts() {
    let mut core = replaying(0, 1 << 30);
    let mut out = Actions::new();
    core.begin(&mut out);
    out.clear();
    core.heard(Err(ReadError::Journal(JournalError::Io("no file".to_owned()))), NOW, &mut out);
    assert!(out.is_empty(), "{out:?}");
    tick(&mut core, 0, &mut out);
    assert_eq!(follows(&out), [limits::TAIL_BATCH_BYTES]);
    out.clear();
    core.heard(Err(ReadError::Journal(JournalError::Damaged("a byte".to_owned()))), NOW, &mut out);
    assert!(matches!(&out[..], [Action::Halt { reason }] if reason.contains("a byte")), "{out:?}");
}

#[test]
fn an_owner_whose_next_record_is_trimmed_halts_by_name_and_says_what_to_do() {
    let mut core = replaying(0, 1 << 30);
    let mut out = Actions::new();
    core.begin(&mut out);
    out.clear();
    let partition = entity().partition();
    core.heard(Err(ReadError::Trimmed { partition, asked: Offset(0), start: Offset(7) }), NOW, &mut out);
    let says = |reason: &str| {
        reason.contains(&format!("offset 0 of partition {partition} is trimmed"))
            && reason.contains("restore the newest backup")
    };
    assert!(matches!(&out[..], [Action::Halt { reason }] if says(reason)), "{out:?}");
}

#[test]
fn a_journal_that_is_folded_anew_waits_while_its_rooms_take_too_much_memory() {
    let mut core = replaying(2, RESIDENT_BYTES);
    let mut out = Actions::new();
    core.begin(&mut out);
    out.clear();
    core.heard(Ok(Tailed::Batch { records: vec![stored(0, 1)], end: Offset(2), losses: 0 }), NOW, &mut out);
    assert!(follows(&out).is_empty(), "{out:?}");
    let share = out.drain(..).find_map(|action| match action {
        Action::Load { share, .. } => Some(share),
        _ => None,
    });
    let state = Box::new(EntityCore::new(entity(), EntityState::absent(&entity()), Arc::default(), Offset(0)));
    let loaded =
        Loaded { core: state, watermark: Offset(0), is_newer: false, chain: None, share: share.expect("it is loaded") };
    core.loaded(&entity(), loaded, NOW, &mut out);
    let batch = out.iter().find_map(|action| match action {
        Action::Deliver { batch, .. } => Some(Arc::clone(batch)),
        _ => None,
    });
    batch.expect("it is folded").finish();
    let held: Actions = out.drain(..).filter(|action| matches!(action, Action::Spawn { .. })).collect();
    tick(&mut core, 0, &mut out);
    assert!(follows(&out).is_empty(), "the store lacks what would have to be let go: {out:?}");
    tick(&mut core, 1, &mut out);
    assert!(out.iter().any(|action| matches!(action, Action::Passivate { .. })), "{out:?}");
    drop(held);
    out.clear();
    tick(&mut core, 1, &mut out);
    assert_eq!(follows(&out), [limits::TAIL_REPLAY_BYTES]);
}
