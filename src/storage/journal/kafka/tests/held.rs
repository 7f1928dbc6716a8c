//! Reports that are held back, and which reader follows a partition: what is known of one decides, without a client.

use std::sync::Arc;

use bytes::Bytes;

use crate::ids::{Offset, Timestamp};
use crate::storage::journal::kafka::parts::{Kept, LogPart, Pace};
use crate::storage::journal::tail::Step;
use crate::storage::journal::{Bounds, Place, StoredRecord, Tailed};

const NOW: Timestamp = Timestamp(1_000);

fn record(at: u64, name: &'static str) -> StoredRecord {
    StoredRecord { offset: Offset(at), time: NOW, bytes: Bytes::from_static(name.as_bytes()) }
}

/// An own batch of these is in the log from `first` on.
fn delivered(part: &LogPart, first: u64, names: &[&'static str]) -> Option<Offset> {
    let record = |(at, name): (u64, &&'static str)| (Offset(at), NOW, Bytes::from_static(name.as_bytes()));
    part.delivered((first..).zip(names).map(record).collect(), NOW)
}

fn fetched(part: &LogPart, at: u64, name: &'static str) -> Kept {
    part.fetched(Offset(at), Some(1), || record(at, name))
}

/// One that was written to here up to 10, and is followed.
fn part() -> LogPart {
    let part = LogPart::new(Bounds { start: Offset(0), end: Offset(9) });
    part.follows(Offset(9)).unwrap();
    assert_eq!(delivered(&part, 9, &["own"]), None, "nothing of others was read");
    part
}

/// What the brokers hold.
fn held(end: u64) -> Bounds {
    Bounds { start: Offset(0), end: Offset(end) }
}

/// Somebody who follows it, from 11 on.
fn followed(part: &LogPart) -> Arc<Place> {
    let place = Place::new(Offset(11), part.losses());
    part.followers.add(&place);
    place
}

/// The loss that a follower is told now.
fn cut_of(place: &Place) -> Option<Offset> {
    match place.step() {
        Step::Tell(Tailed::Truncated { end, .. }) => Some(end),
        _ => None,
    }
}

#[test]
fn a_report_behind_what_others_wrote_waits_until_the_log_was_read_up_to_it() {
    let part = part();
    fetched(&part, 10, "other");
    fetched(&part, 11, "other");
    assert_eq!(delivered(&part, 13, &["mine", "mine too"]), Some(Offset(15)));
    assert_eq!(part.read_for_reports(), Some(Offset(12)));
    fetched(&part, 12, "other");
    fetched(&part, 13, "mine");
    fetched(&part, 14, "mine too");
    assert_eq!(part.read_for_reports(), Some(Offset(15)));
    part.holds_nothing();
    assert_eq!(part.read_for_reports(), None);
    assert_eq!(delivered(&part, 15, &["next"]), None, "right behind an own one");
}

#[test]
fn a_report_waits_for_nothing_if_nothing_of_others_was_read_or_it_was_read_itself() {
    let part = part();
    assert_eq!(delivered(&part, 12, &["mine"]), None, "what lies before it is read from this log, later");
    fetched(&part, 10, "other");
    fetched(&part, 11, "other");
    fetched(&part, 12, "mine");
    fetched(&part, 13, "other");
    fetched(&part, 14, "mine");
    assert_eq!(delivered(&part, 14, &["mine"]), None);
}

#[test]
fn a_log_that_was_cut_and_filled_up_again_to_the_same_length_is_told_before_the_report_behind_it() {
    let part = part();
    fetched(&part, 10, "lost");
    fetched(&part, 11, "lost");
    assert_eq!(delivered(&part, 12, &["mine"]), Some(Offset(13)), "held, though it follows on what was read");
    assert_eq!(part.losses(), 0);
    let resumption = part.mended(Bounds { start: Offset(0), end: Offset(13) }, Some(Offset(10))).unwrap();
    assert_eq!((resumption.at, part.losses()), (Offset(10), 1), "the report is given behind this");
}

#[test]
fn a_loss_that_a_report_told_of_is_no_second_one_when_the_reader_hears_of_it() {
    let part = part();
    fetched(&part, 10, "lost");
    assert_eq!(delivered(&part, 10, &["mine"]), None, "it stands in the place of the lost one");
    assert_eq!(part.losses(), 1);
    let place = followed(&part);
    let resumption = part.mended(held(11), Some(Offset(10))).unwrap();
    assert_eq!(resumption.at, Offset(10), "it is read once more from there on");
    assert_eq!(cut_of(&place), Some(Offset(11)), "and what is confirmed by now is not lost");
    assert_eq!(fetched(&part, 10, "mine"), Kept::Known);
    assert_eq!(cut_of(&place), None);
}

#[test]
fn an_own_record_that_was_lost_and_sent_again_is_not_lost_when_the_reader_hears_of_it() {
    let part = part();
    fetched(&part, 10, "mine");
    assert_eq!(delivered(&part, 10, &["mine", "next"]), None);
    assert_eq!(part.losses(), 0, "it is the same, at the same time");
    let place = followed(&part);
    part.mended(held(12), Some(Offset(10))).unwrap();
    assert_eq!(cut_of(&place), Some(Offset(12)));
}

#[test]
fn a_record_of_the_same_text_and_another_time_is_another_one() {
    let part = part();
    fetched(&part, 10, "mine");
    let again = (Offset(10), Timestamp(NOW.0 + 1), Bytes::from_static(b"mine"));
    part.delivered(vec![again], NOW);
    assert_eq!(part.losses(), 1, "folds go by its time");
}

#[test]
fn what_was_confirmed_and_is_another_one_now_is_told_as_lost() {
    let part = part();
    fetched(&part, 10, "mine");
    assert_eq!(delivered(&part, 10, &["mine"]), None);
    let place = followed(&part);
    part.mended(held(11), Some(Offset(10))).unwrap();
    assert_eq!(cut_of(&place), Some(Offset(11)));
    assert_eq!(fetched(&part, 10, "a stranger's"), Kept::Yes);
    assert_eq!(cut_of(&place), Some(Offset(10)), "below what was confirmed: whoever follows halts");
    part.mended(held(9), Some(Offset(9))).unwrap();
    assert_eq!(cut_of(&place), Some(Offset(9)), "and so is what the log does not reach");
}

#[test]
fn what_a_reader_had_fetched_before_a_cut_does_not_release_a_report() {
    let part = part();
    fetched(&part, 10, "lost");
    assert_eq!(delivered(&part, 11, &["mine"]), Some(Offset(12)));
    fetched(&part, 11, "lost, too");
    assert_eq!(part.read_for_reports(), None);
}

#[test]
fn a_partition_that_only_this_node_writes_to_is_read_calmly_and_at_once_again_when_another_one_does_or_nobody() {
    let part = LogPart::new(Bounds { start: Offset(0), end: Offset(9) });
    part.follows(Offset(9)).unwrap();
    let seconds = |wanted: Pace| {
        let mut seconds = 0;
        while part.wanted() != wanted {
            seconds += 1;
            assert!(seconds < 100, "never {wanted:?}");
        }
        seconds
    };
    assert_eq!([(); 9].map(|()| part.wanted()), [Pace::Prompt; 9], "nobody writes here");
    delivered(&part, 9, &["mine"]);
    assert_eq!(part.wanted(), Pace::Prompt, "one record is not much");
    (10..14).for_each(|at| _ = delivered(&part, at, &["mine"]));
    assert_eq!(part.wanted(), Pace::Calm);
    part.paced(Pace::Calm);
    delivered(&part, 14, &["mine", "mine"]);
    assert!(!part.is_left_behind());
    delivered(&part, 17, &["mine"]);
    assert!(part.is_left_behind(), "16 is of another one, and must be fetched now");
    assert_eq!(part.wanted(), Pace::Prompt);
    part.paced(Pace::Prompt);
    for at in 18..50 {
        delivered(&part, at, &["mine"]);
        if part.wanted() == Pace::Calm {
            assert!(at > 35, "that one may write again");
        }
    }
    assert_eq!(part.wanted(), Pace::Calm, "it has not");
    assert!((15..25).contains(&seconds(Pace::Prompt)), "nobody writes here any more");
}
