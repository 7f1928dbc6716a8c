//! What a PostgreSQL says of itself, for whoever looks whether it may be used. Nothing is changed, no schema is brought up to
//! date.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection, query_scalar};

use super::{Route, classify, migrate, postgres};
use crate::env::Clock;
use crate::storage::store::StoreError;

/// See the module.
#[derive(Debug)]
pub struct Facts {
    /// The server's version, as it writes it.
    pub version: String,
    /// The version of its schema. `None`: it has none yet.
    pub schema: Option<i64>,
    /// The version that this program makes of it.
    pub known: i64,
    /// It takes no rows: a standby, or one that was told so.
    pub reads_only: bool,
    /// How far its clock is ahead of this machine's, in milliseconds; that of the answer's way is not known better.
    pub clock_ahead_ms: i64,
    /// How long looking at its clock took.
    pub round_trip: Duration,
}

/// `on` for a server that takes no rows. Of a transaction it could not be asked: this one only reads.
const TAKES_NO_ROWS: &str =
    "SELECT CASE WHEN pg_is_in_recovery() THEN 'on' ELSE current_setting('default_transaction_read_only') END";

/// Looks at the server at `url`; `pooler` as in `[store]`.
///
/// # Errors
/// As [`super::Connections::open`].
pub async fn facts(url: &str, pooler: bool, clock: &dyn Clock) -> Result<Facts, StoreError> {
    let route = Route::of(pooler);
    let mut connection = postgres::connect(url, route).await?;
    let mut snapshot = connection.begin_with(route.begin_reading()).await.map_err(classify)?;
    let facts = read(&mut snapshot, clock).await.map_err(classify);
    snapshot.rollback().await.map_err(classify)?;
    connection.close().await.map_err(classify)?;
    facts
}

async fn read(connection: &mut PgConnection, clock: &dyn Clock) -> Result<Facts, sqlx::Error> {
    let version =
        query_scalar("SELECT current_setting('server_version')").persistent(false).fetch_one(&mut *connection).await?;
    let has_schema: bool = query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .persistent(false)
        .fetch_one(&mut *connection)
        .await?;
    let schema = match has_schema {
        true => {
            query_scalar("SELECT max(version) FROM _sqlx_migrations")
                .persistent(false)
                .fetch_one(&mut *connection)
                .await?
        }
        false => None,
    };
    let reads_only: String = query_scalar(TAKES_NO_ROWS).persistent(false).fetch_one(&mut *connection).await?;
    let (begun, before) = (tokio::time::Instant::now(), clock.now());
    let there: i64 = query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8")
        .persistent(false)
        .fetch_one(connection)
        .await?;
    let round_trip = begun.elapsed();
    let here = before.as_i64() + i64::try_from(round_trip.as_millis() / 2).unwrap_or(0);
    Ok(Facts {
        version,
        schema,
        known: migrate::newest_of_postgres(),
        reads_only: reads_only != "off",
        clock_ahead_ms: there - here,
        round_trip,
    })
}
