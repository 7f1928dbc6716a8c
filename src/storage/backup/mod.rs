//! A backup of a data folder: store and journal of one moment, in a folder that anybody may copy away.
//!
//! | in the backup | what |
//! |---|---|
//! | `store.db` | the store, with the watermarks of its moment; not if the rows are in PostgreSQL, which its own tools copy |
//! | `journal/` | the journal, copied after the store: it reaches at least as far as the watermarks |
//! | `backup.json` | the [`Manifest`]: every file with its size and checksum. Written last: without it the backup is none |
//!
//! [`take()`] works while both are in use; nothing may be trimmed meanwhile. It reads back all that it copied, so that a
//! backup that counts (I7) is one that can be restored. [`restore()`] believes nothing: sizes, checksums, every record,
//! and that store and journal belong together, before anything is put where a server would find it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::JournalError;
use crate::storage::journal::embedded::Verified;
use crate::storage::store::StoreError;
use crate::storage::store::rows::WatermarkRow;

mod restore;
mod take;
#[cfg(test)]
mod tests;

pub(crate) use restore::is_unfinished;
pub use restore::restore;
pub(crate) use take::take;

/// The version of [`Manifest`] of a backup with rows.
const FORMAT: u32 = 1;
/// The version of one without: the rows are in a PostgreSQL. The newest version that this program reads.
const FORMAT_WITHOUT_ROWS: u32 = 2;
const MANIFEST: &str = "backup.json";
const JOURNAL: &str = "journal";
const STORE: &str = "store.db";
/// Bytes copied at once.
const CHUNK: usize = 1 << 20;

/// What a backup consists of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this text.
    pub format: u32,
    /// The program that wrote it.
    pub version: String,
    /// When the backup was begun, in milliseconds since the Unix epoch: all that was acknowledged before is in it.
    pub(crate) taken_at: Timestamp,
    /// The journal's identity.
    pub journal: Uuid,
    /// Records of the journal.
    pub records: u64,
    /// What the store has of each partition, by partition number.
    pub watermarks: Vec<Offset>,
    /// All files but this one.
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// Whether the rows are in it. If not, a copy of the database belongs to it that was taken before it.
    #[must_use]
    pub fn holds_rows(&self) -> bool {
        self.format == FORMAT
    }
}

/// One file of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its path in the backup, with `/`.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its CRC32C.
    pub(crate) crc32c: u32,
}

/// Why a backup was not made, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder that is to be written has something in it.
    #[error("{} is not empty: it holds {found:?}", .dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
        /// One of the things in it.
        found: String,
    },
    /// The database that is to be written is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// No backup, or one that was never finished.
    #[error("{} is no finished backup: {MANIFEST} is missing", .0.display())]
    NoBackup(PathBuf),
    /// A file of the backup is not what it was.
    #[error("the backup is damaged: {} {why}", .file.display())]
    Damaged {
        /// Which.
        file: PathBuf,
        /// How.
        why: String,
    },
    /// The rows of the backup are not where they are to be restored to.
    #[error("{0}")]
    RowsElsewhere(&'static str),
    /// Made by a newer program.
    #[error(
        "{} has format {found}, this program knows those up to {FORMAT_WITHOUT_ROWS}: a newer one made it", .file.display()
    )]
    Incompatible {
        /// The manifest.
        file: PathBuf,
        /// Its format.
        found: u32,
    },
    /// The journal does not hold what the store goes on from.
    #[error("store and journal do not belong together: {0}")]
    Apart(String),
    /// The journal could not be read or copied.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store could not be read or copied.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system said no.
    #[error("{}: {error}", .path.display())]
    Io {
        /// To what.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

impl BackupError {
    /// Whether it is over what was asked for (a folder that is not empty, a damaged backup), and not over this machine's
    /// state: trying again changes nothing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::NotEmpty { .. }
            | Self::Exists(_)
            | Self::NoBackup(_)
            | Self::Damaged { .. }
            | Self::RowsElsewhere(_)
            | Self::Incompatible { .. }
            | Self::Apart(_) => true,
            Self::Journal(error) => !matches!(error, JournalError::Io(_)),
            Self::Store(error) => !error.is_retryable(),
            Self::Io { .. } => false,
        }
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::Io { path, error }
}

/// Whether the journal holds all that the store goes on from.
fn belong_together(journal: &Verified, watermarks: &[WatermarkRow]) -> Result<(), BackupError> {
    for row in watermarks {
        let (partition, at) = (row.partition, row.next_offset);
        let bounds = journal.bounds[partition.index()];
        if at < bounds.start || at > bounds.end {
            let held = format!("{} to {}", bounds.start, bounds.end);
            return Err(BackupError::Apart(format!(
                "partition {partition} is stored up to {at}, the journal has {held}"
            )));
        }
    }
    Ok(())
}

/// The watermarks by partition number.
fn offsets(watermarks: &[WatermarkRow]) -> Vec<Offset> {
    let of = |partition| {
        watermarks.iter().find(|row| row.partition == partition).map_or(Offset::ZERO, |row| row.next_offset)
    };
    Partition::all().map(of).collect()
}

/// Reads a file to its end and hands each piece on. Gives its size and checksum.
fn read_through(path: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; CHUNK];
    let (mut bytes, mut crc) = (0, 0);
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok((bytes, crc)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        each(&buffer[..read])?;
        bytes += read as u64;
        crc = crc32c::crc32c_append(crc, &buffer[..read]);
    }
}

/// Copies a file durably into a new one. Gives the size and checksum of what was read.
fn copy(from: &Path, to: &Path) -> Result<(u64, u32), BackupError> {
    let mut target = File::create_new(to).map_err(io_at(to))?;
    let read = read_through(from, |piece| target.write_all(piece)).map_err(io_at(from))?;
    target.sync_all().map_err(io_at(to))?;
    Ok(read)
}
