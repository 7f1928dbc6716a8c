//! `GRADUATION` in a data folder: it moves, or has moved, to other engines, so no server starts on it. It is there from before
//! the first byte is written elsewhere, and holds how far the move is.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::plan::Step;
use crate::ids::Timestamp;
use crate::storage::disk;

/// Its name.
pub(super) const NAME: &str = "GRADUATION";
/// The version of its text.
const FORMAT: u32 = 1;

/// Where a data folder goes. Never with a password in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Destination {
    /// Kafka's brokers and topics.
    pub journal: String,
    /// The database.
    pub rows: String,
    /// The folder or bucket of uploads.
    pub uploads: String,
}

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Seal {
    format: u32,
    /// The journal's identity.
    pub journal: Uuid,
    /// When it was begun.
    begun_at: Timestamp,
    pub to: Destination,
    /// The last step that is done.
    pub done: Option<Step>,
}

/// Why it can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The operating system said no.
    #[error("{}: {error}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        error: std::io::Error,
    },
    /// Its text is not what this program writes.
    #[error("{} can't be read: {why}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Seal {
    /// Of a move that begins.
    pub(super) fn new(journal: Uuid, to: Destination, begun_at: Timestamp) -> Self {
        Self { format: FORMAT, journal, begun_at, to, done: None }
    }

    /// Whether everything is over there, and the folder belongs to the past.
    pub(super) fn is_moved(&self) -> bool {
        self.done >= Some(Step::Seal)
    }

    /// Reads that of a data folder; `None` if it has none.
    pub(super) fn load(data: &Path) -> Result<Option<Self>, SealError> {
        let path = data.join(NAME);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(SealError::Io { path, error }),
        };
        match serde_json::from_slice::<Self>(&text) {
            Ok(seal) if seal.format == FORMAT => Ok(Some(seal)),
            Ok(seal) => {
                let why = format!("it has format {}, this program knows {FORMAT}", seal.format);
                Err(SealError::Unreadable { path, why })
            }
            Err(error) => Err(SealError::Unreadable { path, why: error.to_string() }),
        }
    }

    /// Writes it durably.
    pub(super) fn store(&self, data: &Path) -> Result<(), SealError> {
        let path = data.join(NAME);
        let text = serde_json::to_vec_pretty(self).map_err(std::io::Error::from);
        text.and_then(|text| disk::replace(&path, &text)).map_err(|error| SealError::Io { path, error })
    }

    /// Takes it away durably.
    pub(super) fn remove(data: &Path) -> Result<(), SealError> {
        let path = data.join(NAME);
        let gone = std::fs::remove_file(&path).and_then(|()| disk::sync_dir(data));
        gone.map_err(|error| SealError::Io { path, error })
    }

    /// What a server is told that was to start on the folder.
    pub(super) fn refusal(&self, data: &Path) -> String {
        let Destination { journal, rows, uploads } = &self.to;
        let data = data.display();
        let to = format!("{journal}, rows in {rows}, uploads in {uploads}");
        if self.is_moved() {
            format!(
                "the data folder {data} was moved to {to}: serve with the configuration that it was moved by. To go on here \
                 all the same, as of then: `kervan graduate --back`; clients then begin anew, and what was written over there \
                 stays there"
            )
        } else {
            format!(
                "the data folder {data} is being moved to {to}: `kervan graduate` with the same --to finishes that. To go on \
                 here instead: `kervan graduate --back`"
            )
        }
    }
}

/// Why no server may start on a data folder, if that is so.
///
/// # Errors
/// The file can't be read: then nobody knows.
pub(in crate::server) fn refusal(data: &Path) -> Result<Option<String>, SealError> {
    Ok(Seal::load(data)?.map(|seal| seal.refusal(data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        let to = Destination { journal: "Kafka at b".into(), rows: "PostgreSQL".into(), uploads: "a bucket".into() };
        Seal::new(Uuid::from_u128(7), to, Timestamp(5))
    }

    #[test]
    fn a_sealed_folder_is_refused_by_name_with_the_way_on_and_the_way_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(refusal(folder.path()).unwrap(), None);
        seal().store(folder.path()).unwrap();
        let moving = refusal(folder.path()).unwrap().unwrap();
        let moved = Seal { done: Some(Step::Seal), ..seal() };
        moved.store(folder.path()).unwrap();
        assert_eq!(Seal::load(folder.path()).unwrap(), Some(moved));
        let moved = refusal(folder.path()).unwrap().unwrap();
        for (text, words) in [(moving, "is being moved"), (moved, "was moved")] {
            let folder = folder.path().display().to_string();
            for part in [words, "Kafka at b", "PostgreSQL", "a bucket", "kervan graduate --back", folder.as_str()] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        Seal::remove(folder.path()).unwrap();
        assert_eq!(refusal(folder.path()).unwrap(), None);
    }

    #[test]
    fn a_seal_of_a_newer_program_or_a_damaged_one_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", &serde_json::to_string(&Seal { format: 2, ..seal() }).unwrap()] {
            std::fs::write(folder.path().join(NAME), text).unwrap();
            let why = refusal(folder.path()).unwrap_err().to_string();
            assert!(why.contains(NAME) && why.contains("can't be read"), "{why}");
        }
    }
}
