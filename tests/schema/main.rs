//! The schema in both dialects, on an SQLite file and on a real PostgreSQL that the test starts and stops: the migrations
//! apply, and both have the same tables, columns, keys and indexes.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod catalog;
#[path = "../../src/storage/sql/support/server.rs"]
mod server;

use kervan::config::Database;
use kervan::storage::sql::migrate::migrate;
use kervan::storage::store::StoreError;
use server::Server;
use sqlx::{Connection as _, PgConnection, Row as _, SqliteConnection};

fn database(server: &Server) -> Database {
    Database::Postgres(server.url.clone())
}

async fn sqlite() -> (tempfile::TempDir, SqliteConnection) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let database = Database::Sqlite(path.clone());
    let versions = (migrate(&database).await.unwrap(), migrate(&database).await.unwrap());
    assert_eq!(versions.0, versions.1, "applied once, and the second time nothing");
    (folder, SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap())
}

#[tokio::test]
async fn both_dialects_have_the_same_tables_columns_keys_and_indexes() {
    let server = Server::start();
    let version = migrate(&database(&server)).await.unwrap();
    assert_eq!(migrate(&database(&server)).await.unwrap(), version, "the second time nothing is left to do");
    let (_folder, mut lite) = sqlite().await;
    let mut post = PgConnection::connect(&server.url).await.unwrap();
    let (lite, mut post) = (catalog::sqlite(&mut lite).await, catalog::postgres(&mut post).await);
    assert!(lite.contains_key("room_events") && lite.contains_key("notifications"), "{lite:?}");
    assert_eq!(lite.keys().collect::<Vec<_>>(), post.keys().collect::<Vec<_>>());
    let views = include_str!("../../migrations/postgres/0010_report.sql");
    for (table, lite) in lite {
        // Indexes for those who query the views, which SQLite has not.
        let mut post = post.remove(&table).unwrap();
        post.indexes.retain(|name, _| !views.contains(&format!("INDEX {name} ")));
        assert_eq!(lite, post, "table {table}");
    }
}

/// What the issue names, so that a renamed column does not go unnoticed because both dialects have it.
#[tokio::test]
async fn the_names_that_others_rely_on_are_there() {
    let (_folder, mut lite) = sqlite().await;
    let catalog = catalog::sqlite(&mut lite).await;
    for (table, columns) in [
        (
            "users",
            "username email password_hash first_name last_name avatar_url push_token notification_preferences \
             last_activity_at created_at updated_at",
        ),
        (
            "chats",
            "uuid user1 user2 created_at expires_at status ended_by_user1 ended_by_user2 last_message_at kind title \
             head_seq applied_offset generation",
        ),
        ("members", "chat user_id"),
        (
            "messages",
            "uuid chat seq message_no sender client_message_id body message_type status metadata created_at edited deleted",
        ),
        ("room_events", "chat seq kind"),
        ("user_events", "user_id seq kind"),
        ("analytics_events", "uuid"),
        ("notifications", "type title message data is_read"),
    ] {
        for column in columns.split_whitespace() {
            assert!(catalog[table].columns.iter().any(|c| c.name == column), "{table}.{column}");
        }
    }
}

#[tokio::test]
async fn a_new_postgresql_has_a_watermark_for_each_partition_and_keeps_large_numbers() {
    let server = Server::start();
    migrate(&database(&server)).await.unwrap();
    let mut post = PgConnection::connect(&server.url).await.unwrap();
    let row = sqlx::query("SELECT count(*), min(partition), max(partition), max(next_offset) FROM watermarks");
    let row = row.fetch_one(&mut post).await.unwrap();
    let found: (i64, i16, i16, i64) = (row.get(0), row.get(1), row.get(2), row.get(3));
    assert_eq!(found, (256, 0, 255, 0));
    let moved = "UPDATE watermarks SET next_offset = 9223372036854775807, log_hash = -1 WHERE partition = 7 AND next_offset = 0";
    assert_eq!(sqlx::query(moved).execute(&mut post).await.unwrap().rows_affected(), 1);
    assert_eq!(sqlx::query(moved).execute(&mut post).await.unwrap().rows_affected(), 0, "the guard of I6");
}

#[tokio::test]
async fn a_newer_schema_in_postgresql_is_refused_and_says_so() {
    let server = Server::start();
    migrate(&database(&server)).await.unwrap();
    let mut post = PgConnection::connect(&server.url).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (999, 'from the future', true, '', 0)";
    sqlx::query(newer).execute(&mut post).await.unwrap();
    let error = migrate(&database(&server)).await.unwrap_err();
    assert!(matches!(&error, StoreError::Incompatible(why) if why.contains("999")), "{error}");
}

#[tokio::test]
async fn a_postgresql_that_does_not_answer_is_unavailable_and_the_password_stays_secret() {
    // A port that was just given back: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error =
        migrate(&Database::Postgres(format!("postgres://kervan:hunter2@127.0.0.1:{port}/kervan"))).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    let place = format!("***@127.0.0.1:{port}/kervan");
    assert!(error.to_string().contains(&place) && !error.to_string().contains("hunter2"), "{error}");
}
