//! The audit log: a line of JSON for each change that an operator asked for, and for each look at message bodies, flushed
//! to disk before the answer. Bounded: the file is turned over, and a few old ones are kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::ids::Timestamp;

/// The file in the data folder. Older ones are `audit.1.jsonl` and so on.
const NAME: &str = "audit.jsonl";
/// Bytes after which the file is turned over.
const BYTES: u64 = 4 * 1024 * 1024;
/// Old files that are kept.
const KEPT: usize = 4;

/// One change, or one look at bodies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct AuditLine {
    /// When, in milliseconds since the epoch.
    pub at: Timestamp,
    /// How the request was let in, `key`, `token` or `loopback`; and who it says to be, as `key: ann@ops1`.
    pub who: String,
    /// Address and port, if known.
    pub from: Option<String>,
    /// What was asked: `actor.restart`, `user.disconnect` …
    pub what: String,
    /// Of whom.
    pub target: String,
    /// `done`, or the code of the error.
    pub outcome: String,
}

/// See the module.
pub struct Audit {
    dir: PathBuf,
    bytes: u64,
    file: Mutex<Option<File>>,
}

impl Audit {
    /// In this folder; nothing is opened or made before the first line.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), bytes: BYTES, file: Mutex::default() }
    }

    /// Writes a line and flushes it to disk.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn write(&self, line: &AuditLine) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = match slot.take() {
            Some(file) => file,
            None => self.open()?,
        };
        let size = file.metadata()?.len();
        if size > 0 && size + text.len() as u64 > self.bytes {
            self.turn_over()?;
            file = self.open()?;
        }
        // One call: a line is there as a whole, or the crash came before.
        file.write_all(&text)?;
        file.sync_data()?;
        *slot = Some(file);
        Ok(())
    }

    fn open(&self) -> io::Result<File> {
        let path = self.dir.join(NAME);
        let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let mut last = [b'\n'];
        if file.metadata()?.len() > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        // A crash cut the last line: the next one is not to be lost with it.
        if last != [b'\n'] {
            file.write_all(b"\n")?;
        }
        Ok(file)
    }

    fn turn_over(&self) -> io::Result<()> {
        for n in (0..KEPT).rev() {
            match std::fs::rename(self.name(n), self.name(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn name(&self, n: usize) -> PathBuf {
        match n {
            0 => self.dir.join(NAME),
            n => self.dir.join(format!("audit.{n}.jsonl")),
        }
    }

    /// The lines, the newest first, without the `skip` newest ones, at most `limit`. A line cut by a crash is left out.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn read(&self, skip: usize, limit: usize) -> io::Result<Vec<AuditLine>> {
        let mut lines = Vec::new();
        for n in 0..=KEPT {
            let text = match std::fs::read_to_string(self.name(n)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                other => other?,
            };
            lines.extend(text.lines().rev().filter_map(|line| serde_json::from_str(line).ok()));
            if lines.len() >= skip + limit {
                break;
            }
        }
        Ok(lines.into_iter().skip(skip).take(limit).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u64) -> AuditLine {
        AuditLine {
            at: Timestamp(n),
            who: "key".to_owned(),
            from: None,
            what: "actor.restart".to_owned(),
            target: "partitions/1".to_owned(),
            outcome: "done".to_owned(),
        }
    }

    #[test]
    fn lines_come_back_the_newest_first_and_a_torn_one_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::new(dir.path());
        (1..=3).for_each(|n| audit.write(&line(n)).unwrap());
        let mut file = OpenOptions::new().append(true).open(dir.path().join(NAME)).unwrap();
        file.write_all(b"{\"at\":4,").unwrap();
        let again = Audit::new(dir.path());
        again.write(&line(5)).unwrap();
        assert_eq!(again.read(0, 10).unwrap(), [line(5), line(3), line(2), line(1)]);
        assert_eq!(audit.read(1, 1).unwrap(), [line(3)]);
    }

    #[test]
    fn the_files_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit { bytes: 1_000, ..Audit::new(dir.path()) };
        (0..100).for_each(|n| audit.write(&line(n)).unwrap());
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap()).collect();
        assert_eq!(files.len(), KEPT + 1);
        assert!(files.iter().all(|file| file.metadata().unwrap().len() <= 1_000));
        let seen = audit.read(0, 1_000).unwrap();
        assert_eq!(seen.first(), Some(&line(99)));
        assert!(seen.is_sorted_by(|newer, older| newer.at > older.at), "{seen:?}");
    }
}
