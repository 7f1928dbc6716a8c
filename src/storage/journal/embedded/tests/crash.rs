//! The process ends at any step; what was answered is there afterwards.

use super::super::meta::Meta;
use super::super::segment;
use super::*;

/// Ends the writer by a failing sync at every step of a run that rolls often: whatever was answered is there, and at most
/// the batch whose outcome was unknown beside it.
#[tokio::test]
async fn whatever_sync_fails_nothing_that_was_answered_is_lost() {
    let mut failures = 0;
    for good_syncs in 0..60 {
        let dir = scratch();
        let options = small_segments();
        let journal = open(dir.path(), &options);
        options.faults.fail_sync_after(good_syncs);
        let (mut acked, mut unknown) = (0, 0);
        for n in 0..60 {
            match append(&journal, 1, body(n, 900)).await {
                Ok(appended) => {
                    assert_eq!((appended.first, unknown), (Offset(n), 0));
                    acked += 1;
                }
                Err(AppendError::Unknown(_)) => unknown += 1,
                Err(AppendError::Closed(_)) => {}
                Err(AppendError::Refused(why)) => panic!("a failed sync is never retryable: {why}"),
            }
            assert_eq!(journal.bounds(p(1)).end, Offset(acked), "only what is durable shows");
        }
        assert!(unknown <= 1);
        if journal.maintenance().failure().is_some() {
            failures += 1;
            assert!(journal.close().await.is_err(), "a failed journal does not close as if nothing was");
        }
        drop(journal);
        let journal = open(dir.path(), &small_segments());
        let found = bodies(&journal, 1).await;
        assert!((acked..=acked + unknown).contains(&(found.len() as u64)), "{acked} acked, {} found", found.len());
        assert_eq!(found, (0..found.len() as u64).map(|n| body(n, 900)).collect::<Vec<_>>());
        assert_eq!(append(&journal, 1, body(0, 1)).await.unwrap().first, Offset(found.len() as u64));
    }
    assert!(failures > 50, "the run has as many syncs");
}

/// The files as they are after kill -9 at any moment: what is written stays, nothing more is written.
#[tokio::test]
async fn a_copy_of_the_files_after_any_append_opens_with_all_of_it() {
    let dir = scratch();
    let journal = open(dir.path(), &small_segments());
    for n in 0..80 {
        append(&journal, 2, body(n, 700)).await.unwrap();
        let copy = scratch();
        copy_files(dir.path(), copy.path());
        let copy = open(copy.path(), &small_segments());
        assert_eq!(copy.bounds(p(2)).end, Offset(n + 1));
        assert_eq!(copy.read(p(2), Offset(n), 1).await.unwrap()[0].bytes, body(n, 700));
    }
}

/// Between the name of the next segment and the seal of the one before it.
#[tokio::test]
async fn a_crash_in_the_middle_of_a_roll_is_finished_by_the_next_start() {
    let source = scratch();
    let journal = open(source.path(), &small_segments());
    let mut n = 0;
    while journal.metrics().segments == 1 {
        append(&journal, 2, body(n, 700)).await.unwrap();
        n += 1;
    }
    drop(journal);
    let in_first = n - 1;
    let (first, second) = (segment::path(source.path(), 1), segment::path(source.path(), 2));
    let sealed = std::fs::read(&first).unwrap();
    let records_end = 4096 + in_first as usize * (RECORD_HEADER + 700);
    std::fs::write(&second, &std::fs::read(&second).unwrap()[..4096]).unwrap();
    let index = (records_end..sealed.len() - 70).step_by(11);
    for keep in index.chain(sealed.len() - 70..=sealed.len()) {
        std::fs::write(&first, &sealed[..keep]).unwrap();
        let dir = scratch();
        copy_files(source.path(), dir.path());
        let journal = open(dir.path(), &small_segments());
        assert_eq!(bodies(&journal, 2).await.len() as u64, in_first, "seal cut at {keep}");
        append(&journal, 2, body(n, 700)).await.unwrap();
        drop(journal);
        assert_eq!(std::fs::read(segment::path(dir.path(), 1)).unwrap(), sealed);
        assert_eq!(bodies(&open(dir.path(), &small_segments()), 2).await.len() as u64, in_first + 1);
    }
    std::fs::write(&first, &sealed[..records_end - 1]).unwrap();
    assert_damage(&open_error(source.path(), &small_segments()), &[&name(1), "was made behind"]);
}

/// A power failure keeps the pages of a seal in any part: one of the index may be missing though its trailer is there.
#[tokio::test]
async fn a_seal_of_which_any_sector_is_missing_is_made_again_while_its_successor_has_no_records() {
    let source = scratch();
    let journal = open(source.path(), &small_segments());
    let mut n = 0;
    while journal.metrics().segments == 1 {
        append(&journal, 2, body(n, 20)).await.unwrap();
        n += 1;
    }
    drop(journal);
    let (first, second) = (segment::path(source.path(), 1), segment::path(source.path(), 2));
    let sealed = std::fs::read(&first).unwrap();
    let seal = 4096 + (n as usize - 1) * (RECORD_HEADER + 20);
    let with_records = std::fs::read(&second).unwrap();
    std::fs::write(&second, &with_records[..4096]).unwrap();
    for sector in (seal.next_multiple_of(512)..sealed.len()).step_by(512) {
        let mut damaged = sealed.clone();
        damaged[sector..(sector + 512).min(sealed.len())].fill(0);
        if damaged == sealed {
            // The counts of partitions without records.
            continue;
        }
        std::fs::write(&first, &damaged).unwrap();
        let dir = scratch();
        copy_files(source.path(), dir.path());
        let journal = open(dir.path(), &small_segments());
        assert_eq!(bodies(&journal, 2).await.len() as u64, n - 1, "sector at {sector}");
        drop(journal);
        assert_eq!(std::fs::read(segment::path(dir.path(), 1)).unwrap(), sealed);
        // Behind a seal that was never durable no record was written.
        std::fs::write(segment::path(source.path(), 2), &with_records).unwrap();
        let error = open_error(source.path(), &small_segments());
        assert!(matches!(&error, JournalError::Damaged(text) if text.contains(&name(1))), "{error:?}");
        std::fs::write(&second, &with_records[..4096]).unwrap();
    }
}

/// Before the meta file knows the first segment, nothing can have been appended.
#[tokio::test]
async fn a_crash_while_a_journal_is_made_leaves_a_folder_that_opens() {
    for good_syncs in 0..2 {
        let dir = scratch();
        let options = options();
        options.faults.fail_sync_after(good_syncs);
        let opened = EmbeddedJournal::open(dir.path(), options);
        assert!(opened.is_err());
        let journal = open(dir.path(), &small_segments());
        append(&journal, 0, body(0, 10)).await.unwrap();
    }
    let dir = scratch();
    drop(open(dir.path(), &small_segments()));
    let mut meta = Meta::load(dir.path()).unwrap().unwrap();
    meta.first_segment = 0;
    meta.store(dir.path()).unwrap();
    let journal = open(dir.path(), &small_segments());
    append(&journal, 0, body(0, 10)).await.unwrap();
}
