//! A commit as SQL: bulk statements inside one transaction, the guard first.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, SqliteConnection};

use super::error::{classify, damaged};
use super::read;
use super::statements::{self, Bulk, Bulks};
use crate::ids::{Partition, RoomId, Seq, UserId};
use crate::limits;
use crate::storage::store::StoreError;
use crate::storage::store::commit::{BlockChange, Commit, DeviceChange, MemberChange, UserRoomChange, WatermarkMove};
use crate::storage::store::rows::{ChatRow, EVENT_MESSAGE, OutboxPlace, OutboxRow, ReadMarkRow, RoomEventRow};

/// `members.shelf` of a room whose members' rows do not follow it.
pub(super) const LARGE: u8 = 2;

/// Binds values one after the other. The first failure is kept.
pub(super) struct Binder {
    arguments: SqliteArguments,
    failed: Option<String>,
}

impl Binder {
    pub(super) fn new() -> Self {
        Self { arguments: SqliteArguments::default(), failed: None }
    }

    fn bind<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(&mut self, value: T) -> &mut Self {
        if let Err(error) = self.arguments.add(value) {
            self.failed.get_or_insert_with(|| error.to_string());
        }
        self
    }

    pub(super) fn int(&mut self, value: impl Into<i64>) -> &mut Self {
        self.bind(value.into())
    }

    pub(super) fn opt_int(&mut self, value: Option<i64>) -> &mut Self {
        self.bind(value)
    }

    pub(super) fn text(&mut self, value: impl Into<String>) -> &mut Self {
        self.bind::<String>(value.into())
    }

    pub(super) fn opt_text(&mut self, value: Option<impl Into<String>>) -> &mut Self {
        self.bind::<Option<String>>(value.map(Into::into))
    }

    pub(super) fn blob(&mut self, value: impl Into<Vec<u8>>) -> &mut Self {
        self.bind::<Vec<u8>>(value.into())
    }

    pub(super) fn opt_blob(&mut self, value: Option<impl Into<Vec<u8>>>) -> &mut Self {
        self.bind::<Option<Vec<u8>>>(value.map(Into::into))
    }

    pub(super) fn room(&mut self, room: RoomId) -> &mut Self {
        self.blob(room.0.as_bytes().as_slice())
    }

    /// Executes `text` and returns the number of rows that it changed.
    pub(super) async fn execute(
        self,
        conn: &mut SqliteConnection,
        text: impl sqlx::SqlSafeStr,
    ) -> Result<u64, StoreError> {
        if let Some(why) = self.failed {
            return Err(damaged("a value can't be bound", why));
        }
        let done = sqlx::query_with(text, self.arguments).execute(conn).await.map_err(classify)?;
        Ok(done.rows_affected())
    }

    /// Fetches all rows of `text`.
    pub(super) async fn rows(
        self,
        conn: &mut SqliteConnection,
        text: &'static str,
    ) -> Result<Vec<sqlx::sqlite::SqliteRow>, StoreError> {
        if let Some(why) = self.failed {
            return Err(damaged("a value can't be bound", why));
        }
        sqlx::query_with(text, self.arguments).fetch_all(conn).await.map_err(classify)
    }

    /// Reads rows of `text` one after the other as long as they are wanted.
    pub(super) async fn rows_while<T>(
        self,
        conn: &mut SqliteConnection,
        text: &'static str,
        mut read: impl FnMut(&sqlx::sqlite::SqliteRow) -> Result<T, StoreError>,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>, StoreError> {
        if let Some(why) = self.failed {
            return Err(damaged("a value can't be bound", why));
        }
        let mut rows = sqlx::query_with(text, self.arguments).fetch(conn);
        let mut found = Vec::new();
        while let Some(row) = rows.try_next().await.map_err(classify)? {
            let row = read(&row)?;
            let more = wanted(&row);
            found.push(row);
            if !more {
                break;
            }
        }
        Ok(found)
    }
}

/// Runs a bulk statement over `rows`. Returns the number of rows that it changed.
async fn bulk<T>(
    conn: &mut SqliteConnection,
    bulk: &Bulk,
    rows: Vec<T>,
    mut bind: impl FnMut(&mut Binder, T),
) -> Result<u64, StoreError> {
    let mut changed = 0;
    let pieces = bulk.pieces(rows.len());
    let mut rows = rows.into_iter();
    for (text, size) in pieces {
        let mut binder = Binder::new();
        rows.by_ref().take(size).for_each(|row| bind(&mut binder, row));
        changed += binder.execute(conn, AssertSqlSafe(text)).await?;
    }
    Ok(changed)
}

/// Writes `commit` inside the transaction that `conn` is in. `false` if a watermark stands elsewhere: the caller rolls back.
pub(super) async fn commit(conn: &mut SqliteConnection, bulks: &Bulks, commit: Commit) -> Result<bool, StoreError> {
    if !guard(conn, bulks, commit.watermarks).await? {
        return Ok(false);
    }
    bulk(conn, &bulks.chats, commit.chats, bind_chat).await?;
    members(conn, bulks, commit.members).await?;
    bulk(conn, &bulks.listings, commit.listings, |b, row| {
        let (shelf, at) = row.at.map_or((LARGE, 0), |(shelf, at)| (shelf.number(), at.as_i64()));
        b.room(row.room).int(shelf).int(at);
    })
    .await?;
    bulk(conn, &bulks.sent, commit.sent, |b, (room, user, no)| {
        b.room(room).text(user.as_str()).int(no.as_i64());
    })
    .await?;
    room_events(conn, bulks, commit.room_events).await?;
    for edit in commit.edits {
        let mut b = Binder::new();
        b.text(edit.body).opt_text(edit.metadata).int(edit.at.as_i64()).room(edit.room).int(edit.seq.as_i64());
        b.execute(conn, statements::MESSAGE_EDIT).await?;
    }
    for (room, seq) in commit.redactions {
        for text in [statements::MESSAGE_REDACT, statements::EDITS_REDACT] {
            let mut b = Binder::new();
            b.room(room).int(seq.as_i64());
            b.execute(conn, text).await?;
        }
    }
    for (room, floor) in commit.trims {
        for text in [statements::EVENTS_TRIM, statements::MESSAGES_TRIM] {
            let mut b = Binder::new();
            b.room(room).int(floor.as_i64());
            b.execute(conn, text).await?;
        }
    }
    let mut blocks = Vec::new();
    for (room, user, blocked) in commit.room_blocks {
        if blocked {
            blocks.push((room, user));
        } else {
            let mut b = Binder::new();
            b.room(room).text(user.as_str());
            b.execute(conn, statements::ROOM_BLOCK_REMOVE).await?;
        }
    }
    bulk(conn, &bulks.room_blocks, blocks, |b, (room, user)| _ = b.room(room).text(user.as_str())).await?;
    bulk(conn, &bulks.room_sources, commit.room_sources, |b, (room, partition, offset)| {
        b.room(room).int(partition.get()).int(offset.as_i64());
    })
    .await?;
    bulk(conn, &bulks.users, commit.users, |b, row| {
        b.text(row.user.as_str())
            .opt_text((!row.push_token.is_empty()).then_some(row.push_token))
            .opt_text((!row.preferences.is_empty()).then_some(row.preferences))
            .int(row.created_at.as_i64())
            .int(row.updated_at.as_i64())
            .int(row.head.as_i64())
            .int(row.applied.as_i64());
    })
    .await?;
    bulk(conn, &bulks.user_events, commit.user_events, |b, row| {
        b.text(row.user.as_str())
            .int(row.seq.as_i64())
            .int(row.kind)
            .int(row.at.as_i64())
            .opt_blob(row.room.map(|room| room.0.as_bytes().to_vec()))
            .opt_int(row.room_kind.map(i64::from))
            .opt_int(row.change.map(i64::from))
            .opt_int(row.room_seq.map(|seq| seq.as_i64()))
            .opt_text(row.actor.as_ref().map(|user| user.as_str()))
            .opt_text(row.subject.as_ref().map(|user| user.as_str()));
    })
    .await?;
    bulk(conn, &bulks.notifications, commit.notifications, |b, row| {
        b.text(row.user.as_str()).blob(row.id.as_bytes()).text(row.kind).text(row.title);
        b.text(&row.message).text(&row.data).int(0).int(row.at.as_i64());
    })
    .await?;
    user_parts(conn, bulks, commit.user_rooms, commit.blocks, commit.devices).await?;
    marks(conn, bulks, commit.past_marks, commit.read_marks).await?;
    bulk(conn, &bulks.user_sources, commit.user_sources, |b, (user, partition, offset)| {
        b.text(user.as_str()).int(partition.get()).int(offset.as_i64());
    })
    .await?;
    outbox(conn, bulks, commit.outbox).await?;
    let mut bounded: Vec<_> = commit.dead_letters.iter().map(|row| row.partition).collect();
    bulk(conn, &bulks.dead_letters, commit.dead_letters, |b, row| {
        b.int(row.partition.get())
            .int(row.offset.as_i64())
            .int(row.at.as_i64())
            .text(row.reason)
            .blob(row.record.as_ref());
    })
    .await?;
    bounded.dedup();
    for partition in bounded {
        let mut b = Binder::new();
        b.int(partition.get()).int(partition.get()).int(limits::DEAD_LETTERS as i64);
        b.execute(conn, statements::DEAD_LETTERS_TRIM).await?;
    }
    Ok(true)
}

async fn outbox(conn: &mut SqliteConnection, bulks: &Bulks, rows: Vec<OutboxRow>) -> Result<(), StoreError> {
    bulk(conn, &bulks.outbox, rows, |b, row| {
        bind_place(b, row.place());
        b.int(row.target.get()).blob(row.record.as_ref());
        let (room, after) = row.fan_out.map_or((None, None), |fan| (Some(fan.room), fan.after));
        b.opt_blob(room.map(|room| room.0.as_bytes().to_vec())).opt_text(after.as_ref().map(|user| user.as_str()));
    })
    .await?;
    Ok(())
}

pub(super) fn bind_place(b: &mut Binder, place: OutboxPlace) {
    b.int(place.source.get()).int(place.offset.as_i64()).int(place.ord);
}

/// Removes a row of the outbox.
pub(super) async fn remove_told(conn: &mut SqliteConnection, place: OutboxPlace) -> Result<(), StoreError> {
    let mut b = Binder::new();
    bind_place(&mut b, place);
    b.execute(conn, statements::RELAY_DONE).await?;
    Ok(())
}

/// See [`crate::storage::store::Store::relay_expand`]. In a transaction.
pub(super) async fn expand(
    conn: &mut SqliteConnection,
    bulks: &Bulks,
    fan_out: OutboxPlace,
    rows: Vec<(Partition, Bytes)>,
    after: Option<&UserId>,
) -> Result<(), StoreError> {
    let OutboxPlace { source, offset, .. } = fan_out;
    let of_record = |b: &mut Binder| _ = b.int(source.get()).int(offset.as_i64());
    let last = read::one(conn, statements::RELAY_LAST, of_record, |c| c.opt_count()).await?.flatten().unwrap_or(0);
    let row = |((target, record), ord)| OutboxRow { source, offset, ord, target, record, fan_out: None };
    outbox(conn, bulks, rows.into_iter().zip(last + 1..).map(row).collect()).await?;
    let Some(user) = after else { return remove_told(conn, fan_out).await };
    let mut b = Binder::new();
    b.text(user.as_str());
    bind_place(&mut b, fan_out);
    b.execute(conn, statements::RELAY_ADVANCE).await?;
    Ok(())
}

/// Moves the watermarks. `false` if not all of them stood where the writer believed.
async fn guard(conn: &mut SqliteConnection, bulks: &Bulks, moves: Vec<WatermarkMove>) -> Result<bool, StoreError> {
    let wanted = moves.len() as u64;
    let moved = bulk(conn, &bulks.watermarks, moves, |b, m| {
        b.int(m.to.partition.get())
            .int(m.from.as_i64())
            .int(m.to.next_offset.as_i64())
            .int(m.to.chain.cast_signed())
            .int(m.to.fold_time.as_i64());
    })
    .await?;
    Ok(moved == wanted)
}

fn bind_chat(b: &mut Binder, row: ChatRow) {
    b.room(row.room)
        .int(row.kind)
        .int(row.status)
        .text(row.title)
        .text(row.channel)
        .opt_text(row.creator.as_ref().map(|user| user.as_str()))
        .opt_text(row.user1.as_ref().map(|user| user.as_str()))
        .opt_text(row.user2.as_ref().map(|user| user.as_str()))
        .int(row.ended_by_user1)
        .int(row.ended_by_user2)
        .int(row.created_at.as_i64())
        .opt_int(row.expires_at.map(|at| at.as_i64()))
        .opt_int(row.last_message_at.map(|at| at.as_i64()))
        .int(row.public)
        .int(row.may_send)
        .int(row.max_members)
        .int(i64::try_from(row.history_events).unwrap_or(i64::MAX))
        .int(i64::try_from(row.history_age_ms).unwrap_or(i64::MAX))
        .int(row.generation.0)
        .int(row.head.as_i64())
        .int(row.floor.as_i64())
        .int(row.last_no.as_i64());
    for mark in [row.opened, row.closed] {
        b.int(mark.seq.as_i64()).int(mark.at.as_i64()).blob(mark.id.as_bytes().as_slice());
    }
    b.int(row.window.as_i64()).int(row.evicted_until.as_i64()).int(row.applied.as_i64());
}

async fn members(conn: &mut SqliteConnection, bulks: &Bulks, changes: Vec<MemberChange>) -> Result<(), StoreError> {
    let mut puts = Vec::new();
    for change in changes {
        match change {
            MemberChange::Put(row) => puts.push(row),
            MemberChange::Remove(room, user) => {
                let mut b = Binder::new();
                b.room(room).text(user.as_str());
                b.execute(conn, statements::MEMBER_REMOVE).await?;
            }
        }
    }
    bulk(conn, &bulks.members, puts, |b, row| {
        b.room(row.room).text(row.user.as_str()).int(row.state).int(row.seq.as_i64());
        b.int(row.sent_no.as_i64()).int(row.joined_no.as_i64()).opt_text(row.invited_by.as_ref().map(UserId::as_str));
    })
    .await?;
    Ok(())
}

async fn marks(
    conn: &mut SqliteConnection,
    bulks: &Bulks,
    past: Vec<ReadMarkRow>,
    known: Vec<ReadMarkRow>,
) -> Result<(), StoreError> {
    let (forgotten, past): (Vec<_>, Vec<_>) = past.into_iter().partition(|row| row.seq == Seq::ZERO);
    for row in forgotten {
        let mut b = Binder::new();
        b.text(row.user.as_str()).room(row.room);
        b.execute(conn, statements::MARK_FORGET).await?;
    }
    let mark = |b: &mut Binder, row: &ReadMarkRow| {
        b.text(row.user.as_str()).room(row.room).int(row.seq.as_i64()).int(row.no.as_i64());
    };
    bulk(conn, &bulks.past_marks, past, |b, row| mark(b, &row)).await?;
    bulk(conn, &bulks.read_marks, known, |b, row| {
        mark(b, &row);
        b.int(row.seq.as_i64()).int(row.no.as_i64());
    })
    .await?;
    Ok(())
}

async fn user_parts(
    conn: &mut SqliteConnection,
    bulks: &Bulks,
    rooms: Vec<UserRoomChange>,
    blocks: Vec<BlockChange>,
    devices: Vec<DeviceChange>,
) -> Result<(), StoreError> {
    let (mut room_rows, mut block_rows, mut device_rows) = (Vec::new(), Vec::new(), Vec::new());
    for change in rooms {
        match change {
            UserRoomChange::Put(row) => room_rows.push(row),
            UserRoomChange::Remove(user, room) => {
                let mut b = Binder::new();
                b.text(user.as_str()).room(room);
                b.execute(conn, statements::USER_ROOM_REMOVE).await?;
            }
        }
    }
    for change in blocks {
        match change {
            BlockChange::Put(row) => block_rows.push(row),
            BlockChange::Remove(user, blocked) => {
                let mut b = Binder::new();
                b.text(user.as_str()).text(blocked.as_str());
                b.execute(conn, statements::BLOCK_REMOVE).await?;
            }
        }
    }
    for change in devices {
        match change {
            DeviceChange::Put(row) => device_rows.push(row),
            DeviceChange::Remove(user, device) => {
                let mut b = Binder::new();
                b.text(user.as_str()).text(device.as_str());
                b.execute(conn, statements::DEVICE_REMOVE).await?;
            }
        }
    }
    bulk(conn, &bulks.user_rooms, room_rows, |b, row| {
        b.text(row.user.as_str()).room(row.room).int(row.kind).int(row.state).int(row.seq.as_i64());
    })
    .await?;
    bulk(conn, &bulks.blocks, block_rows, |b, row| {
        b.text(row.user.as_str()).text(row.blocked.as_str()).int(row.at.as_i64());
    })
    .await?;
    bulk(conn, &bulks.devices, device_rows, |b, row| {
        b.text(row.user.as_str())
            .text(row.device.as_str())
            .text(row.platform)
            .text(row.push_token)
            .int(row.seen_at.as_i64());
    })
    .await?;
    Ok(())
}

/// Events and messages. Sorted by room and seq: neighbours land on one page.
async fn room_events(
    conn: &mut SqliteConnection,
    bulks: &Bulks,
    mut rows: Vec<RoomEventRow>,
) -> Result<(), StoreError> {
    rows.sort_unstable_by_key(|row| (row.room, row.seq));
    let messages = rows.iter().filter(|row| row.message.is_some()).count();
    let mut with_content = Vec::with_capacity(messages);
    let mut events = Vec::with_capacity(rows.len());
    for mut row in rows {
        if (row.kind == EVENT_MESSAGE) != row.message.is_some() {
            return Err(damaged("room_events", "content goes with messages, and only with them"));
        }
        match row.message.take() {
            None => events.push(row),
            Some(message) => {
                events.push(RoomEventRow { actor: None, client_id: None, ..row.clone() });
                with_content.push((row, message));
            }
        }
    }
    bulk(conn, &bulks.room_events, events, |b, row| {
        let thin = row.kind == EVENT_MESSAGE;
        b.room(row.room)
            .int(row.seq.as_i64())
            .int(row.kind)
            .opt_text(row.actor.as_ref().map(|user| user.as_str()))
            .opt_text(row.subject.as_ref().map(|user| user.as_str()))
            .opt_int(row.target.map(|seq| seq.as_i64()))
            .opt_blob((!thin).then(|| row.id.as_bytes().to_vec()))
            .opt_text(row.client_id.as_ref().map(|id| id.as_str()))
            .opt_int((!thin).then(|| row.at.as_i64()))
            .opt_text(row.data);
    })
    .await?;
    bulk(conn, &bulks.messages, with_content, |b, (row, message)| {
        b.room(row.room)
            .int(row.seq.as_i64())
            .blob(row.id.as_bytes().as_slice())
            .int(message.no.as_i64())
            .opt_text(row.actor.as_ref().map(|user| user.as_str()))
            .opt_text(row.client_id.as_ref().map(|id| id.as_str()))
            .text(message.body)
            .text(message.message_type)
            .int(0)
            .text(message.metadata)
            .opt_int(message.reply_to.map(|seq| seq.as_i64()))
            .opt_blob((!message.data.is_empty()).then(|| message.data.to_vec()))
            .int(row.at.as_i64())
            .int(0)
            .int(message.deleted);
    })
    .await?;
    Ok(())
}
