//! Small files and folders, durably: a name counts once its folder is flushed.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// Makes the names in a folder durable.
///
/// # Errors
/// As the operating system says.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
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
