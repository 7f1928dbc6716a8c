//! A disk that fails when a test says so.

use std::io::{self, ErrorKind};
use std::sync::Mutex;

/// What goes wrong next. The default is nothing.
#[derive(Default)]
pub struct Faults(Mutex<Plan>);

#[derive(Default)]
struct Plan {
    full: bool,
    write: Option<(ErrorKind, usize)>,
    syncs_before_failure: Option<u32>,
}

impl Faults {
    /// While set, nothing can be allocated.
    pub fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }

    /// The next write fails with `kind` after `partly` bytes.
    pub fn fail_next_write(&self, kind: ErrorKind, partly: usize) {
        self.0.lock().unwrap().write = Some((kind, partly));
    }

    /// The sync after the next `good` ones fails, once.
    pub fn fail_sync_after(&self, good: u32) {
        self.0.lock().unwrap().syncs_before_failure = Some(good);
    }

    pub(super) fn allocate(&self) -> io::Result<()> {
        if self.0.lock().unwrap().full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub(super) fn write(&self, len: usize) -> Result<(), (io::Error, usize)> {
        match self.0.lock().unwrap().write.take() {
            Some((kind, partly)) => Err((kind.into(), partly.min(len))),
            None => Ok(()),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        let mut plan = self.0.lock().unwrap();
        match plan.syncs_before_failure.as_mut() {
            Some(0) => {
                plan.syncs_before_failure = None;
                Err(io::Error::other("injected"))
            }
            Some(good) => {
                *good -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}
