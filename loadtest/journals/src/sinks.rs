//! The libraries, each in the mode in which a commit survives a power cut.

use std::path::Path;

use anyhow::Result;
use bytes::Bytes;
use kervan_loadtest::group::{GroupAppender, Sink};

struct Okaywal(okaywal::WriteAheadLog);

/// okaywal: one entry a group, a chunk a record.
///
/// # Errors
/// I/O.
pub fn okaywal(path: &Path) -> Result<GroupAppender> {
    let log = okaywal::Configuration::default_for(path).open(okaywal::LogVoid)?;
    GroupAppender::start(Okaywal(log))
}

impl Sink for Okaywal {
    fn commit(&mut self, batch: &[Bytes]) -> Result<()> {
        let mut entry = self.0.begin_entry()?;
        for record in batch {
            entry.write_chunk(record)?;
        }
        entry.commit()?;
        Ok(())
    }
}

struct Sqlite(rusqlite::Connection);

/// Rows of an insert: 100, so that a statement has 200 parameters.
const ROWS: usize = 100;

/// SQLite: a transaction a group, multi-row inserts, WAL with `synchronous=FULL`.
///
/// # Errors
/// I/O.
pub fn sqlite(path: &Path) -> Result<GroupAppender> {
    let database = rusqlite::Connection::open(path)?;
    database.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE log (number INTEGER PRIMARY KEY, partition INTEGER NOT NULL, record BLOB NOT NULL)",
    )?;
    GroupAppender::start(Sqlite(database))
}

impl Sink for Sqlite {
    fn commit(&mut self, batch: &[Bytes]) -> Result<()> {
        let transaction = self.0.transaction()?;
        for rows in batch.chunks(ROWS) {
            let values = vec!["(7, ?)"; rows.len()].join(",");
            let mut insert =
                transaction.prepare_cached(&format!("INSERT INTO log (partition, record) VALUES {values}"))?;
            insert.execute(rusqlite::params_from_iter(rows.iter().map(|record| &record[..])))?;
        }
        Ok(transaction.commit()?)
    }
}

struct Fjall {
    database: fjall::Database,
    log: fjall::Keyspace,
    number: u64,
}

/// fjall: a batch a group, persisted with `fdatasync`.
///
/// # Errors
/// I/O.
pub fn fjall(path: &Path) -> Result<GroupAppender> {
    let database = fjall::Database::builder(path).open()?;
    let log = database.keyspace("log", fjall::KeyspaceCreateOptions::default)?;
    GroupAppender::start(Fjall { database, log, number: 0 })
}

impl Sink for Fjall {
    fn commit(&mut self, batch: &[Bytes]) -> Result<()> {
        let mut writes = self.database.batch().durability(Some(fjall::PersistMode::SyncData));
        for record in batch {
            writes.insert(&self.log, self.number.to_be_bytes(), &record[..]);
            self.number += 1;
        }
        Ok(writes.commit()?)
    }
}

struct Redb {
    database: redb::Database,
    number: u64,
}

const LOG: redb::TableDefinition<'_, u64, &[u8]> = redb::TableDefinition::new("log");

/// redb: a transaction a group, durability `Immediate`.
///
/// # Errors
/// I/O.
pub fn redb(path: &Path) -> Result<GroupAppender> {
    let database = redb::Database::create(path)?;
    GroupAppender::start(Redb { database, number: 0 })
}

impl Sink for Redb {
    fn commit(&mut self, batch: &[Bytes]) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut log = transaction.open_table(LOG)?;
            for record in batch {
                log.insert(self.number, &record[..])?;
                self.number += 1;
            }
        }
        Ok(transaction.commit()?)
    }
}
