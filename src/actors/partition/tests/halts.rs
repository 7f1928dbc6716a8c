//! A partition that is halted has no effect any more, whatever still comes in.

use super::*;

/// A record of a newer program.
fn newer(offset: u64) -> StoredRecord {
    let mut bytes = record(1).to_vec();
    bytes[1] = 99;
    StoredRecord { offset: Offset(offset), time: NOW, bytes: bytes.into() }
}

fn place(out: &Actions, is: impl Fn(&Action) -> bool) -> usize {
    out.iter().position(is).unwrap_or_else(|| panic!("not in {out:?}"))
}

/// A halted core, an append of which was under way, and what is to be reported of it.
fn halted_during_an_append() -> (Core, Ticket) {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    out.clear();
    core.halt("two folds disagree".to_owned(), &mut out);
    assert_eq!(answers(&out), [(1, Answer::Unknown)], "it may be written");
    (core, ticket)
}

#[test]
fn a_bad_record_halts_behind_the_records_before_it_and_never_in_front_of_them() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    let first: Vec<_> = (0..5).map(|n| stored(n, u128::from(n))).collect();
    core.told(first, Offset(7), 0, NOW, &mut out);
    assert_eq!(delivered(&out).len(), 5, "the room is folded up to here, the store has nothing of it");
    out.clear();
    told(&mut core, vec![stored(5, 5), newer(6)], &mut out);
    assert_eq!(delivered(&out), [(5, None)]);
    let deliver = place(&out, |action| matches!(action, Action::Deliver { .. }));
    let halt = place(&out, |action| matches!(action, Action::Halt { .. }));
    assert!(deliver < halt, "{out:?}");
    assert!(!out.iter().any(|action| matches!(action, Action::Load { .. })), "nothing is made anew: {out:?}");
}

#[test]
fn an_append_that_is_reported_after_a_halt_has_no_effect() {
    let (mut core, ticket) = halted_during_an_append();
    let mut out = Actions::new();
    core.appended(ticket, Ok(report(0, 1)), NOW, &mut out);
    assert!(out.is_empty(), "{out:?}");
    for error in [AppendError::Unknown("late".into()), AppendError::Refused("full".into())] {
        let (mut core, ticket) = halted_during_an_append();
        core.appended(ticket, Err(error), NOW, &mut out);
        assert!(out.is_empty(), "{out:?}");
    }
}

#[test]
fn what_the_tail_tells_after_a_halt_has_no_effect() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    core.halt("the disk is damaged".to_owned(), &mut out);
    out.clear();
    told(&mut core, vec![stored(0, 1), stored(1, 2)], &mut out);
    core.truncated(Offset(0), 1, &mut out);
    core.tick(Timestamp(NOW.0 + 1_000_000), Offset(9), RESIDENT, || fold::barrier(Uuid::nil(), NOW), &mut out);
    core.let_go(NOW, Offset(9), &mut out);
    assert!(!core.let_one_go(&entity(), Offset(9), &mut out));
    core.halt("again".to_owned(), &mut out);
    assert!(out.is_empty(), "{out:?}");
}

#[test]
fn an_entity_that_dies_or_is_loaded_after_a_halt_stays_away() {
    let mut core = core(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    core.ask(entity(), question(), NOW, &mut out);
    core.halt("poison".to_owned(), &mut out);
    assert!(out.iter().any(is_refusal), "{out:?}");
    out.clear();
    load(&mut core, &entity(), 0, &mut out);
    core.load_failed(&entity(), &mut out);
    core.rested(&entity(), &mut out);
    core.died(&entity(), &mut out);
    assert!(out.is_empty() && core.residents() == 0, "{out:?}");
}

#[test]
fn who_asks_a_halted_partition_is_refused_at_once() {
    let (mut core, _) = halted_during_an_append();
    let mut out = Actions::new();
    core.submit(origin(2), record(2), NOW, NOW, &mut out);
    core.ask(entity(), question(), NOW, &mut out);
    assert_eq!(answers(&out), [(2, Answer::Unavailable { retry_after_ms: 50 })]);
    assert!(matches!(&out[1..], [action] if is_refusal(action)), "{out:?}");
}

#[test]
fn a_journal_that_lost_what_it_had_confirmed_halts_the_partition() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    core.appended(append_of(&out), Ok(report(0, 1)), NOW, &mut out);
    out.clear();
    core.truncated(Offset(0), 1, &mut out);
    let halted = |action: &Action| matches!(action, Action::Halt { reason } if reason.contains("confirmed up to 1"));
    assert!(out.iter().any(halted), "{out:?}");
}

/// What an entity was made of has to be what this partition has decided, as far as that is known here.
#[test]
fn rows_that_were_folded_otherwise_halt_the_partition_when_they_are_loaded() {
    for (there, halts) in [(Chain(5), false), (Chain(6), true)] {
        let mut core = core(Rule::ReadableIsDurable);
        let mut out = Actions::new();
        told(&mut core, vec![stored(0, 1)], &mut out);
        load(&mut core, &entity(), 0, &mut out);
        core.progress().complete([(Offset(0), Some(Chain(5)))]);
        for action in &out {
            if let Action::Deliver { batch, .. } = action {
                batch.finish();
            }
        }
        core.let_go(NOW, Offset(1), &mut out);
        core.ask(entity(), question(), NOW, &mut out);
        out.clear();
        core.loaded(&entity(), loaded(&entity(), 1, Some((Offset(0), there))), NOW, &mut out);
        assert_eq!(out.iter().any(|action| matches!(action, Action::Halt { .. })), halts, "{out:?}");
        assert_eq!(out.iter().any(is_refusal), halts, "who waited is answered: {out:?}");
    }
}
