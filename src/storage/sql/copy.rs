//! What a copy of a database says of itself: a dump that was restored somewhere, a file that was copied. It is only read: a copy whose
//! schema is an older program's stays as it is.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, PgConnection, SqliteConnection, query_as, query_scalar};

use super::{Route, classify, damaged, migrate, postgres};
use crate::config::Database;
use crate::ids::{Offset, Partition, Timestamp};
use crate::limits;
use crate::storage::store::StoreError;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DatabaseCopy {
    /// The version of its schema. `None`: it has none of this program's.
    pub schema: Option<i64>,
    /// The highest version that this program knows.
    pub known: i64,
    /// The journal that its rows are made from, as it says.
    pub journal: Option<String>,
    /// By partition number. Empty if the schema is not known.
    pub watermarks: Vec<CopiedWatermark>,
}

/// How far a copy has a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopiedWatermark {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is not in it.
    pub next_offset: Offset,
    /// Highest append time below.
    pub fold_time: Timestamp,
    /// Digest of the last record below, if the copy says it.
    pub(crate) last_record: Option<u64>,
}

const SCHEMA: &str = "SELECT max(version) FROM _sqlx_migrations";
const JOURNAL: &str = "SELECT value FROM meta WHERE key = 'journal'";
const WATERMARKS: &str =
    "SELECT CAST(partition AS BIGINT), next_offset, fold_time, last_record FROM watermarks ORDER BY partition";
/// The same of a schema before [`LAST_RECORD`].
const OLDER_WATERMARKS: &str = "SELECT CAST(partition AS BIGINT), next_offset, fold_time, CAST(NULL AS BIGINT) FROM watermarks \
     ORDER BY partition";
/// The version of the schema from which on rows say which record they end with.
const LAST_RECORD: i64 = 12;

/// A moment of the copy, by a connection of either kind: prepared statements are not kept, as poolers don't bear them.
macro_rules! read {
    ($connection:expr, $has_schema:literal, $known:expr) => {{
        let connection = $connection;
        let (known, none) = ($known, Vec::new());
        let found: i64 =
            query_scalar($has_schema).persistent(false).fetch_one(&mut *connection).await.map_err(classify)?;
        let schema: Option<i64> = match found {
            0 => None,
            _ => query_scalar(SCHEMA).persistent(false).fetch_one(&mut *connection).await.map_err(classify)?,
        };
        if schema.is_none_or(|schema| schema > known) {
            return Ok(DatabaseCopy { schema, known, journal: None, watermarks: none });
        }
        let journal: Option<String> =
            query_scalar(JOURNAL).persistent(false).fetch_optional(&mut *connection).await.map_err(classify)?;
        let text = if schema >= Some(LAST_RECORD) { WATERMARKS } else { OLDER_WATERMARKS };
        let rows: Vec<(i64, i64, i64, Option<i64>)> =
            query_as(text).persistent(false).fetch_all(&mut *connection).await.map_err(classify)?;
        Ok(DatabaseCopy {
            schema,
            known,
            journal,
            watermarks: rows.into_iter().map(watermark).collect::<Result<_, _>>()?,
        })
    }};
}

/// Looks at the copy in `database`; `pooler` as in `[store]`.
///
/// # Errors
/// It does not answer, or there is none.
pub async fn look(database: &Database, pooler: bool) -> Result<DatabaseCopy, StoreError> {
    match database {
        Database::Postgres(url) => {
            let route = Route::of(pooler);
            let mut connection = postgres::connect(url, route).await?;
            let mut snapshot = connection.begin_with(route.begin_reading()).await.map_err(classify)?;
            let copy = of_postgres(&mut snapshot).await?;
            snapshot.rollback().await.map_err(classify)?;
            connection.close().await.map_err(classify)?;
            Ok(copy)
        }
        Database::Sqlite(path) => {
            // Whatever the mode of its log is: to change it would be to write.
            let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(limits::SQL_WAIT);
            let absent = |error| StoreError::Unavailable(format!("{}: {error}", path.display()));
            let mut connection = SqliteConnection::connect_with(&options).await.map_err(absent)?;
            let mut snapshot = connection.begin().await.map_err(classify)?;
            let copy = of_sqlite(&mut snapshot).await?;
            snapshot.rollback().await.map_err(classify)?;
            connection.close().await.map_err(classify)?;
            Ok(copy)
        }
    }
}

async fn of_postgres(connection: &mut PgConnection) -> Result<DatabaseCopy, StoreError> {
    read!(
        connection,
        "SELECT CASE WHEN to_regclass('_sqlx_migrations') IS NULL THEN 0::int8 ELSE 1::int8 END",
        migrate::newest_of_postgres()
    )
}

async fn of_sqlite(connection: &mut SqliteConnection) -> Result<DatabaseCopy, StoreError> {
    read!(connection, "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'", migrate::newest_of_sqlite())
}

fn watermark((partition, next, time, last): (i64, i64, i64, Option<i64>)) -> Result<CopiedWatermark, StoreError> {
    let number = |n: i64| u64::try_from(n).map_err(|_| damaged("watermarks", n));
    let partition = u16::try_from(partition).ok().and_then(Partition::new);
    Ok(CopiedWatermark {
        partition: partition.ok_or_else(|| damaged("watermarks", "a partition that there is not"))?,
        next_offset: Offset(number(next)?),
        fold_time: Timestamp(number(time)?),
        last_record: last.map(i64::cast_unsigned),
    })
}
