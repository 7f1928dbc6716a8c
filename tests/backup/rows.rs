//! The rows of a SQLite file, all of them, to compare; and its loss.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, query_scalar};

/// Tables that are not the same after a rebuild: how far the workers came, and what they still have to tell. The relay
/// tells everything once more, and the targets drop it; but they have read it.
const WORK: [&str; 3] = ["watermarks", "relay_outbox", "meta"];

/// Each table's rows, in order, as texts.
pub(crate) async fn all(data: &Path) -> BTreeMap<String, Vec<String>> {
    let options = SqliteConnectOptions::new().filename(data.join("kervan.db")).read_only(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let names: Vec<String> =
        query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'")
            .fetch_all(&pool)
            .await
            .unwrap();
    let mut tables = BTreeMap::new();
    for name in names.into_iter().filter(|name| !WORK.contains(&name.as_str())) {
        let columns: Vec<String> = query_scalar("SELECT 'quote(' || name || ')' FROM pragma_table_info(?)")
            .bind(&name)
            .fetch_all(&pool)
            .await
            .unwrap();
        let text = format!("SELECT {} AS line FROM {name} ORDER BY line", columns.join(" || ' ' || "));
        let rows = query_scalar(AssertSqlSafe(text)).fetch_all(&pool).await.unwrap();
        tables.insert(name, rows);
    }
    pool.close().await;
    tables
}

/// The database goes, with its log.
pub(crate) fn lose(data: &Path) {
    for name in ["kervan.db", "kervan.db-wal", "kervan.db-shm"] {
        match std::fs::remove_file(data.join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
            _ => {}
        }
    }
}
