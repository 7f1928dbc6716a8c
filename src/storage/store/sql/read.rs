//! Rows out of the database. Functions of several statements expect to be inside one snapshot.

use uuid::Uuid;

use super::{statements, window};
use crate::ids::{Generation, MessageNo, Partition, RoomId, Seq, UserId};
use crate::storage::sql::{Binder, Columns, Session, damaged};
use crate::storage::store::history::{HistoryQuestion, HistoryRows, stretch};
use crate::storage::store::rows::{
    ChatRow, DeadLetterRow, EVENT_MESSAGE, FanOut, Mark, MemberRow, MessageBody, MessageRow, OutboxRow, ReactionCount,
    Reactions, ReadMarkRow, RoomEventRow, RoomRows, SourceRow, UserEventRow, UserRow, WatermarkRow, WindowRow,
};
use crate::storage::store::{SeqRange, StoreError};

type Result<T> = std::result::Result<T, StoreError>;

/// The rows of a range up to the one with which its bytes are reached.
async fn list_within<T>(
    session: &mut Session<'_>,
    text: &'static str,
    range: SeqRange,
    bind: impl FnOnce(&mut Binder),
    read: impl Fn(&mut Columns<'_>) -> Result<T>,
    bytes: impl Fn(&T) -> usize,
) -> Result<Vec<T>> {
    let mut left = range.bytes;
    let wanted = |row: &T| {
        left = left.saturating_sub(bytes(row));
        left > 0
    };
    session.list_while(text, bind, read, wanted).await
}

pub(super) fn watermark(c: &mut Columns<'_>) -> Result<WatermarkRow> {
    Ok(WatermarkRow {
        partition: c.partition()?,
        next_offset: c.offset()?,
        log_hash: c.number::<i64>()?.cast_unsigned(),
        fold_time: c.time()?,
        fold_version: c.number()?,
        last_record: c.opt_number::<i64>()?.map(i64::cast_unsigned),
    })
}

pub(super) fn chat(c: &mut Columns<'_>) -> Result<ChatRow> {
    Ok(ChatRow {
        room: c.room()?,
        kind: c.number()?,
        status: c.number()?,
        title: c.text()?,
        channel: c.text()?,
        creator: c.opt_user()?,
        user1: c.opt_user()?,
        user2: c.opt_user()?,
        ended_by_user1: c.flag()?,
        ended_by_user2: c.flag()?,
        created_at: c.time()?,
        expires_at: c.opt_time()?,
        last_message_at: c.opt_time()?,
        public: c.flag()?,
        may_send: c.number()?,
        max_members: c.number()?,
        history_events: c.number()?,
        history_age_ms: c.number()?,
        generation: Generation(c.number()?),
        head: c.seq()?,
        floor: c.seq()?,
        last_no: c.no()?,
        opened: mark(c)?,
        closed: mark(c)?,
        window: c.seq()?,
        evicted_until: c.time()?,
        applied: c.offset()?,
        chain: c.number::<i64>()?.cast_unsigned(),
    })
}

fn mark(c: &mut Columns<'_>) -> Result<Mark> {
    Ok(Mark { seq: c.seq()?, at: c.time()?, id: c.uuid()? })
}

pub(super) fn member(c: &mut Columns<'_>) -> Result<MemberRow> {
    let (room, user, state, seq) = (c.room()?, c.user()?, c.number()?, c.seq()?);
    let (sent_no, joined_no, invited_by) = (c.no()?, c.no()?, c.opt_user()?);
    Ok(MemberRow { room, user, state, seq, sent_no, joined_no, invited_by, kicked: c.opt_seq()? })
}

pub(super) fn read_mark(c: &mut Columns<'_>) -> Result<ReadMarkRow> {
    Ok(ReadMarkRow { user: c.user()?, room: c.room()?, seq: c.seq()?, no: c.no()? })
}

pub(super) fn source(c: &mut Columns<'_>) -> Result<SourceRow> {
    Ok(SourceRow { partition: c.partition()?, offset: c.offset()? })
}

/// What a message says; whether it is deleted stands in a later column.
fn content(c: &mut Columns<'_>, no: MessageNo) -> Result<MessageBody> {
    Ok(MessageBody {
        no,
        body: c.text()?,
        message_type: c.text()?,
        metadata: c.text()?,
        reply_to: c.opt_seq()?,
        data: c.bytes()?,
        deleted: false,
    })
}

pub(super) fn message(c: &mut Columns<'_>) -> Result<MessageRow> {
    let (room, seq, id, no) = (c.room()?, c.seq()?, c.uuid()?, c.no()?);
    let (sender, client_id) = (c.opt_user()?, c.opt_client_id()?);
    let mut message = content(c, no)?;
    let (created_at, edited_at) = (c.time()?, c.opt_time()?);
    message.deleted = c.flag()?;
    Ok(MessageRow { room, seq, id, sender, client_id, message, created_at, edited_at })
}

pub(super) fn user_event(c: &mut Columns<'_>) -> Result<UserEventRow> {
    Ok(UserEventRow {
        user: c.user()?,
        seq: c.seq()?,
        kind: c.number()?,
        at: c.time()?,
        room: c.opt_uuid()?.map(RoomId),
        room_kind: c.opt_number()?,
        change: c.opt_number()?,
        room_seq: c.opt_seq()?,
        actor: c.opt_user()?,
        subject: c.opt_user()?,
        data: c.opt_text()?,
    })
}

pub(super) fn outbox(c: &mut Columns<'_>) -> Result<OutboxRow> {
    let (source, offset, ord, target, record) = (c.partition()?, c.offset()?, c.number()?, c.partition()?, c.bytes()?);
    let (room, after) = (c.opt_uuid()?.map(RoomId), c.opt_user()?);
    Ok(OutboxRow { source, offset, ord, target, record, fan_out: room.map(|room| FanOut { room, after }) })
}

pub(super) fn dead_letter(c: &mut Columns<'_>) -> Result<DeadLetterRow> {
    Ok(DeadLetterRow {
        partition: c.partition()?,
        offset: c.offset()?,
        at: c.time()?,
        reason: c.text()?,
        record: c.bytes()?,
    })
}

async fn partition_watermark(session: &mut Session<'_>, partition: Partition) -> Result<WatermarkRow> {
    let found = session.one(statements::WATERMARK, |b| _ = b.int(partition.get()), watermark).await?;
    found.ok_or_else(|| damaged("watermarks", format!("no row of partition {partition}")))
}

/// See [`crate::storage::store::Store::room`]. In a snapshot.
pub(super) async fn room(session: &mut Session<'_>, id: RoomId) -> Result<RoomRows> {
    let watermark = partition_watermark(session, id.partition()).await?;
    let chat = session.one(statements::CHAT, |b| _ = b.room(id), chat).await?;
    let all = |b: &mut Binder| _ = b.room(id).text("").int(i64::MAX);
    let members = session.list(statements::MEMBERS, all, member).await?;
    let blocks = session.list(statements::ROOM_BLOCKS, |b| _ = b.room(id), |c| c.user()).await?;
    let sources = session.list(statements::ROOM_SOURCES, |b| _ = b.room(id), source).await?;
    let decisions = session.one(statements::ROOM_DECISIONS, |b| _ = b.room(id), |c| c.bytes()).await?;
    let window = match &chat {
        Some(chat) => window::read(session, id, chat.window, chat.head).await?,
        None => Vec::new(),
    };
    Ok(RoomRows { watermark, chat, members, blocks, window, sources, decisions: decisions.unwrap_or_default() })
}

/// What is kept of the events `from..=to`, by seq.
pub(super) async fn window_rows(session: &mut Session<'_>, room: RoomId, from: Seq, to: Seq) -> Result<Vec<WindowRow>> {
    let bind = |b: &mut Binder| _ = b.room(room).int(from.as_i64()).int(to.as_i64());
    let mut rows = session.list(statements::WINDOW_MESSAGES, bind, window_message).await?;
    rows.append(&mut session.list(statements::WINDOW_EVENTS, bind, window_event).await?);
    rows.sort_unstable_by_key(|row| row.seq);
    Ok(rows)
}

fn window_message(c: &mut Columns<'_>) -> Result<WindowRow> {
    Ok(WindowRow {
        seq: c.seq()?,
        id: c.uuid()?,
        actor: c.opt_user()?,
        client_id: c.opt_client_id()?,
        at: c.time()?,
        kind: EVENT_MESSAGE,
        target: None,
    })
}

fn window_event(c: &mut Columns<'_>) -> Result<WindowRow> {
    Ok(WindowRow {
        seq: c.seq()?,
        id: c.uuid()?,
        actor: c.opt_user()?,
        client_id: c.opt_client_id()?,
        at: c.time()?,
        kind: c.number()?,
        target: c.opt_seq()?,
    })
}

pub(super) fn user_row(c: &mut Columns<'_>) -> Result<UserRow> {
    let user = c.user()?;
    rest_of_user(user, c)
}

/// The row of this user, whose id was read already.
pub(super) fn rest_of_user(user: UserId, c: &mut Columns<'_>) -> Result<UserRow> {
    Ok(UserRow {
        user,
        push_token: c.opt_text()?.unwrap_or_default(),
        preferences: c.opt_text()?.unwrap_or_default(),
        created_at: c.time()?,
        updated_at: c.time()?,
        head: c.seq()?,
        applied: c.offset()?,
        chain: c.number::<i64>()?.cast_unsigned(),
        decisions: c.bytes()?,
        notifications_read: c.opt_uuid()?.unwrap_or_default(),
    })
}

/// See [`crate::storage::store::Store::events`]. In a snapshot.
pub(super) async fn events(
    session: &mut Session<'_>,
    room: RoomId,
    range: SeqRange,
    limit: usize,
) -> Result<Vec<RoomEventRow>> {
    let text = if range.reverse { statements::EVENTS_BACK } else { statements::EVENTS };
    let bind = |b: &mut Binder| bind_range(b, room, range, Some(limit));
    let mut events = list_within(session, text, range, bind, |c| event(room, c), RoomEventRow::bytes).await?;
    let (Some(first), Some(last)) = (events.first().map(|e| e.seq), events.last().map(|e| e.seq)) else {
        return Ok(events);
    };
    let narrowed = SeqRange { from: first.min(last), to: first.max(last), ..range };
    let text = if range.reverse { statements::ORIGINALS_BACK } else { statements::ORIGINALS };
    let bind = |b: &mut Binder| bind_range(b, room, narrowed, None);
    let originals = list_within(session, text, narrowed, bind, original, RoomEventRow::bytes).await?;
    if originals.iter().map(RoomEventRow::bytes).sum::<usize>() >= range.bytes
        && let Some(last) = originals.last()
    {
        // What comes behind it is not wanted any more.
        let wanted = events.iter().position(|event| event.seq == last.seq).map_or(events.len(), |at| at + 1);
        events.truncate(wanted);
    }
    let mut originals = originals.into_iter().peekable();
    for event in events.iter_mut().filter(|event| event.kind == EVENT_MESSAGE) {
        let Some(found) = originals.next_if(|found| found.seq == event.seq) else {
            return Err(damaged("room_events", format!("seq {} is a message without a row", event.seq)));
        };
        *event = RoomEventRow { room, ..found };
    }
    Ok(range.cut(events.into_iter(), RoomEventRow::bytes).collect())
}

fn bind_range(b: &mut Binder, room: RoomId, range: SeqRange, limit: Option<usize>) {
    b.room(room).int(range.from.as_i64()).int(range.to.as_i64());
    if let Some(limit) = limit {
        b.count(limit);
    }
}

fn event(room: RoomId, c: &mut Columns<'_>) -> Result<RoomEventRow> {
    Ok(RoomEventRow {
        room,
        seq: c.seq()?,
        kind: c.number()?,
        actor: c.opt_user()?,
        target: c.opt_seq()?,
        id: c.opt_uuid()?.unwrap_or_default(),
        client_id: c.opt_client_id()?,
        at: c.opt_time()?.unwrap_or_default(),
        data: c.opt_text()?,
        message: None,
    })
}

/// A message as the event that it was; the room is filled in by the caller.
fn original(c: &mut Columns<'_>) -> Result<RoomEventRow> {
    let (seq, id, no) = (c.seq()?, c.uuid()?, c.no()?);
    let (actor, client_id) = (c.opt_user()?, c.opt_client_id()?);
    let mut message = content(c, no)?;
    let at = c.time()?;
    message.deleted = c.flag()?;
    let (room, target, data) = (RoomId(Uuid::nil()), None, None);
    let message = Some(message);
    Ok(RoomEventRow { room, seq, kind: EVENT_MESSAGE, actor, target, id, client_id, at, data, message })
}

/// See [`crate::storage::store::Store::messages`].
pub(super) async fn messages(
    session: &mut Session<'_>,
    room: RoomId,
    range: SeqRange,
    limit: usize,
) -> Result<Vec<MessageRow>> {
    let text = if range.reverse { statements::MESSAGES_BACK } else { statements::MESSAGES };
    let bind = |b: &mut Binder| bind_range(b, room, range, Some(limit));
    list_within(session, text, range, bind, message, MessageRow::bytes).await
}

/// See [`crate::storage::store::Store::history`]. In a snapshot.
pub(super) async fn history(session: &mut Session<'_>, question: HistoryQuestion<'_>) -> Result<Option<HistoryRows>> {
    let HistoryQuestion { room, limit, user, .. } = question;
    let Some(chat) = session.one(statements::CHAT, |b| _ = b.room(room), chat).await? else { return Ok(None) };
    let messages = messages(session, room, question.range_in(&chat), limit).await?;
    let counts = match stretch(&messages) {
        Some(range) => reaction_counts(session, room, range, user).await?,
        None => Vec::new(),
    };
    let reactions = Reactions { head: chat.head, counts };
    Ok(Some(HistoryRows { chat, messages, reactions }))
}

/// See [`crate::storage::store::Store::reactions`].
pub(super) async fn reactions(
    session: &mut Session<'_>,
    room: RoomId,
    range: SeqRange,
    user: &UserId,
) -> Result<Reactions> {
    let head = session.one(statements::HEAD, |b| _ = b.room(room), |c| c.seq()).await?;
    let counts = reaction_counts(session, room, range, user).await?;
    Ok(Reactions { head: head.unwrap_or(Seq::ZERO), counts })
}

async fn reaction_counts(
    session: &mut Session<'_>,
    room: RoomId,
    range: SeqRange,
    user: &UserId,
) -> Result<Vec<ReactionCount>> {
    let bind = |b: &mut Binder| {
        b.text(user.as_str()).room(room).int(range.from.as_i64()).int(range.to.as_i64());
    };
    session.list(statements::REACTIONS, bind, reaction_count).await
}

fn reaction_count(c: &mut Columns<'_>) -> Result<ReactionCount> {
    let (seq, emoji, count, own) = (c.seq()?, c.text()?, c.number()?, c.number::<u64>()?);
    Ok(ReactionCount { seq, emoji, count, own: own > 0 })
}
