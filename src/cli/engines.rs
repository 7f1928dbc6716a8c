//! Which engines a process works with and where that was said: for the banner, and for errors about one of them.

use crate::config::{Database, Loaded};
use crate::server::StartError;
use crate::storage::store::StoreError;

use super::Refused;

/// What keeps the journal and the rows, in a few words.
pub(super) fn in_use(loaded: &Loaded) -> String {
    let data = loaded.config.data.dir.display();
    let rows = match (loaded.config.database(), loaded.origins.get("store.database_url")) {
        (rows @ Database::Postgres(_), Some(origin)) => Some(format!("rows are in PostgreSQL, {rows:?} ({origin})")),
        (Database::Sqlite(file), Some(origin)) => Some(format!("rows are in SQLite, {} ({origin})", file.display())),
        _ => None,
    };
    let brokers = loaded.config.journal.kafka_brokers.as_ref();
    let journal = brokers.zip(loaded.origins.get("journal.kafka_brokers"));
    let journal = journal.map(|(brokers, origin)| format!("the journal is in Kafka, {brokers} ({origin})"));
    let kept = match (journal, rows) {
        (None, None) => format!("{data}, journal and rows (SQLite)"),
        (None, Some(rows)) => format!("{data}, the journal; {rows}"),
        (Some(journal), None) => format!("{data}, rows (SQLite); {journal}"),
        (Some(journal), Some(rows)) => format!("{data}, uploads; {rows}; {journal}"),
    };
    match (&loaded.config.redis.url, loaded.origins.get("redis.url")) {
        (Some(url), Some(origin)) => format!("{kept}; hints are in Redis, {} ({origin})", url.places()),
        _ => kept,
    }
}

/// Why a start failed, with where the address of the engine was said if it is about one.
pub(super) fn start_error(error: StartError, loaded: &Loaded) -> anyhow::Error {
    match error {
        StartError::Store(error) => store_error(error, loaded),
        StartError::Journal { .. } => about(&error.to_string(), loaded.about_brokers(), error.is_refusal()),
        StartError::Redis(_) => about(&error.to_string(), loaded.about_redis(), error.is_refusal()),
        error if error.is_refusal() => Refused(error.to_string()).into(),
        error => error.into(),
    }
}

/// The same of the database alone.
pub(super) fn store_error(error: StoreError, loaded: &Loaded) -> anyhow::Error {
    about(&error.to_string(), loaded.about_database(), matches!(error, StoreError::Incompatible(_)))
}

fn about(error: &str, engine: String, is_refusal: bool) -> anyhow::Error {
    let text = if engine.is_empty() { error.to_owned() } else { format!("{error}\n{engine}") };
    if is_refusal { Refused(text).into() } else { anyhow::Error::msg(text) }
}
