//! Files that users upload into chats: a row for each, and its bytes in an object store (a folder, or S3).
//!
//! Bytes are written before the row and deleted after it, so a row always has its bytes; what a crash leaves is an object
//! without a row, which the sweep removes. Who may see a file is not known here.

mod objects;
mod rows;
mod statements;
#[cfg(test)]
mod tests;

use uuid::Uuid;

use crate::ids::{RoomId, Timestamp, UserId};
use crate::storage::store::StoreError;

pub(crate) use objects::{Objects, Part, Stream};
pub(crate) use rows::UploadRows;
/// Every statement, for the test of indexes.
#[cfg(test)]
pub(super) use statements::ALL as SQL;
#[cfg(test)]
pub(super) use tests::CHECKS;

/// An uploaded file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Upload {
    /// Its id.
    pub id: Uuid,
    /// Whose members may see it.
    pub chat: RoomId,
    /// Who uploaded it.
    pub user: UserId,
    /// As its owner called it, without folders and control characters.
    pub name: String,
    /// What it is, by its content.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Width and height of an image.
    pub pixels: Option<(u32, u32)>,
    /// Whether there is a thumbnail.
    pub thumbnail: bool,
    /// When.
    pub created_at: Timestamp,
}

/// How much a user's files come to, or may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Quota {
    /// Bytes of all of them.
    pub bytes: u64,
    /// How many: a small file takes a place, too.
    pub files: u64,
}

/// Why a file is not there, or not written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// With it the user would have more bytes, or more files, than allowed.
    #[error("your uploads are as many or as large as they may be")]
    Quota,
    /// The object store does not take or give it now.
    #[error("the files can't be reached: {0}")]
    Objects(String),
    /// The rows.
    #[error(transparent)]
    Store(#[from] StoreError),
}
