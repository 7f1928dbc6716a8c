//! Barriers for those who read the log without owning it.

use super::*;
use crate::actors::kinds;
use crate::limits;

/// A core beside which somebody reads, whose room is resident and has a record that is not covered.
fn uncovered(out: &mut Actions) -> Core {
    let options = Options { cover_after_ms: Some(20), ..options(Rule::OwnReports) };
    let mut core = Core::new(Deps { options, ..deps(Rule::OwnReports, 1 << 30) });
    core.begin(out);
    core.ask(entity(), question(), NOW, out);
    load(&mut core, &entity(), 0, out);
    out.clear();
    appends(&mut core, 1, NOW, out);
    core
}

/// A record is appended and confirmed, at the offset of its number.
fn appends(core: &mut Core, n: u64, now: Timestamp, out: &mut Actions) {
    core.submit(origin(n), record(n.into()), now, now, out);
    let ticket = append_of(out);
    core.place(ticket, now, now);
    out.clear();
    core.appended(ticket, Ok(report(n - 1, n)), now, out);
}

fn barrier() -> Bytes {
    fold::barrier(Uuid::from_u128(99), NOW)
}

fn cover_in(out: &Actions) -> Option<u64> {
    out.iter().find_map(|action| match action {
        Action::Cover { ms } => Some(*ms),
        _ => None,
    })
}

#[test]
fn the_last_record_is_covered_by_a_barrier_that_says_so_and_the_barrier_by_none() {
    let mut out = Actions::new();
    let mut core = uncovered(&mut out);
    assert_eq!(cover_in(&out), Some(20));
    out.clear();
    core.cover(Timestamp(NOW.0 + 20), barrier, &mut out);
    let ticket = append_of(&out);
    let placed = core.place(ticket, NOW, NOW);
    assert_eq!(Envelope::decode_record(&placed[0]).unwrap().prefix().end, Offset(1));
    out.clear();
    core.appended(ticket, Ok(report(1, 2)), NOW, &mut out);
    core.tick(Timestamp(NOW.0 + 2_000), Offset(0), RESIDENT, barrier, &mut out);
    assert_eq!(cover_in(&out), None, "{out:?}");
    appends_nothing(&out);
}

#[test]
fn a_barrier_that_the_tail_has_still_to_bring_is_enough() {
    let mut out = Actions::new();
    let mut core = uncovered(&mut out);
    out.clear();
    core.cover(Timestamp(NOW.0 + 20), barrier, &mut out);
    let ticket = append_of(&out);
    core.place(ticket, NOW, NOW);
    out.clear();
    // Others' records stand before it, and are not read yet.
    core.appended(ticket, Ok(report(7, 8)), NOW, &mut out);
    assert_eq!(cover_in(&out), None, "{out:?}");
    core.cover(Timestamp(NOW.0 + 100), barrier, &mut out);
    appends_nothing(&out);
}

#[test]
fn while_records_come_nothing_more_is_appended_for_those_before() {
    let mut out = Actions::new();
    let mut core = uncovered(&mut out);
    appends(&mut core, 2, Timestamp(NOW.0 + 19), &mut out);
    assert_eq!(cover_in(&out), None, "it is said once");
    out.clear();
    core.cover(Timestamp(NOW.0 + 20), barrier, &mut out);
    assert!(matches!(out[..], [Action::Cover { ms: 20 }]), "the last one is too young: {out:?}");
}

#[test]
fn a_cover_that_was_refused_is_made_good_at_the_next_tick() {
    let mut out = Actions::new();
    let mut core = uncovered(&mut out);
    out.clear();
    core.cover(Timestamp(NOW.0 + 20), barrier, &mut out);
    let ticket = append_of(&out);
    out.clear();
    core.appended(ticket, Err(AppendError::Refused("full".to_owned())), NOW, &mut out);
    assert_eq!(cover_in(&out), None);
    core.tick(Timestamp(NOW.0 + 1_000), Offset(0), RESIDENT, barrier, &mut out);
    assert_eq!(cover_in(&out), Some(20), "{out:?}");
}

#[test]
fn nothing_is_covered_where_nobody_stands_alone() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    appends(&mut core, 1, NOW, &mut out);
    assert_eq!(cover_in(&out), None, "{out:?}");
}

/// Somebody else appended these, and they lie at the partition's end.
fn others(core: &mut Core, from: u64, records: Vec<Bytes>, out: &mut Actions) {
    let stored = records.into_iter().zip(from..);
    told(core, stored.map(|(bytes, n)| StoredRecord { offset: Offset(n), time: NOW, bytes }).collect(), out);
}

fn barrier_of(out: &Actions, core: &mut Core) -> (Ticket, bool) {
    let ticket = append_of(out);
    let placed = core.place(ticket, NOW, NOW);
    (ticket, Envelope::decode_record(&placed[0]).unwrap().kind == kinds::CONTROL_BARRIER)
}

#[test]
fn a_record_of_somebody_who_does_not_own_the_partition_is_verified_by_a_barrier_a_moment_later() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    others(&mut core, 0, vec![record(1)], &mut out);
    assert_eq!(cover_in(&out), Some(limits::COVER_AFTER_MS), "{out:?}");
    out.clear();
    others(&mut core, 1, vec![record(2)], &mut out);
    assert_eq!(cover_in(&out), None, "it is said once");
    core.cover(Timestamp(NOW.0 + 20), barrier, &mut out);
    let (ticket, is_barrier) = barrier_of(&out, &mut core);
    assert!(is_barrier && core.verified() == Offset(0));
    out.clear();
    core.appended(ticket, Ok(report(2, 3)), NOW, &mut out);
    assert_eq!((core.verified(), cover_in(&out)), (Offset(3), None), "{out:?}");
}

#[test]
fn whoever_listens_does_not_wait_for_the_moment() {
    let deps = deps(Rule::OwnReports, 1 << 30);
    deps.listeners.of(&entity()).add(NodeId::default(), RequestId(1));
    let (mut core, mut out) = (Core::new(deps), Actions::new());
    others(&mut core, 0, vec![record(1)], &mut out);
    assert_eq!(cover_in(&out), Some(0), "{out:?}");
}

#[test]
fn a_barrier_of_somebody_else_is_answered_by_none() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    others(&mut core, 0, vec![barrier()], &mut out);
    assert_eq!(cover_in(&out), None, "{out:?}");
    others(&mut core, 1, vec![record(1), barrier()], &mut out);
    assert_eq!(cover_in(&out), Some(limits::COVER_AFTER_MS), "but what means something is: {out:?}");
}

#[test]
fn an_append_that_is_under_way_covers_what_lies_before_it_and_what_does_not_is_covered_after_it() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    core.place(ticket, NOW, NOW);
    out.clear();
    others(&mut core, 0, vec![record(2)], &mut out);
    assert_eq!(cover_in(&out), None, "{out:?}");
    core.cover(Timestamp(NOW.0 + 20), barrier, &mut out);
    appends_nothing(&out);
    others(&mut core, 1, vec![record(1), record(3)], &mut out);
    assert_eq!(cover_in(&out), None, "{out:?}");
    core.appended(ticket, Ok(report(1, 2)), NOW, &mut out);
    assert_eq!((core.verified(), cover_in(&out)), (Offset(2), Some(limits::COVER_AFTER_MS)), "{out:?}");
}
