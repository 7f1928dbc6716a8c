//! The store of one node: an SQLite file in WAL mode, by way of sqlx.
//!
//! One connection writes, a few read; readers see the last commit and never wait for the writer. What the engine itself
//! reads (cold rooms, the workers) has connections of its own: no number of lists and pages that clients ask for makes it
//! wait.
//!
//! `synchronous=NORMAL`: a commit is in the WAL, flushed to disk at checkpoints only. After a crash of the process nothing
//! is missing; after a power cut the file may stand at an earlier commit, rows and watermarks together, and the journal
//! (which is flushed) brings the rest again. So no commit pays for an fsync, and none needs one.

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Sqlite, Transaction};
use tokio::sync::Mutex;

use super::commit::Commit;
use super::rows::{
    ChatRow, DeadLetterRow, MemberRow, MessageRow, OutboxPlace, OutboxRow, PageBound, ReadMarkRow, RoomEventRow,
    RoomListCursor, RoomListPage, RoomListRow, RoomSnapshot, Shelf, UserEventRow, UserRow, UserSnapshot, WatermarkRow,
};
use super::{Invitations, SeqRange, Store, StoreError, migrate};
use crate::ids::{Offset, Partition, RoomId, Timestamp, UserId};
use crate::storage::disk;

mod error;
mod list;
#[cfg(test)]
mod plans;
mod read;
mod statements;
#[cfg(test)]
mod tests;
mod write;

pub(in crate::storage) use error::classify;
use write::Binder;

/// Connections that read for clients. SQLite reads are short; more of them only cost memory.
const READERS: u32 = 4;
/// Connections that read for the engine: rooms and users that are made from rows, and the workers.
const ENGINE_READERS: u32 = 4;
/// KiB of page cache of the writer: the leaves that a busy hour writes to.
const WRITER_CACHE_KIB: i64 = 32 * 1024;
/// KiB of page cache of each reader; the operating system's cache lies behind it.
const READER_CACHE_KIB: i64 = 4 * 1024;
/// Pages of the WAL after which the writer checkpoints: 16 MiB, so that a page that is written again and again is
/// written back once.
const CHECKPOINT_PAGES: i64 = 4096;
/// Bytes that the WAL file keeps after a checkpoint.
const WAL_BYTES: i64 = 64 * 1024 * 1024;
/// How long a statement waits for another process that holds the file (a backup tool, a shell).
const BUSY: Duration = Duration::from_secs(5);
/// How long a read waits for a free connection before it is answered with "unavailable".
const READER_WAIT: Duration = Duration::from_secs(5);
/// Prepared statements that a connection keeps: all of [`statements`] fits.
const STATEMENTS: usize = 160;

/// An open SQLite store. Dropping it closes it; [`Store::close`] does it in an orderly way.
pub struct SqlStore {
    writer: Mutex<Writer>,
    readers: SqlitePool,
    engine: SqlitePool,
    options: SqliteConnectOptions,
    bulks: statements::Bulks,
}

/// The connection that writes.
enum Writer {
    Open(SqliteConnection),
    /// Its thread died: the next who writes opens another.
    Lost,
    Closed,
}

impl Writer {
    async fn open(&mut self, options: &SqliteConnectOptions) -> Result<&mut SqliteConnection, StoreError> {
        if matches!(self, Self::Lost) {
            *self = Self::Open(writer(options).await?);
        }
        match self {
            Self::Open(conn) => Ok(conn),
            Self::Lost | Self::Closed => Err(StoreError::Unavailable("the store is closed".to_owned())),
        }
    }

    /// Looks after a failure whether the connection is still good for anything.
    async fn check<T>(&mut self, done: Result<T, StoreError>) -> Result<T, StoreError> {
        if done.is_err()
            && let Self::Open(conn) = self
            && let Err(error) = conn.ping().await
        {
            tracing::warn!(%error, "the connection that writes is lost; another one is opened");
            *self = Self::Lost;
        }
        done
    }
}

/// A few connections that only read.
fn readers(options: &SqliteConnectOptions, most: u32) -> SqlitePool {
    let cache = (-READER_CACHE_KIB).to_string();
    SqlitePoolOptions::new()
        .min_connections(0)
        .max_connections(most)
        .acquire_timeout(READER_WAIT)
        .test_before_acquire(false)
        .connect_lazy_with(options.clone().read_only(true).create_if_missing(false).pragma("cache_size", cache))
}

/// How the file at `url` is opened.
pub(in crate::storage) fn options(url: &str) -> Result<SqliteConnectOptions, StoreError> {
    let parsed = SqliteConnectOptions::from_str(url)
        .map_err(|error| StoreError::Incompatible(format!("not the address of an SQLite file: {error}")))?;
    Ok(parsed
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY)
        .foreign_keys(false)
        .statement_cache_capacity(STATEMENTS)
        .pragma("temp_store", "MEMORY")
        .pragma("mmap_size", "0"))
}

/// The writing connection of the file at `url`, made if there is none.
pub(super) async fn connect_writer(url: &str) -> Result<SqliteConnection, StoreError> {
    writer(&options(url)?).await
}

async fn writer(options: &SqliteConnectOptions) -> Result<SqliteConnection, StoreError> {
    let options = options
        .clone()
        .pragma("cache_size", (-WRITER_CACHE_KIB).to_string())
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", WAL_BYTES.to_string());
    SqliteConnection::connect_with(&options).await.map_err(classify)
}

impl SqlStore {
    /// Opens the file at `url` (`sqlite:<path>`; it is made if there is none) and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Incompatible`] if a newer program made it, or the URL is none; otherwise as the file says.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = options(url)?;
        let mut writer = writer(&options).await?;
        migrate::sqlite(&mut writer).await?;
        let (clients, engine) = (readers(&options, READERS), readers(&options, ENGINE_READERS));
        let writer = Mutex::new(Writer::Open(writer));
        Ok(Self { writer, readers: clients, engine, options, bulks: statements::Bulks::new() })
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_file(path: &Path) -> Result<Self, StoreError> {
        Self::open(&url_of(path)?).await
    }

    /// A read transaction for a client: everything read in it is of one moment.
    async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.readers.begin().await.map_err(classify)
    }

    /// The same for the engine.
    async fn engine_snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.engine.begin().await.map_err(classify)
    }

    /// One statement that writes.
    async fn write(&self, text: &'static str, bind: impl FnOnce(&mut Binder)) -> Result<(), StoreError> {
        let mut binder = Binder::new();
        bind(&mut binder);
        let mut writer = self.writer.lock().await;
        let done = binder.execute(writer.open(&self.options).await?, text).await.map(drop);
        writer.check(done).await
    }

    /// After a refused guard: which partition stands elsewhere.
    async fn stale(&self, moves: &[(Partition, Offset)]) -> StoreError {
        let now = match self.watermarks().await {
            Ok(now) => now,
            Err(error) => return error,
        };
        for (partition, from) in moves {
            match now.iter().find(|row| row.partition == *partition) {
                Some(row) if row.next_offset == *from => {}
                Some(row) => return StoreError::Stale { partition: *partition, found: row.next_offset },
                None => return error::damaged("watermarks", format!("no row of partition {partition}")),
            }
        }
        error::damaged("watermarks", "a partition is named twice in one commit")
    }
}

/// The address of an SQLite file.
///
/// # Errors
/// [`StoreError::Incompatible`] if the path is not UTF-8.
pub fn url_of(path: &Path) -> Result<String, StoreError> {
    let text =
        path.to_str().ok_or_else(|| StoreError::Incompatible("the path of the store is not UTF-8".to_owned()))?;
    // In a URL these would begin something else.
    let escaped = text.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    Ok(format!("sqlite:{escaped}"))
}

/// A commit in a transaction. `false`: a watermark stands elsewhere, and nothing is written.
async fn write_rows(
    conn: &mut SqliteConnection,
    bulks: &statements::Bulks,
    commit: Commit,
) -> Result<bool, StoreError> {
    // Rolled back when dropped, so also if this future is.
    let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await.map_err(classify)?;
    let written = write::commit(&mut transaction, bulks, commit).await?;
    let ended = if written { transaction.commit().await } else { transaction.rollback().await };
    ended.map(|()| written).map_err(classify)
}

async fn remove_told(conn: &mut SqliteConnection, told: &[OutboxPlace]) -> Result<(), StoreError> {
    let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await.map_err(classify)?;
    for place in told {
        write::remove_told(&mut transaction, *place).await?;
    }
    transaction.commit().await.map_err(classify)
}

async fn expand(
    conn: &mut SqliteConnection,
    bulks: &statements::Bulks,
    fan_out: OutboxPlace,
    rows: Vec<(Partition, Bytes)>,
    after: Option<&UserId>,
) -> Result<(), StoreError> {
    let mut transaction = conn.begin_with("BEGIN IMMEDIATE").await.map_err(classify)?;
    write::expand(&mut transaction, bulks, fan_out, rows, after).await?;
    transaction.commit().await.map_err(classify)
}

async fn write_nothing(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    conn.begin_with("BEGIN IMMEDIATE").await.map_err(classify)?.rollback().await.map_err(classify)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[async_trait]
impl Store for SqlStore {
    async fn watermarks(&self) -> Result<Vec<WatermarkRow>, StoreError> {
        let conn = &mut *self.engine.acquire().await.map_err(classify)?;
        read::list(conn, statements::WATERMARKS, |_| (), read::watermark).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let moves: Vec<_> = commit.watermarks.iter().map(|m| (m.to.partition, m.from)).collect();
        let mut writer = self.writer.lock().await;
        let written = write_rows(writer.open(&self.options).await?, &self.bulks, commit).await;
        let written = writer.check(written).await?;
        drop(writer);
        if written { Ok(()) } else { Err(self.stale(&moves).await) }
    }

    async fn room(&self, room: RoomId) -> Result<RoomSnapshot, StoreError> {
        let mut transaction = self.engine_snapshot().await?;
        let found = read::room(&mut transaction, room).await?;
        transaction.commit().await.map_err(classify)?;
        Ok(found)
    }

    async fn user(&self, user: &UserId) -> Result<UserSnapshot, StoreError> {
        let mut transaction = self.engine_snapshot().await?;
        let found = read::user(&mut transaction, user).await?;
        transaction.commit().await.map_err(classify)?;
        Ok(found)
    }

    async fn chat(&self, room: RoomId) -> Result<Option<ChatRow>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        read::one(conn, statements::CHAT, |b| _ = b.room(room), read::chat).await
    }

    async fn rooms(&self, after: Option<RoomId>, limit: usize) -> Result<Vec<ChatRow>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        let after = after.unwrap_or(RoomId(uuid::Uuid::nil()));
        read::list(conn, statements::ROOMS, |b| _ = b.room(after).int(count(limit)), read::chat).await
    }

    async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserRow>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        let after = after.map_or("", UserId::as_str);
        read::list(conn, statements::USERS, |b| _ = b.text(after).int(count(limit)), read::user_row).await
    }

    async fn member(&self, room: RoomId, user: &UserId) -> Result<Option<MemberRow>, StoreError> {
        let conn = &mut *self.engine.acquire().await.map_err(classify)?;
        read::one(conn, statements::MEMBER, |b| _ = b.room(room).text(user.as_str()), read::member).await
    }

    async fn events(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<RoomEventRow>, StoreError> {
        let mut transaction = self.snapshot().await?;
        let found = read::events(&mut transaction, room, range, limit).await?;
        transaction.commit().await.map_err(classify)?;
        Ok(found)
    }

    async fn messages(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        read::messages(conn, room, range, limit).await
    }

    async fn user_events(&self, user: &UserId, range: SeqRange, limit: usize) -> Result<Vec<UserEventRow>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        let text = if range.reverse { statements::USER_EVENTS_BACK } else { statements::USER_EVENTS };
        let bind = |b: &mut Binder| {
            b.text(user.as_str()).int(range.from.as_i64()).int(range.to.as_i64()).int(count(limit));
        };
        read::list(conn, text, bind, read::user_event).await
    }

    async fn room_list(
        &self,
        user: &UserId,
        shelf: Shelf,
        after: Option<RoomListCursor>,
        bound: PageBound,
    ) -> Result<RoomListPage, StoreError> {
        let mut transaction = self.snapshot().await?;
        let found = list::room_list(&mut transaction, user, shelf, after, bound).await?;
        transaction.commit().await.map_err(classify)?;
        Ok(found)
    }

    async fn room_line(&self, user: &UserId, room: RoomId) -> Result<Option<RoomListRow>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        list::room_line(conn, user, room).await
    }

    async fn members(&self, room: RoomId, after: Option<&UserId>, limit: usize) -> Result<Vec<MemberRow>, StoreError> {
        let conn = &mut *self.engine.acquire().await.map_err(classify)?;
        let after = after.map_or("", UserId::as_str);
        read::list(conn, statements::MEMBERS, |b| _ = b.room(room).text(after).int(count(limit)), read::member).await
    }

    async fn invitations(&self, which: Invitations<'_>, limit: usize) -> Result<Vec<MemberRow>, StoreError> {
        let Invitations { by, room, user } = which;
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        let (from, to) = room.map_or((RoomId(uuid::Uuid::nil()), RoomId(uuid::Uuid::max())), |room| (room, room));
        let user = user.map(UserId::as_str);
        let bind = |b: &mut Binder| {
            b.text(by.as_str()).room(from).room(to).opt_text(user).opt_text(user).int(count(limit));
        };
        read::list(conn, statements::INVITATIONS, bind, read::member).await
    }

    async fn pending_invitations(&self, by: &UserId, most: usize) -> Result<usize, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        let counts = |c: &mut read::Columns<'_>| Ok((c.number::<usize>()?, c.number::<usize>()?));
        let counts = read::one(conn, statements::PENDING, |b| _ = b.text(by.as_str()).int(count(most)), counts).await?;
        Ok(counts.map_or(0, |(read, live)| if read == most { most } else { live }))
    }

    async fn read_marks(
        &self,
        room: RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<ReadMarkRow>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        let after = after.map_or("", UserId::as_str);
        read::list(conn, statements::READ_MARKS, |b| _ = b.room(room).text(after).int(count(limit)), read::read_mark)
            .await
    }

    async fn expiring(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, RoomId)>,
        limit: usize,
    ) -> Result<Vec<(RoomId, Timestamp)>, StoreError> {
        let conn = &mut *self.engine.acquire().await.map_err(classify)?;
        let (at, room) = after.map_or((-1, RoomId(uuid::Uuid::nil())), |(at, room)| (at.as_i64(), room));
        let bind = |b: &mut Binder| _ = b.int(now.as_i64()).int(at).room(room).int(count(limit));
        let found = read::list(conn, statements::EXPIRING, bind, |c| Ok((c.time()?, c.room()?))).await?;
        Ok(found.into_iter().map(|(at, room)| (room, at)).collect())
    }

    async fn relay_next(&self, from: OutboxPlace, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let conn = &mut *self.engine.acquire().await.map_err(classify)?;
        let bind = |b: &mut Binder| {
            write::bind_place(b, from);
            b.int(count(limit));
        };
        read::list(conn, statements::RELAY_NEXT, bind, read::outbox).await
    }

    async fn relay_done(&self, delivered: &[OutboxPlace]) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let done = remove_told(writer.open(&self.options).await?, delivered).await;
        writer.check(done).await
    }

    async fn relay_expand(
        &self,
        fan_out: OutboxPlace,
        rows: Vec<(Partition, Bytes)>,
        after: Option<&UserId>,
    ) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let done = expand(writer.open(&self.options).await?, &self.bulks, fan_out, rows, after).await;
        writer.check(done).await
    }

    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetterRow>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        let bind = |b: &mut Binder| _ = b.int(partition.get()).int(count(limit));
        read::list(conn, statements::DEAD_LETTERS, bind, read::dead_letter).await
    }

    async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let conn = &mut *self.readers.acquire().await.map_err(classify)?;
        read::one(conn, statements::META, |b| _ = b.text(key), |c| c.text()).await
    }

    async fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.write(statements::META_SET, |b| _ = b.text(key).text(value)).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        // Through the writer: a full disk or a file that is gone shows there. An empty transaction writes nothing.
        let mut writer = self.writer.lock().await;
        let done = write_nothing(writer.open(&self.options).await?).await;
        writer.check(done).await
    }

    async fn backup_to(&self, path: &Path) -> Result<Vec<WatermarkRow>, StoreError> {
        if path.exists() {
            return Err(StoreError::Incompatible(format!("{} exists already", path.display())));
        }
        let name =
            path.to_str().ok_or_else(|| StoreError::Incompatible("the path is not UTF-8".to_owned()))?.to_owned();
        // A connection of its own: it takes as long as the file is large, and the readers are few.
        let mut source =
            SqliteConnection::connect_with(&self.options.clone().create_if_missing(false)).await.map_err(classify)?;
        let mut binder = Binder::new();
        binder.text(name);
        binder.execute(&mut source, "VACUUM INTO ?").await?;
        source.close().await.map_err(classify)?;
        let file = path.to_owned();
        let flushed = tokio::task::spawn_blocking(move || disk::flush(&file)).await;
        flushed
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
            .map_err(|error| StoreError::Unavailable(format!("flushing the copy: {error}")))?;
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut copy = SqliteConnection::connect_with(&options).await.map_err(classify)?;
        let watermarks = read::list(&mut copy, statements::WATERMARKS, |_| (), read::watermark).await;
        copy.close().await.map_err(classify)?;
        watermarks
    }

    async fn flush(&self) -> Result<Vec<WatermarkRow>, StoreError> {
        let watermarks = self.watermarks().await?;
        // Commits lie in the WAL; a checkpoint flushes what it moves by itself. There is no WAL before the first write.
        let file = self.options.get_filename().to_owned();
        let mut wal = file.clone().into_os_string();
        wal.push("-wal");
        let flushed = tokio::task::spawn_blocking(move || match disk::flush(Path::new(&wal)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => disk::flush(&file),
        });
        flushed
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
            .map_err(|error| StoreError::Unavailable(format!("flushing the database: {error}")))?;
        Ok(watermarks)
    }

    async fn close(&self) {
        self.readers.close().await;
        self.engine.close().await;
        if let Writer::Open(conn) = std::mem::replace(&mut *self.writer.lock().await, Writer::Closed)
            && let Err(error) = conn.close().await
        {
            tracing::warn!(%error, "the store did not close in order; its WAL is read at the next start");
        }
    }
}
