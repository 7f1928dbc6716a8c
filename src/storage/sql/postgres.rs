//! The dialect of PostgreSQL: a server that others may use at the same time.
//!
//! Reads of one moment are `REPEATABLE READ, READ ONLY`; they never fail because of others. Writes are `READ COMMITTED`:
//! what must not happen twice at once is guarded by the rows themselves (a watermark's row) or stands in line by a lock
//! ([`STAND_IN_LINE`]).

use std::str::FromStr as _;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Arguments as _, AssertSqlSafe, Connection as _, SqlSafeStr, SqlStr};

use super::value::Value;
use super::{Binder, Route, classify};
use crate::config::Database;
use crate::limits;
use crate::storage::store::StoreError;

/// Until the transaction ends nobody else passes this with the same name. Where SQLite has one writer at a time, a decision
/// that rests on several rows of a user needs it.
pub(super) const STAND_IN_LINE: &str = "SELECT pg_advisory_xact_lock(hashtextextended(?, 0))";
/// `on` for a server that takes no rows: a standby, or one whose operator set it so.
pub(super) const READ_ONLY: &str = "SELECT current_setting('transaction_read_only')";

/// How the server at `url` is reached.
///
/// # Errors
/// The address is none. Its password is never part of the error.
pub(super) fn options(url: &str, route: Route) -> Result<PgConnectOptions, StoreError> {
    let parsed = PgConnectOptions::from_str(url);
    let parsed = parsed.map_err(|_| StoreError::Incompatible("not the address of a PostgreSQL server".to_owned()))?;
    let wait = format!("{}ms", limits::SQL_WAIT.as_millis());
    let parsed = match route {
        // See [`Route::begin_writing`].
        Route::Direct => parsed.options([("synchronous_commit", "on"), ("lock_timeout", wait.as_str())]),
        // The pooler would refuse them.
        Route::Pooled => parsed,
    };
    Ok(parsed.statement_cache_capacity(limits::SQL_STATEMENTS).application_name("kervan"))
}

/// Opens one connection, or says to which server it could not. Who knows where the address was said adds that.
pub(super) async fn connect(url: &str, route: Route) -> Result<PgConnection, StoreError> {
    let options = options(url, route)?;
    let place = || format!("{:?}", Database::Postgres(url.to_owned()));
    match tokio::time::timeout(limits::SQL_WAIT, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => match classify(error) {
            StoreError::Damaged(why) => Err(StoreError::Incompatible(format!("{}: {why}", place()))),
            other => Err(StoreError::Unavailable(format!("{}: {other}", place()))),
        },
        Err(_) => {
            Err(StoreError::Unavailable(format!("{}: no answer within {} s", place(), limits::SQL_WAIT.as_secs())))
        }
    }
}

/// At most so many connections, made when they are needed.
pub(super) fn pool(options: &PgConnectOptions, most: u32) -> PgPool {
    let pool = PgPoolOptions::new().min_connections(0).max_connections(most).acquire_timeout(limits::SQL_WAIT);
    pool.connect_lazy_with(options.clone())
}

/// A statement as PostgreSQL reads it: `$1`, `$2`, … for each `?`, and without the hint that only SQLite needs.
pub(super) fn text(text: impl SqlSafeStr) -> SqlStr {
    let text = text.into_sql_str();
    let (head, tail) = without_hint(text.as_str());
    let mut numbered = String::with_capacity(text.as_str().len() + text.as_str().len() / 4);
    let mut parameter = 0;
    for c in head.chars().chain(tail.chars()) {
        if c == '?' {
            parameter += 1;
            numbered.push('$');
            numbered.push_str(&parameter.to_string());
        } else {
            numbered.push(c);
        }
    }
    AssertSqlSafe(numbered).into_sql_str()
}

/// What stands before and behind the hint that only SQLite needs.
pub(super) fn without_hint(text: &str) -> (&str, &str) {
    match text.split_once(" INDEXED BY ") {
        Some((head, tail)) => (head, tail.find(' ').map_or("", |end| &tail[end..])),
        None => (text, ""),
    }
}

/// Values as PostgreSQL takes them.
pub(super) fn arguments(binder: Binder) -> Result<PgArguments, sqlx::Error> {
    let mut arguments = PgArguments::default();
    for value in binder.finish()? {
        match value {
            Value::Int(number) => arguments.add(number),
            Value::Flag(flag) => arguments.add(flag),
            Value::Text(text) => arguments.add(text),
            Value::Blob(bytes) => arguments.add(bytes),
            Value::Uuid(id) => arguments.add(id),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
