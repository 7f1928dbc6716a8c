//! Makes a backup.

use std::path::Path;

use super::{BackupError, FORMAT, FORMAT_WITHOUT_ROWS, FileEntry, JOURNAL, MANIFEST, Manifest, STORE};
use super::{belong_together, io_at, offsets, read_through};
use crate::ids::Timestamp;
use crate::storage::disk;
use crate::storage::journal::JournalError;
use crate::storage::journal::embedded;
use crate::storage::journal::maintenance::Maintenance;
use crate::storage::store::Store;

/// Writes a backup into `dir`, which must be empty or not there. Both sides may be in use; nothing may be trimmed until it
/// returns. After an error nothing is left of it, as far as that can be had.
///
/// # Errors
/// See [`BackupError`].
pub(crate) async fn take(
    journal: Maintenance,
    store: &dyn Store,
    dir: &Path,
    now: Timestamp,
) -> Result<Manifest, BackupError> {
    disk::make_private(dir).map_err(io_at(dir))?;
    if let Some(entry) = std::fs::read_dir(dir).map_err(io_at(dir))?.next() {
        let found = entry.map_err(io_at(dir))?.file_name().display().to_string();
        return Err(BackupError::NotEmpty { dir: dir.to_owned(), found });
    }
    let done = fill(journal, store, dir, now).await;
    if done.is_err() {
        clear(dir);
    }
    done
}

async fn fill(journal: Maintenance, store: &dyn Store, dir: &Path, now: Timestamp) -> Result<Manifest, BackupError> {
    // The store first: whatever the journal takes meanwhile, its copy reaches the store's watermarks.
    let watermarks = store.backup_to(&dir.join(STORE)).await?;
    let to = dir.to_owned();
    let copied = tokio::task::spawn_blocking(move || {
        journal.backup_to(&to.join(JOURNAL))?;
        let verified = embedded::verify(&to.join(JOURNAL))?;
        Ok::<_, BackupError>((verified, files(&to)?))
    });
    let copied = copied.await.map_err(|panic| JournalError::Io(format!("the copy did not finish: {panic}")))?;
    let (verified, files) = copied?;
    belong_together(&verified, &watermarks)?;
    let manifest = Manifest {
        format: if files.iter().any(|file| file.name == STORE) { FORMAT } else { FORMAT_WITHOUT_ROWS },
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at: now,
        journal: verified.journal,
        records: verified.records,
        watermarks: offsets(&watermarks),
        files,
    };
    let path = dir.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).map_err(std::io::Error::from).map_err(io_at(&path))?;
    disk::replace(&path, &text).map_err(io_at(&path))?;
    Ok(manifest)
}

/// All files of a backup as they lie on disk.
fn files(dir: &Path) -> Result<Vec<FileEntry>, BackupError> {
    let journal = dir.join(JOURNAL);
    let store = dir.join(STORE).try_exists().map_err(io_at(dir))?;
    let mut names: Vec<String> = store.then(|| STORE.to_owned()).into_iter().collect();
    for entry in std::fs::read_dir(&journal).map_err(io_at(&journal))? {
        let name = entry.map_err(io_at(&journal))?.file_name();
        names.push(format!("{JOURNAL}/{}", name.display()));
    }
    names.sort_unstable();
    let entry = |name: String| {
        let path = dir.join(&name);
        let (bytes, crc32c) = read_through(&path, |_| Ok(())).map_err(io_at(&path))?;
        Ok(FileEntry { name, bytes, crc32c })
    };
    names.into_iter().map(entry).collect()
}

/// Takes away what a failed backup left. What can't be removed is no backup all the same: it has no manifest.
fn clear(dir: &Path) {
    for done in [std::fs::remove_file(dir.join(STORE)), std::fs::remove_dir_all(dir.join(JOURNAL))] {
        if let Err(error) = done
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "what is left of a failed backup could not be removed");
        }
    }
}
