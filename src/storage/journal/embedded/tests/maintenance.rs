//! Trim, backup, reads across segments, memory bounds, opening a large journal.

use std::time::Duration;

use super::super::segment;
use super::*;
use crate::storage::journal::{Bounds, ReadError};

#[tokio::test]
async fn a_trim_removes_the_segments_that_hold_nothing_else_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &small_segments());
    for n in 0..200 {
        append(&journal, n as u16 % 2, body(n, 300)).await.unwrap();
    }
    let before = segment::list(dir.path()).unwrap();
    journal.maintenance().trim(&[(p(0), Offset(100))]).unwrap();
    assert_eq!(segment::list(dir.path()).unwrap(), before, "partition 1 needs them");
    journal.maintenance().trim(&[(p(1), Offset(50))]).unwrap();
    let after = segment::list(dir.path()).unwrap();
    assert!(after[0] > 1 && after.last() == before.last(), "{after:?}");
    drop(journal);

    let journal = open(dir.path(), &small_segments());
    assert_eq!(journal.bounds(p(0)), Bounds { start: Offset(100), end: Offset(100) });
    assert_eq!(journal.bounds(p(1)), Bounds { start: Offset(50), end: Offset(100) });
    assert!(matches!(journal.read(p(1), Offset(49), 10).await, Err(ReadError::Trimmed { .. })));
    let expected: Vec<Bytes> = (50..100).map(|n| body(2 * n + 1, 300)).collect();
    assert_eq!(bodies(&journal, 1).await, expected);
    assert_eq!(append(&journal, 0, body(0, 1)).await.unwrap().first, Offset(100));
}

/// Records n of partition n % 2 at time n, in small segments.
async fn aging(dir: &std::path::Path, count: u64) -> EmbeddedJournal {
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let env = Env { clock: clock.clone(), ids: Arc::new(SystemIds) };
    let journal = open(dir, &Options { env, ..small_segments() });
    for n in 0..count {
        clock.set(Timestamp(n));
        append(&journal, n as u16 % 2, body(n, 300)).await.unwrap();
    }
    journal
}

fn covered(even: u64, odd: u64) -> Vec<Offset> {
    Partition::all().map(|p| Offset([even, odd].get(p.index()).copied().unwrap_or(0))).collect()
}

#[tokio::test]
async fn only_segments_that_are_covered_and_old_go_and_all_others_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let journal = aging(dir.path(), 400).await;
    let before = segment::list(dir.path()).unwrap();
    let all = Timestamp(u64::MAX);
    assert_eq!(journal.maintenance().trim_covered(&covered(0, 0), all).unwrap(), 0, "nothing is covered");
    assert_eq!(journal.maintenance().trim_covered(&covered(100, 0), all).unwrap(), 0, "partition 1 is not covered");
    assert_eq!(journal.maintenance().trim_covered(&[Offset(200)], all).unwrap(), 0, "254 partitions are not named");
    assert_eq!(journal.maintenance().trim_covered(&covered(200, 200), Timestamp(20)).unwrap(), 0, "nothing is so old");
    assert_eq!(segment::list(dir.path()).unwrap(), before);

    // Half is covered: what stays begins with a segment that has records of both halves.
    let gone = journal.maintenance().trim_covered(&covered(100, 100), all).unwrap();
    let after = segment::list(dir.path()).unwrap();
    assert!(gone > 1 && after[..] == before[gone..], "{gone} of {before:?}");
    for (partition, start) in [0, 1].map(|n| (n, journal.bounds(p(n)).start.0)) {
        // A segment holds some 33 records: no whole one below the watermark stayed, and nothing at or above it went.
        assert!((82..=100).contains(&start), "{start}");
        let expected: Vec<Bytes> = (start..200).map(|n| body(2 * n + u64::from(partition), 300)).collect();
        assert_eq!(bodies(&journal, partition).await, expected);
    }
    // All is covered, and a part is old: what is not stays.
    journal.maintenance().trim_covered(&covered(200, 200), Timestamp(300)).unwrap();
    let start = journal.bounds(p(0)).start.0;
    assert!((130..=150).contains(&start), "{start}");
    // The active one never goes.
    journal.maintenance().trim_covered(&covered(200, 200), all).unwrap();
    assert_eq!(segment::list(dir.path()).unwrap(), before[before.len() - 1..]);
    drop(journal);
    let journal = open(dir.path(), &small_segments());
    let start = journal.bounds(p(1)).start.0;
    assert_eq!(bodies(&journal, 1).await, (start..200).map(|n| body(2 * n + 1, 300)).collect::<Vec<_>>());
}

#[tokio::test]
async fn segments_that_a_trim_gave_up_are_removed_by_the_next_start() {
    let (dir, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = open(dir.path(), &small_segments());
    for n in 0..100 {
        append(&journal, 0, body(n, 300)).await.unwrap();
    }
    std::fs::copy(segment::path(dir.path(), 1), segment::path(kept.path(), 1)).unwrap();
    journal.maintenance().trim(&[(p(0), Offset(60))]).unwrap();
    drop(journal);
    std::fs::copy(segment::path(kept.path(), 1), segment::path(dir.path(), 1)).unwrap();
    let journal = open(dir.path(), &small_segments());
    assert!(!segment::path(dir.path(), 1).exists());
    assert_eq!(bodies(&journal, 0).await.len(), 40);
}

#[tokio::test]
async fn a_backup_taken_while_it_goes_on_opens_with_what_was_durable() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let journal = Arc::new(open(dir.path(), &small_segments()));
    for n in 0..100 {
        append(&journal, 7, body(n, 300)).await.unwrap();
    }
    let appender = tokio::spawn({
        let journal = journal.clone();
        async move {
            for n in 100..200 {
                append(&journal, 7, body(n, 300)).await.unwrap();
            }
        }
    });
    let taken = {
        let (journal, to) = (journal.clone(), out.path().join("backup"));
        tokio::task::spawn_blocking(move || journal.maintenance().backup_to(&to).unwrap()).await.unwrap()
    };
    appender.await.unwrap();
    assert!(journal.maintenance().backup_to(&out.path().join("backup")).is_err(), "never over another one");

    let copy = open(&out.path().join("backup"), &small_segments());
    let end = taken.ends[7];
    assert!((100..=200).contains(&end.0));
    assert_eq!(copy.bounds(p(7)).end, end);
    assert_eq!(bodies(&copy, 7).await, (0..end.0).map(|n| body(n, 300)).collect::<Vec<_>>());
    append(&copy, 7, body(1, 1)).await.unwrap();
    assert_eq!(
        bodies(&journal, 7).await,
        (0..200).map(|n| body(n, 300)).collect::<Vec<_>>(),
        "the source is untouched"
    );
}

#[tokio::test]
async fn the_cache_keeps_to_its_bytes_and_reads_are_the_same_with_and_without_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &Options { cache_bytes: 10_000, ..small_segments() });
    for n in 0..300 {
        append(&journal, n as u16 % 3, body(n, 100)).await.unwrap();
    }
    assert!(journal.metrics().cache_bytes <= 10_000);
    for partition in 0..3u16 {
        let expected: Vec<Bytes> = (0..100).map(|n| body(3 * n + u64::from(partition), 100)).collect();
        assert_eq!(bodies(&journal, partition).await, expected);
        let last = journal.read(p(partition), Offset(95), 1 << 20).await.unwrap();
        assert_eq!(last.iter().map(|r| r.bytes.clone()).collect::<Vec<_>>(), expected[95..]);
    }
    let metrics = journal.metrics();
    assert!(metrics.cached_reads > 0 && metrics.disk_reads > 0, "{metrics:?}");
}

#[tokio::test]
async fn segments_that_were_prepared_ahead_hold_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { prepare_ahead: true, ..small_segments() };
    let mut journal = open(dir.path(), &options);
    let mut count = 0;
    while journal.metrics().spares < 3 {
        append(&journal, 1, body(count, 500)).await.unwrap();
        count += 1;
        assert!(count < 10_000, "no spare was ever ready");
    }
    for _ in 0..3 {
        drop(journal);
        journal = open(dir.path(), &options);
        assert_eq!(bodies(&journal, 1).await, (0..count).map(|n| body(n, 500)).collect::<Vec<_>>());
        for _ in 0..30 {
            append(&journal, 1, body(count, 500)).await.unwrap();
            count += 1;
        }
    }
    assert!(journal.metrics().spares > 0, "a spare is kept for the next start");
}

#[tokio::test]
async fn a_full_queue_refuses_and_takes_again_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &Options { queue_bytes: 1_000, ..options() });
    let refused = append(&journal, 0, body(0, 1_000)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Refused(_)), "{refused:?}");
    let appends = (0..50).map(|n| append(&journal, 0, body(n, 400)));
    let outcomes = futures_util::future::join_all(appends).await;
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(AppendError::Refused(_)))));
    assert!((1..50).contains(&taken), "{taken} taken");
    assert_eq!(append(&journal, 0, body(9, 400)).await.unwrap().first, Offset(taken));
    assert_eq!(journal.metrics().queued_bytes, 0);
    assert_eq!(journal.metrics().refused, 51 - taken);
}

#[tokio::test]
async fn a_million_records_open_quickly() {
    const BATCH: usize = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), &options());
    for n in 0..1_000 {
        let batch = vec![body(n, 380); BATCH];
        journal.append(p(n as u16 % 256), batch).await.unwrap();
    }
    drop(journal);
    let (journal, report) = EmbeddedJournal::open(dir.path(), options()).unwrap();
    assert_eq!((report.records, report.torn_bytes), (1_000_000, 0));
    assert!(report.segments >= 6, "{report:?}");
    assert!(report.duration < Duration::from_secs(2), "{report:?}"); // an unoptimised build on a busy machine
    let records = journal.read(p(200), Offset(0), 1 << 20).await.unwrap();
    assert_eq!(records[0].bytes, body(200, 380));
}
