//! The store in SQL, in either database.
//!
//! What the engine itself reads (cold rooms, the workers) goes by connections of its own: no number of lists and pages that
//! clients ask for makes it wait. One transaction at a time writes to a SQLite file; readers see the last commit.

use std::path::Path;

use async_trait::async_trait;

use super::commit::Commit;
use super::rows::{
    ChatRow, DeadLetterRow, ExpandedPage, MemberRow, MessageRow, OutboxPlace, OutboxRow, PageBound, Reactions,
    ReadMarkRow, RoomEventRow, RoomListCursor, RoomListPage, RoomListRow, RoomRows, Shelf, UserEventRow, UserRow,
    UserRows, WatermarkRow,
};
use super::{HistoryQuestion, HistoryRows, Invitations, SeqRange, Store, StoreError};
use crate::config::Database;
use crate::ids::{Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::storage::sql::{Binder, Columns, Connections, Pool, Transaction, WriterGuard, damaged};

mod list;
#[cfg(test)]
mod plans;
mod read;
mod statements;
#[cfg(test)]
mod tests;
mod users;
mod window;
mod write;

/// The store in a database. [`Store::close`] closes the connections, also for whatever else uses them.
pub struct SqlStore {
    connections: Connections,
    bulks: statements::Bulks,
}

impl SqlStore {
    /// Over open connections.
    #[must_use]
    pub fn new(connections: Connections) -> Self {
        Self { connections, bulks: statements::Bulks::new() }
    }

    /// Over connections of its own.
    ///
    /// # Errors
    /// As [`Connections::open`].
    pub async fn open(database: &Database) -> Result<Self, StoreError> {
        Ok(Self::new(Connections::open(database).await?))
    }

    /// Over a SQLite file, which is made if there is none.
    ///
    /// # Errors
    /// As [`Connections::open`].
    pub async fn open_file(path: &Path) -> Result<Self, StoreError> {
        Self::open(&Database::Sqlite(path.to_owned())).await
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
                None => return damaged("watermarks", format!("no row of partition {partition}")),
            }
        }
        damaged("watermarks", "a partition is named twice in one commit")
    }
}

/// A commit in a transaction. `false`: a watermark stands elsewhere, and nothing is written.
async fn write_rows(
    writer: &mut WriterGuard<'_>,
    bulks: &statements::Bulks,
    commit: Commit,
) -> Result<bool, StoreError> {
    // Rolled back when dropped, so also if this future is.
    let mut transaction = writer.begin().await?;
    let written = write::commit(&mut transaction.session(), bulks, commit).await?;
    let ended = if written { transaction.commit().await } else { transaction.rollback().await };
    ended.map(|()| written)
}

async fn remove_told(
    writer: &mut WriterGuard<'_>,
    bulks: &statements::Bulks,
    told: &[OutboxPlace],
) -> Result<(), StoreError> {
    let mut transaction = writer.begin().await?;
    write::remove_told(&mut transaction.session(), bulks, told.to_vec()).await?;
    transaction.commit().await
}

async fn expand(
    writer: &mut WriterGuard<'_>,
    bulks: &statements::Bulks,
    page: ExpandedPage,
) -> Result<bool, StoreError> {
    let mut transaction = writer.begin().await?;
    let is_given = write::expand(&mut transaction.session(), bulks, page).await?;
    transaction.commit().await?;
    Ok(is_given)
}

async fn write_note(writer: &mut WriterGuard<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    let mut transaction = writer.begin().await?;
    transaction.session().execute(statements::META_SET, |b| _ = b.text(key).text(value)).await?;
    transaction.commit().await
}

async fn history(pool: &Pool, question: HistoryQuestion<'_>) -> Result<Option<HistoryRows>, StoreError> {
    let mut snapshot = pool.snapshot().await?;
    let found = read::history(&mut snapshot.session(), question).await?;
    ended(snapshot, found).await
}

/// Gives back what was read in a snapshot, and ends it.
async fn ended<T>(snapshot: Transaction<'_>, found: T) -> Result<T, StoreError> {
    snapshot.commit().await.map(|()| found)
}

#[async_trait]
impl Store for SqlStore {
    async fn watermarks(&self) -> Result<Vec<WatermarkRow>, StoreError> {
        let rows = self.connections.engine();
        rows.list(statements::WATERMARKS, |_| (), read::watermark).await
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        let moves: Vec<_> = commit.watermarks.iter().map(|m| (m.to.partition, m.from)).collect();
        let mut writer = self.connections.writer().await?;
        let written = write_rows(&mut writer, &self.bulks, commit).await;
        let written = writer.done(written).await?;
        if written { Ok(()) } else { Err(self.stale(&moves).await) }
    }

    async fn room(&self, room: RoomId) -> Result<RoomRows, StoreError> {
        let mut snapshot = self.connections.engine().snapshot().await?;
        let found = read::room(&mut snapshot.session(), room).await?;
        ended(snapshot, found).await
    }

    async fn user_snapshots(&self, users: &[UserId]) -> Result<Vec<UserRows>, StoreError> {
        users::snapshots(self.connections.engine(), &self.bulks, users).await
    }

    async fn chat(&self, room: RoomId) -> Result<Option<ChatRow>, StoreError> {
        let rows = self.connections.clients();
        rows.one(statements::CHAT, |b| _ = b.room(room), read::chat).await
    }

    async fn rooms(&self, after: Option<RoomId>, limit: usize) -> Result<Vec<ChatRow>, StoreError> {
        let rows = self.connections.clients();
        let after = after.unwrap_or(RoomId(uuid::Uuid::nil()));
        rows.list(statements::ROOMS, |b| _ = b.room(after).count(limit), read::chat).await
    }

    async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserRow>, StoreError> {
        let rows = self.connections.clients();
        let after = after.map_or("", UserId::as_str);
        rows.list(statements::USERS, |b| _ = b.text(after).count(limit), read::user_row).await
    }

    async fn member(&self, room: RoomId, user: &UserId) -> Result<Option<MemberRow>, StoreError> {
        let rows = self.connections.engine();
        rows.one(statements::MEMBER, |b| _ = b.room(room).text(user.as_str()), read::member).await
    }

    async fn events(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<RoomEventRow>, StoreError> {
        let mut snapshot = self.connections.clients().snapshot().await?;
        let found = read::events(&mut snapshot.session(), room, range, limit).await?;
        ended(snapshot, found).await
    }

    async fn messages(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
        let mut connection = self.connections.clients().connection().await?;
        read::messages(&mut connection.session(), room, range, limit).await
    }

    async fn history(&self, question: HistoryQuestion<'_>) -> Result<Option<HistoryRows>, StoreError> {
        if let Some(replica) = self.connections.replica().filter(|_| question.may_lag)
            && let Some(found) = replica.found(history(replica.pool(), question)).await
        {
            return Ok(found);
        }
        history(self.connections.clients(), question).await
    }

    async fn reactions(&self, room: RoomId, range: SeqRange, user: &UserId) -> Result<Reactions, StoreError> {
        let mut snapshot = self.connections.clients().snapshot().await?;
        let found = read::reactions(&mut snapshot.session(), room, range, user).await?;
        ended(snapshot, found).await
    }

    async fn user_events(&self, user: &UserId, range: SeqRange, limit: usize) -> Result<Vec<UserEventRow>, StoreError> {
        let rows = self.connections.clients();
        let text = if range.reverse { statements::USER_EVENTS_BACK } else { statements::USER_EVENTS };
        let bind = |b: &mut Binder| {
            b.text(user.as_str()).int(range.from.as_i64()).int(range.to.as_i64()).count(limit);
        };
        rows.list(text, bind, read::user_event).await
    }

    async fn room_list(
        &self,
        user: &UserId,
        shelf: Shelf,
        after: Option<RoomListCursor>,
        bound: PageBound,
    ) -> Result<RoomListPage, StoreError> {
        let mut snapshot = self.connections.clients().snapshot().await?;
        let found = list::room_list(&mut snapshot.session(), user, shelf, after, bound).await?;
        ended(snapshot, found).await
    }

    async fn room_line(&self, user: &UserId, room: RoomId) -> Result<Option<RoomListRow>, StoreError> {
        let mut connection = self.connections.clients().connection().await?;
        list::room_line(&mut connection.session(), user, room).await
    }

    async fn members(&self, room: RoomId, after: Option<&UserId>, limit: usize) -> Result<Vec<MemberRow>, StoreError> {
        let rows = self.connections.engine();
        let after = after.map_or("", UserId::as_str);
        rows.list(statements::MEMBERS, |b| _ = b.room(room).text(after).count(limit), read::member).await
    }

    async fn invitations(&self, which: Invitations<'_>, limit: usize) -> Result<Vec<MemberRow>, StoreError> {
        let Invitations { by, room, user } = which;
        let rows = self.connections.clients();
        let (from, to) = room.map_or((RoomId(uuid::Uuid::nil()), RoomId(uuid::Uuid::max())), |room| (room, room));
        let user = user.map(UserId::as_str);
        let bind = |b: &mut Binder| {
            b.text(by.as_str()).room(from).room(to).opt_text(user).opt_text(user).count(limit);
        };
        rows.list(statements::INVITATIONS, bind, read::member).await
    }

    async fn emoji_on(&self, room: RoomId, message: Seq, most: usize) -> Result<Vec<String>, StoreError> {
        let rows = self.connections.clients();
        let bind = |b: &mut Binder| {
            b.room(room).int(message.as_i64()).room(room).int(message.as_i64()).count(most);
        };
        rows.list(statements::EMOJI_ON, bind, |c| c.text()).await
    }

    async fn invitations_out(&self, by: &UserId, most: usize) -> Result<usize, StoreError> {
        let rows = self.connections.clients();
        let count = rows.one(statements::INVITATIONS_OUT, |b| _ = b.text(by.as_str()).count(most), |c| c.number());
        Ok(count.await?.unwrap_or(0))
    }

    async fn pending_invitations(&self, by: &UserId, most: usize) -> Result<usize, StoreError> {
        let rows = self.connections.clients();
        let counts = |c: &mut Columns<'_>| Ok((c.number::<usize>()?, c.number::<usize>()?));
        let counts = rows.one(statements::PENDING, |b| _ = b.text(by.as_str()).count(most), counts).await?;
        Ok(counts.map_or(0, |(read, live)| if read == most { most } else { live }))
    }

    async fn read_marks(
        &self,
        room: RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<ReadMarkRow>, StoreError> {
        let rows = self.connections.clients();
        let after = after.map_or("", UserId::as_str);
        rows.list(statements::READ_MARKS, |b| _ = b.room(room).text(after).count(limit), read::read_mark).await
    }

    async fn expiring(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, RoomId)>,
        limit: usize,
    ) -> Result<Vec<(RoomId, Timestamp)>, StoreError> {
        let rows = self.connections.engine();
        let (at, room) = after.map_or((-1, RoomId(uuid::Uuid::nil())), |(at, room)| (at.as_i64(), room));
        let bind = |b: &mut Binder| _ = b.int(now.as_i64()).int(at).room(room).count(limit);
        let found = rows.list(statements::EXPIRING, bind, |c| Ok((c.time()?, c.room()?))).await?;
        Ok(found.into_iter().map(|(at, room)| (room, at)).collect())
    }

    async fn relay_next(&self, from: OutboxPlace, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        let rows = self.connections.engine();
        let bind = |b: &mut Binder| {
            write::bind_place(b, from);
            b.count(limit);
        };
        rows.list(statements::RELAY_NEXT, bind, read::outbox).await
    }

    async fn relay_done(&self, delivered: &[OutboxPlace]) -> Result<(), StoreError> {
        let mut writer = self.connections.writer().await?;
        let done = remove_told(&mut writer, &self.bulks, delivered).await;
        writer.done(done).await
    }

    async fn relay_expand(&self, page: ExpandedPage) -> Result<bool, StoreError> {
        let mut writer = self.connections.writer().await?;
        let done = expand(&mut writer, &self.bulks, page).await;
        writer.done(done).await
    }

    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetterRow>, StoreError> {
        let rows = self.connections.clients();
        let bind = |b: &mut Binder| _ = b.int(partition.get()).count(limit);
        rows.list(statements::DEAD_LETTERS, bind, read::dead_letter).await
    }

    async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let rows = self.connections.clients();
        rows.one(statements::META, |b| _ = b.text(key), |c| c.text()).await
    }

    async fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let mut writer = self.connections.writer().await?;
        let done = write_note(&mut writer, key, value).await;
        writer.done(done).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        let mut writer = self.connections.writer().await?;
        let done = writer.takes_rows().await;
        writer.done(done).await
    }

    async fn backup_to(&self, path: &Path) -> Result<Vec<WatermarkRow>, StoreError> {
        self.connections.copy(path, statements::WATERMARKS, read::watermark).await
    }

    async fn flush(&self) -> Result<Vec<WatermarkRow>, StoreError> {
        let watermarks = self.watermarks().await?;
        self.connections.flush().await?;
        Ok(watermarks)
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
