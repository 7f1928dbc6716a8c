//! Looks at the plan of every statement: each finds its rows by an index, and none sorts.

mod postgres;

use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

use super::statements;
use crate::storage::sql::support::migrated_in_memory;
use crate::storage::{accounts, analytics, notifications, uploads};

/// The lines of a plan. Unbound parameters are NULL, which changes no plan.
async fn plan(conn: &mut SqliteConnection, text: &str) -> Vec<String> {
    let explain = format!("EXPLAIN QUERY PLAN {text}");
    let rows = sqlx::query(AssertSqlSafe(explain)).fetch_all(conn).await.unwrap_or_else(|why| panic!("{why}\n{text}"));
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

/// Indexes that hold nothing but what is looked for: they are read as a whole.
const WHOLE: [&str; 2] = ["USING INDEX users_banned", "USING INDEX users_tokens_from"];

/// Every single statement of all rows.
fn every_statement<'a>() -> impl Iterator<Item = &'a str> {
    let notified = [
        &notifications::SQL[..],
        &notifications::outbox::SQL,
        &notifications::facts::SQL,
        &notifications::devices::SQL,
    ];
    let all = [statements::ALL, &accounts::SQL, &uploads::SQL, &analytics::SQL].into_iter().chain(notified);
    all.flatten().copied()
}

/// What a plan line must not say. The list of a bulk update (`v`) is scanned: it is what is given. So are the bounded list of
/// what is unread, and the emoji that were found on a message.
fn is_bad(line: &str) -> bool {
    let scans = line.starts_with("SCAN")
        && line != "SCAN v"
        && line != "SCAN unread"
        && line != "SCAN found"
        && !line.contains("CONSTANT ROW")
        && !line.contains("VALUES CLAUSE")
        && !WHOLE.iter().any(|index| line.ends_with(index));
    scans || line.contains("TEMP B-TREE") || line.contains("AUTOMATIC")
}

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index_and_sorts_nothing() {
    let mut conn = migrated_in_memory().await;
    let bulks = [statements::Bulks::new().texts(), notifications::devices::texts()].concat();
    for text in every_statement().chain(bulks.iter().map(|text| text.as_ref())) {
        let plan = plan(&mut conn, text).await;
        // The watermarks are the one table that is read as a whole, in the order of its key.
        let whole = text == statements::WATERMARKS && plan == ["SCAN watermarks"];
        assert!(whole || !plan.iter().any(|line| is_bad(line)), "{plan:#?}\n{text}");
    }
}

#[tokio::test]
async fn counting_the_invitations_of_a_user_reads_no_row() {
    let mut conn = migrated_in_memory().await;
    let plan = plan(&mut conn, statements::INVITATIONS_OUT).await;
    assert!(plan.iter().any(|line| line.contains("COVERING INDEX members_invited_by")), "{plan:#?}");
}

#[tokio::test]
async fn the_check_of_plans_sees_a_scan_and_a_sort() {
    let mut conn = migrated_in_memory().await;
    for text in [
        "SELECT body FROM messages WHERE sender = ?",
        "SELECT uuid FROM chats WHERE uuid > ? ORDER BY title",
        "SELECT a.uuid FROM chats AS a JOIN messages AS b ON b.uuid = a.uuid WHERE a.uuid = ?",
    ] {
        let plan = plan(&mut conn, text).await;
        assert!(plan.iter().any(|line| is_bad(line)), "{plan:#?}\n{text}");
    }
}

/// An index costs a write for each row: each one must serve a statement (or a uniqueness that accounts rely on).
#[tokio::test]
async fn every_index_is_used_by_a_statement() {
    let mut conn = migrated_in_memory().await;
    let mut plans = String::new();
    let bulks = [statements::Bulks::new().texts(), notifications::devices::texts()].concat();
    for text in every_statement().chain(bulks.iter().map(|text| text.as_ref())) {
        plans.push_str(&plan(&mut conn, text).await.join("\n"));
        plans.push('\n');
    }
    let names = sqlx::query(
        "SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND sql NOT LIKE '% UNIQUE %'",
    );
    let names = names.fetch_all(&mut conn).await.unwrap();
    assert!(!names.is_empty());
    for name in names.iter().map(|row| row.get::<String, _>(0)) {
        assert!(plans.contains(&name), "no statement uses the index {name}\n{plans}");
    }
}
