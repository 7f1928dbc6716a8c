//! The connections for one use to a PostgreSQL, and how long anybody waits for one of them.

use std::sync::atomic::{AtomicBool, Ordering};

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
        let found = match tokio::time::timeout(patience, self.pool.acquire()).await {
            Ok(found) => found.map_err(classify),
            Err(_) => Err(StoreError::Unavailable(format!("no connection to PostgreSQL within {patience:?}"))),
        };
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
