//! The contract on a SQLite file, and what is special about one.

use std::sync::Arc;

use futures_util::FutureExt as _;

use super::*;
use crate::limits;
use crate::storage::sql::support;
use crate::storage::store::contract::{self, Fixture, chat_row, message_row, moved, room_id};

async fn fixture() -> Fixture {
    let fresh = support::sqlite().await;
    Fixture { store: Arc::new(SqlStore::new(fresh.connections)), keep: fresh.keep }
}

crate::store_contract!(fixture);

/// A commit of `n` messages of one room.
fn messages(from: u64, n: u64, body: &str) -> Commit {
    let room = room_id(1);
    let mut commit = moved(room.partition(), from, from + n);
    commit.chats.push(ChatRow { head: crate::ids::Seq(from + n), ..chat_row(room) });
    commit.room_events = (from..from + n).map(|i| message_row(room, i + 1, i + 1, "alice", body)).collect();
    commit
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqlStore::open_file(&path).await.unwrap();
    store.commit(messages(0, 100, "x")).await.unwrap();
    // Not closed: as if the process had been killed.
    let copy = folder.path().join("copy.db");
    for suffix in ["", "-wal"] {
        std::fs::copy(format!("{}{suffix}", path.display()), format!("{}{suffix}", copy.display())).unwrap();
    }
    for path in [&copy, &path] {
        let again = SqlStore::open_file(path).await.unwrap();
        assert_eq!(again.room(room_id(1)).await.unwrap().watermark.next_offset, Offset(100));
        assert_eq!(again.events(room_id(1), SeqRange::all(), 1_000).await.unwrap().len(), 100);
        again.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_taken_while_rows_are_written_is_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::open_file(&folder.path().join("store.db")).await.unwrap();
    store.commit(messages(0, 500, &"x".repeat(500))).await.unwrap();
    let writes = async {
        for n in 0..100 {
            store.commit(messages(500 + n * 10, 10, "y")).await.unwrap();
        }
    };
    let path = folder.path().join("backup.db");
    let ((), backup) = tokio::join!(writes, store.backup_to(&path));
    let partition = room_id(1).partition();
    let covered = backup.unwrap().into_iter().find(|row| row.partition == partition).unwrap().next_offset;
    assert!((500..=1_500).contains(&covered.0));
    let copy = SqlStore::open_file(&path).await.unwrap();
    let snapshot = copy.room(room_id(1)).await.unwrap();
    assert_eq!(snapshot.watermark.next_offset, covered);
    assert_eq!(snapshot.window.len() as u64, covered.0);
    // A backup never overwrites.
    assert!(matches!(store.backup_to(&path).await, Err(StoreError::Incompatible(_))));
}

/// The disk is full in the middle of a commit: nothing of it is there, and it goes through once there is room.
#[tokio::test]
async fn a_full_disk_is_retryable_and_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::open_file(&folder.path().join("store.db")).await.unwrap();
    store.commit(messages(0, 10, "x")).await.unwrap();
    bound_pages(&store, "PRAGMA max_page_count = 80").await;
    let large = messages(10, 200, &"z".repeat(10_000));
    let error = store.commit(large.clone()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    let snapshot = store.room(room_id(1)).await.unwrap();
    assert_eq!((snapshot.watermark.next_offset, snapshot.window.len()), (Offset(10), 10));
    bound_pages(&store, "PRAGMA max_page_count = 1000000").await;
    store.commit(large).await.unwrap();
    assert_eq!(store.room(room_id(1)).await.unwrap().window.len(), 210);
}

/// When the disk itself is full SQLite rolls back by itself, and the rollback that follows finds no transaction. Neither the
/// connection that writes nor those that read may take themselves to be in one from then on.
#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::open_file(&folder.path().join("store.db")).await.unwrap();
    for n in 0..3 {
        let mut writer = store.connections.writer().await.unwrap();
        let mut transaction = writer.begin().await.unwrap();
        transaction.session().execute("ROLLBACK", |_| ()).await.unwrap();
        drop(transaction);
        let failed = writer.done(Err::<(), _>(StoreError::Unavailable("the disk is full".to_owned()))).await;
        assert!(failed.unwrap_err().is_retryable());
        let mut snapshot = store.connections.engine().snapshot().await.unwrap();
        snapshot.session().execute("ROLLBACK", |_| ()).await.unwrap();
        drop(snapshot);
        store.commit(messages(10 * n, 10, "x")).await.unwrap();
        for _ in 0..20 {
            assert_eq!(store.room(room_id(1)).await.unwrap().watermark.next_offset, Offset(10 * n + 10));
        }
    }
}

/// SQLite answers with the same code (13, FULL) when a file reaches this bound as when the disk is full.
async fn bound_pages(store: &SqlStore, text: &'static str) {
    let mut writer = store.connections.writer().await.unwrap();
    let mut transaction = writer.begin().await.unwrap();
    transaction.session().execute(text, |_| ()).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_stores_on_one_file_the_slower_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (one, two) = (SqlStore::open_file(&path).await.unwrap(), SqlStore::open_file(&path).await.unwrap());
    let (first, second) = tokio::join!(one.commit(messages(0, 50, "x")), two.commit(messages(0, 50, "x")));
    let refused = [first, second].into_iter().filter(|done| *done != Ok(())).collect::<Vec<_>>();
    assert_eq!(refused, [Err(StoreError::Stale { partition: room_id(1).partition(), found: Offset(50) })]);
    assert_eq!(one.events(room_id(1), SeqRange::all(), 1_000).await.unwrap().len(), 50);
}

#[tokio::test]
async fn a_commit_whose_caller_left_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::open_file(&folder.path().join("store.db")).await.unwrap();
    for polls in 0..12 {
        let at = store.room(room_id(1)).await.unwrap().watermark.next_offset.0;
        let mut commit = Box::pin(store.commit(messages(at, 200, "x")));
        for _ in 0..polls {
            if futures_util::FutureExt::now_or_never(commit.as_mut()).is_some() {
                break;
            }
            // Pauses: the caller leaves after so many turns.
            tokio::task::yield_now().await;
        }
        drop(commit);
        store.health().await.unwrap();
        let found = store.room(room_id(1)).await.unwrap();
        assert!([at, at + 200].contains(&found.watermark.next_offset.0));
        assert_eq!(found.window.len() as u64, found.watermark.next_offset.0);
    }
}

/// However many lists are asked for: a cold room and the projector do not wait behind them.
#[tokio::test]
async fn clients_that_hold_every_reader_keep_no_room_from_being_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::open_file(&folder.path().join("store.db")).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..limits::SQL_CLIENT_READERS {
        held.push(store.connections.clients().snapshot().await.unwrap());
    }
    let mut another = Box::pin(store.connections.clients().snapshot());
    assert!(another.as_mut().now_or_never().is_none(), "another client waits");
    store.commit(messages(0, 5, "x")).await.unwrap();
    assert_eq!(store.room(room_id(1)).await.unwrap().window.len(), 5);
    assert_eq!(store.watermarks().await.unwrap().len(), 256);
    assert!(store.relay_next(OutboxPlace::first_of(Partition::FIRST), 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let store = SqlStore::open_file(&path).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'from the future', 1, x'00', 0)";
    store.connections.direct().execute(newer, |_| ()).await.unwrap();
    store.close().await;
    let error = SqlStore::open_file(&path).await.err().unwrap();
    assert!(matches!(&error, StoreError::Incompatible(why) if why.contains("999")), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let error = SqlStore::open_file(&path).await.err().unwrap();
    assert!(matches!(error, StoreError::Damaged(_)), "{error}");
}

#[tokio::test]
async fn the_contract_catches_a_reader_that_mixes_two_moments() {
    // Two reads without a transaction around them may belong to two moments: that is what the snapshot is for.
    let folder = tempfile::tempdir().unwrap();
    let store = SqlStore::open_file(&folder.path().join("store.db")).await.unwrap();
    let mut snapshot = store.connections.engine().snapshot().await.unwrap();
    assert_eq!(read::room(&mut snapshot.session(), room_id(1)).await.unwrap().window.len(), 0);
    store.commit(messages(0, 5, "x")).await.unwrap();
    assert_eq!(read::room(&mut snapshot.session(), room_id(1)).await.unwrap().window.len(), 0);
    drop(snapshot);
    contract::a_note_is_kept(&store).await;
    assert_eq!(store.room(room_id(1)).await.unwrap().window.len(), 5);
}
