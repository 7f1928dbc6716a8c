//! Rows of a SQLite file that are carried over into a PostgreSQL.

use super::super::{Connections, transfer};
use super::support::{self, Postgres};
use crate::storage::sql::Binder;

/// A statement, and what binds its values.
type Bound = (&'static str, fn(&mut Binder));

/// A value of each kind, absent ones, texts that are hard to carry, and the largest number.
async fn fill(from: &Connections) {
    let rows: [Bound; 5] = [
        ("INSERT INTO meta (key, value) VALUES ('journal', 'a'), ('backup', 'of the folder')", |_| ()),
        (
            "INSERT INTO users (id, first_name, created_at, updated_at, decisions) VALUES ('ann', 'Ä\u{2028}''\"', 1, ?, ?)",
            |b| _ = b.int(i64::MAX).blob(vec![0, 255]),
        ),
        ("INSERT INTO users (id, created_at, updated_at) VALUES ('ben', 1, 2)", |_| ()),
        (
            "INSERT INTO messages (chat, seq, uuid, message_no, body, message_type, status, metadata, created_at, edited, \
             deleted) VALUES (?, 1, ?, 1, '\\u0000 1e999999', 'text', 0, '', 1, TRUE, FALSE)",
            |b| _ = b.uuid(uuid::Uuid::from_u128(7)).uuid(uuid::Uuid::from_u128(8)),
        ),
        ("UPDATE watermarks SET next_offset = 9, log_hash = -5 WHERE partition = 3", |_| ()),
    ];
    for (text, bind) in rows {
        assert!(from.direct().execute(text, bind).await.unwrap() > 0, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_row_is_carried_over_as_it_is_and_a_table_that_differs_is_seen() {
    let (sqlite, postgres) = (support::sqlite().await, Postgres::start().await);
    let (from, database) = (sqlite.connections, postgres.fresh().await);
    fill(&from).await;
    let names = transfer::names(&from).await.unwrap();
    let settings = crate::config::Store::default();
    let empty = transfer::look(&database, &settings, &names).await.unwrap();
    assert_eq!(empty, transfer::RowsThere::default(), "its schema alone is nothing");
    let to = Connections::open(&database).await.unwrap();
    let tables = transfer::tables(&from, &to).await.unwrap();
    assert_eq!(tables.len(), names.len());

    for table in tables.iter().chain(&tables) {
        transfer::copy(&from, &to, table).await.unwrap();
        let (here, there) =
            (transfer::content(&from, table).await.unwrap(), transfer::content(&to, table).await.unwrap());
        assert_eq!(here, there, "{}", table.name);
    }
    let found = transfer::look(&database, &settings, &names).await.unwrap();
    assert!(found.has_rows && found.journal.as_deref() == Some("a"), "{found:?}");
    let notes = to.direct().list("SELECT key FROM meta", |_| (), |c| c.text()).await.unwrap();
    assert_eq!(notes, ["journal"], "the backup was one of the folder");
    let counts = transfer::counts(&from).await.unwrap();
    assert_eq!(counts[0], ("watermarks".to_owned(), 256));
    assert!(counts.contains(&("users".to_owned(), 2)), "{counts:?}");

    // As many rows, and another value; then one that is absent instead of empty.
    let users = tables.iter().find(|table| table.name == "users").unwrap();
    let same = transfer::content(&from, users).await.unwrap();
    for change in
        ["UPDATE users SET updated_at = 3 WHERE id = 'ben'", "UPDATE users SET first_name = '' WHERE id = 'ben'"]
    {
        transfer::copy(&from, &to, users).await.unwrap();
        assert_eq!(transfer::content(&to, users).await.unwrap(), same);
        to.direct().execute(change, |_| ()).await.unwrap();
        let other = transfer::content(&to, users).await.unwrap();
        assert!(other != same && other.rows == same.rows, "{change}");
    }
}
