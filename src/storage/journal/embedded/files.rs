//! The few things the journal does to files, with errors that name the path. Tests can make the disk fail here.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FallocateFlags, fallocate};

use super::Options;
use super::layout::Bad;
use crate::storage::disk;
use crate::storage::journal::JournalError;

/// Bytes that are written again at once.
const REWRITTEN: u64 = 1 << 20;

/// Why something could not be written.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// No space, quota or file-size limit: may go away.
    Full(String),
    /// Anything else: what the disk holds is unknown.
    Failed(String),
}

impl Trouble {
    fn of(what: &str, path: &Path, error: &io::Error) -> Self {
        let text = format!("{what} {}: {error}", path.display());
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full(text),
            _ => Self::Failed(text),
        }
    }
}

impl From<Trouble> for JournalError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Full(text) | Trouble::Failed(text) => Self::Io(text),
        }
    }
}

/// An I/O error as the journal's.
pub(crate) fn io_error(what: &str, path: &Path, error: &io::Error) -> JournalError {
    JournalError::Io(format!("{what} {}: {error}", path.display()))
}

/// A bad block as the journal's error.
pub(crate) fn bad_error(path: &Path, bad: Bad) -> JournalError {
    match bad {
        Bad::Damaged(text) => JournalError::Damaged(format!("{}: {text}", path.display())),
        Bad::Incompatible(text) => JournalError::Incompatible(format!("{}: {text}", path.display())),
    }
}

/// A segment open for writing.
pub(crate) struct WriteFile {
    file: File,
    path: PathBuf,
    #[cfg(test)]
    faults: std::sync::Arc<super::faults::Faults>,
}

impl WriteFile {
    /// Makes a file of `bytes` bytes that are already allocated, so that a full disk shows here and not at a write.
    pub(crate) fn create(path: PathBuf, bytes: u64, options: &Options) -> Result<Self, Trouble> {
        #[cfg(test)]
        options.faults.change().map_err(|error| Trouble::of("create", &path, &error))?;
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| Trouble::of("create", &path, &error))?;
        #[cfg(test)]
        options.faults.disk(|disk| disk.create(&path));
        let made = Self::new(file, path, options);
        if let Err(trouble) = made.allocate(bytes) {
            made.remove();
            return Err(trouble);
        }
        Ok(made)
    }

    /// [`WriteFile::create`], and writes zeros over all of it, `step` bytes at once and synced, until `stop` is set.
    pub(crate) fn create_written(
        path: PathBuf,
        bytes: u64,
        step: u64,
        options: &Options,
        stop: &AtomicBool,
    ) -> Result<Self, Trouble> {
        let file = Self::create(path, bytes, options)?;
        let zeros = vec![0; step.min(bytes) as usize];
        let mut at = 0;
        while at < bytes && !stop.load(Ordering::Relaxed) {
            let len = (bytes - at).min(step);
            if let Err(trouble) = file.write(&zeros[..len as usize], at).and_then(|()| file.sync()) {
                file.remove();
                return Err(trouble);
            }
            at += len;
        }
        Ok(file)
    }

    /// Opens an existing file.
    pub(crate) fn open(path: PathBuf, options: &Options) -> Result<Self, JournalError> {
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|error| io_error("open", &path, &error))?;
        Ok(Self::new(file, path, options))
    }

    #[cfg_attr(not(test), expect(unused_variables, reason = "only tests make the disk fail"))]
    fn new(file: File, path: PathBuf, options: &Options) -> Self {
        Self {
            file,
            path,
            #[cfg(test)]
            faults: options.faults.clone(),
        }
    }

    /// Allocates up to `bytes`; what is new reads as zeros. Does nothing on a file system that can't.
    pub(crate) fn allocate(&self, bytes: u64) -> Result<(), Trouble> {
        #[cfg(test)]
        self.faults.allocate().map_err(|error| Trouble::of("allocate", &self.path, &error))?;
        match fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => {
                #[cfg(test)]
                self.faults.disk(|disk| disk.allocate(&self.path, bytes));
                Ok(())
            }
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            Err(errno) => Err(Trouble::of("allocate", &self.path, &errno.into())),
        }
    }

    /// Writes all of `bytes` at `at`.
    pub(crate) fn write(&self, bytes: &[u8], at: u64) -> Result<(), Trouble> {
        #[cfg(test)]
        if let Err((error, partly)) = self.faults.write(bytes.len()) {
            drop(self.file.write_all_at(&bytes[..partly], at));
            self.faults.disk(|disk| disk.write(&self.path, &bytes[..partly], at));
            return Err(Trouble::of("write", &self.path, &error));
        }
        #[cfg(test)]
        self.faults.disk(|disk| disk.write(&self.path, bytes, at));
        self.file.write_all_at(bytes, at).map_err(|error| Trouble::of("write", &self.path, &error))
    }

    /// Makes what was written durable, the length included. After an error nothing is known about it.
    pub(crate) fn sync(&self) -> Result<(), Trouble> {
        // Whatever the kind of the error: the kernel may have dropped the dirty pages, so it never counts as "full".
        let failed = |error: io::Error| Trouble::Failed(format!("sync {}: {error}", self.path.display()));
        #[cfg(test)]
        self.faults.sync(&self.path).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        #[cfg(test)]
        self.faults.disk(|disk| disk.sync(&self.path));
        Ok(())
    }

    /// Writes `from..to` again as it is read, and makes it durable. What an earlier process wrote and could not sync may
    /// look clean and not be on the disk: a sync alone would do nothing about it.
    pub(crate) fn rewrite(&self, from: u64, to: u64) -> Result<(), JournalError> {
        let mut window = Window::new(&self.file, &self.path);
        let mut at = from;
        while at < to {
            let len = (to - at).min(REWRITTEN) as usize;
            self.write(window.get(at, len, 0)?, at)?;
            at += len as u64;
        }
        Ok(self.sync()?)
    }

    /// Cuts or extends the file.
    pub(crate) fn set_len(&self, bytes: u64) -> Result<(), Trouble> {
        #[cfg(test)]
        self.faults.change().map_err(|error| Trouble::of("cut", &self.path, &error))?;
        self.file.set_len(bytes).map_err(|error| Trouble::of("cut", &self.path, &error))?;
        #[cfg(test)]
        self.faults.disk(|disk| disk.set_len(&self.path, bytes));
        Ok(())
    }

    /// Its length.
    pub(crate) fn len(&self) -> Result<u64, JournalError> {
        Ok(self.file.metadata().map_err(|error| io_error("stat", &self.path, &error))?.len())
    }

    /// The file, for reading.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Removes a file that holds nothing yet. An error is logged only: the next start removes it, too.
    pub(crate) fn remove(self) {
        #[cfg(test)]
        self.faults.disk(|disk| disk.remove(&self.path));
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(file = %self.path.display(), %error, "could not be removed");
        }
    }

    /// Renames it within its folder, durably.
    pub(crate) fn rename(&mut self, to: &Path) -> Result<(), Trouble> {
        #[cfg(test)]
        self.faults.change().map_err(|error| Trouble::of("rename", &self.path, &error))?;
        std::fs::rename(&self.path, to).map_err(|error| Trouble::of("rename", &self.path, &error))?;
        #[cfg(test)]
        self.faults.disk(|disk| disk.rename(&self.path, to));
        self.path = to.to_owned();
        // Never "full": the new name may be there or not, so nothing may be written to its predecessor any more.
        disk::sync_dir(to.parent().unwrap_or(Path::new(".")))
            .map_err(|error| Trouble::Failed(format!("sync the folder of {}: {error}", to.display())))?;
        #[cfg(test)]
        self.faults.disk(|disk| disk.sync_dir());
        Ok(())
    }
}

/// Makes the names in the journal's folder durable.
#[cfg_attr(not(test), expect(unused_variables, reason = "only tests make the disk fail"))]
pub(crate) fn sync_dir(dir: &Path, options: &Options) -> Result<(), JournalError> {
    disk::sync_dir(dir).map_err(|error| io_error("sync the folder", dir, &error))?;
    #[cfg(test)]
    options.faults.disk(|disk| disk.sync_dir());
    Ok(())
}

/// Removes a file if it is there, durably or not.
#[cfg_attr(not(test), expect(unused_variables, reason = "only tests make the disk fail"))]
pub(crate) fn remove_if_there(path: &Path, options: &Options) -> Result<(), JournalError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error("remove", path, &error)),
        _ => {
            #[cfg(test)]
            options.faults.disk(|disk| disk.remove(path));
            Ok(())
        }
    }
}

/// A part of a file in memory, moved along as it is read.
pub(crate) struct Window<'a> {
    file: &'a File,
    path: &'a Path,
    start: u64,
    bytes: Vec<u8>,
    #[cfg(test)]
    read_bytes: u64,
}

impl<'a> Window<'a> {
    /// An empty window.
    pub(crate) fn new(file: &'a File, path: &'a Path) -> Self {
        Self {
            file,
            path,
            start: 0,
            bytes: Vec::new(),
            #[cfg(test)]
            read_bytes: 0,
        }
    }

    /// Bytes that were read of the file so far.
    #[cfg(test)]
    pub(crate) fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// The `len` bytes at `at`. If they are not in the window yet, it moves there and takes `ahead` bytes if that is
    /// more (fewer at the end of the file). An error if the file ends before `len` bytes.
    pub(crate) fn get(&mut self, at: u64, len: usize, ahead: usize) -> Result<&[u8], JournalError> {
        let held = self.start..self.start + self.bytes.len() as u64;
        if !(held.contains(&at) && at + len as u64 <= held.end) {
            self.bytes.resize(len.max(ahead), 0);
            self.start = at;
            let mut filled = 0;
            while filled < self.bytes.len() {
                match self.file.read_at(&mut self.bytes[filled..], at + filled as u64) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(io_error("read", self.path, &error)),
                }
            }
            self.bytes.truncate(filled);
            #[cfg(test)]
            {
                self.read_bytes += filled as u64;
            }
        }
        let from = (at - self.start) as usize;
        self.bytes.get(from..from + len).ok_or_else(|| {
            JournalError::Damaged(format!("{}: the file ends before byte {}", self.path.display(), at + len as u64))
        })
    }
}
