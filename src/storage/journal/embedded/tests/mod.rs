//! The embedded journal: the contract, restarts, damage.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::layout::RECORD_HEADER;
use super::{EmbeddedJournal, Options, segment};
use crate::env::{Env, ManualClock, SystemIds};
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::contract::{Fixture, read_all};
use crate::storage::journal::{AppendError, Appended, Journal, JournalError};

mod crash;
mod damage;
mod format;
mod full;
mod maintenance;
mod model;
mod power;
mod verify;

mod contract {
    async fn fixture() -> super::Fixture {
        let dir = tempfile::tempdir().unwrap();
        super::fixture(dir, super::options())
    }
    crate::journal_contract!(fixture);
}

mod contract_from_disk {
    /// Segments so small and a cache so empty that everything rolls, and is read from disk.
    async fn fixture() -> super::Fixture {
        let dir = tempfile::tempdir().unwrap();
        let options = super::Options { cache_bytes: 0, ..super::small_segments() };
        super::fixture(dir, options)
    }
    crate::journal_contract!(fixture);
}

fn fixture(dir: tempfile::TempDir, options: Options) -> Fixture {
    let (journal, _) = EmbeddedJournal::open(dir.path(), options).unwrap();
    let maintenance = journal.maintenance();
    let trim = Box::new(move |up_to: &[_]| maintenance.trim(up_to));
    Fixture { journal: Arc::new(journal), trim, has_one_time: true, keep: Box::new(dir) }
}

fn options() -> Options {
    let env = Env { clock: Arc::new(ManualClock::new(Timestamp(1_000))), ids: Arc::new(SystemIds) };
    Options { prepare_ahead: false, ..Options::new(env) }
}

fn small_segments() -> Options {
    Options { segment_bytes: 16 * 1024, ..options() }
}

/// A folder in memory where there is one: tests that open a journal thousands of times would only measure the disk.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn p(number: u16) -> Partition {
    Partition::new(number).unwrap()
}

fn open(dir: &Path, options: &Options) -> EmbeddedJournal {
    EmbeddedJournal::open(dir, options.clone()).unwrap().0
}

fn open_error(dir: &Path, options: &Options) -> JournalError {
    match EmbeddedJournal::open(dir, options.clone()) {
        Ok((_, report)) => panic!("opened: {report:?}"),
        Err(error) => error,
    }
}

/// Checks that the error is damage, and that its text has all of `parts`.
fn assert_damage(error: &JournalError, parts: &[&str]) {
    let JournalError::Damaged(text) = error else { panic!("not damage: {error:?}") };
    parts.iter().for_each(|part| assert!(text.contains(part), "{text:?} does not name {part:?}"));
}

/// A body that tells its number and is as long as asked for.
fn body(n: u64, len: usize) -> Bytes {
    let text = format!("record {n} ").into_bytes();
    text.into_iter().cycle().take(len).collect()
}

async fn append(journal: &EmbeddedJournal, partition: u16, record: Bytes) -> Result<Appended, AppendError> {
    journal.append(p(partition), vec![record]).await
}

async fn bodies(journal: &EmbeddedJournal, partition: u16) -> Vec<Bytes> {
    let start = journal.bounds(p(partition)).start;
    read_all(journal, p(partition), start, 1 << 20).await.into_iter().map(|record| record.bytes).collect()
}

/// Where the n-th record of `len` bytes begins.
fn position(n: u64, len: usize) -> u64 {
    4096 + n * (RECORD_HEADER + len) as u64
}

/// Copies a journal's files as they are.
fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn name(number: u64) -> String {
    segment::path(Path::new(""), number).display().to_string()
}
