//! What `docs/report.md` says, for tests that hold it to the database, and questions to a database.

use serde_json::Value;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection, query_scalar};

use crate::config::Database;

const PAGE: &str = include_str!("../../../../docs/report.md");

/// Its statements.
pub(crate) fn sql_blocks() -> impl Iterator<Item = &'static str> {
    PAGE.split("```sql\n").skip(1).map(|rest| rest.split_once("```").unwrap().0)
}

/// The columns that it lists: (view, column, type).
pub(crate) fn columns() -> impl Iterator<Item = (String, String, String)> {
    let views = PAGE.split("\n## report.").skip(1);
    views.flat_map(|section| {
        let (view, rest) = section.split_once('\n').unwrap();
        let table = rest.lines().filter(|line| line.starts_with("| `"));
        table.map(move |line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            (view.to_owned(), cells[1].trim_matches('`').to_owned(), cells[2].to_owned())
        })
    })
}

/// A connection to a database, as this user.
pub(crate) async fn connect(database: &Database, user: &str) -> PgConnection {
    let Database::Postgres(url) = database else { panic!("{database:?} is on no server") };
    let options: PgConnectOptions = url.parse().unwrap();
    options.username(user).options([("timezone", "UTC")]).connect().await.unwrap()
}

/// The rows of a question, as JSON.
pub(crate) async fn rows(connection: &mut PgConnection, question: &str) -> Vec<Value> {
    let text = format!("SELECT row_to_json(q)::text FROM ({question}) AS q");
    let rows: Vec<String> = query_scalar(AssertSqlSafe(text)).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// The same, by a connection of its own.
pub(crate) async fn answer(database: &Database, question: &str) -> Vec<Value> {
    rows(&mut connect(database, "kervan").await, question).await
}
