//! The rows of uploads.

use uuid::Uuid;

use super::{Quota, Upload, UploadError, statements};
use crate::ids::UserId;
use crate::storage::sql::{Binder, Columns, Connections};
use crate::storage::store::StoreError;

/// See the module.
#[derive(Clone)]
pub(crate) struct UploadRows {
    connections: Connections,
}

impl UploadRows {
    /// Over open connections.
    #[must_use]
    pub(crate) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Writes a row, unless the user's files are above the quota with it: of two at once, one is too many.
    ///
    /// # Errors
    /// The quota, or the store; so for each of the following.
    pub(crate) async fn add(&self, upload: &Upload, quota: Quota) -> Result<(), UploadError> {
        let user = upload.user.as_str();
        let (width, height) = upload.pixels.unzip();
        let mut change = self.connections.direct().change_in_line(user).await?;
        let bind = |b: &mut Binder| {
            b.uuid(upload.id).room(upload.chat).text(user).text(&upload.name).text(&upload.media_type);
            b.count(upload.size).opt_int(width.map(i64::from)).opt_int(height.map(i64::from));
            b.flag(upload.thumbnail).int(upload.created_at.as_i64());
            b.text(user).count(upload.size).count(quota.bytes).text(user).count(quota.files);
        };
        let added = change.session().execute(statements::ADD, bind).await?;
        change.commit().await?;
        if added == 0 { Err(UploadError::Quota) } else { Ok(()) }
    }

    /// What a user's files come to.
    pub(crate) async fn used(&self, user: &UserId) -> Result<Quota, UploadError> {
        let read = |c: &mut Columns<'_>| Ok(Quota { bytes: c.number()?, files: c.number()? });
        let used = self.connections.direct().one(statements::USED, |b| _ = b.text(user.as_str()), read).await?;
        Ok(used.unwrap_or(Quota { bytes: 0, files: 0 }))
    }

    /// The row of a file.
    pub(crate) async fn get(&self, id: Uuid) -> Result<Option<Upload>, UploadError> {
        Ok(self.connections.direct().one(statements::GET, |b| _ = b.uuid(id), upload).await?)
    }

    /// All rows, for whoever carries them elsewhere.
    pub(crate) async fn list(&self) -> Result<Vec<Upload>, UploadError> {
        Ok(self.connections.direct().list(statements::LIST, |_| (), upload).await?)
    }

    /// Removes a row. Whether there was one.
    pub(crate) async fn remove(&self, id: Uuid) -> Result<bool, UploadError> {
        Ok(self.connections.direct().execute(statements::REMOVE, |b| _ = b.uuid(id)).await? > 0)
    }
}

fn upload(c: &mut Columns<'_>) -> Result<Upload, StoreError> {
    Ok(Upload {
        id: c.uuid()?,
        chat: c.room()?,
        user: c.user()?,
        name: c.text()?,
        media_type: c.text()?,
        size: c.number()?,
        pixels: c.opt_number()?.zip(c.opt_number()?),
        thumbnail: c.flag()?,
        created_at: c.time()?,
    })
}
