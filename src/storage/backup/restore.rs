//! Puts a backup where a server finds it.

use std::path::{Component, Path, PathBuf};

use uuid::Uuid;

use super::{BackupError, FORMAT, JOURNAL, MANIFEST, Manifest, STORE, belong_together, copy, io_at};
use crate::storage::disk;
use crate::storage::journal::JournalError;
use crate::storage::journal::embedded::{self, Verified};
use crate::storage::retention;
use crate::storage::store::Store as _;
use crate::storage::store::sql::SqlStore;

/// The folder in a data folder where a restore works. While it is there, the data folder is not to be served.
const WORK: &str = "restoring";

/// Where a restored data folder keeps its parts.
struct Places {
    /// The folder of the journal.
    journal: PathBuf,
    /// The database's file.
    database: PathBuf,
    /// Journal and database before they count.
    work: PathBuf,
    new_database: PathBuf,
}

/// Whether a restore into `data` was begun and not finished.
#[must_use]
pub(crate) fn is_unfinished(data: &Path) -> bool {
    data.join(WORK).exists()
}

/// Restores the backup in `from` into the data folder `data`: the journal to its folder `journal`, the store to the file
/// `database`. The caller holds the data folder, in which nothing may be but what `allowed` names and what an interrupted
/// restore has left. What comes after the backup is another history than what came after it before, so the journal gets the
/// new identity `id`, and the store knows it.
///
/// # Errors
/// See [`BackupError`]. Then the data folder holds no journal and no database.
pub async fn restore(
    from: &Path,
    data: &Path,
    journal: &str,
    database: &Path,
    allowed: &[&str],
    id: Uuid,
) -> Result<Manifest, BackupError> {
    let places = Places {
        journal: data.join(journal),
        database: database.to_owned(),
        work: data.join(WORK),
        new_database: beside(database, ".restoring"),
    };
    let manifest = read(from)?;
    must_be_empty(data, &places, allowed)?;
    places.clear()?;
    let done = places.fill(from, &manifest, id).await;
    if done.is_err() {
        places.clear()?;
    }
    done.map(|()| manifest)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Reads the manifest and looks at the sizes: what can be known before anything is copied.
fn read(from: &Path) -> Result<Manifest, BackupError> {
    let path = from.join(MANIFEST);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Err(BackupError::NoBackup(from.to_owned()));
        }
        Err(error) => return Err(io_at(&path)(error)),
    };
    let damaged = |why: String| BackupError::Damaged { file: path.clone(), why };
    let unread = |error: serde_json::Error| damaged(format!("can't be read: {error}"));
    // The format first: a newer one may have more in it.
    let any: serde_json::Value = serde_json::from_slice(&text).map_err(unread)?;
    let found = any.get("format").and_then(serde_json::Value::as_u64).and_then(|found| u32::try_from(found).ok());
    match found {
        Some(FORMAT) => {}
        Some(found) => return Err(BackupError::Incompatible { file: path, found }),
        None => return Err(damaged("names no format".to_owned())),
    }
    let manifest: Manifest = serde_json::from_value(any).map_err(unread)?;
    if !manifest.files.iter().any(|file| file.name == STORE) {
        return Err(damaged(format!("does not name {STORE}")));
    }
    for file in &manifest.files {
        if Path::new(&file.name).components().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(damaged(format!("names {:?}", file.name)));
        }
        let path = from.join(&file.name);
        let len = match std::fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(BackupError::Damaged { file: path, why: "is missing".to_owned() });
            }
            Err(error) => return Err(io_at(&path)(error)),
        };
        if len != file.bytes {
            let why = format!("has {len} bytes instead of {}", file.bytes);
            return Err(BackupError::Damaged { file: path, why });
        }
    }
    Ok(manifest)
}

/// A restore never goes over anything: neither a data folder in use nor a database with its log.
fn must_be_empty(data: &Path, places: &Places, allowed: &[&str]) -> Result<(), BackupError> {
    for entry in std::fs::read_dir(data).map_err(io_at(data))? {
        let entry = entry.map_err(io_at(data))?;
        let is_own = entry.path() == places.work || entry.path() == places.new_database;
        if !is_own && !allowed.iter().any(|name| entry.file_name() == *name) {
            let found = entry.file_name().display().to_string();
            return Err(BackupError::NotEmpty { dir: data.to_owned(), found });
        }
    }
    let database = &places.database;
    match [database.clone(), beside(database, "-wal"), beside(database, "-shm")].into_iter().find(|path| path.exists())
    {
        Some(there) => Err(BackupError::Exists(there)),
        None => Ok(()),
    }
}

impl Places {
    /// Removes what an interrupted or failed restore left.
    fn clear(&self) -> Result<(), BackupError> {
        let gone = |path: &Path, done: std::io::Result<()>| match done {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_at(path)(error)),
            _ => Ok(()),
        };
        for suffix in ["", "-wal", "-shm"] {
            let path = beside(&self.new_database, suffix);
            gone(&path, std::fs::remove_file(&path))?;
        }
        gone(&self.work, std::fs::remove_dir_all(&self.work))
    }

    /// Copies everything to where it does not count yet, judges it, and gives it its names.
    async fn fill(&self, from: &Path, manifest: &Manifest, id: Uuid) -> Result<(), BackupError> {
        let new_journal = self.work.join(JOURNAL);
        disk::make_private(&new_journal).map_err(io_at(&new_journal))?;
        if let Some(folder) = self.database.parent() {
            disk::make_private(folder).map_err(io_at(folder))?;
        }
        for file in &manifest.files {
            let source = from.join(&file.name);
            let to = if file.name == STORE { self.new_database.clone() } else { self.work.join(&file.name) };
            if copy(&source, &to)? != (file.bytes, file.crc32c) {
                let why = "does not match its checksum".to_owned();
                return Err(BackupError::Damaged { file: source, why });
            }
        }
        disk::sync_dir(&new_journal).map_err(io_at(&new_journal))?;
        let (verified, copied) = (new_journal.clone(), from.join(JOURNAL));
        let verified = tokio::task::spawn_blocking(move || embedded::verify(&verified)).await;
        let verified = verified.map_err(|panic| JournalError::Io(format!("reading did not finish: {panic}")))?;
        // The copy is the backup byte for byte: name the one that the operator knows.
        let verified = verified.map_err(|error| named(error, &new_journal, &copied))?;
        let store = SqlStore::open_file(&self.new_database).await?;
        let fitting = fit(&store, &verified, id).await;
        store.close().await;
        fitting?;
        embedded::renew(&new_journal, id)?;
        self.install(&new_journal)
    }

    /// The database first: a database without its journal is refused by a start, a journal without its database is not
    /// refused and would be stored anew from its first record.
    fn install(&self, new_journal: &Path) -> Result<(), BackupError> {
        disk::flush(&self.new_database).map_err(io_at(&self.new_database))?;
        for (from, to) in [(self.new_database.as_path(), &self.database), (new_journal, &self.journal)] {
            std::fs::rename(from, to).map_err(io_at(to))?;
            let folder = to.parent().unwrap_or(Path::new("."));
            disk::sync_dir(folder).map_err(io_at(folder))?;
        }
        std::fs::remove_dir_all(&self.work).map_err(io_at(&self.work))
    }
}

/// Looks whether the store belongs to the journal, and tells it what that will be called.
async fn fit(store: &SqlStore, journal: &Verified, id: Uuid) -> Result<(), BackupError> {
    retention::same_journal(store, journal.journal).await?;
    belong_together(journal, &store.watermarks().await?)?;
    Ok(retention::of_journal(store, id).await?)
}

fn named(error: JournalError, copy: &Path, source: &Path) -> JournalError {
    let there = |text: String| text.replace(&copy.display().to_string(), &source.display().to_string());
    match error {
        JournalError::Damaged(text) => JournalError::Damaged(there(text)),
        JournalError::Incompatible(text) => JournalError::Incompatible(there(text)),
        other => other,
    }
}
