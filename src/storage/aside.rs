//! Rows that are asked for and marked directly: notifications, which the projector writes, and events that applications hand
//! in for their own analysis.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;
use uuid::Uuid;

use crate::ids::{RoomId, Timestamp, UserId};
use crate::storage::accounts::AccountRows;
use crate::storage::store::StoreError;
use crate::storage::store::sql::classify;

const LIST: &str = "SELECT uuid, type, title, message, data, is_read, created_at FROM notifications \
     WHERE user_id = ? AND uuid < ? ORDER BY uuid DESC LIMIT ?";
const LIST_UNREAD: &str = "SELECT uuid, type, title, message, data, is_read, created_at FROM notifications \
     WHERE user_id = ? AND uuid < ? AND is_read = 0 ORDER BY uuid DESC LIMIT ?";
/// Beyond the bound nobody counts.
const UNREAD: &str = "SELECT COUNT(*) FROM (SELECT 1 FROM notifications WHERE user_id = ? AND is_read = 0 LIMIT 1000)";
const READ: &str = "UPDATE notifications SET is_read = 1 WHERE user_id = ? AND uuid = ?";
const READ_ALL: &str = "UPDATE notifications SET is_read = 1 WHERE user_id = ? AND is_read = 0 AND uuid <= ?";
const EVENT: &str =
    "INSERT INTO analytics_events (uuid, event_type, user_id, chat, data, created_at) VALUES (?, ?, ?, ?, ?, ?)";
const SWEEP: &str = "DELETE FROM analytics_events WHERE created_at < ?";

/// Every statement, for the test of indexes.
#[cfg(test)]
pub(super) const SQL: [&str; 7] = [LIST, LIST_UNREAD, UNREAD, READ, READ_ALL, EVENT, SWEEP];

/// Something that a user should notice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notification {
    /// Its id.
    pub id: Uuid,
    /// What it is, for programs.
    pub kind: String,
    /// For people, in a few words.
    pub title: String,
    /// For people, in a sentence.
    pub message: String,
    /// JSON text.
    pub data: String,
    /// Whether the user has seen it.
    pub read: bool,
    /// When.
    pub at: Timestamp,
}

/// Something that an application saw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnalyticsEvent {
    /// Its id.
    pub id: Uuid,
    /// What, in the application's words.
    pub kind: String,
    /// Who handed it in.
    pub user: UserId,
    /// The chat that it is about.
    pub chat: Option<RoomId>,
    /// JSON text.
    pub data: String,
    /// When it was handed in.
    pub at: Timestamp,
}

/// See the module.
#[derive(Clone)]
pub struct SqliteAside {
    pool: SqlitePool,
}

type Result<T> = std::result::Result<T, StoreError>;

impl SqliteAside {
    /// Over the same connections as the accounts.
    #[must_use]
    pub fn beside(accounts: &AccountRows) -> Self {
        Self { pool: accounts.pool().clone() }
    }

    /// Notifications of a user below `before`, the newest first, and how many are unread in all, at most 1,000: of one moment.
    ///
    /// # Errors
    /// The store; so for each of the following.
    pub async fn notifications(
        &self,
        user: &UserId,
        before: Option<Uuid>,
        unread: bool,
        limit: u32,
    ) -> Result<(Vec<Notification>, u64)> {
        let mut moment = self.pool.begin().await.map_err(classify)?;
        let before = before.unwrap_or(Uuid::max());
        let rows = sqlx::query(if unread { LIST_UNREAD } else { LIST })
            .bind(user.as_str())
            .bind(before.as_bytes().as_slice())
            .bind(i64::from(limit))
            .fetch_all(&mut *moment)
            .await
            .map_err(classify)?;
        let query = sqlx::query_scalar(UNREAD).bind(user.as_str());
        let unread: i64 = query.fetch_one(&mut *moment).await.map_err(classify)?;
        moment.commit().await.map_err(classify)?;
        let read = |row: &sqlx::sqlite::SqliteRow| -> std::result::Result<Notification, sqlx::Error> {
            Ok(Notification {
                id: Uuid::from_slice(row.try_get(0)?).map_err(|error| sqlx::Error::Decode(error.into()))?,
                kind: row.try_get(1)?,
                title: row.try_get(2)?,
                message: row.try_get(3)?,
                data: row.try_get(4)?,
                read: row.try_get(5)?,
                at: Timestamp(u64::try_from(row.try_get::<i64, _>(6)?).unwrap_or(0)),
            })
        };
        let found: Result<_> = rows.iter().map(|row| read(row).map_err(classify)).collect();
        Ok((found?, u64::try_from(unread).unwrap_or(0)))
    }

    /// Marks some as read; those of others stay as they are.
    pub async fn read(&self, user: &UserId, ids: &[Uuid]) -> Result<()> {
        let mut changes = self.pool.begin().await.map_err(classify)?;
        for id in ids {
            let query = sqlx::query(READ).bind(user.as_str()).bind(id.as_bytes().as_slice());
            query.execute(&mut *changes).await.map_err(classify)?;
        }
        changes.commit().await.map_err(classify)
    }

    /// Marks all as read up to this one.
    pub async fn read_all(&self, user: &UserId, up_to: Option<Uuid>) -> Result<()> {
        let up_to = up_to.unwrap_or(Uuid::max());
        let query = sqlx::query(READ_ALL).bind(user.as_str()).bind(up_to.as_bytes().as_slice());
        query.execute(&self.pool).await.map_err(classify)?;
        Ok(())
    }

    /// Takes events, all or none.
    pub async fn take_events(&self, events: &[AnalyticsEvent]) -> Result<()> {
        let mut changes = self.pool.begin().await.map_err(classify)?;
        for event in events {
            sqlx::query(EVENT)
                .bind(event.id.as_bytes().as_slice())
                .bind(&event.kind)
                .bind(event.user.as_str())
                .bind(event.chat.map(|chat| chat.0.as_bytes().to_vec()))
                .bind(&event.data)
                .bind(event.at.as_i64())
                .execute(&mut *changes)
                .await
                .map_err(classify)?;
        }
        changes.commit().await.map_err(classify)
    }

    /// Removes events from before this time. Returns how many.
    pub async fn sweep_events(&self, before: Timestamp) -> Result<u64> {
        let done = sqlx::query(SWEEP).bind(before.as_i64()).execute(&self.pool).await.map_err(classify)?;
        Ok(done.rows_affected())
    }
}
