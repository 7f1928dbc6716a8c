//! User commands as record payloads: protobuf, one message for each kind of `actors::kinds`. The rules are those of
//! `room::payload`.

use bytes::Bytes;
use prost::Message;

use super::command::{RoomFact, UserCommand, UserCommandBody};
use crate::actors::kinds;
use crate::actors::wire::fields;
use crate::actors::wire::{ReadPoint, Reject, RoomChange, RoomKind};
use crate::ids::{MessageNo, Offset, Partition, Seq};
use crate::storage::journal::record::{Addressed, Envelope};

#[derive(Clone, PartialEq, Message)]
struct ReadPayload {
    #[prost(bytes = "bytes", tag = "1")]
    room: Bytes,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(uint64, tag = "3")]
    no: u64,
}

/// Block and unblock.
#[derive(Clone, PartialEq, Message)]
struct WhomPayload {
    #[prost(bytes = "bytes", tag = "1")]
    user: Bytes,
}

/// Make known and forget.
#[derive(Clone, PartialEq, Message)]
struct DevicePayload {
    #[prost(bytes = "bytes", tag = "1")]
    device: Bytes,
    #[prost(string, tag = "2")]
    platform: String,
    #[prost(string, tag = "3")]
    push_token: String,
}

#[derive(Clone, PartialEq, Message)]
struct PreferencesPayload {
    #[prost(string, tag = "1")]
    json: String,
}

#[derive(Clone, PartialEq, Message)]
struct RoomPayload {
    #[prost(uint32, tag = "1")]
    source: u32,
    #[prost(uint64, tag = "2")]
    source_offset: u64,
    #[prost(bytes = "bytes", tag = "3")]
    room: Bytes,
    #[prost(uint32, tag = "4")]
    kind: u32,
    #[prost(uint64, tag = "5")]
    seq: u64,
    #[prost(bytes = "bytes", tag = "6")]
    by: Bytes,
    #[prost(uint32, tag = "7")]
    change: u32,
}

/// The record that carries a command.
#[must_use]
pub fn encode(command: &UserCommand) -> Envelope {
    let (kind, payload) = encode_body(&command.body);
    Envelope {
        kind,
        key: fields::bytes(command.user.as_str()),
        command_id: fields::uuid_bytes(command.id),
        issued_at_ms: command.issued_at.0,
        ttl_ms: command.ttl_ms,
        payload: payload.into(),
        placed_at_ms: 0,
        age_ms: 0,
    }
}

/// The encoded record that carries a command, and the partition where it belongs.
#[must_use]
pub fn address(command: &UserCommand) -> Addressed {
    Addressed { partition: command.user.partition(), record: encode(command).encode_record() }
}

fn encode_body(body: &UserCommandBody) -> (u32, Vec<u8>) {
    match body {
        UserCommandBody::Read { room, to } => {
            let payload = ReadPayload { room: fields::uuid_bytes(room.0), seq: to.seq.0, no: to.no.0 };
            (kinds::USER_READ, payload.encode_to_vec())
        }
        UserCommandBody::Block { user } => {
            (kinds::USER_BLOCK, WhomPayload { user: fields::bytes(user.as_str()) }.encode_to_vec())
        }
        UserCommandBody::Unblock { user } => {
            (kinds::USER_UNBLOCK, WhomPayload { user: fields::bytes(user.as_str()) }.encode_to_vec())
        }
        UserCommandBody::Device { device, platform, push_token } => {
            let payload = DevicePayload {
                device: fields::bytes(device.as_str()),
                platform: platform.clone(),
                push_token: push_token.clone(),
            };
            (kinds::USER_DEVICE, payload.encode_to_vec())
        }
        UserCommandBody::DeviceRemove { device } => {
            let payload = DevicePayload { device: fields::bytes(device.as_str()), ..DevicePayload::default() };
            (kinds::USER_DEVICE_REMOVE, payload.encode_to_vec())
        }
        UserCommandBody::Preferences { json } => {
            (kinds::USER_PREFERENCES, PreferencesPayload { json: json.clone() }.encode_to_vec())
        }
        UserCommandBody::Room(fact) => {
            let payload = RoomPayload {
                source: u32::from(fact.source.get()),
                source_offset: fact.source_offset.0,
                room: fields::uuid_bytes(fact.room.0),
                kind: u32::from(fact.kind.number()),
                seq: fact.seq.0,
                by: fact.by.as_ref().map_or(Bytes::new(), |by| fields::bytes(by.as_str())),
                change: u32::from(fact.change.number()),
            };
            (kinds::USER_ROOM, payload.encode_to_vec())
        }
    }
}

/// The command in a record.
///
/// # Errors
/// [`Reject::Invalid`] if the kind is none of a user, or key, command id or payload are not what they should be.
pub fn decode(envelope: &Envelope) -> Result<UserCommand, Reject> {
    Ok(UserCommand {
        user: fields::user(&envelope.key)?,
        id: fields::uuid(&envelope.command_id)?,
        issued_at: envelope.issued_at(),
        ttl_ms: envelope.ttl_ms,
        body: decode_body(envelope.kind, &envelope.payload)?,
    })
}

fn parse<M: Message + Default>(payload: &Bytes) -> Result<M, Reject> {
    M::decode(payload.clone()).map_err(|_| Reject::Invalid)
}

fn decode_body(kind: u32, payload: &Bytes) -> Result<UserCommandBody, Reject> {
    Ok(match kind {
        kinds::USER_READ => {
            let ReadPayload { room, seq, no } = parse(payload)?;
            UserCommandBody::Read { room: fields::room(&room)?, to: ReadPoint { seq: Seq(seq), no: MessageNo(no) } }
        }
        kinds::USER_BLOCK => {
            let WhomPayload { user } = parse(payload)?;
            UserCommandBody::Block { user: fields::user(&user)? }
        }
        kinds::USER_UNBLOCK => {
            let WhomPayload { user } = parse(payload)?;
            UserCommandBody::Unblock { user: fields::user(&user)? }
        }
        kinds::USER_DEVICE => {
            let DevicePayload { device, platform, push_token } = parse(payload)?;
            UserCommandBody::Device { device: fields::device(&device)?, platform, push_token }
        }
        kinds::USER_DEVICE_REMOVE => {
            let DevicePayload { device, .. } = parse(payload)?;
            UserCommandBody::DeviceRemove { device: fields::device(&device)? }
        }
        kinds::USER_PREFERENCES => {
            let PreferencesPayload { json } = parse(payload)?;
            UserCommandBody::Preferences { json }
        }
        kinds::USER_ROOM => UserCommandBody::Room(decode_fact(parse(payload)?)?),
        _ => return Err(Reject::Invalid),
    })
}

fn decode_fact(payload: RoomPayload) -> Result<RoomFact, Reject> {
    let small = |number: u32| u8::try_from(number).ok();
    Ok(RoomFact {
        source: u16::try_from(payload.source).ok().and_then(Partition::new).ok_or(Reject::Invalid)?,
        source_offset: Offset(payload.source_offset),
        room: fields::room(&payload.room)?,
        kind: small(payload.kind).and_then(RoomKind::from_number).ok_or(Reject::Invalid)?,
        seq: Seq(payload.seq),
        by: fields::user_or_none(&payload.by)?,
        change: small(payload.change).and_then(RoomChange::from_number).ok_or(Reject::Invalid)?,
    })
}
