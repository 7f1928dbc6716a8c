//! What goes out: one struct for each result, as `docs/protocol.md` fixes its JSON. Times are milliseconds since the Unix
//! epoch; what is absent is left out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::wire::{Content, Event, EventBody, RoomStatus};
use crate::ids::{ClientId, MessageNo, RoomId, Seq, Timestamp, UserId};
use crate::storage::store::rows::MessageRow;

/// Nothing to say but that it is done: `{}`.
#[derive(Serialize, Debug, ToSchema)]
pub struct Done {}

/// What came of a command on a room.
#[derive(Serialize, PartialEq, Eq, Debug, ToSchema)]
pub(crate) struct Happened {
    /// The place of its event.
    pub seq: Seq,
    /// Its time; left out where it happened too long ago to be remembered.
    #[serde(skip_serializing_if = "is_zero")]
    pub ts: Timestamp,
    /// It had happened before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub existing: bool,
}

/// What came of `message.send`.
#[derive(Serialize, PartialEq, Eq, Debug, ToSchema)]
pub struct Sent {
    /// The message's id.
    pub id: Uuid,
    /// Its place.
    pub seq: Seq,
    /// When.
    pub ts: Timestamp,
    /// It had been sent before: these are the first id, seq and time.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

fn is_zero(at: &Timestamp) -> bool {
    *at == Timestamp::ZERO
}

/// A message in its present form.
#[derive(Serialize, Clone, Debug, ToSchema)]
pub(crate) struct MessageView {
    /// Its place in the room.
    pub seq: Seq,
    /// Its number among the messages.
    pub no: MessageNo,
    /// Its id.
    pub id: Uuid,
    /// Who sent it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<UserId>,
    /// Text; empty once it is deleted.
    pub body: String,
    /// Type.
    pub message_type: String,
    /// The sender's JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub metadata: Option<Box<RawValue>>,
    /// The seq of the message that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// The sender's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// When it was sent.
    pub ts: Timestamp,
    /// When it was edited last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// Whether it was deleted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Emoji on it; only in a page of messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ReactionView>,
}

/// An emoji on a message.
#[derive(Serialize, Clone, PartialEq, Eq, Debug, ToSchema)]
pub(crate) struct ReactionView {
    /// The emoji.
    pub emoji: String,
    /// How many users put it there.
    pub count: u64,
    /// Whether the caller did.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
}

impl MessageView {
    /// A message as the store has it.
    #[must_use]
    pub(crate) fn of_row(row: MessageRow) -> Self {
        let message = row.message;
        let mut view = Self {
            seq: row.seq,
            no: message.no,
            id: row.id,
            sender: row.sender,
            body: message.body,
            message_type: message.message_type,
            metadata: json(message.metadata),
            reply_to: message.reply_to,
            client_id: row.client_id,
            ts: row.created_at,
            edited_at: row.edited_at,
            deleted: false,
            reactions: Vec::new(),
        };
        if message.deleted {
            view.redact();
        }
        view
    }

    /// A message as it was sent; `None` if the event is none.
    #[must_use]
    pub(crate) fn of_event(event: &Event) -> Option<Self> {
        let EventBody::Message { no, content, redacted } = &event.body else { return None };
        let Content { body, message_type, metadata, reply_to, data: _ } = content.clone();
        let mut view = Self {
            seq: event.seq,
            no: *no,
            id: event.id,
            sender: event.actor.clone(),
            body,
            message_type,
            metadata: json(metadata),
            reply_to,
            client_id: event.client_id.clone(),
            ts: event.at,
            edited_at: None,
            deleted: false,
            reactions: Vec::new(),
        };
        if *redacted {
            view.redact();
        }
        Some(view)
    }

    /// A new body, unless it is deleted.
    pub(crate) fn edit(&mut self, body: &str, metadata: Option<&str>, at: Timestamp) {
        if self.deleted {
            return;
        }
        body.clone_into(&mut self.body);
        if let Some(metadata) = metadata {
            self.metadata = json(metadata.to_owned());
        }
        self.edited_at = Some(at);
    }

    /// Takes the content away.
    pub(crate) fn redact(&mut self) {
        self.body.clear();
        self.metadata = None;
        self.reply_to = None;
        self.edited_at = None;
        self.deleted = true;
    }
}

/// JSON text as JSON. Text that is none (no handler lets it in) goes out as a string rather than not at all.
#[must_use]
pub fn json(text: String) -> Option<Box<RawValue>> {
    if text.is_empty() {
        return None;
    }
    RawValue::from_string(text.clone()).or_else(|_| serde_json::value::to_raw_value(&text)).ok()
}

/// A page of `message.history`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct HistoryPage {
    /// By seq, upwards.
    pub messages: Vec<MessageView>,
    /// The last seq of the room.
    pub head: Seq,
    /// The lowest seq that can still be had.
    pub floor: Seq,
    /// Whether there are more in the direction that was asked for.
    pub more: bool,
}

/// What a member may do: `creator`, or `member`.
#[must_use]
pub(crate) fn role(member: &UserId, creator: Option<&UserId>) -> &'static str {
    if creator == Some(member) { "creator" } else { "member" }
}

/// The word for a status.
#[must_use]
pub(crate) fn status(status: RoomStatus) -> &'static str {
    match status {
        RoomStatus::Active => "active",
        RoomStatus::Ended => "ended",
        RoomStatus::Expired => "expired",
    }
}

/// What came of `room.create`.
#[derive(Serialize, Debug, ToSchema)]
pub struct Created {
    /// The room.
    pub room: RoomId,
    /// Its channel.
    pub channel: String,
    /// The place of its making, or of its opening.
    pub seq: Seq,
    /// When that was.
    pub ts: Timestamp,
    /// It was there before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub existing: bool,
}

/// The result of `room.uninvite`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct TakenBack {
    /// How many invitations were taken back.
    pub taken: usize,
    /// There may be more: ask again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// What every view of a room starts with.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct RoomHead {
    /// The room.
    pub room: RoomId,
    /// Its channel.
    pub channel: String,
    /// Its kind.
    pub kind: &'static str,
    /// Title.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// Whether it lives.
    pub status: &'static str,
    /// When it expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether users may join by themselves.
    pub public: bool,
    /// Who may send.
    pub may_send: &'static str,
    /// Whose room it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<UserId>,
    /// The other one, in a direct chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<UserId>,
    /// Where the caller stands: `member`, `invited`, or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
}

/// A line of `room.list`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct RoomLine {
    /// The room.
    #[serde(flatten)]
    pub room: RoomHead,
    /// The last seq, for members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Seq>,
    /// Up to where the caller has read.
    pub read_seq: Seq,
    /// Messages of others above the caller's read mark.
    pub unread: u64,
    /// The last message in its present form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<MessageView>,
    /// When something was sent last, or when the room was made.
    pub activity: Timestamp,
}

/// A page of `room.list`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct RoomPage {
    /// The latest activity first.
    pub rooms: Vec<RoomLine>,
    /// Where the next page begins, if this one is full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The result of `room.get`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct RoomView {
    /// The room.
    #[serde(flatten)]
    pub room: RoomHead,
    /// How many members it has.
    pub members: usize,
    /// What only members are told.
    #[serde(flatten)]
    pub inside: Option<Inside>,
}

/// What only members are told of a room.
#[derive(Serialize, Debug, ToSchema)]
pub struct Inside {
    /// The last seq.
    pub head: Seq,
    /// The lowest seq that can still be had.
    pub floor: Seq,
    /// The number of the last message.
    pub last_no: MessageNo,
    /// When something was sent last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message_at: Option<Timestamp>,
    /// The seq of the caller's own entering.
    pub joined: Seq,
    /// What the caller may do: `creator` or `member`.
    pub(crate) role: &'static str,
}

/// A line of `room.members`.
#[derive(Serialize, PartialEq, Eq, Debug, ToSchema)]
pub(crate) struct MemberView {
    /// Who.
    pub user: UserId,
    /// `creator` or `member`.
    pub role: &'static str,
    /// The seq of the event that made the user a member.
    pub joined: Seq,
    /// Up to where the member has read, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_seq: Option<Seq>,
}

/// A page of `room.members`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct MemberPage {
    /// By user id.
    pub members: Vec<MemberView>,
    /// How many there are in all.
    pub total: usize,
    /// The last user of this page, if there are more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<UserId>,
}

/// The result of `read.mark`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct Marked {
    /// The mark is here now, or further on another device.
    pub seq: Seq,
    /// The number of the last message at or below it.
    pub no: MessageNo,
    /// Messages of others above it at that moment.
    pub unread: u64,
}

/// The result of `presence.get`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct PresencePage {
    /// Everybody who was asked for.
    pub users: BTreeMap<UserId, PresenceView>,
}

/// A user's presence.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct PresenceView {
    /// Whether the user has a connection.
    pub online: bool,
}

/// The result of `user.mutes`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct MutesView {
    /// The rooms that are muted now, by id.
    pub mutes: BTreeMap<RoomId, MuteView>,
}

/// A room that is muted.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct MuteView {
    /// When it ends by itself; nothing if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    pub until: Option<Timestamp>,
}

/// The result of `user.preferences`.
#[derive(Serialize, Debug, ToSchema)]
pub(crate) struct PreferencesView {
    /// As they are now; nothing if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub preferences: Option<Box<RawValue>>,
}
