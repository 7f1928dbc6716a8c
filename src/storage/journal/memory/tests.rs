//! The memory journal: the contract, and its fault hooks.

use std::sync::Arc;

use bytes::Bytes;

use super::{Fate, MemoryJournal, MemoryLog};
use crate::env::ManualClock;
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::contract::Fixture;
use crate::storage::journal::{AppendError, Journal, Tailed};
use crate::testing::within;

mod contract {
    async fn fixture() -> super::Fixture {
        let clock = super::Arc::new(super::ManualClock::new(super::Timestamp(1_000)));
        let journal = super::MemoryJournal::new(clock);
        let trimmed = journal.clone();
        let trim = Box::new(move |up_to: &[_]| trimmed.with_log(|log| log.trim(up_to)));
        super::Fixture { journal: super::Arc::new(journal), trim, has_one_time: true, keep: Box::new(()) }
    }
    crate::journal_contract!(fixture);
}

fn p() -> Partition {
    Partition::new(5).unwrap()
}

fn batch(text: &'static str) -> Vec<Bytes> {
    text.split(' ').map(|word| Bytes::from_static(word.as_bytes())).collect()
}

fn visible(log: &MemoryLog) -> String {
    let records = log.read(p(), log.bounds(p()).start, usize::MAX).unwrap();
    records.iter().map(|record| std::str::from_utf8(&record.bytes).unwrap()).collect::<Vec<_>>().join(" ")
}

const T: Timestamp = Timestamp(7);

#[test]
fn a_refused_append_never_shows() {
    let mut log = MemoryLog::new();
    assert!(matches!(log.append(1, T, p(), batch("a"), Fate::Refuse), Err(AppendError::Refused(_))));
    assert_eq!(visible(&log), "");
    assert_eq!(log.append(1, T, p(), batch("b"), Fate::Deliver).unwrap().first, Offset(0));
}

#[test]
fn an_unknown_append_may_lie_there_or_not() {
    let mut log = MemoryLog::new();
    assert!(matches!(log.append(1, T, p(), batch("lost"), Fate::Lose), Err(AppendError::Unknown(_))));
    assert!(matches!(log.append(1, T, p(), batch("there"), Fate::Land), Err(AppendError::Unknown(_))));
    assert_eq!(visible(&log), "there");
    assert_eq!(log.durable_end(p()), Offset(0));
}

#[test]
fn the_report_on_an_append_may_come_after_others_have_stored_and_trimmed_it() {
    let mut log = MemoryLog::new();
    let ticket = log.start(1, p(), batch("a b"));
    log.expose(ticket, T);
    log.append(2, Timestamp(8), p(), batch("c"), Fate::Deliver).unwrap();
    log.trim(&[(p(), Offset(3))]).unwrap();
    let report = log.settle(ticket, Timestamp(9), Fate::Deliver).unwrap();
    assert_eq!((report.first, report.end, report.time, report.is_dense), (Offset(0), Offset(2), T, true));
}

#[test]
fn a_late_append_lands_after_its_caller_was_told_unknown() {
    let mut log = MemoryLog::new();
    let ticket = log.start(1, p(), batch("late"));
    assert!(matches!(log.settle(ticket, T, Fate::Late), Err(AppendError::Unknown(_))));
    log.append(1, T, p(), batch("next"), Fate::Deliver).unwrap();
    assert_eq!(log.in_flight().count(), 1);
    drop(log.settle(ticket, T, Fate::Land));
    assert_eq!(visible(&log), "next late");
    assert_eq!(log.in_flight().count(), 0);
}

#[test]
fn a_slow_append_holds_back_those_behind_it_of_the_same_node_only() {
    let mut log = MemoryLog::new();
    let slow = log.start(1, p(), batch("slow"));
    let behind = log.start(1, p(), batch("behind"));
    let other = log.start(2, p(), batch("other"));
    assert_eq!(log.in_flight().map(|(ticket, ..)| ticket).collect::<Vec<_>>(), [slow, other]);
    log.settle(other, T, Fate::Deliver).unwrap();
    log.settle(slow, T, Fate::Deliver).unwrap();
    log.settle(behind, T, Fate::Deliver).unwrap();
    assert_eq!(visible(&log), "other slow behind");
}

#[test]
#[should_panic(expected = "is not the next")]
fn settling_out_of_order_is_a_mistake_of_the_driver() {
    let mut log = MemoryLog::new();
    log.start(1, p(), batch("slow"));
    let behind = log.start(1, p(), batch("behind"));
    drop(log.settle(behind, T, Fate::Deliver));
}

#[test]
fn a_leader_loss_takes_only_what_no_report_covers() {
    let mut log = MemoryLog::new();
    log.append(1, T, p(), batch("landed"), Fate::Land).unwrap_err();
    log.append(1, T, p(), batch("reported"), Fate::Deliver).unwrap();
    log.append(2, T, p(), batch("x y"), Fate::Land).unwrap_err();
    assert_eq!(
        (visible(&log).as_str(), log.durable_end(p()), log.bounds(p()).end),
        ("landed reported x y", Offset(2), Offset(4))
    );
    let loss = log.leader_loss(p());
    assert_eq!((loss.end, loss.lost, loss.losses), (Offset(2), 2, 1));
    assert_eq!(visible(&log), "landed reported");
    assert_eq!((log.losses(p()), log.losses(Partition::new(6).unwrap())), (1, 0));
    assert_eq!(log.append(1, T, p(), batch("again"), Fate::Deliver).unwrap().first, Offset(2));
}

#[test]
fn a_visible_append_in_flight_is_sent_again_after_a_leader_loss() {
    let mut log = MemoryLog::new();
    let slow = log.start(1, p(), batch("slow"));
    log.expose(slow, T);
    assert_eq!(visible(&log), "slow");
    log.leader_loss(p());
    assert_eq!(visible(&log), "");
    log.append(2, T, p(), batch("between"), Fate::Deliver).unwrap();
    let report = log.settle(slow, Timestamp(9), Fate::Deliver).unwrap();
    assert_eq!((report.first, report.time), (Offset(1), Timestamp(9)));
    assert_eq!(visible(&log), "between slow");
}

#[test]
fn a_crashed_node_leaves_behind_what_was_visible_or_late() {
    let mut log = MemoryLog::new();
    let seen = log.start(1, p(), batch("seen"));
    log.expose(seen, T);
    log.start(1, p(), batch("never"));
    let late = log.start(1, Partition::new(6).unwrap(), batch("late"));
    log.settle(late, T, Fate::Late).unwrap_err();
    log.forget(1);
    assert_eq!(log.in_flight().map(|(ticket, ..)| ticket).collect::<Vec<_>>(), [late]);
    assert_eq!(visible(&log), "seen");
    assert_eq!(log.durable_end(p()), Offset(0));
}

#[tokio::test]
async fn a_held_journal_answers_when_it_is_released() {
    let journal = MemoryJournal::new(Arc::new(ManualClock::new(T)));
    journal.hold();
    journal.next_fates([Fate::Refuse, Fate::Deliver]);
    let (one, two) = (journal.append(p(), batch("one")), journal.append(p(), batch("two")));
    let both = async {
        let (one, two, ()) = tokio::join!(one, two, async {
            assert_eq!(journal.held(), 2);
            journal.release();
        });
        (one, two)
    };
    let (one, two) = both.await;
    assert!(matches!(one, Err(AppendError::Refused(_))));
    assert_eq!(two.unwrap().first, Offset(0));
}

#[test]
fn records_of_another_may_stand_inside_a_batch_and_its_report_says_so() {
    let mut log = MemoryLog::new();
    let batch_of_three = log.start(1, p(), batch("a b c"));
    log.expose_part(batch_of_three, T, 1);
    let between = log.append(2, T, p(), batch("x"), Fate::Deliver).unwrap();
    let report = log.settle(batch_of_three, T, Fate::Deliver).unwrap();
    assert_eq!(visible(&log), "a x b c");
    assert_eq!((report.first, report.end, report.is_dense), (Offset(0), Offset(4), false));
    assert!(between.is_dense && log.append(1, T, p(), batch("d e"), Fate::Deliver).unwrap().is_dense);
}

fn bytes_of(told: &Tailed) -> String {
    let Tailed::Batch { records, .. } = told else { panic!("{told:?}") };
    records.iter().map(|record| std::str::from_utf8(&record.bytes).unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_tail_tells_a_loss_before_what_takes_the_place_of_the_lost() {
    let journal = MemoryJournal::new(Arc::new(ManualClock::new(T)));
    let other = journal.for_node(1);
    let mut tail = journal.tail(p(), Offset(0));
    other.next_fates([Fate::Deliver, Fate::Land]);
    other.append(p(), batch("kept")).await.unwrap();
    other.append(p(), batch("lost")).await.unwrap_err();
    assert_eq!(bytes_of(&tail.next(1_000).await.unwrap()), "kept lost");
    let loss = journal.with_log(|log| log.leader_loss(p()));
    other.append(p(), batch("new")).await.unwrap();
    assert_eq!(tail.next(1_000).await.unwrap(), Tailed::Truncated { end: Offset(1), losses: loss.losses });
    let after = within("what came in the place of the lost", tail.next(1_000)).await.unwrap();
    assert_eq!(bytes_of(&after), "new");
    assert!(matches!(after, Tailed::Batch { losses: 1, end: Offset(2), .. }));
}

#[tokio::test]
async fn a_report_behind_a_loss_that_is_not_told_yet_says_so_and_does_not_hide_it() {
    let journal = MemoryJournal::new(Arc::new(ManualClock::new(T)));
    let mut tail = journal.tail(p(), Offset(0));
    journal.next_fates([Fate::Land]);
    journal.for_node(1).append(p(), batch("lost")).await.unwrap_err();
    assert_eq!(bytes_of(&tail.next(1_000).await.unwrap()), "lost");
    journal.with_log(|log| log.leader_loss(p()));
    let report = journal.append(p(), batch("own")).await.unwrap();
    assert_eq!((report.first, report.losses), (Offset(0), 1));
    tail.place().reported(&report);
    assert_eq!(tail.next(1_000).await.unwrap(), Tailed::Truncated { end: Offset(0), losses: 1 });
    assert_eq!(bytes_of(&tail.next(1_000).await.unwrap()), "own");
}
