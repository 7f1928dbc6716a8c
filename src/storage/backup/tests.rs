//! Backups of a store and a journal that go on, and what a restore makes of them.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::config::{Database, Store as Settings};
use crate::env::Env;
use crate::storage::journal::Journal as _;
use crate::storage::journal::embedded::{EmbeddedJournal, Options};
use crate::storage::retention::same_journal;
use crate::storage::store::Store as _;
use crate::storage::store::contract::moved;
use crate::storage::store::sql::SqlStore;

mod postgres;

fn options() -> Options {
    let mut options = Options::new(Env::system());
    (options.segment_bytes, options.prepare_ahead) = (16 * 1024, false);
    options
}

fn copy_of(from: &Path, to: &Path) -> PathBuf {
    std::fs::copy(from, to).unwrap();
    to.to_owned()
}

fn p(number: u16) -> Partition {
    Partition::new(number).unwrap()
}

struct Live {
    folder: tempfile::TempDir,
    journal: Arc<EmbeddedJournal>,
    store: SqlStore,
}

impl Live {
    /// A journal of 100 records in partition 3, 60 of which the store has.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = EmbeddedJournal::open(&folder.path().join("live"), options()).unwrap();
        let store = SqlStore::open_file(&folder.path().join("live.db")).await.unwrap();
        let live = Self { folder, journal: Arc::new(journal), store };
        live.append(100).await;
        live.store.commit(moved(p(3), 0, 60)).await.unwrap();
        same_journal(&live.store, live.journal.maintenance().id()).await.unwrap();
        live
    }

    async fn append(&self, count: usize) {
        for _ in 0..count {
            self.journal.append(p(3), vec![Bytes::from(vec![7; 300])]).await.unwrap();
        }
    }

    async fn backup(&self) -> (PathBuf, Result<Manifest, BackupError>) {
        let to = self.folder.path().join("backup");
        (to.clone(), take(self.journal.maintenance().into(), &self.store, &to, Timestamp(5)).await)
    }

    fn data(&self) -> PathBuf {
        let data = self.folder.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        data
    }

    async fn restore(&self, from: &Path) -> Result<Manifest, BackupError> {
        let data = self.data();
        restore(
            from,
            &data,
            "journal",
            &Database::Sqlite(data.join("kervan.db")),
            &Settings::default(),
            &["LOCK"],
            Uuid::from_u128(77),
        )
        .await
    }

    /// What lies in the data folder.
    fn found(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.data()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_what_goes_on_is_restored_to_one_moment() {
    let live = Live::new().await;
    live.store.commit(moved(p(3), 60, 100)).await.unwrap();
    // The store is at the journal's end again and again: copied the other way round, it would be ahead of the copy.
    let writes = async {
        for n in 100.. {
            live.append(1).await;
            live.store.commit(moved(p(3), n, n + 1)).await.unwrap();
        }
    };
    let (from, made) = tokio::select! {
        made = live.backup() => made,
        () = writes => unreachable!("it writes for ever"),
    };
    let made = made.unwrap();
    assert_eq!((made.taken_at, made.journal), (Timestamp(5), live.journal.maintenance().id()));
    std::fs::write(live.data().join("LOCK"), "1").unwrap();
    assert_eq!(live.restore(&from).await.unwrap(), made);
    assert_eq!(live.found(), ["LOCK", "journal", "kervan.db"]);
    let (journal, report) = EmbeddedJournal::open(&live.data().join("journal"), options()).unwrap();
    let store = SqlStore::open_file(&live.data().join("kervan.db")).await.unwrap();
    let stored = store.watermarks().await.unwrap();
    let (at, end) = (stored[3].next_offset, journal.bounds(p(3)).end);
    assert_eq!((made.watermarks[3], made.records), (at, report.records));
    // What comes now is another history: the journal has a new identity, and its store knows it. Rows of the old one,
    // from the backup or the folder that was lost, do not fit any more.
    assert_eq!(journal.maintenance().id(), Uuid::from_u128(77));
    same_journal(&store, journal.maintenance().id()).await.unwrap();
    same_journal(&live.store, live.journal.maintenance().id()).await.unwrap();
    let old = SqlStore::open_file(&copy_of(&from.join(STORE), &live.data().join("old.db"))).await.unwrap();
    for old in [&old, &live.store] {
        assert!(matches!(same_journal(old, journal.maintenance().id()).await, Err(StoreError::Incompatible(_))));
    }
    assert!(at >= Offset(100) && at <= end, "{at} {end}");
    // It goes on, and the backup stays what it was.
    journal.append(p(3), vec![Bytes::from_static(b"more")]).await.unwrap();
    journal.close().await.unwrap();
    let again = live.folder.path().join("again");
    std::fs::create_dir_all(&again).unwrap();
    restore(
        &from,
        &again,
        "journal",
        &Database::Sqlite(again.join("kervan.db")),
        &Settings::default(),
        &[],
        Uuid::from_u128(78),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_backup_never_goes_over_anything_and_neither_does_a_restore() {
    let live = Live::new().await;
    let (from, made) = live.backup().await;
    made.unwrap();
    assert!(matches!(live.backup().await.1, Err(BackupError::NotEmpty { .. })));
    assert!(from.join(MANIFEST).exists(), "the first one is still there");
    for name in ["kervan.db", "kervan.db-wal", "journal", "notes.txt"] {
        std::fs::write(live.data().join(name), "mine").unwrap();
        let error = live.restore(&from).await.unwrap_err();
        assert!(matches!(error, BackupError::NotEmpty { .. }) && error.to_string().contains(name), "{error}");
        std::fs::remove_file(live.data().join(name)).unwrap();
    }
    // A database elsewhere, or only its log: it would be taken for that of the restored file.
    for name in ["my.db", "my.db-wal"] {
        let path = live.folder.path().join(name);
        std::fs::write(&path, "mine").unwrap();
        let database = live.folder.path().join("my.db");
        let error = restore(
            &from,
            &live.data(),
            "journal",
            &Database::Sqlite(database),
            &Settings::default(),
            &[],
            Uuid::from_u128(77),
        )
        .await
        .unwrap_err();
        assert!(matches!(&error, BackupError::Exists(there) if *there == path), "{error}");
        std::fs::remove_file(path).unwrap();
    }
    assert!(live.found().is_empty());
}

#[tokio::test]
async fn each_damage_is_named_and_leaves_the_data_folder_empty() {
    let live = Live::new().await;
    let (from, made) = live.backup().await;
    for FileEntry { name, bytes, .. } in made.unwrap().files {
        let path = from.join(&name);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[bytes as usize / 2] ^= 1;
        for (damaged, why) in [(Some(&flipped[..]), "checksum"), (Some(&whole[1..]), "instead of"), (None, "missing")] {
            std::fs::remove_file(&path).unwrap();
            if let Some(damaged) = damaged {
                std::fs::write(&path, damaged).unwrap();
            }
            let error = live.restore(&from).await.unwrap_err();
            assert!(error.is_refusal(), "{error}");
            let text = error.to_string();
            assert!(text.contains(&*path.to_string_lossy()) && text.contains(why), "{text}");
            assert!(live.found().is_empty(), "{:?} after {text}", live.found());
            std::fs::write(&path, &whole).unwrap();
        }
    }
    live.restore(&from).await.unwrap();
}

#[tokio::test]
async fn a_manifest_that_is_missing_broken_newer_or_points_elsewhere_is_refused() {
    let live = Live::new().await;
    let (from, made) = live.backup().await;
    let (made, path) = (made.unwrap(), from.join(MANIFEST));
    let with = |change: &dyn Fn(&mut Manifest)| {
        let mut other = made.clone();
        change(&mut other);
        serde_json::to_string(&other).unwrap()
    };
    for (text, why) in [
        ("{".to_owned(), "can't be read"),
        ("{}".to_owned(), "names no format"),
        (with(&|made| made.format = 3), "a newer one made it"),
        (with(&|made| made.files[0].name = "../../etc/passwd".to_owned()), "names \"../../etc/passwd\""),
        (with(&|made| made.files.retain(|file| file.name != STORE)), "does not name store.db"),
        // One segment fewer, and nothing in the list that would miss it.
        (with(&|made| made.files.retain(|file| !file.name.ends_with("2.log"))), "segment-0000000002.log is missing"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = live.restore(&from).await.unwrap_err();
        assert!(error.is_refusal() && error.to_string().contains(why), "{error}");
        assert!(live.found().is_empty());
    }
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(live.restore(&from).await, Err(BackupError::NoBackup(_))));
}

#[tokio::test]
async fn a_store_ahead_of_its_journal_makes_no_backup_and_leaves_nothing() {
    let live = Live::new().await;
    live.store.commit(moved(p(3), 60, 101)).await.unwrap();
    let (to, made) = live.backup().await;
    let error = made.unwrap_err();
    assert!(matches!(error, BackupError::Apart(_)), "{error}");
    assert_eq!(std::fs::read_dir(&to).unwrap().count(), 0);
}

#[tokio::test]
async fn what_an_interrupted_restore_left_is_told_and_taken_away_by_the_next() {
    let live = Live::new().await;
    let (from, made) = live.backup().await;
    made.unwrap();
    std::fs::create_dir_all(live.data().join("restoring/journal")).unwrap();
    std::fs::write(live.data().join("restoring/journal/segment-0000000001.log"), "half").unwrap();
    std::fs::write(live.data().join("kervan.db.restoring"), "half").unwrap();
    assert!(is_unfinished(&live.data()));
    live.restore(&from).await.unwrap();
    assert!(!is_unfinished(&live.data()));
    assert_eq!(live.found(), ["journal", "kervan.db"]);
}
