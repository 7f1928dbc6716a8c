//! A PostgreSQL with a million messages, and what there is to see in its plans.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::Postgres;
use crate::config::Database;
use crate::storage::sql::postgres;

/// See the module.
pub(crate) struct Million {
    connection: PgConnection,
    _postgres: Postgres,
}

impl Million {
    /// Makes one, in some twenty seconds and less than a gigabyte.
    pub(crate) async fn fill() -> Self {
        let postgres = Postgres::start().await;
        let Database::Postgres(url) = postgres.fresh().await else { panic!("not PostgreSQL") };
        let mut million = Self { connection: PgConnection::connect(&url).await.unwrap(), _postgres: postgres };
        million.run(include_str!("million.sql")).await;
        million.run("VACUUM ANALYZE").await;
        // Otherwise the first plans of a statement would be made for the values that it is given.
        million.run("SET plan_cache_mode = force_generic_plan").await;
        million
    }

    pub(crate) async fn run(&mut self, text: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut self.connection).await;
        done.unwrap_or_else(|why| panic!("{why}\n{text}"));
    }

    /// How many rows a question has.
    pub(crate) async fn count(&mut self, question: &str) -> usize {
        let rows = sqlx::raw_sql(AssertSqlSafe(question)).fetch_all(&mut self.connection).await;
        rows.unwrap_or_else(|why| panic!("{why}\n{question}")).len()
    }

    /// The plan of a question.
    pub(crate) async fn explain(&mut self, question: &str) -> Value {
        let text = format!("EXPLAIN (FORMAT JSON) {question}");
        let row = sqlx::raw_sql(AssertSqlSafe(text)).fetch_one(&mut self.connection).await;
        let row = row.unwrap_or_else(|why| panic!("{why}\n{question}"));
        serde_json::from_str(row.try_get_unchecked(0).unwrap()).unwrap()
    }

    /// The plan of a statement of the program, made for all values. `types` are those of its parameters, as far as
    /// PostgreSQL can't tell them from the statement.
    pub(crate) async fn plan(&mut self, text: &str, types: &[&str]) -> Value {
        let text = postgres::text(AssertSqlSafe(text.to_owned()));
        let text = text.as_str();
        let parameters = text.matches('$').count();
        let list = |of: &[&str]| if of.is_empty() { String::new() } else { format!("({})", of.join(", ")) };
        self.run(&format!("PREPARE looked_at {} AS {text}", list(types))).await;
        let plan = self.explain(&format!("EXECUTE looked_at {}", list(&vec!["NULL"; parameters]))).await;
        self.run("DEALLOCATE looked_at").await;
        plan
    }
}

/// What a plan does.
#[derive(Default, Debug)]
pub(crate) struct Steps {
    /// Steps that read all of a table or of an index and are not ended by a limit: what they do and what they read.
    pub(crate) whole: Vec<String>,
    /// Tables whose rows are sorted.
    pub(crate) sorted: Vec<String>,
    /// The indexes that are read.
    pub(crate) indexes: Vec<String>,
}

impl Steps {
    pub(crate) fn of(plan: &Value) -> Self {
        let mut steps = Self::default();
        steps.look(&plan[0]["Plan"], false, false);
        steps
    }

    fn look(&mut self, node: &Value, limited: bool, sorted: bool) {
        let text = |key: &str| node[key].as_str();
        let kind = text("Node Type").unwrap_or_default();
        let (table, index) = (text("Relation Name"), text("Index Name"));
        self.indexes.extend(index.map(str::to_owned));
        if sorted {
            self.sorted.extend(table.map(str::to_owned));
        }
        if kind == "Seq Scan" || (index.is_some() && !limited && node["Index Cond"].is_null()) {
            self.whole.push([kind, index.or(table).unwrap_or_default()].join(" "));
        }
        let sorts = kind.ends_with("Sort");
        // What sorts, groups or hashes reads to the end, whatever stands above it.
        let limited = (limited || kind == "Limit") && !sorts && !matches!(kind, "Aggregate" | "Group" | "Hash");
        for child in node["Plans"].as_array().into_iter().flatten() {
            self.look(child, limited, sorted || sorts);
        }
    }
}
