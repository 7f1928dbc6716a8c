//! Events of a personal stream as bytes, for links between nodes: protobuf. Fields are only ever added.

use bytes::Bytes;
use prost::{Message, Oneof};

use super::room_codec::EventError;
use super::user::{UserEvent, UserEventBody};
use crate::actors::wire::fields;
use crate::actors::wire::{RoomChange, RoomKind};
use crate::ids::{Seq, Timestamp};

#[derive(Clone, PartialEq, Message)]
struct EventMessage {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(uint64, tag = "2")]
    at: u64,
    #[prost(oneof = "BodyMessage", tags = "11, 12, 13, 14")]
    body: Option<BodyMessage>,
}

/// The tag is 10 + [`UserEventBody::number`].
#[derive(Clone, PartialEq, Oneof)]
enum BodyMessage {
    #[prost(message, tag = "11")]
    Room(RoomMessage),
    #[prost(bytes = "bytes", tag = "12")]
    Blocked(Bytes),
    #[prost(bytes = "bytes", tag = "13")]
    Unblocked(Bytes),
    #[prost(message, tag = "14")]
    Preferences(Nothing),
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Nothing {}

#[derive(Clone, PartialEq, Message)]
struct RoomMessage {
    #[prost(bytes = "bytes", tag = "1")]
    room: Bytes,
    #[prost(uint32, tag = "2")]
    kind: u32,
    #[prost(uint32, tag = "3")]
    change: u32,
    #[prost(uint64, tag = "4")]
    room_seq: u64,
    #[prost(bytes = "bytes", tag = "5")]
    by: Bytes,
}

impl UserEvent {
    /// The event as bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let body = match &self.body {
            UserEventBody::Room { room, kind, change, room_seq, by } => BodyMessage::Room(RoomMessage {
                room: fields::uuid_bytes(room.0),
                kind: u32::from(kind.number()),
                change: u32::from(change.number()),
                room_seq: room_seq.0,
                by: by.as_ref().map_or(Bytes::new(), |user| fields::bytes(user.as_str())),
            }),
            UserEventBody::Block { user, blocked: true } => BodyMessage::Blocked(fields::bytes(user.as_str())),
            UserEventBody::Block { user, blocked: false } => BodyMessage::Unblocked(fields::bytes(user.as_str())),
            UserEventBody::Preferences => BodyMessage::Preferences(Nothing {}),
        };
        EventMessage { seq: self.seq.0, at: self.at.0, body: Some(body) }.encode_to_vec().into()
    }

    /// The event in these bytes.
    ///
    /// # Errors
    /// They are none, or one of a newer program.
    pub fn decode(bytes: &Bytes) -> Result<Self, EventError> {
        let message = EventMessage::decode(bytes.clone()).map_err(|_| EventError)?;
        let small = |number: u32| u8::try_from(number).ok();
        let body = match message.body.ok_or(EventError)? {
            BodyMessage::Room(room) => UserEventBody::Room {
                room: fields::room(&room.room)?,
                kind: small(room.kind).and_then(RoomKind::from_number).ok_or(EventError)?,
                change: small(room.change).and_then(RoomChange::from_number).ok_or(EventError)?,
                room_seq: Seq(room.room_seq),
                by: fields::user_or_none(&room.by)?,
            },
            BodyMessage::Blocked(user) => UserEventBody::Block { user: fields::user(&user)?, blocked: true },
            BodyMessage::Unblocked(user) => UserEventBody::Block { user: fields::user(&user)?, blocked: false },
            BodyMessage::Preferences(_) => UserEventBody::Preferences,
        };
        Ok(Self { seq: Seq(message.seq), at: Timestamp(message.at), body })
    }
}
