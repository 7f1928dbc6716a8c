//! What records say of their writers' logs, and whom it stops; where a version of the fold begins.

use super::*;
use crate::actors::digest::RunningHash;
use crate::actors::partition::replay::{JournalReplay, ReplayError};
use crate::actors::room::tests::support;
use crate::actors::wire::{RoomKind, StreamEvent};
use crate::ids::Seq;
use crate::storage::journal::record::{Prefix, RecordError};

/// The logs up to behind each of these records.
fn prefixes(records: &[StoredRecord]) -> Vec<Prefix> {
    let mut log = RunningHash::new(Prefix::default());
    records.iter().map(|record| log.push(record)).collect()
}

/// The record at `offset` of a writer that had verified `prefix`.
fn written_after(prefix: Prefix, offset: u64) -> StoredRecord {
    let envelope = Envelope::decode_record(&record(99)).unwrap().following(prefix);
    StoredRecord { offset: Offset(offset), time: NOW, bytes: envelope.encode_record() }
}

fn halt(out: &Actions) -> Option<&str> {
    out.iter().find_map(|action| match action {
        Action::Halt { reason } => Some(reason.as_str()),
        _ => None,
    })
}

#[test]
fn each_record_says_what_its_writer_had_verified() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    core.submit(origin(1), record(1), NOW, NOW, &mut out);
    let ticket = append_of(&out);
    let first = core.place(ticket, NOW, NOW);
    assert_eq!(Envelope::decode_record(&first[0]).unwrap().prefix(), Prefix::default());
    out.clear();
    core.appended(ticket, Ok(report(0, 1)), NOW, &mut out);
    core.submit(origin(2), record(2), NOW, NOW, &mut out);
    let second = core.place(append_of(&out), NOW, NOW);
    let log = [StoredRecord { offset: Offset(0), time: NOW, bytes: first[0].clone() }];
    assert_eq!(Envelope::decode_record(&second[0]).unwrap().prefix(), prefixes(&log)[0]);
}

#[test]
fn what_another_writer_had_verified_is_verified_here_if_both_have_read_the_same() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    let log = [stored(0, 1), stored(1, 2)];
    told(&mut core, log.to_vec(), &mut out);
    assert!(delivered(&out).is_empty(), "nobody has said that it is durable");
    told(&mut core, vec![written_after(prefixes(&log)[1], 2)], &mut out);
    assert_eq!(delivered(&out), [(0, None), (1, None)], "and not the record that says so");
}

#[test]
fn a_record_whose_writer_read_another_log_has_that_read_once_more_and_then_halts_by_name() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    let other = prefixes(&[stored(0, 7)])[0];
    told(&mut core, vec![stored(0, 1), written_after(other, 1)], &mut out);
    assert!(matches!(&out[..], [Action::Seek { from: Offset(0) }]), "{out:?}");
    out.clear();
    told(&mut core, vec![stored(0, 1), written_after(other, 1)], &mut out);
    let reason = halt(&out).unwrap();
    assert!(reason.contains("offset 1: its writer had read another log before offset 1"), "{reason}");
    assert!(delivered(&out).is_empty(), "{out:?}");
}

#[test]
fn what_was_lost_unheard_is_read_again_and_all_goes_on() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    let log = [stored(0, 7)];
    told(&mut core, vec![stored(0, 1), written_after(prefixes(&log)[0], 1)], &mut out);
    out.clear();
    told(&mut core, vec![log[0].clone(), written_after(prefixes(&log)[0], 1)], &mut out);
    assert_eq!((delivered(&out), halt(&out)), (vec![(0, None)], None));
}

#[test]
fn a_difference_below_what_is_verified_halts_at_once_behind_what_was_read_before() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1)], &mut out);
    out.clear();
    let other = prefixes(&[stored(0, 7)])[0];
    told(&mut core, vec![stored(1, 2), written_after(other, 2)], &mut out);
    assert_eq!(delivered(&out), [(1, None)]);
    assert!(halt(&out).is_some_and(|reason| reason.contains("another log")), "{out:?}");
}

#[test]
fn nobody_has_verified_the_record_that_is_only_being_written() {
    let mut core = ready(Rule::OwnReports);
    let mut out = Actions::new();
    told(&mut core, vec![written_after(Prefix { end: Offset(1), hash: 5 }, 0)], &mut out);
    assert!(halt(&out).is_some_and(|reason| reason.contains("does not lie below it")), "{out:?}");
}

#[test]
fn rows_of_another_log_are_found_at_the_first_record_that_was_written_behind_them() {
    let log = [stored(0, 1), stored(1, 2)];
    let record = written_after(prefixes(&log)[1], 2);
    for (log_hash, halts) in [(prefixes(&log)[1].hash, false), (1, true)] {
        let watermark = WatermarkRow { next_offset: Offset(2), log_hash, ..WatermarkRow::start(room().partition()) };
        let mut core: Core = Core::new(Deps { watermark, ..deps(Rule::ReadableIsDurable, 1 << 30) });
        let mut out = Actions::new();
        told(&mut core, vec![record.clone()], &mut out);
        assert_eq!(halt(&out).is_some(), halts, "{out:?}");
    }
}

#[test]
fn a_program_that_does_not_know_a_version_halts_before_it_and_says_which_it_is() {
    let barrier = fold::version_barrier(Uuid::nil(), NOW, FoldVersion::SECOND);
    let version = StoredRecord { offset: Offset(1), time: NOW, bytes: barrier };
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    told(&mut core, vec![stored(0, 1), version.clone(), stored(2, 2)], &mut out);
    assert_eq!(delivered(&out), [(0, None)]);
    let reason = halt(&out).unwrap();
    assert!(reason.contains("offset 1: version 2 of the fold begins here, this program knows up to 1"), "{reason}");
    let options = Options { knows: FoldVersion::SECOND, ..options(Rule::ReadableIsDurable) };
    let mut newer: Core = Core::new(Deps { options, ..deps(Rule::ReadableIsDurable, 1 << 30) });
    out.clear();
    told(&mut newer, vec![stored(0, 1), version, stored(2, 2)], &mut out);
    load(&mut newer, &entity(), 0, &mut out);
    assert_eq!((delivered(&out), halt(&out)), (vec![(0, None), (2, None)], None));
}

#[test]
fn a_program_whose_rows_are_of_a_newer_version_halts_before_it_does_anything() {
    let watermark = WatermarkRow { fold_version: 2, ..WatermarkRow::start(room().partition()) };
    let mut core: Core = Core::new(Deps { watermark, ..deps(Rule::ReadableIsDurable, 1 << 30) });
    let mut out = Actions::new();
    told(&mut core, Vec::new(), &mut out);
    assert!(halt(&out).is_some_and(|reason| reason.contains("version 2 of the fold")), "{out:?}");
}

#[test]
fn a_stream_is_told_again_from_behind_a_version_that_the_program_knows() {
    let body = RoomCommand::Create(support::create(RoomKind::Group, "alice", &[]));
    let create = Command { room: room(), id: Uuid::from_u128(1), issued_at: NOW, ttl_ms: 0, body };
    let create = payload::encode(create);
    let version = fold::version_barrier(Uuid::nil(), NOW, FoldVersion::SECOND);
    let log = [(0, create), (1, version), (2, record(2))];
    let log = log.map(|(offset, bytes)| StoredRecord { offset: Offset(offset), time: NOW, bytes });
    let tell = |knows| {
        let mut story = JournalReplay::new(entity(), knows);
        log.iter().try_for_each(|record| story.take(record))?;
        story.events(Seq(1), Seq(9))
    };
    assert!(matches!(tell(FoldVersion::FIRST), Err(ReplayError::Record(RecordError::NewerFold { .. }))));
    let seqs: Vec<Seq> = tell(FoldVersion::SECOND).unwrap().iter().map(StreamEvent::seq).collect();
    assert_eq!(seqs, [Seq(1), Seq(2)]);
}
