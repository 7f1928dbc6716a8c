//! The bare group-commit appender: the least that makes an append durable, to compare the journal with in the same run.
//!
//! One write and one `fdatasync` for all that wait. No checksum, no index, no partitions, no recovery, no bound.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Result;
use bytes::Bytes;

use crate::group::{GroupAppender, Sink};

/// What the file is like that is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Grows with each write: each sync writes the file's length, too.
    Growing,
    /// So many bytes of written zeros, used from the start again when they are full: the best case of a disk.
    Written(u64),
}

struct Bare {
    file: File,
    room: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl Sink for Bare {
    fn commit(&mut self, batch: &[Bytes]) -> Result<()> {
        self.buffer.clear();
        for record in batch {
            self.buffer.extend_from_slice(record);
        }
        let length = self.buffer.len() as u64;
        if self.at.saturating_add(length) > self.room {
            self.at = 0;
        }
        self.file.write_all_at(&self.buffer, self.at)?;
        self.file.sync_data()?;
        self.at += length;
        Ok(())
    }
}

/// A bare appender that writes to a new file at `path`.
///
/// # Errors
/// I/O while the file is made.
pub fn create(path: &Path, layout: Layout) -> Result<GroupAppender> {
    let file = File::create(path)?;
    let room = match layout {
        Layout::Growing => u64::MAX,
        Layout::Written(bytes) => {
            let zeros = vec![0u8; 1 << 20];
            for at in (0..bytes).step_by(zeros.len()) {
                file.write_all_at(&zeros, at)?;
            }
            bytes
        }
    };
    file.sync_all()?;
    GroupAppender::start(Bare { file, room, at: 0, buffer: Vec::new() })
}
