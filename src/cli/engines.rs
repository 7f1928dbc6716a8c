//! Which engines a process works with and where that was said: for the banner, and for errors about one of them.

use kervan::config::{Database, Loaded};
use kervan::server::StartError;
use kervan::storage::store::StoreError;

use super::Refused;

/// What keeps the journal and the rows, in a few words.
pub(super) fn in_use(loaded: &Loaded) -> String {
    let data = loaded.config.data.dir.display();
    match (loaded.config.database(), loaded.origins.get("store.database_url")) {
        (rows @ Database::Postgres(_), Some(origin)) => {
            format!("{data}, the journal; rows are in PostgreSQL, {rows:?} ({origin})")
        }
        (Database::Sqlite(file), Some(origin)) => {
            format!("{data}, the journal; rows are in SQLite, {} ({origin})", file.display())
        }
        _ => format!("{data}, journal and rows (SQLite)"),
    }
}

/// Why a start failed, with where the address of the database was said if that is what it is about.
pub(super) fn start_error(error: StartError, loaded: &Loaded) -> anyhow::Error {
    match error {
        StartError::Store(error) => store_error(error, loaded),
        error if error.is_refusal() => Refused(error.to_string()).into(),
        error => error.into(),
    }
}

/// The same of the database alone.
pub(super) fn store_error(error: StoreError, loaded: &Loaded) -> anyhow::Error {
    let refused = matches!(error, StoreError::Incompatible(_));
    let text = match loaded.about_database() {
        about if about.is_empty() => error.to_string(),
        about => format!("{error}\n{about}"),
    };
    if refused { Refused(text).into() } else { anyhow::Error::msg(text) }
}
