//! What `kervan doctor` says of a PostgreSQL and of its replica.

use crate::config::{Config, Database, Loaded};
use crate::env::SystemClock;
use crate::storage::sql::facts::{Facts, facts};
use crate::storage::store::StoreError;

use super::doctor::{Line, Verdict, line};

/// A clock that differs by more makes rows' times and the journal's contradict each other for whoever compares them.
const APART_MS: i64 = 1_000;

/// Lines for the servers that are configured, whether a server runs or not.
pub(super) fn lines(loaded: &Loaded) -> Vec<Line> {
    let Config { store, .. } = &loaded.config;
    let mut lines = Vec::new();
    if let Some(database @ Database::Postgres(url)) = &store.database_url {
        let about = loaded.about_database();
        lines.push(match ask(url, store.pooler) {
            Ok(facts) => primary(database, &facts),
            Err(error) => line("database", Verdict::Fail, format!("{error}; {about}")),
        });
    }
    if let Some(replica @ Database::Postgres(url)) = &store.replica_url {
        lines.push(match ask(url, store.pooler) {
            Ok(facts) => line("replica", Verdict::Ok, format!("{replica:?}, PostgreSQL {}", facts.version)),
            // The primary is asked in its place.
            Err(error) => line("replica", Verdict::Warn, format!("{error}; pages come from the database itself")),
        });
    }
    lines
}

fn ask(url: &str, pooler: bool) -> Result<Facts, StoreError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StoreError::Unavailable(error.to_string()))?;
    runtime.block_on(facts(url, pooler, &SystemClock::default()))
}

fn primary(database: &Database, facts: &Facts) -> Line {
    let schema = match facts.schema {
        None => "its schema will be made by the next start".to_owned(),
        Some(schema) if schema < facts.known => {
            format!("its schema {schema} will be brought to {} by the next start", facts.known)
        }
        Some(schema) => format!("schema {schema}"),
    };
    let ahead = facts.clock_ahead_ms;
    let clock = match ahead {
        0.. => format!("its clock is {ahead} ms ahead"),
        _ => format!("its clock is {} ms behind", -ahead),
    };
    let says =
        format!("{database:?}, PostgreSQL {}, {schema}, {clock}, answers in {:.1?}", facts.version, facts.round_trip);
    if facts.schema.is_some_and(|schema| schema > facts.known) {
        return line("database", Verdict::Fail, format!("{says}; a newer program made that schema"));
    }
    if facts.reads_only {
        return line(
            "database",
            Verdict::Fail,
            format!("{says}; it takes no rows: it is a standby, or set to read only"),
        );
    }
    let verdict = if ahead.abs() > APART_MS { Verdict::Warn } else { Verdict::Ok };
    line("database", verdict, says)
}
