//! A backup whose rows are in a PostgreSQL: their operator dumps them before it, and puts them back before it is restored.

use super::*;
use crate::storage::sql::support::Postgres;

/// A journal of 100 records, and a PostgreSQL that has 60 of them.
async fn live(postgres: &Postgres) -> (Live, Database) {
    let (database, sqlite) = (postgres.fresh().await, Live::new().await);
    let live = Live { store: SqlStore::open(&database).await.unwrap(), ..sqlite };
    live.store.commit(moved(p(3), 0, 60)).await.unwrap();
    same_journal(&live.store, live.journal.maintenance().id()).await.unwrap();
    (live, database)
}

async fn restored(live: &Live, from: &Path, into: &str, database: &Database) -> Result<Manifest, BackupError> {
    let data = live.folder.path().join(into);
    std::fs::create_dir_all(&data).unwrap();
    restore(from, &data, "journal", database, &Settings::default(), &[], Uuid::from_u128(77)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_from_before_a_backup_fits_it_and_no_other_database_does() {
    let postgres = Postgres::start().await;
    let (live, database) = live(&postgres).await;
    let [before, after] = ["before", "after"].map(|name| live.folder.path().join(name));
    postgres.dump(&database, &before);
    live.store.commit(moved(p(3), 60, 90)).await.unwrap();
    let (from, made) = live.backup().await;
    let made = made.unwrap();
    assert!(!made.holds_rows() && made.files.iter().all(|file| file.name.starts_with("journal/")), "{made:?}");
    assert!(!from.join(STORE).exists());
    live.append(50).await;
    live.store.commit(moved(p(3), 90, 150)).await.unwrap();
    postgres.dump(&database, &after);

    // A dump from after it, another journal's rows, and a file: each is refused, and nothing is there afterwards.
    let ahead = restored(&live, &from, "ahead", &postgres.restored(&after).await).await.unwrap_err();
    assert!(matches!(ahead, BackupError::Apart(_)), "{ahead}");
    let other = postgres.fresh().await;
    same_journal(&SqlStore::open(&other).await.unwrap(), Uuid::from_u128(5)).await.unwrap();
    let other = restored(&live, &from, "other", &other).await.unwrap_err();
    assert!(matches!(other, BackupError::Store(StoreError::Incompatible(_))), "{other}");
    let file = Database::Sqlite(live.folder.path().join("file/kervan.db"));
    let file = restored(&live, &from, "file", &file).await.unwrap_err();
    assert!(matches!(file, BackupError::RowsElsewhere(_)), "{file}");
    for into in ["ahead", "other", "file"] {
        assert_eq!(std::fs::read_dir(live.folder.path().join(into)).unwrap().count(), 0, "{into}");
    }

    let fits = postgres.restored(&before).await;
    assert_eq!(restored(&live, &from, "fits", &fits).await.unwrap(), made);
    let (journal, _) = EmbeddedJournal::open(&live.folder.path().join("fits/journal"), options()).unwrap();
    let store = SqlStore::open(&fits).await.unwrap();
    assert_eq!((store.watermarks().await.unwrap()[3].next_offset, journal.bounds(p(3)).end), (Offset(60), Offset(100)));
    // It is another history from here on, and the rows know.
    assert_eq!(journal.maintenance().id(), Uuid::from_u128(77));
    same_journal(&store, Uuid::from_u128(77)).await.unwrap();
    let again = restored(&live, &from, "again", &fits).await.unwrap_err();
    assert!(matches!(again, BackupError::Store(StoreError::Incompatible(_))), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_with_rows_is_not_restored_beside_a_postgresql() {
    let (live, postgres) = (Live::new().await, Postgres::start().await);
    let (from, made) = live.backup().await;
    assert!(made.unwrap().holds_rows());
    let refused = restored(&live, &from, "new", &postgres.fresh().await).await.unwrap_err();
    assert!(matches!(refused, BackupError::RowsElsewhere(_)) && refused.is_refusal(), "{refused}");
}
