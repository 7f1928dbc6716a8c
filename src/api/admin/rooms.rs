//! Rooms as the store has them: list, detail, members, and pages of messages without what they say.

use axum::Json;
use axum::extract::{Extension, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::extract::{Page, bad, not_found, page_size, stored};
use super::guard::Who;
use super::names;
use super::{AdminState, Live};
use crate::actors::wire::{self, Entity, QueryAnswer, RoomKind};
use crate::api::http::{HttpError, Path, Query};
use crate::ids::{ClientId, Generation, MessageNo, RoomId, Seq, Timestamp, UserId};
use crate::storage::store::SeqRange;
use crate::storage::store::rows::{ChatRow, MemberRow, MessageRow};

/// A line of the list.
#[derive(Serialize)]
pub(super) struct AdminRoom {
    id: RoomId,
    kind: &'static str,
    status: &'static str,
    title: String,
    channel: String,
    creator: Option<UserId>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    last_message_at: Option<Timestamp>,
    head: Seq,
    floor: Seq,
    messages: MessageNo,
    partition: u16,
    resident: bool,
}

impl AdminRoom {
    fn of(live: &Live, chat: ChatRow) -> Self {
        let kind = match RoomKind::from_number(chat.kind) {
            Some(RoomKind::Direct) => "direct",
            Some(RoomKind::Group) => "group",
            Some(RoomKind::Broadcast) => "broadcast",
            Some(RoomKind::Open) => "open",
            None => "unknown",
        };
        let status = match chat.status {
            0 => "active",
            1 => "ended",
            _ => "expired",
        };
        Self {
            id: chat.room,
            kind,
            status,
            title: chat.title,
            channel: chat.channel,
            creator: chat.creator,
            created_at: chat.created_at,
            expires_at: chat.expires_at,
            last_message_at: chat.last_message_at,
            head: chat.head,
            floor: chat.floor,
            messages: chat.last_no,
            partition: chat.room.partition().get(),
            resident: live.node.directory().resident(&Entity::Room(chat.room)).is_some(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoomFilter {
    after: Option<String>,
    limit: Option<usize>,
    /// A part of the title, the channel or the id.
    text: Option<String>,
}

/// `GET /admin/rooms`: by id.
pub(super) async fn list(
    State(admin): AdminState,
    Query(wanted): Query<RoomFilter>,
) -> Result<Json<Page<AdminRoom>>, HttpError> {
    let live = admin.live()?;
    let limit = page_size(wanted.limit)?;
    let after = wanted.after.as_deref().map(|after| after.parse().map(RoomId)).transpose();
    let after = after.map_err(|_| bad("after: expected a room's id"))?;
    let Some(text) = wanted.text.filter(|text| !text.is_empty()) else {
        let rows = live.node.rows().await.rooms(after, limit + 1).await.map_err(stored)?;
        let rows = rows.into_iter().map(|chat| AdminRoom::of(live, chat)).collect();
        return Ok(Json(Page::new(rows, limit, |row: &AdminRoom| row.id.to_string())));
    };
    let rows = live.node.rows().await;
    let read = |after, limit| rows.rooms(after, limit);
    let fits = |chat: &ChatRow| names::holds(&text, [&chat.title, &chat.channel, chat.room.to_string().as_str()]);
    let Page { items, next } = names::search(after, limit, read, |chat| chat.room, fits).await?;
    Ok(Json(Page { items: items.into_iter().map(|chat| AdminRoom::of(live, chat)).collect(), next }))
}

/// One room.
#[derive(Serialize)]
pub(super) struct AdminRoomDetail {
    #[serde(flatten)]
    row: AdminRoom,
    generation: Generation,
    /// As clients see it.
    epoch: String,
    public: bool,
    may_send: &'static str,
    max_members: u32,
    history_events: u64,
    history_age_ms: u64,
    ended_at: Option<Timestamp>,
    /// The first page of them.
    members: Page<AdminMember>,
}

/// Somebody in a room, asked in, or thrown out.
#[derive(Serialize)]
pub(super) struct AdminMember {
    user: UserId,
    state: &'static str,
    since_seq: Seq,
    online: bool,
}

pub(super) fn room_of(text: &str) -> Result<RoomId, HttpError> {
    text.parse::<Uuid>().map(RoomId).map_err(|_| not_found("room"))
}

pub(super) async fn chat(live: &Live, room: RoomId) -> Result<ChatRow, HttpError> {
    live.node.rows().await.chat(room).await.map_err(stored)?.ok_or_else(|| not_found("room"))
}

async fn member_page(
    live: &Live,
    room: RoomId,
    after: Option<&UserId>,
    limit: usize,
) -> Result<Page<AdminMember>, HttpError> {
    let rows = live.node.rows().await.members(room, after, limit + 1).await.map_err(stored)?;
    let member = |MemberRow { user, state, seq, .. }: MemberRow| AdminMember {
        online: live.hub.sessions().is_online(&user),
        user,
        state: match state {
            0 => "member",
            1 => "invited",
            _ => "kicked",
        },
        since_seq: seq,
    };
    Ok(Page::new(rows.into_iter().map(member).collect(), limit, |member| member.user.to_string()))
}

/// `GET /admin/rooms/{room}`.
pub(super) async fn detail(
    State(admin): AdminState,
    Path(room): Path<String>,
) -> Result<Json<AdminRoomDetail>, HttpError> {
    let live = admin.live()?;
    let chat = chat(live, room_of(&room)?).await?;
    let members = member_page(live, chat.room, None, page_size(None)?).await?;
    Ok(Json(AdminRoomDetail {
        generation: chat.generation,
        epoch: live.history.epoch(chat.generation),
        public: chat.public,
        may_send: if chat.may_send == 2 { "creator" } else { "members" },
        max_members: chat.max_members,
        history_events: chat.history_events,
        history_age_ms: chat.history_age_ms,
        ended_at: (chat.status != 0).then_some(chat.closed.at),
        members,
        row: AdminRoom::of(live, chat),
    }))
}

/// `GET /admin/rooms/{room}/members`: by user id.
pub(super) async fn members(
    State(admin): AdminState,
    Path(room): Path<String>,
    Query(wanted): Query<RoomFilter>,
) -> Result<Json<Page<AdminMember>>, HttpError> {
    let live = admin.live()?;
    let limit = page_size(wanted.limit)?;
    let after = wanted.after.as_deref().map(UserId::new).transpose().map_err(|_| bad("after: expected a user's id"))?;
    let room = chat(live, room_of(&room)?).await?.room;
    member_page(live, room, after.as_ref(), limit).await.map(Json)
}

/// A message: who, when, how long; what it says only if `bodies=true`.
#[derive(Serialize)]
pub(super) struct AdminMessage {
    seq: Seq,
    no: MessageNo,
    id: Uuid,
    sender: Option<UserId>,
    client_id: Option<ClientId>,
    message_type: String,
    reply_to: Option<Seq>,
    created_at: Timestamp,
    edited_at: Option<Timestamp>,
    deleted: bool,
    body_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Box<RawValue>>,
}

impl AdminMessage {
    fn of(row: MessageRow, bodies: bool) -> Self {
        let said = row.message;
        // An open channel's message is the data that was published, as it was.
        let text = if said.data.is_empty() { said.body } else { String::from_utf8_lossy(&said.data).into_owned() };
        Self {
            seq: row.seq,
            no: said.no,
            id: row.id,
            sender: row.sender,
            client_id: row.client_id,
            message_type: said.message_type,
            reply_to: said.reply_to,
            created_at: row.created_at,
            edited_at: row.edited_at,
            deleted: said.deleted,
            body_bytes: text.len(),
            body: bodies.then_some(text),
            metadata: if bodies { RawValue::from_string(said.metadata).ok() } else { None },
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WantedMessages {
    before: Option<u64>,
    limit: Option<usize>,
    #[serde(default)]
    bodies: bool,
}

/// `GET /admin/rooms/{room}/messages`: the newest first. With `bodies=true` what they say, and a line in the audit log.
pub(super) async fn messages(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(room): Path<String>,
    Query(wanted): Query<WantedMessages>,
) -> Result<Json<Page<AdminMessage>>, HttpError> {
    let live = admin.live()?;
    let limit = page_size(wanted.limit)?;
    let chat = chat(live, room_of(&room)?).await?;
    if wanted.bodies {
        // Before anything is read: what can't be noted is not shown.
        admin.note(&who, "room.bodies", &chat.room.to_string(), None).await?;
    }
    let to = wanted.before.map_or(chat.head, |before| Seq(before.saturating_sub(1)));
    // What a channel keeps for a time is over without a record, and nobody else is shown it either.
    let floor = match live.node.router().query(Entity::Room(chat.room), wire::Query::Position).await {
        QueryAnswer::Position { floor, .. } => floor,
        _ => chat.floor,
    };
    let range = SeqRange::new(floor, to).reversed();
    let rows = live.node.rows().await.messages(chat.room, range, limit + 1).await.map_err(stored)?;
    let rows = rows.into_iter().map(|row| AdminMessage::of(row, wanted.bodies)).collect();
    Ok(Json(Page::new(rows, limit, |message: &AdminMessage| message.seq.to_string())))
}
