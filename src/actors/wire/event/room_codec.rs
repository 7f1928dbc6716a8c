//! Room events as bytes, for rows and for links between nodes: protobuf, one message with one field for each kind of
//! event. Fields are only ever added.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::room::{Event, EventBody};

use crate::actors::wire::fields;
use crate::actors::wire::{Content, HistoryBound, MaySend, Reject, RoomKind};
use crate::ids::{MessageNo, Seq, Timestamp};

/// Bytes are no event that this program knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an event that this program knows")]
pub struct EventError;

impl From<Reject> for EventError {
    fn from(_: Reject) -> Self {
        Self
    }
}

#[derive(Clone, PartialEq, Message)]
struct EventMessage {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(bytes = "bytes", tag = "3")]
    id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    actor: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    client_id: Bytes,
    #[prost(oneof = "BodyMessage", tags = "11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23")]
    body: Option<BodyMessage>,
}

/// The tag is 10 + [`EventBody::number`].
#[derive(Clone, PartialEq, Oneof)]
enum BodyMessage {
    #[prost(message, tag = "11")]
    Created(Settings),
    #[prost(message, tag = "12")]
    Message(ContentMessage),
    #[prost(message, tag = "13")]
    Edited(EditedMessage),
    #[prost(uint64, tag = "14")]
    Deleted(u64),
    #[prost(message, tag = "15")]
    Joined(Nothing),
    #[prost(message, tag = "16")]
    Left(Nothing),
    #[prost(bytes = "bytes", tag = "17")]
    Invited(Bytes),
    #[prost(bytes = "bytes", tag = "18")]
    Kicked(Bytes),
    #[prost(message, tag = "19")]
    Updated(Settings),
    #[prost(message, tag = "20")]
    Reopened(Settings),
    #[prost(message, tag = "21")]
    Ended(Nothing),
    #[prost(message, tag = "22")]
    Expired(Nothing),
    #[prost(bytes = "bytes", tag = "23")]
    Uninvited(Bytes),
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Nothing {}

/// What a creation, an update or a reopening says; each uses some of the fields.
#[derive(Clone, PartialEq, Message)]
struct Settings {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(string, tag = "2")]
    title: String,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    members: Vec<Bytes>,
    #[prost(uint64, optional, tag = "4")]
    expires_at: Option<u64>,
    #[prost(uint32, tag = "5")]
    may_send: u32,
    #[prost(bool, tag = "6")]
    public: bool,
    #[prost(uint64, tag = "7")]
    history_events: u64,
    #[prost(uint64, tag = "8")]
    history_age_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ContentMessage {
    #[prost(uint64, tag = "1")]
    no: u64,
    #[prost(string, tag = "2")]
    body: String,
    #[prost(string, tag = "3")]
    message_type: String,
    #[prost(string, tag = "4")]
    metadata: String,
    #[prost(uint64, tag = "5")]
    reply_to: u64,
    #[prost(bytes = "bytes", tag = "6")]
    data: Bytes,
    #[prost(bool, tag = "7")]
    redacted: bool,
}

#[derive(Clone, PartialEq, Message)]
struct EditedMessage {
    #[prost(uint64, tag = "1")]
    target: u64,
    #[prost(string, tag = "2")]
    body: String,
    #[prost(string, optional, tag = "3")]
    metadata: Option<String>,
}

impl Event {
    /// The event as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        EventMessage {
            seq: self.seq.0,
            at: self.at.0,
            id: fields::uuid_bytes(self.id),
            actor: self.actor.as_ref().map_or(Bytes::new(), |user| fields::bytes(user.as_str())),
            client_id: self.client_id.as_ref().map_or(Bytes::new(), |id| fields::bytes(id.as_str())),
            body: Some(encode_body(&self.body)),
        }
        .encode_to_vec()
        .into()
    }

    /// The event in these bytes; its published data shares their memory.
    ///
    /// # Errors
    /// They are none, or one of a newer program.
    pub fn decode(bytes: &Bytes) -> Result<Self, EventError> {
        let message = EventMessage::decode(bytes.clone()).map_err(|_| EventError)?;
        Ok(Self {
            seq: Seq(message.seq),
            at: Timestamp(message.at),
            id: fields::uuid(&message.id)?,
            actor: fields::user_or_none(&message.actor)?,
            client_id: fields::client_id(&message.client_id)?,
            body: decode_body(message.body.ok_or(EventError)?)?,
        })
    }
}

fn encode_body(body: &EventBody) -> BodyMessage {
    match body {
        EventBody::Created { kind, title, members, expires_at, may_send, public, history } => {
            BodyMessage::Created(Settings {
                kind: u32::from(kind.number()),
                title: title.clone(),
                members: members.iter().map(|user| fields::bytes(user.as_str())).collect(),
                expires_at: expires_at.map(|at| at.0),
                may_send: u32::from(may_send.number()),
                public: *public,
                history_events: history.events,
                history_age_ms: history.age_ms,
            })
        }
        EventBody::Message { no, content, redacted } => BodyMessage::Message(ContentMessage {
            no: no.0,
            body: content.body.clone(),
            message_type: content.message_type.clone(),
            metadata: content.metadata.clone(),
            reply_to: content.reply_to.map_or(0, |seq| seq.0),
            data: content.data.clone(),
            redacted: *redacted,
        }),
        EventBody::Edited { target, body, metadata } => {
            BodyMessage::Edited(EditedMessage { target: target.0, body: body.clone(), metadata: metadata.clone() })
        }
        EventBody::Deleted { target } => BodyMessage::Deleted(target.0),
        EventBody::Joined => BodyMessage::Joined(Nothing {}),
        EventBody::Left => BodyMessage::Left(Nothing {}),
        EventBody::Invited { user } => BodyMessage::Invited(fields::bytes(user.as_str())),
        EventBody::Kicked { user } => BodyMessage::Kicked(fields::bytes(user.as_str())),
        EventBody::Uninvited { user } => BodyMessage::Uninvited(fields::bytes(user.as_str())),
        EventBody::Updated { title, expires_at, may_send, public } => BodyMessage::Updated(Settings {
            title: title.clone(),
            expires_at: expires_at.map(|at| at.0),
            may_send: u32::from(may_send.number()),
            public: *public,
            ..Settings::default()
        }),
        EventBody::Reopened { expires_at } => {
            BodyMessage::Reopened(Settings { expires_at: expires_at.map(|at| at.0), ..Settings::default() })
        }
        EventBody::Ended => BodyMessage::Ended(Nothing {}),
        EventBody::Expired => BodyMessage::Expired(Nothing {}),
    }
}

fn decode_body(body: BodyMessage) -> Result<EventBody, EventError> {
    Ok(match body {
        BodyMessage::Created(settings) => EventBody::Created {
            kind: u8::try_from(settings.kind).ok().and_then(RoomKind::from_number).ok_or(EventError)?,
            members: settings.members.iter().map(|user| fields::user(user)).collect::<Result<_, _>>()?,
            expires_at: settings.expires_at.map(Timestamp),
            may_send: may_send(settings.may_send)?,
            public: settings.public,
            history: HistoryBound { events: settings.history_events, age_ms: settings.history_age_ms },
            title: settings.title,
        },
        BodyMessage::Message(message) => EventBody::Message {
            no: MessageNo(message.no),
            content: Content {
                body: message.body,
                message_type: message.message_type,
                metadata: message.metadata,
                reply_to: fields::seq_or_none(message.reply_to),
                data: message.data,
            },
            redacted: message.redacted,
        },
        BodyMessage::Edited(EditedMessage { target, body, metadata }) => {
            EventBody::Edited { target: Seq(target), body, metadata }
        }
        BodyMessage::Deleted(target) => EventBody::Deleted { target: Seq(target) },
        BodyMessage::Joined(_) => EventBody::Joined,
        BodyMessage::Left(_) => EventBody::Left,
        BodyMessage::Invited(user) => EventBody::Invited { user: fields::user(&user)? },
        BodyMessage::Kicked(user) => EventBody::Kicked { user: fields::user(&user)? },
        BodyMessage::Uninvited(user) => EventBody::Uninvited { user: fields::user(&user)? },
        BodyMessage::Updated(settings) => EventBody::Updated {
            expires_at: settings.expires_at.map(Timestamp),
            may_send: may_send(settings.may_send)?,
            public: settings.public,
            title: settings.title,
        },
        BodyMessage::Reopened(settings) => EventBody::Reopened { expires_at: settings.expires_at.map(Timestamp) },
        BodyMessage::Ended(_) => EventBody::Ended,
        BodyMessage::Expired(_) => EventBody::Expired,
    })
}

fn may_send(number: u32) -> Result<MaySend, EventError> {
    u8::try_from(number).ok().and_then(MaySend::from_number).ok_or(EventError)
}
