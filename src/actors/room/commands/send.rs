//! Sends a message, or publishes into an open channel.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Content, EventBody, HistoryBound, MaySend, Reject, RoomKind, fields};
use crate::ids::{ClientId, DeviceId, MessageNo, RoomId, Seq, UserId};
use crate::limits;

/// A message to be sent. It needs a body or metadata.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewMessage {
    /// Makes a retry harmless. In REST the header `Idempotency-Key` stands for it.
    #[schema(required = false, nullable = false)]
    pub client_id: Option<ClientId>,
    /// The sending device.
    #[schema(required = false, nullable = false)]
    pub device: Option<DeviceId>,
    /// The client id that the same device sent before: `need_prev` if that never arrived.
    #[schema(required = false, nullable = false)]
    pub prev: Option<ClientId>,
    /// Text, at most 32 KiB.
    #[serde(default)]
    #[schema(required = false)]
    pub body: String,
    /// `text` unless said otherwise, at most 32 bytes.
    #[serde(rename = "type", alias = "message_type")]
    #[schema(required = false, nullable = false)]
    pub message_type: Option<String>,
    /// Any JSON, at most 8 KiB.
    #[schema(value_type = Option<serde_json::Value>, required = false)]
    pub metadata: Option<Box<RawValue>>,
    /// The seq of the message that this one answers.
    #[schema(minimum = 1, required = false, nullable = false)]
    pub reply_to: Option<u64>,
}

impl NewMessage {
    /// The command, from a sender whose connection named `device`.
    ///
    /// # Errors
    /// It says nothing, or answers nothing.
    pub(crate) fn by(self, sender: UserId, device: Option<DeviceId>) -> Result<Send, BadInput> {
        let Self { client_id, device: named, prev, body, message_type, metadata, reply_to } = self;
        if reply_to == Some(0) {
            return Err(BadInput::because("reply_to is a seq, and those start at 1"));
        }
        let content = Content {
            body,
            message_type: message_type.unwrap_or_else(|| Content::TEXT.to_owned()),
            metadata: metadata.map(|json| Box::<str>::from(json).into_string()).unwrap_or_default(),
            reply_to: reply_to.map(Seq),
            data: Bytes::new(),
        };
        if content.body.is_empty() && content.metadata.is_empty() {
            return Err(BadInput::because("a message needs a body or metadata"));
        }
        if content.message_type.is_empty() {
            return Err(BadInput::because("type must not be empty"));
        }
        Ok(Send { sender, client_id, device: named.or(device), prev, content, open: None })
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Send {
    /// Who sends.
    pub sender: UserId,
    /// The client's own id of the message; without one there is no dedupe.
    pub client_id: Option<ClientId>,
    /// The sending device.
    pub device: Option<DeviceId>,
    /// The client id that the same device sent before this one: the fold answers `NeedPrev` if that one is not in.
    pub prev: Option<ClientId>,
    /// What it says.
    pub content: Content,
    /// Names the open channel that is published to, with what it takes to make the room if this is the first publish.
    /// Resolved at admission; a later publish brings the history bound up to date. Without it an open channel's room
    /// counts as absent.
    pub open: Option<OpenChannel>,
}

/// See [`Send::open`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenChannel {
    /// The channel's name.
    pub channel: String,
    /// How much history is kept.
    pub history: HistoryBound,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    sender: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    client_id: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    device: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    prev: Bytes,
    #[prost(string, tag = "5")]
    body: String,
    #[prost(string, tag = "6")]
    message_type: String,
    #[prost(string, tag = "7")]
    metadata: String,
    #[prost(uint64, tag = "8")]
    reply_to: u64,
    #[prost(bytes = "bytes", tag = "9")]
    data: Bytes,
    #[prost(message, optional, tag = "10")]
    open: Option<OpenPayload>,
}

#[derive(Clone, PartialEq, Message)]
struct OpenPayload {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(uint64, tag = "2")]
    history_events: u64,
    #[prost(uint64, tag = "3")]
    history_age_ms: u64,
}

impl Verb<RoomState, Outcome> for Send {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        let Content { body, message_type, metadata, reply_to, data } = self.content;
        Payload {
            sender: fields::bytes(self.sender.as_str()),
            client_id: self.client_id.map_or(Bytes::new(), |id| fields::bytes(id.as_str())),
            device: self.device.map_or(Bytes::new(), |id| fields::bytes(id.as_str())),
            prev: self.prev.map_or(Bytes::new(), |id| fields::bytes(id.as_str())),
            body,
            message_type,
            metadata,
            reply_to: reply_to.map_or(0, |seq| seq.0),
            data,
            open: self.open.map(|open| OpenPayload {
                channel: open.channel,
                history_events: open.history.events,
                history_age_ms: open.history.age_ms,
            }),
        }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        Ok(Self {
            sender: fields::user(&payload.sender)?,
            client_id: fields::client_id(&payload.client_id)?,
            device: fields::device_or_none(&payload.device)?,
            prev: fields::client_id(&payload.prev)?,
            content: Content {
                body: payload.body,
                message_type: payload.message_type,
                metadata: payload.metadata,
                reply_to: fields::seq_or_none(payload.reply_to),
                data: payload.data,
            },
            open: payload.open.map(|open| OpenChannel {
                channel: open.channel,
                history: HistoryBound { events: open.history_events, age_ms: open.history_age_ms },
            }),
        })
    }

    fn check(&self) -> Result<(), BadInput> {
        bounds::text("body", &self.content.body, limits::BODY_BYTES)?;
        bounds::bytes("data", self.content.data.len(), limits::BODY_BYTES)?;
        bounds::text("type", &self.content.message_type, limits::MESSAGE_TYPE_BYTES)?;
        bounds::text("metadata", &self.content.metadata, limits::METADATA_BYTES)?;
        self.open.as_ref().map_or(Ok(()), |open| bounds::text("channel", &open.channel, limits::CHANNEL_BYTES))
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let Some(kind) = room.meta.kind else { return self.open_channel(room, now, id) };
        // A message that is in stays in, whatever happened since: its sender is told so.
        if let Some(client_id) = &self.client_id
            && let Some(first) = room.window.find(&self.sender, client_id)
        {
            return Ok(Outcome::Duplicate { seq: first.seq, id: first.id, at: first.at });
        }
        match kind {
            RoomKind::Open => self.check_publish(room)?,
            RoomKind::Direct | RoomKind::Group | RoomKind::Broadcast => self.check_sender(room, now)?,
        }
        self.check_ids(room)?;
        if let Some(open) = &self.open {
            room.meta.history = open.history;
        }
        let no = room.meta.last_no.next();
        room.members.sent(&self.sender, no);
        let body = EventBody::Message { no, content: self.content, redacted: false };
        Ok(room.accept(now, id, Some(self.sender), self.client_id, body))
    }
}

impl Send {
    /// The first publish of an open channel makes it: its message is seq 1.
    fn open_channel(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let open = self.open.as_ref().ok_or(Reject::NoRoom)?;
        if open.channel.is_empty() || RoomId::open(&open.channel) != room.meta.room {
            return Err(Reject::Invalid);
        }
        self.check_ids(room)?;
        room.blocks.clear();
        room.meta.kind = Some(RoomKind::Open);
        room.meta.channel.clone_from(&open.channel);
        room.meta.public = true;
        room.meta.history = open.history;
        room.meta.opened = room.next_mark(now, id);
        let body = EventBody::Message { no: MessageNo(1), content: self.content, redacted: false };
        Ok(room.accept(now, id, Some(self.sender), self.client_id, body))
    }

    /// Into an open channel by its name only: the gateway has judged by the namespace of that. Its uuid follows from the
    /// name, and must not be a way around.
    fn check_publish(&self, room: &RoomState) -> Result<(), Reject> {
        match &self.open {
            None => Err(Reject::NoRoom),
            Some(open) if open.channel != room.meta.channel => Err(Reject::Invalid),
            Some(_) => Ok(()),
        }
    }

    fn check_sender(&self, room: &RoomState, now: Moment) -> Result<(), Reject> {
        if self.open.is_some() {
            return Err(Reject::WrongKind);
        }
        room.takes_from(now, &self.sender)
    }

    /// The ids that the sender gave, once it is clear that the message is not in: its own (P3) and that of the message
    /// before it (P5).
    fn check_ids(&self, room: &RoomState) -> Result<(), Reject> {
        if self.client_id.as_ref().is_some_and(|id| room.window.is_too_old(id)) {
            return Err(Reject::TooOld);
        }
        if let Some(prev) = &self.prev
            && room.window.find(&self.sender, prev).is_none()
            && !room.window.is_too_old(prev)
        {
            return Err(Reject::NeedPrev);
        }
        match self.content.reply_to {
            Some(seq) if seq == Seq::ZERO || seq > room.meta.head => Err(Reject::NoMessage),
            _ => Ok(()),
        }
    }
}

impl RoomState {
    /// Whether a message of this user would be taken now. The fold asks it of each message; an upload that belongs to a
    /// message asks it before, and decides nothing by it.
    ///
    /// # Errors
    /// Why it would not.
    pub(crate) fn takes_from(&self, now: impl Into<Moment>, user: &UserId) -> Result<(), Reject> {
        if user.is_anonymous() {
            return Err(Reject::NotAllowed);
        }
        self.member_only(user)?;
        self.alive(now.into())?;
        if self.meta.may_send == MaySend::Creator && self.meta.creator.as_ref() != Some(user) {
            return Err(Reject::NotAllowed);
        }
        self.unblocked()
    }
}
