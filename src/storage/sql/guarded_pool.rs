//! The connections for one use to a PostgreSQL, and how long anybody waits for one of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPool;
use sqlx::{Postgres, SqlSafeStr as _, Transaction};

use super::{Route, classify};
use crate::limits;
use crate::storage::store::StoreError;

/// See the module.
pub(in crate::storage) struct GuardedPool {
    pool: PgPool,
    /// Nobody got a connection when it was asked last. Then nobody waits for long: what can do without the database is not
    /// to be slow for as long as it is away.
    shut: AtomicBool,
    /// How the server is reached.
    pub(super) route: Route,
}

impl GuardedPool {
    pub(super) fn new(pool: PgPool, route: Route) -> Self {
        Self { pool, shut: AtomicBool::new(false), route }
    }

    /// One of the connections.
    pub(super) async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        let patience = if self.shut.load(Ordering::Relaxed) { limits::SQL_WAIT_AGAIN } else { limits::SQL_WAIT };
        let attempt = Attempt { shut: &self.shut, at: Instant::now() };
        let found = match tokio::time::timeout(patience, self.pool.acquire()).await {
            Ok(found) => found.map_err(classify),
            Err(_) => Err(StoreError::Unavailable(format!("no connection to PostgreSQL within {patience:?}"))),
        };
        // What it says when it goes is older than this.
        drop(attempt);
        self.shut.store(found.is_err(), Ordering::Relaxed);
        found
    }

    /// A transaction, begun by `statement`.
    pub(super) async fn begin(&self, statement: &'static str) -> Result<Transaction<'static, Postgres>, StoreError> {
        Transaction::begin(self.connection().await?, Some(statement.into_sql_str())).await.map_err(classify)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// Somebody asks for a connection. Whoever gives up before the pool does, as a page of history does after its own deadline, has
/// learned the same: left unsaid, each who comes after it would wait just as long.
struct Attempt<'a> {
    shut: &'a AtomicBool,
    at: Instant,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.at.elapsed() >= limits::SQL_WAIT_AGAIN {
            self.shut.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::postgres;
    use super::*;

    #[tokio::test]
    async fn who_gives_up_on_a_server_that_is_away_spares_the_next_one_the_wait() {
        // A port that nobody listens on any more.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let options = postgres::options(&format!("postgres://kervan@127.0.0.1:{port}/kervan"), Route::Direct).unwrap();
        let pool = GuardedPool::new(postgres::pool(&options, 1), Route::Direct);
        // Pauses: this is the caller who waits for less than the pool would let him.
        let hasty = tokio::time::timeout(limits::SQL_WAIT_AGAIN + Duration::from_millis(100), pool.connection());
        assert!(hasty.await.is_err(), "it gives up before the pool does");
        let begun = Instant::now();
        assert!(pool.connection().await.is_err());
        assert!(begun.elapsed() < limits::SQL_WAIT / 2, "{:?}", begun.elapsed());
    }
}
