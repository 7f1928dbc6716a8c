//! Marks of backups in the control topic, with librdkafka's mock brokers; and what is trimmed behind them, with real ones.

use bytes::Bytes;
use uuid::Uuid;

use super::errors::Mock;
use super::{Options, open};
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::Journal;
use crate::storage::journal::kafka::marks::{MarkError, Marked, marked, register};
use crate::storage::journal::marks::{BackupMark, CopyRefused};
use crate::storage::same_log::OtherLog;
use crate::storage::sql::copy::{CopiedWatermark, DatabaseCopy};

fn partition() -> Partition {
    Partition::new(5).unwrap()
}

/// A copy of the rows of a journal, with so many records of one partition.
pub(super) fn copy_of(journal: Uuid, partition: Partition, records: u64) -> DatabaseCopy {
    let row = |each: Partition| {
        let next = if each == partition { records } else { 0 };
        CopiedWatermark { partition: each, next_offset: Offset(next), fold_time: Timestamp(next), last_record: None }
    };
    let watermarks = Partition::all().map(row).collect();
    DatabaseCopy { schema: Some(1), known: 1, journal: Some(journal.to_string()), watermarks }
}

pub(super) async fn mark(options: &Options, copy: DatabaseCopy, name: &str) -> Result<BackupMark, MarkError> {
    let (options, name) = (options.clone(), name.to_owned());
    let id = Uuid::new_v4();
    tokio::task::spawn_blocking(move || register(&options, &copy, id, &name)).await.unwrap()
}

async fn all(options: &Options) -> Marked {
    let options = options.clone();
    tokio::task::spawn_blocking(move || marked(&options)).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_are_kept_in_their_order_and_a_copy_that_is_none_leaves_no_mark() {
    let mock = Mock::start().await;
    let (options, journal) = (&mock.options, mock.journal.maintenance().id());
    mock.journal.append(partition(), vec![Bytes::from_static(b"a"); 3]).await.unwrap();
    assert_eq!(all(options).await.marks, []);

    let first = mark(options, copy_of(journal, partition(), 2), "monday").await.unwrap();
    assert!(first.marked_at > Timestamp(1_700_000_000_000), "the brokers' time: {}", first.marked_at.0);
    assert_eq!((first.name.as_str(), first.watermarks[5], first.reaches), ("monday", Offset(2), Timestamp(2)));
    let found = all(options).await;
    assert_eq!((found.bounds[5].end, first.lag(&found.bounds)), (Offset(3), 1));
    assert_eq!(found.marks, std::slice::from_ref(&first));

    let ahead = mark(options, copy_of(journal, partition(), 4), "ahead").await.unwrap_err();
    assert!(matches!(ahead, MarkError::Refused(CopyRefused::Ahead { at: Offset(4), end: Offset(3), .. })), "{ahead}");
    let other = mark(options, copy_of(Uuid::from_u128(9), partition(), 2), "other").await.unwrap_err();
    assert!(matches!(other, MarkError::Refused(CopyRefused::OtherJournal { .. })), "{other}");
    assert_eq!(all(options).await.marks, std::slice::from_ref(&first));

    // As it is fetched: mock brokers report other times than they keep.
    let last = open(options).await.read(partition(), Offset(2), 1).await.unwrap().remove(0).digest();
    let made_from = |last| {
        let mut copy = copy_of(journal, partition(), 3);
        copy.watermarks[partition().index()].last_record = Some(last);
        copy
    };
    let foreign = mark(options, made_from(last ^ 1), "foreign").await.unwrap_err();
    let place = OtherLog { partition: partition(), at: Offset(2) };
    assert!(matches!(&foreign, MarkError::Refused(CopyRefused::OtherLog(found)) if *found == place), "{foreign}");
    let second = mark(options, made_from(last), "tuesday").await.unwrap();
    assert_eq!(all(options).await.marks, [first, second]);
    assert_eq!(open(options).await.maintenance().id(), journal, "what follows changes nothing about who it is");
}

/// On real brokers: the mock deletes nothing.
pub(super) async fn a_trim_keeps_what_is_young_or_not_covered_and_the_last_record_that_is(options: &Options) {
    let journal = open(options).await;
    let maintenance = journal.maintenance();
    let trimmed = async |covered: u64, before: Timestamp| {
        let mut all = vec![Offset::ZERO; 256];
        all[partition().index()] = Offset(covered);
        let maintenance = maintenance.clone();
        tokio::task::spawn_blocking(move || maintenance.trim_covered(&all, before)).await.unwrap().unwrap()
    };
    let start = || journal.bounds(partition()).start;
    let old = journal.append(partition(), vec![Bytes::from_static(b"old"); 10]).await.unwrap();
    // Pauses: the next ones are to have a later append time.
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let young = journal.append(partition(), vec![Bytes::from_static(b"young"); 10]).await.unwrap();
    let later = Timestamp(young.time.0 + 1);
    assert_eq!((trimmed(20, Timestamp(old.time.0)).await, start()), (0, Offset(0)), "nothing is older");
    assert_eq!((trimmed(0, later).await, start()), (0, Offset(0)), "nothing is covered");
    assert_eq!((trimmed(5, later).await, start()), (1, Offset(4)), "the last one that is covered stays");
    assert_eq!((trimmed(20, young.time).await, start()), (1, old.end), "the young ones stay");
    assert_eq!((trimmed(20, later).await, start()), (1, Offset(19)));
    assert_eq!((trimmed(20, later).await, start()), (0, Offset(19)));
    let other = open(options).await;
    assert_eq!(other.bounds(partition()), journal.bounds(partition()), "for everybody");
    assert_eq!(other.read(partition(), Offset(19), 1_000).await.unwrap()[0].bytes, "young");

    // The newest mark is known to whoever asked before, and a copy that can't be gone on from leaves none.
    let newest = async || {
        let maintenance = maintenance.clone();
        tokio::task::spawn_blocking(move || maintenance.newest_mark()).await.unwrap().unwrap()
    };
    assert_eq!(newest().await, None);
    let id = maintenance.id();
    let gone = mark(options, copy_of(id, partition(), 18), "gone").await.unwrap_err();
    assert!(matches!(gone, MarkError::Refused(CopyRefused::Trimmed { start: Offset(19), .. })), "{gone}");
    for (records, name) in [(20, "monday"), (19, "tuesday")] {
        let marked = mark(options, copy_of(id, partition(), records), name).await.unwrap();
        assert_eq!(newest().await, Some(marked), "the one that came last");
    }
}
