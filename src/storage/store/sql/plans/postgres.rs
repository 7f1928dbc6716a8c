//! The same statements on a PostgreSQL with a million messages, and the questions of `docs/report.md`.

use super::{every_statement, statements};
use crate::storage::sql::support::million::{Million, Steps};
use crate::storage::sql::support::report;

/// What is read as a whole, because it is little; and indexes that hold nothing but what is looked for. The outbox of
/// notifications is bounded (`limits::NOTIFY_WAITING`, `limits::NOTIFY_DEAD`) and empty here: SQLite's plans show its indexes.
const LITTLE: [&str; 6] = [
    "Seq Scan meta",
    "Seq Scan watermarks",
    "Seq Scan notification_cursors",
    "Seq Scan notification_outbox",
    "Bitmap Index Scan users_banned",
    "Bitmap Index Scan users_tokens_from",
];
/// Likewise sorted: 256 rows, and the outbox.
const SORTED: [&str; 3] = ["watermarks", "notification_cursors", "notification_outbox"];

/// Statements of which PostgreSQL can't tell the types of all parameters: the program gives them with the values.
fn types(text: &str) -> Vec<&'static str> {
    if text == statements::INVITATIONS {
        return vec!["text", "uuid", "uuid", "text", "text", "bigint"];
    }
    let Some((names, rest)) = text.strip_prefix("WITH v(").and_then(|rest| rest.split_once(')')) else {
        return Vec::new();
    };
    let row: Vec<_> = names
        .split(", ")
        .map(|name| match name {
            "c" => "uuid",
            "u" => "text",
            _ => "bigint",
        })
        .collect();
    let parameters = rest.matches('?').count();
    row.iter().copied().cycle().take(parameters).collect()
}

/// What is wrong with the plan of a statement. The list that it is given may be sorted.
fn faults(steps: &Steps) -> Vec<String> {
    let whole = steps.whole.iter().filter(|step| !LITTLE.contains(&step.as_str()));
    let sorted = steps.sorted.iter().filter(|table| !SORTED.contains(&table.as_str()));
    whole.cloned().chain(sorted.map(|table| format!("sorts {table}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_a_million_messages_postgresql_finds_every_row_by_an_index() {
    let mut million = Million::fill().await;
    the_check_sees_a_scan_and_a_sort(&mut million).await;
    let mut bad = Vec::new();
    let bulks = statements::Bulks::new().texts();
    for text in every_statement().chain(bulks.iter().map(|text| text.as_ref())) {
        let steps = Steps::of(&million.plan(text, &types(text)).await);
        if !faults(&steps).is_empty() {
            bad.push(format!("{:?}\n{text}", faults(&steps)));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n\n"));
    the_questions_of_the_page_have_answers_and_find_them_by_an_index(&mut million).await;
}

async fn the_check_sees_a_scan_and_a_sort(million: &mut Million) {
    for text in [
        "SELECT body FROM messages WHERE message_no = ?",
        "SELECT seq FROM messages WHERE chat = ? ORDER BY created_at",
        "SELECT COUNT(chat) FROM reactions GROUP BY chat LIMIT 5",
    ] {
        let steps = Steps::of(&million.plan(text, &[]).await);
        assert!(!faults(&steps).is_empty(), "{steps:?}\n{text}");
    }
}

async fn the_questions_of_the_page_have_answers_and_find_them_by_an_index(million: &mut Million) {
    million.run("SET ROLE kervan_report").await;
    let mut used = Vec::new();
    for question in report::sql_blocks().filter(|block| block.contains("\nSELECT ")) {
        let steps = Steps::of(&million.explain(question).await);
        // The messages of a stretch of time are of so many chats that PostgreSQL may go through all of those: one row each.
        let whole =
            steps.whole.iter().filter(|step| !["Seq Scan chats", "Index Scan chats_pkey"].contains(&step.as_str()));
        assert_eq!(whole.count(), 0, "{steps:?}\n{question}");
        assert!(million.count(question).await > 0, "no rows\n{question}");
        used.extend(steps.indexes);
    }
    let migration = include_str!("../../../../../migrations/postgres/0010_report.sql");
    let made = migration.split("\nCREATE INDEX ").skip(1).map(|rest| rest.split(' ').next().unwrap());
    let unused: Vec<_> = made.filter(|name| !used.iter().any(|index| index == name)).collect();
    assert!(unused.is_empty(), "no question of the page needs {unused:?}");
}
