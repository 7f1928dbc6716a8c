//! What a record bears from its owner on, and that it is not copied for that.

use super::*;
use crate::actors::wire::Reject;
use crate::storage::journal::record::Prefix;

#[test]
fn a_record_says_when_it_was_placed_by_the_journals_clock_and_how_old_it_was() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    core.submit(origin(1), record_within(1, 60_000), Timestamp(700), NOW, &mut out);
    // Behind the first one: it goes on getting older.
    core.submit(origin(2), record_within(2, 60_000), Timestamp(1_000), NOW, &mut out);
    core.submit(origin(3), record(3), Timestamp(1_000), NOW, &mut out);
    let (first, hour) = (append_of(&out), 3_600_000);
    let stamps = |records: Vec<Bytes>| -> Vec<_> {
        let read = records.iter().map(|record| Envelope::decode_record(record).unwrap());
        read.map(|envelope| (envelope.id().as_u128(), envelope.placed_at_ms, envelope.age_ms)).collect()
    };
    assert_eq!(stamps(core.place(first, Timestamp(hour), NOW)), [(1, hour, 300)]);
    out.clear();
    let report = Appended { time: Timestamp(hour + 1), ..report(0, 1) };
    core.appended(first, Ok(report), NOW, &mut out);
    // What is folded is what was appended.
    let items: Vec<_> = out
        .iter()
        .filter_map(|action| match action {
            Action::Deliver { batch, .. } => Some(batch.items()[0].get().clone()),
            _ => None,
        })
        .collect();
    assert_eq!((items[0].envelope.placed_at_ms, items[0].envelope.age_ms), (hour, 300));
    assert_eq!((items[0].now.fold, items[0].now.append), (Timestamp(hour + 1), Timestamp(hour + 1)));
    let second = append_of(&out.drain(..).filter(|action| matches!(action, Action::Append { .. })).collect());
    assert_eq!(stamps(core.place(second, Timestamp(5), Timestamp(2_500))), [(2, 5, 1_500), (3, 0, 0)]);
    assert_eq!(core.place(first, NOW, NOW), Vec::<Bytes>::new(), "that one is over");
}

#[test]
fn a_record_is_placed_where_it_lies() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    let (wish, plain) = (record_within(1, 60_000), record_within(1, 60_000));
    let lies_at = wish.as_ptr();
    core.submit(origin(1), wish, Timestamp(700), NOW, &mut out);
    let placed = core.place(append_of(&out), Timestamp(u64::MAX), NOW);
    assert_eq!(placed[0].as_ptr(), lies_at);
    let at_once = Envelope::decode_record(&plain).unwrap().placed(Timestamp(u64::MAX), 300);
    assert_eq!(placed[0], at_once.encode_record());
}

#[test]
fn of_a_record_that_somebody_else_holds_a_copy_is_placed() {
    let mut core = ready(Rule::ReadableIsDurable);
    let mut out = Actions::new();
    let (wish, plain) = (record_within(1, 60_000), record_within(1, 60_000));
    core.submit(origin(1), wish.clone(), NOW, NOW, &mut out);
    let placed = core.place(append_of(&out), NOW, NOW);
    assert_ne!(placed[0].as_ptr(), wish.as_ptr());
    assert_eq!(wish, plain);
}

#[test]
fn what_another_owner_has_placed_is_no_command() {
    let mut core = ready(Rule::ReadableIsDurable);
    let plain = Envelope::decode_record(&record(1)).unwrap();
    let placed = plain.clone().placed(NOW, 3);
    let behind = plain.following(Prefix { end: Offset(7), hash: 0 });
    for wish in [placed, behind] {
        let mut out = Actions::new();
        core.submit(origin(1), wish.encode_record(), NOW, NOW, &mut out);
        let [Action::Answer { answer, .. }] = &out[..] else { panic!("{out:?}") };
        assert_eq!(*answer, Answer::Rejected(Reject::Invalid));
    }
}
