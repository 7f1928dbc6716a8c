//! A file system of its own that is small, and can be filled up. It takes root, or a user who may mount.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tmpfs. Unmounted when dropped.
pub(crate) struct SmallDisk {
    at: PathBuf,
    bytes: u64,
}

impl SmallDisk {
    /// Mounts one on the folder, which is made. An error says what the system says: this process may not mount.
    pub(crate) fn mount(at: &Path, bytes: u64) -> Result<Self, String> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={bytes}");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        match output {
            Ok(output) if output.status.success() => Ok(Self { at: at.to_owned(), bytes }),
            refused => Err(format!("{refused:?}")),
        }
    }

    /// Not a byte more can be written.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.at.join("ballast")).unwrap();
        let mut is_full = false;
        for block in [vec![0; 1 << 20], vec![0; 4096]] {
            is_full = (0..=self.bytes / block.len() as u64).any(|_| ballast.write_all(&block).is_err());
        }
        assert!(is_full, "the disk is not full");
    }

    /// There is room again.
    pub(crate) fn clear(&self) {
        fs::remove_file(self.at.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
