//! The data folder belongs to one process at a time: `LOCK` in it is locked as long as the process lives, and holds
//! its number. The operating system frees the lock however the process ends; the file stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// A held data folder. Freed when dropped.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why the folder can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the data folder {} is held by {}; one folder serves one process", .dir.display(), holder(.pid))]
    Held {
        /// The folder.
        dir: PathBuf,
        /// The other process, by its own number (that of its container, if it runs in one).
        pid: Option<u32>,
    },
    /// It can't be made or opened.
    #[error("the data folder {} can't be used: {source}", .dir.display())]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

fn holder(pid: &Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl DataLock {
    /// Makes the folder if it is not there, and takes it.
    ///
    /// # Errors
    /// See [`LockError`].
    pub fn acquire(dir: &Path) -> Result<Self, LockError> {
        let io = |source| LockError::Io { dir: dir.to_owned(), source };
        super::disk::make_private(dir).map_err(io)?;
        let path = dir.join("LOCK");
        // Not truncated on opening: until the lock is ours, the number in it is the holder's.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.read_to_string(&mut text).map_err(io)?;
                return Err(LockError::Held { dir: dir.to_owned(), pid: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write(&mut file).map_err(io)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_folder_says_who_holds_it_and_a_freed_one_can_be_had() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("made/on/the/way");
        let lock = DataLock::acquire(&dir).unwrap();
        let error = DataLock::acquire(&dir).unwrap_err().to_string();
        assert!(error.contains(&format!("held by process {};", std::process::id())), "{error}");
        drop(lock);
        DataLock::acquire(&dir).unwrap();
    }

    #[test]
    fn a_lock_file_that_was_left_behind_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("LOCK"), "4294967295 and more\n").unwrap();
        DataLock::acquire(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("LOCK")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }
}
