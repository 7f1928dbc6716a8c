//! Rows to folded states and events, and back. Total: rows that no fold could have made are an error, never a guess.

use super::decision_rows;
use crate::actors::digest::Chain;
use crate::actors::room::members::Invitation;
use crate::actors::room::snapshot::Mark;
use crate::actors::room::window::{self, EntryKind, WindowEntry};
use crate::actors::room::{RoomMeta, RoomSnapshot, RoomState};
use crate::actors::user::snapshot::{Device, ListedRoom};
use crate::actors::user::{UserMeta, UserSnapshot, UserState};
use crate::actors::wire::event;
use crate::actors::wire::{
    Content, Event, EventBody, HistoryBound, MaySend, Member, RoomChange, RoomKind, RoomStanding, RoomStatus,
    UserEvent, UserEventBody,
};
use crate::ids::{MessageNo, Offset, PackedClientId, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::storage::store::rows::{
    self, ChatRow, EVENT_MESSAGE, INVITED, KICKED, MEMBER, MemberRow, MessageBody, RoomEventRow, RoomRows, Shelf,
    SourceRow, UserEventRow, UserRoomRow, UserRows, WindowRow,
};

/// Rows that no fold could have made: the store is damaged, or a newer program wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rows of {of}: {why}")]
pub(crate) struct RowsError {
    /// Whose rows.
    pub of: String,
    /// What is wrong with them. Never their content.
    pub why: String,
}

fn bad(of: impl ToString, why: impl ToString) -> RowsError {
    RowsError { of: of.to_string(), why: why.to_string() }
}

/// Number of [`EventBody::Deleted`].
const DELETED: u8 = 4;

/// The last record that an entity's rows were made of, and the chain after it (I10): `applied` is one past that record. `None`
/// if they were made of none: an account has a row of its own before the journal says anything of the user.
pub(crate) fn chain_at(applied: Offset, chain: u64) -> Option<(Offset, Chain)> {
    applied.0.checked_sub(1).map(|last| (Offset(last), Chain(chain)))
}

/// The state of a room as its rows tell it.
///
/// # Errors
/// [`RowsError`].
pub(crate) fn room_state(room: RoomId, snapshot: RoomRows) -> Result<RoomState, RowsError> {
    let RoomRows { chat, members, blocks, window, sources, decisions, watermark: _ } = snapshot;
    let mut parts = RoomSnapshot::absent(room);
    if let Some(chat) = chat {
        parts.meta = meta(chat)?;
    }
    for row in members {
        match row.state {
            MEMBER => parts.members.push((row.user, Member { joined: row.seq, sent_no: row.sent_no })),
            INVITED => {
                let by = row.invited_by.ok_or_else(|| bad(room, "an invitation is nobody's"))?;
                parts.invited.push((row.user, Invitation { seq: row.seq, by, kicked: row.kicked }));
            }
            KICKED => parts.kicked.push((row.user, row.seq)),
            other => return Err(bad(room, format_args!("member state {other}"))),
        }
    }
    parts.blocks = blocks;
    parts.sources = pairs(sources);
    parts.window = window::entries_of(window.into_iter().map(window_entry));
    parts.decisions = decision_rows::unpack(&decisions).ok_or_else(|| bad(room, "its decisions can't be read"))?;
    RoomState::from_snapshot(parts).map_err(|why| bad(room, why))
}

fn meta(chat: ChatRow) -> Result<RoomMeta, RowsError> {
    let wrong = |what: &str| bad(chat.room, format_args!("{what} is out of range"));
    Ok(RoomMeta {
        kind: Some(RoomKind::from_number(chat.kind).ok_or_else(|| wrong("kind"))?),
        status: RoomStatus::from_number(chat.status).ok_or_else(|| wrong("status"))?,
        may_send: MaySend::from_number(chat.may_send).ok_or_else(|| wrong("may_send"))?,
        room: chat.room,
        title: chat.title,
        channel: chat.channel,
        creator: chat.creator,
        opened: mark(chat.opened),
        closed: mark(chat.closed),
        head: chat.head,
        last_no: chat.last_no,
        last_message_at: chat.last_message_at,
        generation: chat.generation,
        floor: chat.floor,
        history: HistoryBound { events: chat.history_events, age_ms: chat.history_age_ms },
        expires_at: chat.expires_at,
        public: chat.public,
        max_members: chat.max_members,
        window_from: chat.window,
        evicted_until: chat.evicted_until,
        chain: chat.chain,
    })
}

fn mark(row: rows::Mark) -> Mark {
    Mark { seq: row.seq, at: row.at, id: row.id }
}

fn mark_row(mark: Mark) -> rows::Mark {
    rows::Mark { seq: mark.seq, at: mark.at, id: mark.id }
}

fn pairs(sources: Vec<SourceRow>) -> Vec<(crate::ids::Partition, crate::ids::Offset)> {
    sources.into_iter().map(|source| (source.partition, source.offset)).collect()
}

/// The window's entry from its row, and what it deletes, if it deletes something.
fn window_entry(row: WindowRow) -> (WindowEntry, Option<Seq>) {
    let WindowRow { seq, kind, actor, id, client_id, at, target } = row;
    let client_id = client_id.as_ref().map(PackedClientId::from);
    let deletes = target.filter(|_| kind == DELETED);
    let kind = if kind == EVENT_MESSAGE { EntryKind::Message } else { EntryKind::Other };
    (WindowEntry { seq, at, id, actor, client_id, kind }, deletes)
}

/// What a room's row holds besides what the fold keeps.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RoomExtras {
    /// When the room was made.
    pub created_at: Timestamp,
    /// Direct chats: the two users, sorted.
    pub pair: Option<(UserId, UserId)>,
    /// Which of the two ended it.
    pub ended_by: (bool, bool),
}

impl RoomExtras {
    /// What a row has of them.
    #[must_use]
    pub(crate) fn of(chat: Option<&ChatRow>) -> Self {
        let Some(chat) = chat else { return Self::default() };
        Self {
            created_at: chat.created_at,
            pair: chat.user1.clone().zip(chat.user2.clone()),
            ended_by: (chat.ended_by_user1, chat.ended_by_user2),
        }
    }

    /// Follows an event of the room.
    pub(crate) fn note(&mut self, event: &Event) {
        match &event.body {
            EventBody::Created { kind, members, .. } => {
                self.created_at = event.at;
                if let (RoomKind::Direct, [low, high]) = (kind, members.as_slice()) {
                    self.pair = Some((low.clone(), high.clone()));
                }
            }
            EventBody::Message { .. } if event.seq.0 == 1 => self.created_at = event.at,
            EventBody::Reopened { .. } => self.ended_by = (false, false),
            EventBody::Ended => {
                if let (Some((low, high)), Some(actor)) = (&self.pair, &event.actor) {
                    self.ended_by = (self.ended_by.0 || actor == low, self.ended_by.1 || actor == high);
                }
            }
            _ => {}
        }
    }
}

/// Where a room stands in the lists of its members, if their rows follow it.
pub(crate) type Listed = Option<(Shelf, Timestamp)>;

/// Where a room's members' rows are to have it. The same for the same state, however it came about.
#[must_use]
pub(crate) fn listed(state: &RoomState, extras: &RoomExtras) -> Listed {
    let places = state.members().len() + state.invited().len() + state.kicked().len();
    let follows = (1..=limits::LISTED_PLACES).contains(&places);
    let activity = state.last_message_at().unwrap_or(extras.created_at);
    follows.then(|| (Shelf::of(state.status().number()), activity))
}

/// The row of a room; `None` if there is no such room. `applied` is one past the last record that was folded into it.
#[must_use]
pub(crate) fn chat_row(state: &RoomState, extras: &RoomExtras, applied: crate::ids::Offset) -> Option<ChatRow> {
    let meta = state.meta();
    Some(ChatRow {
        room: meta.room,
        kind: meta.kind?.number(),
        status: meta.status.number(),
        title: meta.title.clone(),
        channel: meta.channel.clone(),
        creator: meta.creator.clone(),
        user1: extras.pair.as_ref().map(|pair| pair.0.clone()),
        user2: extras.pair.as_ref().map(|pair| pair.1.clone()),
        ended_by_user1: extras.ended_by.0,
        ended_by_user2: extras.ended_by.1,
        created_at: extras.created_at,
        expires_at: meta.expires_at,
        last_message_at: meta.last_message_at,
        public: meta.public,
        may_send: meta.may_send.number(),
        max_members: meta.max_members,
        history_events: meta.history.events,
        history_age_ms: meta.history.age_ms,
        generation: meta.generation,
        head: meta.head,
        floor: meta.floor,
        last_no: meta.last_no,
        opened: mark_row(meta.opened),
        closed: mark_row(meta.closed),
        window: meta.window_from,
        evicted_until: meta.evicted_until,
        applied,
        chain: meta.chain,
    })
}

/// The row of a user's place in a room; `None` if there is none. `joined_no` is the last message number before the user
/// joined.
#[must_use]
pub(crate) fn member_row(state: &RoomState, user: &UserId, joined_no: MessageNo) -> Option<MemberRow> {
    let room = state.room();
    let (place, seq, sent_no, joined_no) = match state.standing(user)? {
        RoomStanding::Member(member) => (MEMBER, member.joined, member.sent_no, joined_no),
        RoomStanding::Invited(seq) => (INVITED, seq, MessageNo::ZERO, MessageNo::ZERO),
        RoomStanding::Kicked(seq) => (KICKED, seq, MessageNo::ZERO, MessageNo::ZERO),
    };
    let invitation = state.invitation(user);
    let invited_by = invitation.map(|invitation| invitation.by.clone());
    let kicked = invitation.and_then(|invitation| invitation.kicked);
    Some(MemberRow { room, user: user.clone(), state: place, seq, sent_no, joined_no, invited_by, kicked })
}

/// The row of an event. A message's content has columns of its own; of every other event the row keeps the text that the
/// event derives.
#[must_use]
pub(crate) fn event_row(room: RoomId, event: Event) -> RoomEventRow {
    let Event { seq, at, id, actor, client_id, body } = event;
    let (kind, target) = (body.number(), body.target());
    let (data, message) = match body {
        EventBody::Message { no, content, redacted } => {
            let Content { body, message_type, metadata, reply_to, data } = content;
            (None, Some(MessageBody { no, body, message_type, metadata, reply_to, data, deleted: redacted }))
        }
        body => (Some(event::text_of(&body)), None),
    };
    RoomEventRow { room, seq, kind, actor, target, id, client_id, at, data, message }
}

/// The event that a row tells: as it happened, or without its content if that was taken away.
///
/// # Errors
/// [`RowsError`].
pub(crate) fn event(row: RoomEventRow) -> Result<Event, RowsError> {
    let of = format!("{} seq {}", row.room, row.seq);
    let body = match (row.message, row.data, row.target) {
        (Some(message), ..) => {
            let MessageBody { no, body, message_type, metadata, reply_to, data, deleted } = message;
            let content = Content { body, message_type, metadata, reply_to, data };
            EventBody::Message { no, content, redacted: deleted }
        }
        (None, Some(data), _) => event::from_text(&data).map_err(|why| bad(&of, why))?,
        // Without data the message that it concerned was deleted since.
        (None, None, Some(target)) => EventBody::redacted(row.kind, target).ok_or_else(|| bad(&of, "no data"))?,
        (None, None, None) => return Err(bad(&of, "no data")),
    };
    if body.number() != row.kind {
        return Err(bad(&of, format_args!("kind {} with the data of another", row.kind)));
    }
    Ok(Event { seq: row.seq, at: row.at, id: row.id, actor: row.actor, client_id: row.client_id, body })
}

/// The state of a user as the rows tell it.
///
/// # Errors
/// [`RowsError`].
pub(crate) fn user_state(user: &UserId, snapshot: UserRows) -> Result<UserState, RowsError> {
    let mut parts = UserSnapshot::new(user.clone());
    if let Some(row) = snapshot.user {
        parts.meta = UserMeta {
            user: row.user,
            head: row.head,
            preferences: row.preferences,
            notifications_read: row.notifications_read,
            chain: row.chain,
        };
        parts.decisions =
            decision_rows::unpack(&row.decisions).ok_or_else(|| bad(user, "the decisions can't be read"))?;
    }
    for row in snapshot.rooms {
        let kind = RoomKind::from_number(row.kind).ok_or_else(|| bad(user, "kind is out of range"))?;
        let change = RoomChange::from_number(row.state).ok_or_else(|| bad(user, "state is out of range"))?;
        parts.rooms.push((row.room, ListedRoom { kind, change, since: row.seq, muted_until: row.muted_until }));
    }
    parts.reads = snapshot
        .read_marks
        .into_iter()
        .map(|row| (row.room, crate::actors::wire::ReadPoint { seq: row.seq, no: row.no }))
        .collect();
    parts.blocks = snapshot.blocks.into_iter().map(|row| (row.blocked, row.at)).collect();
    let device = |row: rows::DeviceRow| {
        (row.device, Device { platform: row.platform, push_token: row.push_token, seen: row.seen_at })
    };
    parts.devices = snapshot.devices.into_iter().map(device).collect();
    parts.sources = pairs(snapshot.sources);
    Ok(UserState::from_snapshot(parts))
}

/// The row of a room on a user's list.
#[must_use]
pub(crate) fn user_room_row(user: &UserId, room: RoomId, listed: &ListedRoom) -> UserRoomRow {
    UserRoomRow {
        user: user.clone(),
        room,
        kind: listed.kind.number(),
        state: listed.change.number(),
        seq: listed.since,
        muted_until: listed.muted_until,
    }
}

/// The row of an event of a personal stream.
#[must_use]
pub(crate) fn user_event_row(user: &UserId, event: &UserEvent) -> UserEventRow {
    let mut row = UserEventRow {
        user: user.clone(),
        seq: event.seq,
        kind: event.body.number(),
        at: event.at,
        room: None,
        room_kind: None,
        change: None,
        room_seq: None,
        actor: None,
        subject: None,
        data: None,
    };
    match &event.body {
        UserEventBody::Room { room, kind, change, room_seq, by } => {
            row.room = Some(*room);
            row.room_kind = Some(kind.number());
            row.change = Some(change.number());
            row.room_seq = Some(*room_seq);
            row.actor.clone_from(by);
        }
        UserEventBody::Block { user, .. } => row.subject = Some(user.clone()),
        UserEventBody::Preferences => {}
        UserEventBody::NotificationsRead { .. } => row.data = Some(event::text_of(&event.body)),
    }
    row
}

/// The event that a row of a personal stream tells.
///
/// # Errors
/// [`RowsError`].
pub(crate) fn user_event(row: UserEventRow) -> Result<UserEvent, RowsError> {
    let of = format!("{} seq {}", row.user, row.seq);
    let missing = || bad(&of, "something is missing or out of range");
    let body = match row.kind {
        1 => UserEventBody::Room {
            room: row.room.ok_or_else(missing)?,
            kind: row.room_kind.and_then(RoomKind::from_number).ok_or_else(missing)?,
            change: row.change.and_then(RoomChange::from_number).ok_or_else(missing)?,
            room_seq: row.room_seq.ok_or_else(missing)?,
            by: row.actor,
        },
        kind @ (2 | 3) => UserEventBody::Block { user: row.subject.ok_or_else(missing)?, blocked: kind == 2 },
        4 => UserEventBody::Preferences,
        5 => event::from_text(row.data.ok_or_else(missing)?).map_err(|why| bad(&of, why))?,
        other => return Err(bad(&of, format_args!("unknown kind {other}"))),
    };
    Ok(UserEvent { seq: row.seq, at: row.at, body })
}
