//! Files in chats: what is taken, what is made of it, and in which order it is written.
//!
//! A file is read whole, within a budget of bytes that all uploads share, so the size that is allowed bounds the memory.
//! What it is follows from its bytes, never from its name. Who may see it is asked by the route.

mod image;
mod name;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use self::image::Images;
use crate::config::Config;
use crate::env::Env;
use crate::ids::{RoomId, Timestamp, UserId};
use crate::storage::uploads::{Objects, Part, Quota, Stream, Upload, UploadError, UploadRows};

pub(crate) use image::small_type;
pub(crate) use name::clean;
pub use name::disposition;

/// Bytes of all files that are being taken at one time; one may always be.
const BUDGET_BYTES: usize = 64 * 1024 * 1024;
/// Of those, files of one user: a few slow ones of one user keep nobody else out.
const OF_A_USER: usize = 2;
/// Users with a place above which those without one are forgotten.
const USERS: usize = 256;
/// How old an object without a row must be to be swept: its row may be about to come.
const ORPHAN_MS: u64 = 60 * 60 * 1000;
/// Time between two sweeps.
pub(crate) const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// See the module.
pub(crate) struct Uploads {
    rows: UploadRows,
    objects: Objects,
    images: Images,
    env: Env,
    budget: Arc<Semaphore>,
    users: Mutex<HashMap<UserId, Arc<Semaphore>>>,
    most: usize,
    quota: Quota,
}

/// A place in the budget, until it is dropped.
pub(crate) struct UploadPermit {
    _of_user: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

/// A file that has come whole.
pub(crate) struct Incoming {
    /// For whose members.
    pub chat: RoomId,
    /// Whose.
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// What it says.
    pub bytes: Bytes,
}

impl Uploads {
    /// Over these rows and bytes.
    #[must_use]
    pub(crate) fn new(rows: UploadRows, objects: Objects, env: Env, config: &Config) -> Self {
        let most = config.uploads.max_file_size.0;
        Self {
            rows,
            objects,
            images: Images::new(config.uploads.pixels),
            env,
            budget: Arc::new(Semaphore::new((BUDGET_BYTES / most).max(1))),
            users: Mutex::default(),
            most,
            quota: Quota {
                bytes: config.uploads.quota.0 as u64,
                files: match config.uploads.files {
                    0 => u64::MAX,
                    files => files.into(),
                },
            },
        }
    }

    /// Bytes of one file.
    #[must_use]
    pub(crate) fn most(&self) -> usize {
        self.most
    }

    /// A place in the budget for this user's file: to be held while it is read and taken. Waits for one, behind other files
    /// of the same user first.
    pub(crate) async fn admit(&self, user: &UserId) -> Option<UploadPermit> {
        let of_user = {
            let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            if users.len() >= USERS {
                users.retain(|_, places| Arc::strong_count(places) > 1);
            }
            Arc::clone(users.entry(user.clone()).or_insert_with(|| Arc::new(Semaphore::new(OF_A_USER))))
        };
        let of_user = of_user.acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.budget).acquire_owned().await.ok()?;
        Some(UploadPermit { _of_user: of_user, _of_all: of_all })
    }

    /// Whether the user's quota is used up: asked before anything is read.
    ///
    /// # Errors
    /// It is; or the rows.
    pub(crate) async fn has_room(&self, user: &UserId) -> Result<(), UploadError> {
        let used = self.rows.used(user).await?;
        let full = used.bytes >= self.quota.bytes || used.files >= self.quota.files;
        if full { Err(UploadError::Quota) } else { Ok(()) }
    }

    /// Takes a file: bytes first, then the row.
    ///
    /// # Errors
    /// The quota, the rows, the object store: nothing is there afterwards.
    pub(crate) async fn take(&self, file: Incoming) -> Result<Upload, UploadError> {
        let Incoming { chat, user, name, bytes } = file;
        let id = self.env.ids.next();
        let media_type = media_type(&bytes).to_owned();
        let seen = self.images.look(&media_type, &bytes).await;
        let upload = Upload {
            id,
            chat,
            user,
            name: clean(&name),
            media_type,
            size: bytes.len() as u64,
            pixels: seen.pixels,
            thumbnail: seen.thumbnail.is_some(),
            created_at: self.env.now(),
        };
        let written = self.write(&upload, bytes, seen.thumbnail).await;
        if written.is_err()
            && let Err(error) = self.objects.delete(chat, id).await
        {
            tracing::warn!(%error, "bytes of a refused upload stay until they are swept");
        }
        written.map(|()| upload)
    }

    async fn write(&self, upload: &Upload, bytes: Bytes, thumbnail: Option<Bytes>) -> Result<(), UploadError> {
        self.objects.put(upload.chat, upload.id, Part::File, bytes).await?;
        if let Some(small) = thumbnail {
            self.objects.put(upload.chat, upload.id, Part::Thumbnail, small).await?;
        }
        self.rows.add(upload, self.quota).await
    }

    /// What is known of a file.
    ///
    /// # Errors
    /// The rows.
    pub(crate) async fn get(&self, id: Uuid) -> Result<Option<Upload>, UploadError> {
        self.rows.get(id).await
    }

    /// Its bytes.
    ///
    /// # Errors
    /// The object store.
    pub(crate) async fn read(&self, upload: &Upload, part: Part) -> Result<(u64, Stream), UploadError> {
        self.objects.get(upload, part).await
    }

    /// Removes a file: the row first, then the bytes.
    ///
    /// # Errors
    /// The rows. Bytes that can't be deleted now are swept later.
    pub(crate) async fn remove(&self, upload: &Upload) -> Result<(), UploadError> {
        self.rows.remove(upload.id).await?;
        if let Err(error) = self.objects.delete(upload.chat, upload.id).await {
            tracing::warn!(%error, "bytes of a removed upload stay until they are swept");
        }
        Ok(())
    }

    /// Deletes bytes that have no row: a crash came between the two. Returns how many files.
    ///
    /// # Errors
    /// Rows or object store.
    pub(crate) async fn sweep(&self) -> Result<usize, UploadError> {
        let before = Timestamp(self.env.now().0.saturating_sub(ORPHAN_MS));
        let mut old = self.objects.older(before);
        let mut swept = 0;
        while let Some((chat, id)) = old.try_next().await? {
            if self.rows.get(id).await?.is_none() {
                self.objects.delete(chat, id).await?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// What bytes are, by what they begin with.
fn media_type(bytes: &[u8]) -> &'static str {
    match infer::get(bytes) {
        Some(known) => known.mime_type(),
        None if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) => "text/plain",
        None => "application/octet-stream",
    }
}
