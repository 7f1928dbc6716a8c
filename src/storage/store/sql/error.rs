//! What a failure of SQLite means for the caller.

use crate::storage::store::StoreError;

/// Primary result codes (sqlite.org/rescode.html) that trying again may cure.
const TRANSIENT: [i32; 11] = [
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

/// Sorts an error of sqlx into the errors of the contract. Never carries values of rows.
pub(in crate::storage) fn classify(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(db) => {
            let code: i32 = db.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            let text = format!("sqlite {code}: {}", db.message());
            if TRANSIENT.contains(&(code & 0xff)) { StoreError::Unavailable(text) } else { StoreError::Damaged(text) }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => StoreError::Unavailable(error.to_string()),
        other => StoreError::Damaged(other.to_string()),
    }
}

/// A value in a row that no program of ours has written.
pub(super) fn damaged(what: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what}: {why}"))
}
