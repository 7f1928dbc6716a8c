//! What a copy of a database says, in either kind.

use uuid::Uuid;

use super::*;
use crate::storage::retention::same_journal;
use crate::storage::sql::copy::{CopiedWatermark, look};

const JOURNAL: Uuid = Uuid::from_u128(11);

/// A database that has 60 records of a partition.
async fn fill(database: &Database) {
    let store = SqlStore::open(database).await.unwrap();
    same_journal(&store, JOURNAL).await.unwrap();
    store.commit(moved(Partition::new(3).unwrap(), 0, 60)).await.unwrap();
    store.close().await;
}

async fn says_what_it_has_and_stays_as_it_is(database: &Database) {
    fill(database).await;
    let copy = look(database, false).await.unwrap();
    assert_eq!((copy.schema, copy.journal.clone()), (Some(copy.known), Some(JOURNAL.to_string())));
    assert!(Partition::all().eq(copy.watermarks.iter().map(|row| row.partition)));
    let store = SqlStore::open(database).await.unwrap();
    let row = store.watermarks().await.unwrap()[3];
    let wanted = CopiedWatermark {
        partition: row.partition,
        next_offset: Offset(60),
        fold_time: row.fold_time,
        last_record: row.last_record,
    };
    assert!(
        copy.watermarks[3] == wanted && row.fold_time > Timestamp::ZERO && row.last_record.is_some(),
        "{:?}",
        copy.watermarks[3]
    );
    store.close().await;

    let connections = Connections::open(database).await.unwrap();
    for text in ["ALTER TABLE watermarks DROP COLUMN last_record", "DELETE FROM _sqlx_migrations WHERE version >= 12"] {
        connections.direct().execute(text, |_| ()).await.unwrap();
    }
    let older = look(database, false).await.unwrap();
    assert_eq!((older.schema, older.watermarks[3].last_record), (Some(11), None));
    assert_eq!(older.watermarks[3].next_offset, Offset(60), "an older program's copy is one");
    let newer = "UPDATE _sqlx_migrations SET version = 999 WHERE version = 1";
    connections.direct().execute(newer, |_| ()).await.unwrap();
    let newer = look(database, false).await.unwrap();
    assert_eq!((newer.schema, newer.journal, newer.watermarks), (Some(999), None, vec![]));
    assert_eq!(look(database, false).await.unwrap().known, copy.known);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copied_file_says_what_it_has_and_none_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let live = Database::Sqlite(file("live ?#%.db"));
    fill(&live).await;
    let store = SqlStore::open(&live).await.unwrap();
    store.backup_to(&file("backup.db")).await.unwrap();
    assert_eq!(look(&Database::Sqlite(file("backup.db")), false).await.unwrap(), look(&live, false).await.unwrap());
    store.close().await;
    says_what_it_has_and_stays_as_it_is(&Database::Sqlite(file("store.db"))).await;
    let absent = look(&Database::Sqlite(file("absent.db")), false).await.unwrap_err();
    assert!(absent.to_string().contains("absent.db") && !file("absent.db").exists(), "{absent}");
    std::fs::write(file("empty.db"), []).unwrap();
    assert_eq!(look(&Database::Sqlite(file("empty.db")), false).await.unwrap().schema, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_dump_says_what_it_has() {
    let (postgres, folder) = (Postgres::start().await, tempfile::tempdir().unwrap());
    let live = postgres.fresh().await;
    fill(&live).await;
    let dump = folder.path().join("dump");
    postgres.dump(&live, &dump);
    let restored = postgres.restored(&dump).await;
    assert_eq!(look(&restored, false).await.unwrap(), look(&live, false).await.unwrap());
    says_what_it_has_and_stays_as_it_is(&postgres.fresh().await).await;
    assert_eq!(look(&postgres.empty().await, false).await.unwrap().schema, None);
}
