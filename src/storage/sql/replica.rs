//! A replica of the PostgreSQL that holds the rows: for pages that may lag behind what was written, and for nothing else. It is
//! never waited for long, and while it has trouble it is left alone; whoever asks then goes to the primary.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::Pool;
use crate::limits;
use crate::storage::store::StoreError;

/// See the module.
pub(in crate::storage) struct Replica {
    pool: Pool,
    /// Until when it is left alone.
    rests: Mutex<Option<Instant>>,
}

impl Replica {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, rests: Mutex::new(None) }
    }

    /// Its connections.
    pub(in crate::storage) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What `read` finds there; `None` if it is to be asked of the primary.
    pub(in crate::storage) async fn found<T>(&self, read: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
        let now = Instant::now();
        let before = *self.rests.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_some_and(|until| now < until) {
            return None;
        }
        let trouble = match tokio::time::timeout(limits::SQL_REPLICA_WAIT, read).await {
            Ok(Ok(found)) => {
                if before.is_some() {
                    tracing::info!("the replica of the database answers again");
                    *self.rests.lock().unwrap_or_else(PoisonError::into_inner) = None;
                }
                return Some(found);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", limits::SQL_REPLICA_WAIT),
        };
        if before.is_none() {
            tracing::warn!(trouble, "the replica of the database is left alone; pages come from the primary");
        }
        *self.rests.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + limits::SQL_REPLICA_REST);
        None
    }
}
