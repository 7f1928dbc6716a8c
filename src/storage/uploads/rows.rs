//! The rows of uploads in SQLite, beside the accounts.

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use uuid::Uuid;

use super::{Quota, Upload, UploadError, statements};
use crate::ids::{RoomId, Timestamp, UserId};
use crate::storage::accounts::AccountRows;
use crate::storage::store::sql::classify;

/// See the module.
#[derive(Clone)]
pub struct UploadRows {
    pool: SqlitePool,
}

impl UploadRows {
    /// Over the same connections as the accounts.
    #[must_use]
    pub fn beside(accounts: &AccountRows) -> Self {
        Self { pool: accounts.pool().clone() }
    }

    /// Writes a row, unless the user's files are above the quota with it.
    ///
    /// # Errors
    /// The quota, or the store; so for each of the following.
    pub async fn add(&self, upload: &Upload, quota: Quota) -> Result<(), UploadError> {
        let (width, height) = upload.pixels.unzip();
        let done = sqlx::query(statements::ADD)
            .bind(upload.id.as_bytes().as_slice())
            .bind(upload.chat.0.as_bytes().as_slice())
            .bind(upload.user.as_str())
            .bind(&upload.name)
            .bind(&upload.media_type)
            .bind(signed(upload.size))
            .bind(width.map(i64::from))
            .bind(height.map(i64::from))
            .bind(upload.thumbnail)
            .bind(upload.created_at.as_i64())
            .bind(upload.user.as_str())
            .bind(signed(upload.size))
            .bind(signed(quota.bytes))
            .bind(upload.user.as_str())
            .bind(signed(quota.files))
            .execute(&self.pool)
            .await
            .map_err(classify)?;
        if done.rows_affected() == 0 { Err(UploadError::Quota) } else { Ok(()) }
    }

    /// What a user's files come to.
    pub async fn used(&self, user: &UserId) -> Result<Quota, UploadError> {
        let used = sqlx::query_as::<_, (i64, i64)>(statements::USED).bind(user.as_str()).fetch_one(&self.pool);
        let (bytes, files) = used.await.map_err(classify)?;
        let unsigned = |number: i64| u64::try_from(number).unwrap_or(0);
        Ok(Quota { bytes: unsigned(bytes), files: unsigned(files) })
    }

    /// The row of a file.
    pub async fn get(&self, id: Uuid) -> Result<Option<Upload>, UploadError> {
        let row = sqlx::query(statements::GET)
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.pool)
            .await
            .map_err(classify)?;
        Ok(row.map(|row| upload(&row)).transpose().map_err(classify)?)
    }

    /// Removes a row. Whether there was one.
    pub async fn remove(&self, id: Uuid) -> Result<bool, UploadError> {
        let done = sqlx::query(statements::REMOVE)
            .bind(id.as_bytes().as_slice())
            .execute(&self.pool)
            .await
            .map_err(classify)?;
        Ok(done.rows_affected() > 0)
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn upload(row: &SqliteRow) -> Result<Upload, sqlx::Error> {
    let pixel = |name| row.try_get::<Option<i64>, _>(name).map(|side| side.and_then(|side| u32::try_from(side).ok()));
    let uuid = |name| -> Result<Uuid, sqlx::Error> {
        Uuid::from_slice(row.try_get(name)?).map_err(|error| sqlx::Error::Decode(error.into()))
    };
    let user: String = row.try_get("user_id")?;
    Ok(Upload {
        id: uuid("id")?,
        chat: RoomId(uuid("chat")?),
        user: UserId::new(&user).map_err(|error| sqlx::Error::Decode(error.into()))?,
        name: row.try_get("name")?,
        media_type: row.try_get("media_type")?,
        size: u64::try_from(row.try_get::<i64, _>("size")?).unwrap_or(0),
        pixels: pixel("width")?.zip(pixel("height")?),
        thumbnail: row.try_get("thumbnail")?,
        created_at: Timestamp(u64::try_from(row.try_get::<i64, _>("created_at")?).unwrap_or(0)),
    })
}
