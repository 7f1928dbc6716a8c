//! What a failure of a database means for the caller.

use sqlx::postgres::PgDatabaseError;

use crate::storage::store::StoreError;

/// Primary result codes of SQLite (sqlite.org/rescode.html) that trying again may cure.
const TRANSIENT_CODES: [i32; 11] = [
    5,  // BUSY
    6,  // LOCKED
    7,  // NOMEM
    8,  // READONLY: the disk was remounted, the file's owner changed
    9,  // INTERRUPT
    10, // IOERR
    13, // FULL
    14, // CANTOPEN: out of files
    15, // PROTOCOL: a locking race
    17, // SCHEMA: changed under a statement
    22, // NOLFS
];

/// Classes of PostgreSQL's SQLSTATE that trying again may cure.
const TRANSIENT_CLASSES: [&str; 8] = [
    "08", // connection
    "25", // read-only: a standby that takes over
    "28", // the password is being changed
    "40", // serialization, deadlock
    "53", // resources: disk full, too many connections
    "55", // a lock that is not to be had in time
    "57", // operator: shutdown, crash, start
    "58", // I/O of the server
];

/// What PostgreSQL says of a prepared statement that it does not know, that it has under this name already, or whose plan does
/// not fit any more. The last is its word for other things as well.
pub(super) const UNKNOWN_STATEMENT: [&str; 3] = ["26000", "42P05", "0A000"];

/// Sorts an error of sqlx into the errors of the contract. Never carries values of rows, nor a password.
pub(in crate::storage) fn classify(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(db) if db.try_downcast_ref::<PgDatabaseError>().is_some() => {
            let code = db.code().unwrap_or_default();
            let text = format!("postgres {code}: {}", db.message());
            let is_unknown = UNKNOWN_STATEMENT.contains(&&*code) && (code != "0A000" || text.contains("cached plan"));
            if is_unknown || TRANSIENT_CLASSES.iter().any(|class| code.starts_with(class)) {
                StoreError::Unavailable(text)
            } else {
                StoreError::Damaged(text)
            }
        }
        sqlx::Error::Database(db) => {
            let code: i32 = db.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            let text = format!("sqlite {code}: {}", db.message());
            if TRANSIENT_CODES.contains(&(code & 0xff)) {
                StoreError::Unavailable(text)
            } else {
                StoreError::Damaged(text)
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::InvalidSavePointStatement
        | sqlx::Error::BeginFailed => StoreError::Unavailable(error.to_string()),
        other => StoreError::Damaged(other.to_string()),
    }
}

/// A value in a row that no program of ours has written.
pub(in crate::storage) fn damaged(what: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what}: {why}"))
}
