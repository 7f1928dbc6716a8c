//! The one suite that every [`Journal`] passes. Each check takes a fresh [`Fixture`] and panics where the contract is
//! broken; [`journal_contract!`](crate::journal_contract) makes a test of each.
//!
//! The checks assume nothing about what the partitions held before, so that they also run against a shared cluster.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;

use super::{AppendError, Bounds, Journal, JournalError, ReadError, StoredRecord};
use crate::ids::{Offset, Partition};
use crate::limits;

mod moments;

pub(crate) use moments::*;

/// Moves the starts of partitions up.
pub(crate) type Trim = Box<dyn Fn(&[(Partition, Offset)]) -> Result<(), JournalError> + Send + Sync>;

/// A journal to check, and what must live as long as it does.
pub(crate) struct Fixture {
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// How it is trimmed.
    pub trim: Trim,
    /// Whether all records of a batch always have one append time: else a report of a batch that nobody else wrote into may
    /// not be dense.
    pub has_one_time: bool,
    /// What is dropped with the fixture: a folder, a container.
    #[expect(dead_code, reason = "kept to be dropped")]
    pub keep: Box<dyn Any + Send>,
}

/// Makes a test of each check. The argument is an async function without parameters that gives a [`Fixture`]; or, behind
/// `@list`, a macro that takes the names of all checks, for a journal that is too dear to be made for each.
#[macro_export]
macro_rules! journal_contract {
    (@list $with:path $(, @each $fixture:path)?) => {
        $with! {
            $(@each $fixture:)?
            offsets_are_dense_and_in_the_order_given
            records_come_back_byte_for_byte
            partitions_are_apart
            an_empty_batch_reports_the_end
            records_of_every_size_are_kept
            a_read_keeps_to_its_bytes_but_gives_one_record
            reading_at_the_end_or_beyond_it_is_empty
            appends_started_in_an_order_keep_it
            concurrent_appenders_lose_and_double_nothing
            every_batch_is_reported_once_and_in_order
            what_can_not_be_taken_is_reported_too
            a_tail_begins_with_the_end_as_it_is
            a_tail_tells_every_record_once_and_in_order
            a_tail_passes_over_what_a_report_told_its_reader
            a_tail_tells_what_lies_before_and_behind_a_report_that_it_was_not_at
            a_tail_goes_on_where_it_is_sent
            a_tail_keeps_to_its_bytes_but_gives_one_record
            a_tail_from_below_the_start_says_so
            a_tail_that_stopped_waiting_loses_nothing
            an_append_whose_caller_left_is_not_taken_back
            trim_moves_the_start_and_nothing_else
            a_trim_beyond_the_end_changes_nothing
            append_times_come_with_the_records
            a_closed_journal_takes_no_more
        }
    };
    ($fixture:path) => {
        $crate::journal_contract! { @list $crate::journal_contract, @each $fixture }
    };
    (@each $fixture:path: $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let fixture: $crate::storage::journal::contract::Fixture = $fixture().await;
                $crate::storage::journal::contract::$check(&fixture).await;
            }
        )*
    };
}

fn partition(number: u16) -> Partition {
    Partition::new(number).expect("below 256")
}

fn numbered(name: &str, numbers: std::ops::Range<u64>) -> Vec<Bytes> {
    numbers.map(|n| Bytes::from(format!("{name}-{n}"))).collect()
}

/// Everything from `from` to the end as it is now, by as many reads as it takes.
///
/// # Panics
/// If a read fails, is empty before the end, or is not dense.
pub(crate) async fn read_all(
    journal: &dyn Journal,
    partition: Partition,
    from: Offset,
    max_bytes: usize,
) -> Vec<StoredRecord> {
    let end = journal.bounds(partition).end;
    let mut all: Vec<StoredRecord> = Vec::new();
    let mut next = from;
    while next < end {
        let page = journal.read(partition, next, max_bytes).await.expect("readable");
        assert!(!page.is_empty(), "nothing at {next} though the end is {end}");
        for record in page {
            assert_eq!(record.offset, next, "offsets are dense");
            next = next.next();
            all.push(record);
        }
    }
    all
}

async fn bodies(journal: &dyn Journal, partition: Partition, from: Offset) -> Vec<Bytes> {
    read_all(journal, partition, from, 1 << 20).await.into_iter().map(|record| record.bytes).collect()
}

/// Contract 1.
pub(crate) async fn offsets_are_dense_and_in_the_order_given(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(3));
    let Bounds { end: before, .. } = journal.bounds(p);
    let one = journal.append(p, numbered("one", 0..3)).await.expect("appended");
    let two = journal.append(p, numbered("two", 0..2)).await.expect("appended");
    assert_eq!((one.first, one.end), (before, before.plus(3)));
    assert_eq!((two.first, two.end), (before.plus(3), before.plus(5)));
    assert!(journal.bounds(p).end >= two.end, "a delivered record is readable");
    let expected: Vec<Bytes> = numbered("one", 0..3).into_iter().chain(numbered("two", 0..2)).collect();
    assert_eq!(bodies(journal, p, before).await, expected);
}

/// Contract 2.
pub(crate) async fn records_come_back_byte_for_byte(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(255));
    let before = journal.bounds(p).end;
    let zeros = Bytes::from(vec![0u8; 5_000]);
    let all_bytes = Bytes::from((0..=255u8).cycle().take(4_099).collect::<Vec<_>>());
    let batch = vec![Bytes::new(), zeros, all_bytes, Bytes::from_static(&[0xff; 17]), Bytes::new()];
    journal.append(p, batch.clone()).await.expect("appended");
    assert_eq!(bodies(journal, p, before).await, batch);
}

/// Contract 1 and 2.
pub(crate) async fn partitions_are_apart(fixture: &Fixture) {
    let journal = &*fixture.journal;
    let before: Vec<Offset> = Partition::all().map(|p| journal.bounds(p).end).collect();
    for round in 0..3 {
        for p in Partition::all() {
            let appended = journal.append(p, vec![Bytes::from(format!("{p}/{round}"))]).await.expect("appended");
            assert_eq!(appended.first, before[p.index()].plus(round));
        }
    }
    for p in Partition::all() {
        let expected: Vec<Bytes> = (0..3).map(|round| Bytes::from(format!("{p}/{round}"))).collect();
        assert_eq!(bodies(journal, p, before[p.index()]).await, expected);
    }
}

/// Contract 1.
pub(crate) async fn an_empty_batch_reports_the_end(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(9));
    let before = journal.append(p, numbered("a", 0..1)).await.expect("appended").end;
    let empty = journal.append(p, Vec::new()).await.expect("appended");
    assert_eq!((empty.first, empty.end), (before, before));
    assert_eq!(journal.bounds(p).end, before);
}

/// Contract 2.
pub(crate) async fn records_of_every_size_are_kept(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(17));
    let before = journal.bounds(p).end;
    let record = |size: usize| Bytes::from((0..size).map(|n| (n * 31 + size) as u8).collect::<Vec<_>>());
    let mut expected = Vec::new();
    for size in [1, 27, 28, 29, 4_095, 4_096, 4_097, 65_537, limits::RECORD_BYTES] {
        journal.append(p, vec![record(size)]).await.expect("appended");
        expected.push(record(size));
    }
    let batch: Vec<Bytes> = (0..4).map(|n| record(limits::APPEND_BYTES / 4 - n)).collect();
    journal.append(p, batch.clone()).await.expect("a batch of the largest size is taken");
    expected.extend(batch);
    assert!(bodies(journal, p, before).await == expected, "a large record came back changed");
}

/// Contract 2.
pub(crate) async fn a_read_keeps_to_its_bytes_but_gives_one_record(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(18));
    let before =
        journal.append(p, (0..10).map(|_| Bytes::from(vec![7u8; 100])).collect()).await.expect("appended").first;
    for (max_bytes, most) in [(0, 1), (1, 1), (100, 1), (199, 1), (200, 2), (999, 9), (1_000, 10), (usize::MAX, 10)] {
        let page = journal.read(p, before, max_bytes).await.expect("readable");
        assert!((1..=most).contains(&page.len()), "{} records for {max_bytes} bytes", page.len());
    }
    assert_eq!(read_all(journal, p, before, 250).await.len(), 10);
}

/// Contract 2.
pub(crate) async fn reading_at_the_end_or_beyond_it_is_empty(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(4));
    let end = journal.append(p, numbered("a", 0..2)).await.expect("appended").end;
    assert_eq!(journal.read(p, end, 1_000).await.expect("empty"), []);
    assert_eq!(journal.read(p, end.plus(1_000), 1_000).await.expect("empty"), []);
}

/// Contract 1: a batch is taken when its future is first polled.
pub(crate) async fn appends_started_in_an_order_keep_it(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(200));
    let before = journal.bounds(p).end;
    let appends = numbered("o", 0..200).into_iter().map(|bytes| journal.append(p, vec![bytes]));
    let reports = futures_util::future::join_all(appends).await;
    for (n, report) in reports.into_iter().enumerate() {
        assert_eq!(report.expect("appended").first, before.plus(n as u64));
    }
    assert_eq!(bodies(journal, p, before).await, numbered("o", 0..200));
}

/// Contract 1 and 2.
pub(crate) async fn concurrent_appenders_lose_and_double_nothing(fixture: &Fixture) {
    const APPENDERS: u64 = 32;
    const ROUNDS: u64 = 20;
    let partitions = [partition(0), partition(1), partition(128)];
    let before = partitions.map(|p| fixture.journal.bounds(p).end);
    let mut tasks = Vec::new();
    for appender in 0..APPENDERS {
        let journal = fixture.journal.clone();
        tasks.push(tokio::spawn(async move {
            let mut reports = Vec::new();
            for round in 0..ROUNDS {
                let at = (appender + round) as usize % partitions.len();
                let batch = numbered(&format!("{appender}/{round}"), 0..1 + round % 3);
                let appended = journal.append(partitions[at], batch.clone()).await.expect("appended");
                assert_eq!(appended.end, appended.first.plus(batch.len() as u64));
                reports.push((at, appended, batch));
            }
            reports
        }));
    }
    let mut expected: [Vec<Option<Bytes>>; 3] = Default::default();
    for task in tasks {
        for (at, appended, batch) in task.await.expect("no panic") {
            for (offset, bytes) in (appended.first.0..).zip(batch) {
                let slot = (offset - before[at].0) as usize;
                expected[at].resize(expected[at].len().max(slot + 1), None);
                assert!(expected[at][slot].replace(bytes).is_none(), "offset {offset} was given twice");
            }
        }
    }
    for (at, p) in partitions.into_iter().enumerate() {
        let found: Vec<Option<Bytes>> = bodies(&*fixture.journal, p, before[at]).await.into_iter().map(Some).collect();
        assert_eq!(found, expected[at]);
    }
}

/// Contract of `append`: dropping the future does not take the batch back.
pub(crate) async fn an_append_whose_caller_left_is_not_taken_back(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(90));
    let before = journal.bounds(p).end;
    {
        let append = journal.append(p, numbered("left", 0..1));
        drop(futures_util::poll!(append));
    }
    let after = journal.append(p, numbered("stayed", 0..1)).await.expect("appended");
    assert_eq!(after.first, before.next());
    assert_eq!(bodies(journal, p, before).await, [&b"left-0"[..], b"stayed-0"]);
}

/// Contract 5.
pub(crate) async fn trim_moves_the_start_and_nothing_else(fixture: &Fixture) {
    let (journal, p, other) = (&*fixture.journal, partition(50), partition(51));
    let before = journal.append(p, numbered("t", 0..10)).await.expect("appended").first;
    let other_before = journal.append(other, numbered("u", 0..3)).await.expect("appended").first;
    let other_bounds = journal.bounds(other);
    let start = before.plus(4);
    (fixture.trim)(&[(p, start)]).expect("trimmed");
    assert_eq!(journal.bounds(p), Bounds { start, end: before.plus(10) });
    assert_eq!(journal.bounds(other), other_bounds);
    match journal.read(p, before.plus(3), 1_000).await {
        Err(ReadError::Trimmed { asked, start: told, .. }) => assert_eq!((asked, told), (before.plus(3), start)),
        other => panic!("below the start: {other:?}"),
    }
    assert_eq!(bodies(journal, p, start).await, numbered("t", 4..10));
    assert_eq!(bodies(journal, other, other_before).await, numbered("u", 0..3));
    (fixture.trim)(&[(p, before)]).expect("a start that is passed already is no error");
    assert_eq!(journal.bounds(p).start, start, "a start never goes back");
    (fixture.trim)(&[(p, before.plus(10))]).expect("trimmed to the end");
    assert_eq!(journal.bounds(p), Bounds { start: before.plus(10), end: before.plus(10) });
    let next = journal.append(p, numbered("v", 0..1)).await.expect("appended");
    assert_eq!(next.first, before.plus(10), "offsets are never given again");
    assert_eq!(bodies(journal, p, next.first).await, numbered("v", 0..1));
}

/// Contract 5.
pub(crate) async fn a_trim_beyond_the_end_changes_nothing(fixture: &Fixture) {
    let (journal, p, other) = (&*fixture.journal, partition(60), partition(61));
    let appended = journal.append(p, numbered("t", 0..2)).await.expect("appended");
    let kept = journal.append(other, numbered("t", 0..2)).await.expect("appended");
    let (bounds, other_bounds) = (journal.bounds(p), journal.bounds(other));
    (fixture.trim)(&[(other, kept.end), (p, appended.end.next())]).expect_err("beyond the end");
    assert_eq!((journal.bounds(p), journal.bounds(other)), (bounds, other_bounds));
    assert_eq!(bodies(journal, p, appended.first).await, numbered("t", 0..2));
}

/// Contract 2.
pub(crate) async fn append_times_come_with_the_records(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(70));
    let before = journal.bounds(p).end;
    let mut times = Vec::new();
    for n in 0..5 {
        let appended = journal.append(p, numbered("time", 0..n)).await.expect("appended");
        times.extend((0..n).map(|_| appended.time));
    }
    let read: Vec<_> = read_all(journal, p, before, 1 << 20).await.into_iter().map(|record| record.time).collect();
    assert_eq!(read, times);
}

/// Contract of `close`.
pub(crate) async fn a_closed_journal_takes_no_more(fixture: &Fixture) {
    let (journal, p) = (&*fixture.journal, partition(30));
    let appended = journal.append(p, numbered("last", 0..1)).await.expect("appended");
    journal.close().await.expect("closed");
    match journal.append(p, numbered("late", 0..1)).await {
        Err(AppendError::Closed(_)) => {}
        other => panic!("after close: {other:?}"),
    }
    journal.close().await.expect("closing again is no error");
    assert_eq!(bodies(journal, p, appended.first).await, numbered("last", 0..1), "what is there can still be read");
}
