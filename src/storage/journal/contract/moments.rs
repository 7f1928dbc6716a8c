//! The two moments of an append, and the tail.

use std::sync::{Arc, mpsc};

use bytes::Bytes;

use super::{Fixture, bodies, numbered, partition, read_all};
use crate::ids::{Offset, Partition};
use crate::storage::journal::{AppendError, Appended, Journal, ReadError, StoredRecord, Tail, Tailed};
use crate::testing::{PATIENCE, within};

/// Contract 1: both moments, without a runtime and without a task that waits.
pub(crate) async fn every_batch_is_reported_once_and_in_order(fixture: &Fixture) {
    let (journal, p) = (fixture.journal.clone(), partition(77));
    let before = journal.bounds(p).end;
    let (reports, reported) = mpsc::channel();
    let caller = std::thread::spawn(move || {
        for (n, bytes) in numbered("e", 0..300).into_iter().enumerate() {
            let reports = reports.clone();
            journal.enqueue(p, vec![bytes; n % 3], Box::new(move |report| reports.send((n, report)).expect("awaited")));
        }
    });
    let (mut end, mut expected) = (before, Vec::new());
    for (n, bytes) in numbered("e", 0..300).into_iter().enumerate() {
        let (of, report) = reported.recv_timeout(PATIENCE).expect("each batch is reported");
        let report = report.expect("appended");
        assert_eq!((of, report.first, report.end), (n, end, end.plus(n as u64 % 3)));
        assert!(report.is_dense || !fixture.has_one_time, "nobody else writes here");
        expected.extend(vec![bytes; n % 3]);
        end = report.end;
    }
    caller.join().expect("no panic");
    assert!(reported.recv().is_err(), "none is reported twice");
    assert_eq!(bodies(&*fixture.journal, p, before).await, expected);
}

/// Contract 1: a batch that is not taken has its report all the same.
pub(crate) async fn what_can_not_be_taken_is_reported_too(fixture: &Fixture) {
    fixture.journal.close().await.expect("closed");
    let (reports, reported) = mpsc::channel();
    let done = Box::new(move |report| reports.send(report).expect("awaited"));
    fixture.journal.enqueue(partition(31), numbered("late", 0..1), done);
    match reported.recv_timeout(PATIENCE).expect("reported") {
        Err(AppendError::Closed(_)) => {}
        other => panic!("after close: {other:?}"),
    }
}

/// The next batch, and where the partition ended then.
async fn next(tail: &mut dyn Tail) -> (Vec<StoredRecord>, Offset) {
    match within("the tail tells something", tail.next(1 << 16)).await.expect("readable") {
        Tailed::Batch { records, end, .. } => (records, end),
        told @ Tailed::Truncated { .. } => panic!("nothing was lost: {told:?}"),
    }
}

/// What a tail tells until it has told all below `end`.
async fn told_up_to(tail: &mut dyn Tail, end: Offset) -> Vec<StoredRecord> {
    let mut all: Vec<StoredRecord> = Vec::new();
    while all.last().is_none_or(|record| record.offset.next() < end) {
        let (records, readable) = next(tail).await;
        assert!(records.last().is_none_or(|record| record.offset < readable), "nothing lies beyond the end");
        all.extend(records);
    }
    all
}

fn offsets(records: &[StoredRecord]) -> Vec<u64> {
    records.iter().map(|record| record.offset.0).collect()
}

/// Contract 4.
pub(crate) async fn a_tail_begins_with_the_end_as_it_is(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(20));
    let end = journal.append(p, numbered("a", 0..2)).await.expect("appended").end;
    assert_eq!(next(&mut *journal.tail(p, end)).await, (Vec::new(), end));
    let (records, told) = next(&mut *journal.tail(p, Offset(end.0 - 1))).await;
    assert_eq!((records.len(), told), (1, end));
}

/// Contract 4.
pub(crate) async fn a_tail_tells_every_record_once_and_in_order(fixture: &Fixture) {
    const RECORDS: u64 = 300;
    let p = partition(78);
    let before = fixture.journal.append(p, numbered("t", 0..1)).await.expect("appended").first;
    let mut tail = fixture.journal.tail(p, before);
    let follower = tokio::spawn(async move { told_up_to(&mut *tail, before.plus(RECORDS)).await });
    for n in 1..RECORDS {
        fixture.journal.append(p, numbered("t", n..n + 1)).await.expect("appended");
        fixture.journal.append(partition(79), numbered("other", 0..1)).await.expect("appended");
    }
    let told = within("all is told", follower).await.expect("no panic");
    assert_eq!(told, read_all(&*fixture.journal, p, before, 1 << 16).await);
}

/// Appends as an owner does, whose tail passes over what the report told.
async fn reported(journal: &dyn Journal, tail: &dyn Tail, p: Partition, batch: Vec<Bytes>) -> Appended {
    let (place, (reports, reported)) = (Arc::clone(tail.place()), tokio::sync::oneshot::channel());
    let done = Box::new(move |report: Result<Appended, AppendError>| {
        place.reported(report.as_ref().expect("appended"));
        reports.send(report).expect("awaited");
    });
    journal.enqueue(p, batch, done);
    within("the report", reported).await.expect("reported").expect("appended")
}

/// Contract 4.
pub(crate) async fn a_tail_passes_over_what_a_report_told_its_reader(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(81));
    let mut tail = journal.tail(p, journal.bounds(p).end);
    next(&mut *tail).await;
    let mut missed = None;
    for n in 0..100 {
        let report = reported(journal, &*tail, p, numbered("own", n..n + 2)).await;
        assert!(report.is_dense || !fixture.has_one_time, "nobody else writes here");
        missed = missed.or((!report.is_dense).then_some(report.first));
    }
    let other = journal.append(p, numbered("other", 0..1)).await.expect("appended");
    let (records, end) = next(&mut *tail).await;
    let untold = missed.unwrap_or(other.first).0..other.end.0;
    assert_eq!((offsets(&records), end), (untold.collect(), other.end));
}

/// Contract 4.
pub(crate) async fn a_tail_tells_what_lies_before_and_behind_a_report_that_it_was_not_at(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(82));
    let mut tail = journal.tail(p, journal.bounds(p).end);
    next(&mut *tail).await;
    let between = journal.append(p, numbered("other", 0..1)).await.expect("appended");
    let own = reported(journal, &*tail, p, numbered("own", 0..2)).await;
    let told = told_up_to(&mut *tail, own.end).await;
    assert_eq!(
        offsets(&told),
        (between.first.0..own.end.0).collect::<Vec<_>>(),
        "the own ones too: none may be missed"
    );
}

/// Contract 4.
pub(crate) async fn a_tail_goes_on_where_it_is_sent(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(83));
    let all = journal.append(p, numbered("s", 0..6)).await.expect("appended");
    let mut tail = journal.tail(p, all.first);
    assert_eq!(told_up_to(&mut *tail, all.end).await.len(), 6);
    tail.place().seek(all.first.plus(2));
    assert_eq!(told_up_to(&mut *tail, all.end).await[0].offset, all.first.plus(2));
    tail.place().seek(all.first);
    tail.place().seek(all.first.plus(5));
    assert_eq!(offsets(&next(&mut *tail).await.0), [all.first.0 + 5]);
}

/// Contract 4.
pub(crate) async fn a_tail_keeps_to_its_bytes_but_gives_one_record(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(84));
    let batch = (0..10).map(|_| Bytes::from(vec![7u8; 100])).collect();
    let first = journal.append(p, batch).await.expect("appended").first;
    let mut tail = journal.tail(p, first);
    for (max_bytes, most) in [(0, 1), (150, 1), (250, 2), (usize::MAX, 8)] {
        match tail.next(max_bytes).await.expect("readable") {
            Tailed::Batch { records, .. } => assert!((1..=most).contains(&records.len()), "{max_bytes} bytes"),
            told @ Tailed::Truncated { .. } => panic!("nothing was lost: {told:?}"),
        }
    }
}

/// Contract 4 and 5.
pub(crate) async fn a_tail_from_below_the_start_says_so(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(85));
    let all = journal.append(p, numbered("t", 0..4)).await.expect("appended");
    let start = all.first.plus(2);
    (fixture.trim)(&[(p, start)]).expect("trimmed");
    let mut tail = journal.tail(p, all.first);
    for _ in 0..2 {
        match tail.next(1_000).await {
            Err(ReadError::Trimmed { asked, start: told, .. }) => assert_eq!((asked, told), (all.first, start)),
            other => panic!("below the start: {other:?}"),
        }
    }
    tail.place().seek(start);
    assert_eq!(told_up_to(&mut *tail, all.end).await.len(), 2);
}

/// Contract 4: a call that is dropped, while it waits or while it reads, takes nothing with it.
pub(crate) async fn a_tail_that_stopped_waiting_loses_nothing(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(86));
    let mut tail = journal.tail(p, journal.bounds(p).end);
    next(&mut *tail).await;
    for n in 0..50 {
        assert!(futures_util::poll!(tail.next(1_000)).is_pending(), "there is nothing more");
        let own = journal.append(p, numbered("w", n..n + 1)).await.expect("appended");
        let records = match futures_util::poll!(tail.next(1_000)) {
            std::task::Poll::Ready(Ok(Tailed::Batch { records, .. })) => records,
            std::task::Poll::Ready(other) => panic!("{other:?}"),
            std::task::Poll::Pending => next(&mut *tail).await.0,
        };
        assert_eq!(offsets(&records), [own.first.0]);
    }
}
