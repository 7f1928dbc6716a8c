//! The dialect of SQLite: one file in WAL mode.
//!
//! One connection writes for the projector, a few read; readers see the last commit and never wait for the writer.
//!
//! `synchronous=NORMAL`: a commit is in the WAL, flushed to disk at checkpoints only. After a crash of the process nothing
//! is missing; after a power cut the file may stand at an earlier commit, rows and watermarks together, and the journal
//! (which is flushed) brings the rest again. So no commit pays for an fsync, and none needs one. Rows that no journal could
//! bring again are written by connections with `synchronous=FULL` ([`direct`]).

use std::path::Path;
use std::str::FromStr as _;

use futures_util::FutureExt as _;
use sqlx::Arguments as _;
use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};

use super::value::Value;
use super::{Binder, classify};
use crate::limits;
use crate::storage::disk;
use crate::storage::store::StoreError;

/// KiB of page cache of the writer: the leaves that a busy hour writes to.
const WRITER_CACHE_KIB: i64 = 32 * 1024;
/// KiB of page cache of each reader; the operating system's cache lies behind it.
const READER_CACHE_KIB: i64 = 4 * 1024;
/// Pages of the WAL after which the writer checkpoints: 16 MiB, so that a page that is written again and again is
/// written back once.
const CHECKPOINT_PAGES: i64 = 4096;
/// Rows that a connection of the engine may have ready for whoever reads them: thread and task then take turns once for a few
/// hundred rows. Those of clients keep sqlx's 50: a page ends with the row that fills it, and what is read beyond is wasted.
const ROWS_AHEAD: usize = 512;
/// Bytes that the WAL file keeps after a checkpoint.
const WAL_BYTES: i64 = 64 * 1024 * 1024;

/// How a transaction that writes begins: it has the file's lock from its first statement on, so that it never has to give up
/// what it has read.
pub(super) const BEGIN_WRITING: &str = "BEGIN IMMEDIATE";
/// How a transaction that reads begins.
pub(super) const BEGIN_READING: &str = "BEGIN";

/// The address of an SQLite file.
fn url_of(path: &Path) -> Result<String, StoreError> {
    let text =
        path.to_str().ok_or_else(|| StoreError::Incompatible("the path of the store is not UTF-8".to_owned()))?;
    // In a URL these would begin something else.
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("sqlite:{escaped}"))
}

/// How the file at `path` is opened. It is made if there is none.
pub(super) fn options(path: &Path) -> Result<SqliteConnectOptions, StoreError> {
    let parsed = SqliteConnectOptions::from_str(&url_of(path)?)
        .map_err(|error| StoreError::Incompatible(format!("not the address of an SQLite file: {error}")))?;
    Ok(parsed
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(limits::SQL_WAIT)
        .foreign_keys(false)
        .statement_cache_capacity(limits::SQL_STATEMENTS)
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0"))
}

/// A few connections that only read, for clients.
pub(super) fn client_readers(options: &SqliteConnectOptions) -> SqlitePool {
    pool(limits::SQL_CLIENT_READERS).connect_lazy_with(reader(options))
}

/// A few connections that only read, for the engine.
pub(super) fn engine_readers(options: &SqliteConnectOptions) -> SqlitePool {
    pool(limits::SQL_ENGINE_READERS).connect_lazy_with(reader(options).row_buffer_size(ROWS_AHEAD))
}

fn reader(options: &SqliteConnectOptions) -> SqliteConnectOptions {
    let cache = (-READER_CACHE_KIB).to_string();
    options.clone().read_only(true).create_if_missing(false).pragma("cache_size", cache)
}

/// Connections whose commits are on disk when they are answered.
pub(super) fn direct(options: &SqliteConnectOptions) -> SqlitePool {
    let options = options.clone().create_if_missing(false).synchronous(SqliteSynchronous::Full);
    pool(limits::SQL_DIRECT).connect_lazy_with(options)
}

fn pool(most: u32) -> SqlitePoolOptions {
    let options = SqlitePoolOptions::new().min_connections(0).max_connections(most);
    let options = options.after_release(|conn, _| async move { Ok(!is_stuck(conn).await?) }.boxed());
    options.acquire_timeout(limits::SQL_WAIT).test_before_acquire(false)
}

/// Whether a connection takes itself to be in a transaction for good. SQLite ends one by itself when the disk is full or
/// fails; the rollback that comes then finds nothing to end, fails, and is not counted: no other could begin there.
async fn is_stuck(conn: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if conn.is_in_transaction() {
        // The rollback of one that was dropped is on its way: this comes behind it.
        conn.ping().await?;
    }
    Ok(conn.is_in_transaction())
}

/// Opens the connection that writes.
pub(in crate::storage) async fn writer(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let options = options
        .clone()
        .row_buffer_size(ROWS_AHEAD)
        .pragma("cache_size", (-WRITER_CACHE_KIB).to_string())
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", WAL_BYTES.to_string());
    SqliteConnection::connect_with(&options).await.map_err(classify)
}

/// The connection that writes, over its life.
pub(in crate::storage) enum WriteConnection {
    Open(SqliteConnection),
    /// Its thread died, or it is stuck in a transaction: whoever writes next opens another.
    Lost,
    Closed,
}

impl WriteConnection {
    /// The connection; one that was lost is opened again.
    pub(super) async fn open(&mut self, options: &SqliteConnectOptions) -> Result<&mut SqliteConnection, StoreError> {
        if matches!(self, Self::Lost) {
            *self = Self::Open(writer(options).await?);
        }
        match self {
            Self::Open(conn) => Ok(conn),
            Self::Lost | Self::Closed => Err(StoreError::Unavailable("the store is closed".to_owned())),
        }
    }

    /// Looks after a failure whether the connection is still good for anything.
    pub(super) async fn look_after_failure(&mut self) {
        let Self::Open(conn) = self else { return };
        // The ping comes behind a rollback that is on its way.
        match conn.ping().await.map(|()| conn.is_in_transaction()) {
            Ok(false) => return,
            Ok(true) => {
                tracing::warn!("SQLite ended a transaction by itself; another connection that writes is opened")
            }
            Err(error) => tracing::warn!(%error, "the connection that writes is lost; another one is opened"),
        }
        *self = Self::Lost;
    }

    pub(super) async fn close(&mut self) {
        if let Self::Open(conn) = std::mem::replace(self, Self::Closed)
            && let Err(error) = conn.close().await
        {
            tracing::warn!(%error, "the store did not close in order; its WAL is read at the next start");
        }
    }
}

/// Values as SQLite takes them: flags are numbers, ids are their 16 bytes.
pub(super) fn arguments(binder: Binder) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    for value in binder.finish()? {
        match value {
            Value::Int(number) => arguments.add(number),
            Value::Flag(flag) => arguments.add(flag),
            Value::Text(text) => arguments.add(text),
            Value::Blob(bytes) => arguments.add(bytes),
            Value::Uuid(id) => arguments.add(id.map(|id| id.into_bytes().to_vec())),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// Makes what was committed durable. Commits lie in the WAL; a checkpoint flushes what it moves by itself. There is no WAL
/// before the first write.
pub(super) async fn flush(options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let file = options.get_filename().to_owned();
    let mut wal = file.clone().into_os_string();
    wal.push("-wal");
    blocking("flushing the database", move || match disk::flush(Path::new(&wal)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => disk::flush(&file),
    })
    .await
}

/// Writes a consistent, flushed copy to `path`, by a connection of its own: it takes as long as the file is large, and the
/// readers are few. Returns a connection that reads the copy.
pub(super) async fn copy(options: &SqliteConnectOptions, path: &Path) -> Result<SqliteConnection, StoreError> {
    if path.exists() {
        return Err(StoreError::Incompatible(format!("{} exists already", path.display())));
    }
    let name = path.to_str().ok_or_else(|| StoreError::Incompatible("the path is not UTF-8".to_owned()))?.to_owned();
    let source = options.clone().create_if_missing(false);
    let mut source = SqliteConnection::connect_with(&source).await.map_err(classify)?;
    sqlx::query("VACUUM INTO ?").bind(name).execute(&mut source).await.map_err(classify)?;
    source.close().await.map_err(classify)?;
    let file = path.to_owned();
    blocking("flushing the copy", move || disk::flush(&file)).await?;
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    SqliteConnection::connect_with(&options).await.map_err(classify)
}

async fn blocking(what: &str, work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StoreError::Unavailable(error.to_string()))?
        .map_err(|error| StoreError::Unavailable(format!("{what}: {error}")))
}
