//! Prepares the file of the next segment while the active one fills: allocated and written with zeros.
//!
//! On ext4 a sync of bytes that were written before costs about two thirds of a sync of bytes that are only allocated,
//! because nothing but the data has to reach the disk. It is a matter of speed alone: without a spare the next segment
//! is made when it is needed. A spare holds nothing but zeros, so it is kept for the next start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::Options;
use super::files::{Trouble, WriteFile};
use crate::storage::journal::JournalError;

/// Bytes of zeros written at once, and synced, so that the active segment's syncs never wait for many of them.
const STEP: u64 = 512 * 1024;
/// Bytes of a segment for which no file was prepared, the first one above all.
const SMALL: u64 = 4 * 1024 * 1024;

/// At most one spare file, in the making or made.
#[derive(Default)]
pub(crate) struct Spare {
    ready: Option<WriteFile>,
    making: Option<JoinHandle<Result<WriteFile, Trouble>>>,
    stop: Arc<AtomicBool>,
}

impl Spare {
    /// The spare at `path` that the last process left, if it has the right size. Zeros are all that was ever written to
    /// it; what a crash kept from it reads as zeros, too.
    pub(crate) fn kept(path: &Path, options: &Options) -> Result<Self, JournalError> {
        let mut spare = Self::default();
        if options.prepare_ahead && path.exists() {
            let file = WriteFile::open(path.to_owned(), options)?;
            spare.ready = (file.len()? == options.segment_bytes).then_some(file);
        }
        Ok(spare)
    }

    /// Begins to make a spare of `options.segment_bytes` at `path` unless there is one.
    pub(crate) fn prepare(&mut self, path: PathBuf, options: &Options) {
        if self.ready.is_some() || self.making.is_some() {
            return;
        }
        let (options, stop) = (options.clone(), self.stop.clone());
        let thread = std::thread::Builder::new().name("journal-spare".to_owned());
        match thread.spawn(move || WriteFile::create_written(path, options.segment_bytes, STEP, &options, &stop)) {
            Ok(handle) => self.making = Some(handle),
            Err(error) => tracing::warn!(%error, "no thread to prepare a journal segment"),
        }
    }

    /// The spare if it is ready.
    pub(crate) fn take(&mut self) -> Option<WriteFile> {
        if self.ready.is_some() {
            return self.ready.take();
        }
        let made = self.making.take_if(|making| making.is_finished())?.join();
        match made {
            Ok(Ok(file)) => Some(file),
            Ok(Err(trouble)) => {
                tracing::warn!(
                    ?trouble,
                    "no journal segment could be prepared; the next one is made when it is needed"
                );
                None
            }
            Err(_) => None, // it panicked, which was printed
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(Ok(Err(trouble))) = self.making.take().map(JoinHandle::join) {
            tracing::debug!(?trouble, "no journal segment was prepared");
        }
    }
}

/// The file of a segment that is needed now, and how many bytes it has: `bytes`, or fewer if it was not prepared and the
/// journal prepares files, because a small one is written with zeros quickly.
pub(crate) fn at_once(path: PathBuf, bytes: u64, needs: u64, options: &Options) -> Result<(WriteFile, u64), Trouble> {
    if !options.prepare_ahead {
        return Ok((WriteFile::create(path, bytes, options)?, bytes));
    }
    let bytes = bytes.min(SMALL).max(needs);
    Ok((WriteFile::create_written(path, bytes, SMALL, options, &AtomicBool::new(false))?, bytes))
}
