//! A disk that fails when a test says so: calls that fail, syncs that lose what they should have kept, power that goes.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Mutex;

mod disk;

pub(crate) use disk::{Chance, Disk};

/// What goes wrong next. The default is nothing.
#[derive(Default)]
pub(crate) struct Faults {
    plan: Mutex<Plan>,
    disk: Mutex<Option<Disk>>,
}

#[derive(Default)]
struct Plan {
    full: bool,
    write: Option<(ErrorKind, usize)>,
    syncs_before_failure: Option<u32>,
    /// Changes of the disk before the power goes; none works afterwards.
    changes_before_dark: Option<u32>,
}

impl Faults {
    /// While set, nothing can be allocated.
    pub(crate) fn set_full(&self, full: bool) {
        self.plan.lock().unwrap().full = full;
    }

    /// The next write fails with `kind` after `partly` bytes.
    pub(crate) fn fail_next_write(&self, kind: ErrorKind, partly: usize) {
        self.plan.lock().unwrap().write = Some((kind, partly));
    }

    /// The sync after the next `good` ones fails, once. On a watched disk any part of what it should have kept is lost, and
    /// looks clean.
    pub(crate) fn fail_sync_after(&self, good: u32) {
        self.plan.lock().unwrap().syncs_before_failure = Some(good);
    }

    /// The power goes after so many more changes of the disk: whatever is tried afterwards fails.
    pub(crate) fn cut_power_after(&self, changes: u32) {
        self.plan.lock().unwrap().changes_before_dark = Some(changes);
    }

    /// From now on what a power cut would leave behind is kept beside the files. Those that are there count as durable.
    pub(crate) fn watch(&self, dir: &Path, chance: Chance) {
        *self.disk.lock().unwrap() = Some(Disk::watch(dir, chance));
    }

    /// Puts what a power cut leaves behind into an empty folder.
    pub(crate) fn power_cut(&self, to: &Path) {
        self.disk.lock().unwrap().as_mut().expect("a watched disk").power_cut(to);
    }

    /// What a watched disk does beside the file system.
    pub(super) fn disk(&self, change: impl FnOnce(&mut Disk)) {
        if let Some(disk) = self.disk.lock().unwrap().as_mut() {
            change(disk);
        }
    }

    /// A change of the disk sets out.
    pub(super) fn change(&self) -> io::Result<()> {
        match self.plan.lock().unwrap().changes_before_dark.as_mut() {
            Some(0) => Err(io::Error::other("the power is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn allocate(&self) -> io::Result<()> {
        if self.plan.lock().unwrap().full { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub(super) fn write(&self, len: usize) -> Result<(), (io::Error, usize)> {
        self.change().map_err(|error| (error, 0))?;
        match self.plan.lock().unwrap().write.take() {
            Some((kind, partly)) => Err((kind.into(), partly.min(len))),
            None => Ok(()),
        }
    }

    pub(super) fn sync(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        let mut plan = self.plan.lock().unwrap();
        match plan.syncs_before_failure.as_mut() {
            Some(0) => {
                plan.syncs_before_failure = None;
                drop(plan);
                self.disk(|disk| disk.sync_failed(path));
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
