//! Small files and folders, durably: a name counts once its folder is flushed. Folders that are made here are their owner's
//! alone: what lies in them (bodies, hashes of passwords) is for nobody else on the machine.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

/// Makes a folder, and what is missing on the way to it, for its owner alone. One that is there stays as it is.
///
/// # Errors
/// As the operating system says.
pub fn make_private(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// What others on the machine may do with a file or folder of ours: the bits of its mode that are not its owner's. `None` if
/// there are none, or it is not there.
#[must_use]
pub fn open_to_others(path: &Path) -> Option<u32> {
    let bits = std::fs::metadata(path).ok()?.mode() & 0o077;
    (bits != 0).then_some(bits)
}

/// Makes the names in a folder durable.
///
/// # Errors
/// As the operating system says.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    // The parent of a bare file name is the empty path.
    File::open(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?.sync_all()
}

/// Makes a file's content and its place in its folder durable.
///
/// # Errors
/// As the operating system says.
pub fn flush(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Replaces a small file durably: it holds the old bytes or the new ones, never a part.
///
/// # Errors
/// As the operating system says. The old file may still stand, or the new one does.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let tmp = path.with_extension("tmp");
    let mut file = File::create(&tmp)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&tmp, path)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}
