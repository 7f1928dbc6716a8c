//! `journal.meta`: who the journal is, where it begins, and the partitions' starts. Replaced as a whole, by rename. That of
//! a restored journal has 16 bytes more: its history.
//!
//! It makes an absent first segment different from a trimmed one, and an emptied folder different from a new one.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::files;
use super::layout::{self, Bad, Bases, FORMAT, u32_at, u64_at, uuid_at};
use crate::ids::PARTITIONS;
use crate::storage::disk;
use crate::storage::journal::JournalError;

const NAME: &str = "journal.meta";
const MAGIC: &[u8; 8] = b"KVNMETA\0";
const STARTS_AT: usize = 48;
const HISTORY_AT: usize = STARTS_AT + 8 * PARTITIONS as usize;
const BYTES: usize = HISTORY_AT + 4;
const RESTORED_BYTES: usize = HISTORY_AT + 16 + 4;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Meta {
    /// Repeated in each segment: what copies of one journal share.
    pub journal: Uuid,
    /// The journal's identity, which no other one has: at first as `journal`, renewed by each restore.
    pub history: Uuid,
    /// The first segment that is kept. 0 while the journal is being made: it has no records then.
    pub first_segment: u64,
    /// The header checksum of that segment.
    pub first_salt: u32,
    /// First offset held of each partition.
    pub starts: Bases,
}

impl Meta {
    /// Where it lies in a journal's folder.
    pub(crate) fn path(dir: &Path) -> PathBuf {
        dir.join(NAME)
    }

    /// Reads it; `None` if there is none.
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>, JournalError> {
        let path = Self::path(dir);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(files::io_error("read", &path, &error)),
        };
        Self::decode(&bytes).map(Some).map_err(|bad| files::bad_error(&path, bad))
    }

    /// Replaces it durably. On an error the old one still stands, or the new one does.
    pub(crate) fn store(&self, dir: &Path) -> Result<(), JournalError> {
        let path = Self::path(dir);
        disk::replace(&path, &self.encode()).map_err(|error| files::io_error("replace", &path, &error))
    }

    /// Gives the journal in `dir` the identity `id`: it goes on, but its log is another one from here on.
    pub(crate) fn renew(dir: &Path, id: Uuid) -> Result<(), JournalError> {
        let path = Self::path(dir);
        let meta = Self::load(dir)?;
        let meta = meta.ok_or_else(|| JournalError::Damaged(format!("{} is missing", path.display())))?;
        Self { history: id, ..meta }.store(dir)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&u32::from(PARTITIONS).to_le_bytes());
        bytes.extend_from_slice(self.journal.as_bytes());
        bytes.extend_from_slice(&self.first_segment.to_le_bytes());
        bytes.extend_from_slice(&u64::from(self.first_salt).to_le_bytes());
        self.starts.iter().for_each(|start| bytes.extend_from_slice(&start.to_le_bytes()));
        if self.history != self.journal {
            bytes.extend_from_slice(self.history.as_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Bad> {
        if bytes.len() < STARTS_AT || &bytes[..8] != MAGIC {
            return Err(Bad::Damaged("not a journal's meta file".to_owned()));
        }
        let body = bytes.len() - 4;
        if crc32c::crc32c(&bytes[..body]) != u32_at(bytes, body) {
            return Err(Bad::Damaged("its checksum does not match".to_owned()));
        }
        layout::check_version(u32_at(bytes, 8), u32_at(bytes, 12))?;
        let journal = uuid_at(bytes, 16);
        let history = match bytes.len() {
            BYTES => journal,
            RESTORED_BYTES => uuid_at(bytes, HISTORY_AT),
            len => return Err(Bad::Damaged(format!("{len} bytes instead of {BYTES} or {RESTORED_BYTES}"))),
        };
        let mut starts = layout::zero_bases();
        starts.iter_mut().enumerate().for_each(|(n, start)| *start = u64_at(bytes, STARTS_AT + 8 * n));
        Ok(Self { journal, history, first_segment: u64_at(bytes, 32), first_salt: u32_at(bytes, 40), starts })
    }
}
