//! Statements over one connection.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Postgres, SqlSafeStr, Sqlite, SqliteConnection};

use super::columns::{Columns, Row};
use super::error::UNKNOWN_STATEMENT;
use super::{Binder, Bulk, Route, arrays, classify, postgres, sqlite};
use crate::limits;
use crate::storage::store::StoreError;

type Result<T> = std::result::Result<T, StoreError>;

/// A connection in use.
pub(in crate::storage) enum Session<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection, Route),
}

/// A row that must be unique stands there already: what the database says of it, which names the index or its columns.
pub(in crate::storage) struct Taken(String);

impl Taken {
    /// Whether it is this column of this table whose value is taken. Its index is called `table_column`.
    pub(in crate::storage) fn is(&self, table: &str, column: &str) -> bool {
        self.0.contains(&format!("{table}.{column}")) || self.0.contains(&format!("{table}_{column}"))
    }
}

fn bound(bind: impl FnOnce(&mut Binder)) -> Binder {
    let mut binder = Binder::default();
    bind(&mut binder);
    binder
}

/// After an error that says that the server does not know the statements which this connection has prepared, or that they are
/// not any more what they were (another server behind the same address, another schema), they are forgotten: whoever tries
/// again prepares them anew.
async fn known<T>(
    conn: &mut PgConnection,
    done: std::result::Result<T, sqlx::Error>,
) -> std::result::Result<T, sqlx::Error> {
    if let Err(sqlx::Error::Database(error)) = &done
        && error.code().is_some_and(|code| UNKNOWN_STATEMENT.contains(&&*code))
    {
        conn.clear_cached_statements().await?;
    }
    done
}

impl Session<'_> {
    pub(super) async fn run(&mut self, text: impl SqlSafeStr, binder: Binder) -> std::result::Result<u64, sqlx::Error> {
        match self {
            Self::Sqlite(conn) => {
                let done = sqlx::query_with(text, sqlite::arguments(binder)?).execute(&mut **conn).await?;
                Ok(done.rows_affected())
            }
            Self::Postgres(conn, route) => {
                let query = sqlx::query_with(postgres::text(text), postgres::arguments(binder)?);
                let done = query.persistent(route.keeps_statements()).execute(&mut **conn).await;
                Ok(known(conn, done).await?.rows_affected())
            }
        }
    }

    /// Runs a statement. Returns the number of rows that it changed.
    pub(in crate::storage) async fn execute(
        &mut self,
        text: &'static str,
        bind: impl FnOnce(&mut Binder),
    ) -> Result<u64> {
        self.run(text, bound(bind)).await.map_err(classify)
    }

    /// The same for a statement that a uniqueness may refuse.
    pub(in crate::storage) async fn execute_unique(
        &mut self,
        text: &'static str,
        bind: impl FnOnce(&mut Binder),
    ) -> Result<std::result::Result<u64, Taken>> {
        match self.run(text, bound(bind)).await {
            Ok(changed) => Ok(Ok(changed)),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Ok(Err(Taken(error.constraint().map_or_else(|| error.message().to_owned(), str::to_owned))))
            }
            Err(error) => Err(classify(error)),
        }
    }

    /// Runs a bulk statement over `rows`. Returns the number of rows that it changed.
    pub(in crate::storage) async fn bulk<T>(
        &mut self,
        bulk: &Bulk,
        rows: Vec<T>,
        mut bind: impl FnMut(&mut Binder, T),
    ) -> Result<u64> {
        let mut changed = 0;
        if let Self::Postgres(conn, route) = self {
            let mut rows = rows.into_iter();
            while rows.len() > 0 {
                let binder =
                    bound(|binder| rows.by_ref().take(limits::SQL_BULK_ROWS).for_each(|row| bind(binder, row)));
                let (kinds, arguments) = arrays::arrays(binder, bulk.columns()).map_err(classify)?;
                let query = sqlx::query_with(AssertSqlSafe(bulk.of_arrays(&kinds)), arguments);
                let done = query.persistent(route.keeps_statements()).execute(&mut **conn).await;
                changed += known(conn, done).await.map_err(classify)?.rows_affected();
            }
            return Ok(changed);
        }
        let pieces = bulk.pieces(rows.len());
        let mut rows = rows.into_iter();
        for (text, size) in pieces {
            let binder = bound(|binder| rows.by_ref().take(size).for_each(|row| bind(binder, row)));
            changed += self.run(AssertSqlSafe(text), binder).await.map_err(classify)?;
        }
        Ok(changed)
    }

    /// Runs a statement and reads each row with `read`.
    pub(in crate::storage) async fn list<T>(
        &mut self,
        text: &'static str,
        bind: impl FnOnce(&mut Binder),
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.fetch(text, bound(bind), read).await
    }

    /// Runs a bulk statement about `rows` and reads each row that it finds with `read`.
    pub(in crate::storage) async fn bulk_list<K, T>(
        &mut self,
        bulk: &Bulk,
        rows: &[K],
        bind: impl Fn(&mut Binder, &K),
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        if let Self::Postgres(conn, route) = self {
            for rows in rows.chunks(limits::SQL_BULK_ROWS) {
                let binder = bound(|binder| rows.iter().for_each(|row| bind(binder, row)));
                let (kinds, arguments) = arrays::arrays(binder, bulk.columns()).map_err(classify)?;
                let query = sqlx::query_with(AssertSqlSafe(bulk.of_arrays(&kinds)), arguments);
                let rows = query.persistent(route.keeps_statements()).fetch_all(&mut **conn).await;
                let rows = known(conn, rows).await.map_err(classify)?;
                let read = |row| read(&mut Columns::of(Row::Postgres(row)));
                found.append(&mut rows.iter().map(read).collect::<Result<Vec<T>>>()?);
            }
            return Ok(found);
        }
        let mut rest = rows;
        for (text, size) in bulk.pieces(rows.len()) {
            let (piece, behind) = rest.split_at(size);
            rest = behind;
            let binder = bound(|binder| piece.iter().for_each(|row| bind(binder, row)));
            found.append(&mut self.fetch(AssertSqlSafe(text), binder, &read).await?);
        }
        Ok(found)
    }

    async fn fetch<T>(
        &mut self,
        text: impl SqlSafeStr,
        binder: Binder,
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        match self {
            Self::Sqlite(conn) => {
                let query = sqlx::query_with(text, sqlite::arguments(binder).map_err(classify)?);
                let rows = query.fetch_all(&mut **conn).await.map_err(classify)?;
                rows.iter().map(|row| read(&mut Columns::of(Row::Sqlite(row)))).collect()
            }
            Self::Postgres(conn, route) => {
                let query = sqlx::query_with(postgres::text(text), postgres::arguments(binder).map_err(classify)?);
                let rows = query.persistent(route.keeps_statements()).fetch_all(&mut **conn).await;
                let rows = known(conn, rows).await.map_err(classify)?;
                rows.iter().map(|row| read(&mut Columns::of(Row::Postgres(row)))).collect()
            }
        }
    }

    /// The rows that a statement finds, as they come: for what no memory should hold.
    pub(super) fn rows<'s, T: Send + 's>(
        &'s mut self,
        text: impl SqlSafeStr,
        read: impl Fn(&mut Columns<'_>) -> Result<T> + Send + 's,
    ) -> BoxStream<'s, Result<T>> {
        match self {
            Self::Sqlite(conn) => {
                let rows = sqlx::query::<Sqlite>(text).fetch(&mut **conn);
                rows.map(move |row| read(&mut Columns::of(Row::Sqlite(&row.map_err(classify)?)))).boxed()
            }
            Self::Postgres(conn, _) => {
                let rows = sqlx::query::<Postgres>(postgres::text(text)).persistent(false).fetch(&mut **conn);
                rows.map(move |row| read(&mut Columns::of(Row::Postgres(&row.map_err(classify)?)))).boxed()
            }
        }
    }

    /// As [`Self::list`], up to the first row that `wanted` takes for the last one.
    pub(in crate::storage) async fn list_while<T>(
        &mut self,
        text: &'static str,
        bind: impl FnOnce(&mut Binder),
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>> {
        let binder = bound(bind);
        let mut found = Vec::new();
        let mut take = |row: Row<'_>| {
            let row = read(&mut Columns::of(row))?;
            let more = wanted(&row);
            found.push(row);
            Ok(more)
        };
        match self {
            Self::Sqlite(conn) => {
                let query = sqlx::query_with::<Sqlite, _>(text, sqlite::arguments(binder).map_err(classify)?);
                let mut rows = query.fetch(&mut **conn);
                while let Some(row) = rows.try_next().await.map_err(classify)? {
                    if !take(Row::Sqlite(&row))? {
                        break;
                    }
                }
            }
            Self::Postgres(conn, route) => {
                let arguments = postgres::arguments(binder).map_err(classify)?;
                let query = sqlx::query_with::<Postgres, _>(postgres::text(text), arguments);
                let mut rows = query.persistent(route.keeps_statements()).fetch(&mut **conn);
                let failed = loop {
                    match rows.try_next().await {
                        Ok(Some(row)) if take(Row::Postgres(&row))? => {}
                        Ok(_) => break None,
                        Err(error) => break Some(error),
                    }
                };
                drop(rows);
                if let Some(error) = failed {
                    known(conn, Err::<(), _>(error)).await.map_err(classify)?;
                }
            }
        }
        Ok(found)
    }

    /// The same for at most one row.
    pub(in crate::storage) async fn one<T>(
        &mut self,
        text: &'static str,
        bind: impl FnOnce(&mut Binder),
        read: impl Fn(&mut Columns<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.list(text, bind, read).await?.into_iter().next())
    }
}

/// Statements that are seen together or not at all. Rolled back when dropped.
pub(in crate::storage) enum Transaction<'c> {
    Sqlite(sqlx::Transaction<'c, Sqlite>),
    Postgres(sqlx::Transaction<'c, Postgres>, Route),
}

impl Transaction<'_> {
    pub(in crate::storage) fn session(&mut self) -> Session<'_> {
        match self {
            Self::Sqlite(transaction) => Session::Sqlite(transaction),
            Self::Postgres(transaction, route) => Session::Postgres(transaction, *route),
        }
    }

    pub(in crate::storage) async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction, _) => transaction.commit().await,
        }
        .map_err(classify)
    }

    pub(in crate::storage) async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await,
            Self::Postgres(transaction, _) => transaction.rollback().await,
        }
        .map_err(classify)
    }
}
