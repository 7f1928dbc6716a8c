//! Puts a backup where a server finds it.

use std::path::{Component, Path, PathBuf};

use uuid::Uuid;

use super::{BackupError, FORMAT, FORMAT_WITHOUT_ROWS, JOURNAL, MANIFEST, Manifest, STORE};
use super::{belong_together, copy, io_at};
use crate::config::{Database, Store as Settings};
use crate::storage::disk;
use crate::storage::journal::JournalError;
use crate::storage::journal::embedded::{self, Verified};
use crate::storage::retention;
use crate::storage::sql::Connections;
use crate::storage::store::Store as _;
use crate::storage::store::sql::SqlStore;

/// The folder in a data folder where a restore works. While it is there, the data folder is not to be served.
const WORK: &str = "restoring";

/// Where a restored data folder keeps its parts.
struct Places {
    /// The folder of the journal.
    journal: PathBuf,
    rows: Rows,
    /// The journal before it counts.
    work: PathBuf,
}

/// Where the rows are to be.
enum Rows {
    /// In a file, and what it is before it counts.
    File { database: PathBuf, new: PathBuf },
    /// In a PostgreSQL, in which their operator has put them before.
    Server(Database, Settings),
}

/// Whether a restore into `data` was begun and not finished.
#[must_use]
pub(crate) fn is_unfinished(data: &Path) -> bool {
    data.join(WORK).exists()
}

/// Restores the backup in `from` into the data folder `data`: the journal to its folder `journal`, the store to the file
/// `database`. If that is a PostgreSQL, the rows are there already, and are looked at: they must be of this journal, and not
/// beyond what the backup has of it. The caller holds the data folder, in which nothing may be but what `allowed` names and what an interrupted
/// restore has left. What comes after the backup is another history than what came after it before, so the journal gets the
/// new identity `id`, and the store knows it.
///
/// # Errors
/// See [`BackupError`]. Then the data folder holds no journal and no database.
pub async fn restore(
    from: &Path,
    data: &Path,
    journal: &str,
    database: &Database,
    settings: &Settings,
    allowed: &[&str],
    id: Uuid,
) -> Result<Manifest, BackupError> {
    let rows = match database {
        Database::Sqlite(file) => Rows::File { database: file.clone(), new: beside(file, ".restoring") },
        server @ Database::Postgres(_) => Rows::Server(server.clone(), settings.clone()),
    };
    let places = Places { journal: data.join(journal), rows, work: data.join(WORK) };
    let manifest = read(from)?;
    match (&places.rows, manifest.holds_rows()) {
        (Rows::File { .. }, false) => {
            return Err(BackupError::RowsElsewhere(
                "the rows of this backup are in PostgreSQL: restore its dump, and say where (DATABASE_URL)",
            ));
        }
        (Rows::Server(..), true) => {
            return Err(BackupError::RowsElsewhere(
                "this backup has its rows with it, in SQLite: restore it without a PostgreSQL (DATABASE_URL=)",
            ));
        }
        _ => {}
    }
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
        Some(FORMAT | FORMAT_WITHOUT_ROWS) => {}
        Some(found) => return Err(BackupError::Incompatible { file: path, found }),
        None => return Err(damaged("names no format".to_owned())),
    }
    let manifest: Manifest = serde_json::from_value(any).map_err(unread)?;
    if manifest.holds_rows() && !manifest.files.iter().any(|file| file.name == STORE) {
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
        let is_own =
            entry.path() == places.work || matches!(&places.rows, Rows::File { new, .. } if entry.path() == *new);
        if !is_own && !allowed.iter().any(|name| entry.file_name() == *name) {
            let found = entry.file_name().display().to_string();
            return Err(BackupError::NotEmpty { dir: data.to_owned(), found });
        }
    }
    let Rows::File { database, .. } = &places.rows else { return Ok(()) };
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
        if let Rows::File { new, .. } = &self.rows {
            for suffix in ["", "-wal", "-shm"] {
                let path = beside(new, suffix);
                gone(&path, std::fs::remove_file(&path))?;
            }
        }
        gone(&self.work, std::fs::remove_dir_all(&self.work))
    }

    /// Copies everything to where it does not count yet, judges it, and gives it its names.
    async fn fill(&self, from: &Path, manifest: &Manifest, id: Uuid) -> Result<(), BackupError> {
        let new_journal = self.work.join(JOURNAL);
        disk::make_private(&new_journal).map_err(io_at(&new_journal))?;
        if let Rows::File { database, .. } = &self.rows
            && let Some(folder) = database.parent()
        {
            disk::make_private(folder).map_err(io_at(folder))?;
        }
        for file in &manifest.files {
            let source = from.join(&file.name);
            let to = match &self.rows {
                Rows::File { new, .. } if file.name == STORE => new.clone(),
                _ => self.work.join(&file.name),
            };
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
        match &self.rows {
            Rows::File { database, new } => {
                let store = SqlStore::open_file(new).await?;
                let done = fit(&store, &verified).await;
                let done = match done {
                    Ok(()) => retention::of_journal(&store, id).await.map_err(BackupError::from),
                    unfit => unfit,
                };
                store.close().await;
                done?;
                embedded::renew(&new_journal, id)?;
                // The database first: a database without its journal is refused by a start, a journal without its database
                // is not refused and would be stored anew from its first record.
                disk::flush(new).map_err(io_at(new))?;
                install(new, database)?;
                install(&new_journal, &self.journal)?;
            }
            Rows::Server(server, settings) => {
                let store = SqlStore::new(Connections::with(server, settings).await?);
                let done = self.take_over(&store, &verified, &new_journal, id).await;
                store.close().await;
                done?;
            }
        }
        std::fs::remove_dir_all(&self.work).map_err(io_at(&self.work))
    }

    /// The journal first: until the rows know its new name, a start refuses them, and a restore into another folder still
    /// finds that they belong to the backup.
    async fn take_over(
        &self,
        store: &SqlStore,
        verified: &Verified,
        new_journal: &Path,
        id: Uuid,
    ) -> Result<(), BackupError> {
        fit(store, verified).await?;
        embedded::renew(new_journal, id)?;
        install(new_journal, &self.journal)?;
        Ok(retention::of_journal(store, id).await?)
    }
}

/// Gives a file or folder its name, on disk, too.
fn install(from: &Path, to: &Path) -> Result<(), BackupError> {
    std::fs::rename(from, to).map_err(io_at(to))?;
    let folder = to.parent().unwrap_or(Path::new("."));
    disk::sync_dir(folder).map_err(io_at(folder))
}

/// Looks whether the store belongs to the journal.
async fn fit(store: &SqlStore, journal: &Verified) -> Result<(), BackupError> {
    retention::same_journal(store, journal.journal).await?;
    belong_together(journal, &store.watermarks().await?)
}

fn named(error: JournalError, copy: &Path, source: &Path) -> JournalError {
    let there = |text: String| text.replace(&copy.display().to_string(), &source.display().to_string());
    match error {
        JournalError::Damaged(text) => JournalError::Damaged(there(text)),
        JournalError::Incompatible(text) => JournalError::Incompatible(there(text)),
        other => other,
    }
}
