//! Room commands as record payloads: protobuf, one message for each kind of `actors::kinds`.
//!
//! Decoding is total: a valid envelope with an invalid payload is [`Reject::Invalid`], the same way by everyone. Lengths
//! are judged by the fold ([`super::bounds`]), not here, except where a type can't hold more. Fields are only ever added,
//! and never in a way that would make an older program decide differently: that needs a new record version.

use bytes::Bytes;
use prost::Message;

use super::command::{Block, Command, Create, Delete, Edit, OpenChannel, RoomCommand, Send, Uninvite, Update};
use crate::actors::kinds;
use crate::actors::wire::fields;
use crate::actors::wire::{Content, HistoryBound, MaySend, Reject, RoomKind};
use crate::ids::{Offset, Partition, Seq, UserId};
use crate::storage::journal::record::{Addressed, Envelope};

#[derive(Clone, PartialEq, Message)]
struct CreatePayload {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(bytes = "bytes", tag = "2")]
    creator: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    members: Vec<Bytes>,
    #[prost(string, tag = "4")]
    title: String,
    #[prost(string, tag = "5")]
    channel: String,
    #[prost(uint64, tag = "6")]
    ttl_ms: u64,
    #[prost(bool, tag = "7")]
    public: bool,
    #[prost(uint32, tag = "8")]
    may_send: u32,
    #[prost(uint32, tag = "9")]
    max_members: u32,
    #[prost(uint64, tag = "10")]
    history_events: u64,
    #[prost(uint64, tag = "11")]
    history_age_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct SendPayload {
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

#[derive(Clone, PartialEq, Message)]
struct EditPayload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(uint64, tag = "2")]
    target: u64,
    #[prost(string, tag = "3")]
    body: String,
    #[prost(string, optional, tag = "4")]
    metadata: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
struct DeletePayload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(uint64, tag = "2")]
    target: u64,
    #[prost(bytes = "bytes", tag = "3")]
    author: Bytes,
}

/// Join, leave, invite, kick, end: who does it, and to whom.
#[derive(Clone, PartialEq, Message)]
struct WhoPayload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    user: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct UninvitePayload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    inviter: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    user: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct UpdatePayload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(string, optional, tag = "2")]
    title: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    ttl_ms: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    may_send: Option<u32>,
    #[prost(bool, optional, tag = "5")]
    public: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct ExpirePayload {}

#[derive(Clone, PartialEq, Message)]
struct BlockPayload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(bool, tag = "2")]
    blocked: bool,
    #[prost(uint32, tag = "3")]
    source: u32,
    #[prost(uint64, tag = "4")]
    source_offset: u64,
}

/// The record that carries a command.
#[must_use]
pub fn encode(command: &Command) -> Envelope {
    let (kind, payload) = encode_body(&command.body);
    Envelope {
        kind,
        key: fields::uuid_bytes(command.room.0),
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
pub fn address(command: &Command) -> Addressed {
    Addressed { partition: command.room.partition(), record: encode(command).encode_record() }
}

fn encode_body(body: &RoomCommand) -> (u32, Vec<u8>) {
    match body {
        RoomCommand::Create(create) => (kinds::ROOM_CREATE, encode_create(create)),
        RoomCommand::Send(send) => (kinds::ROOM_SEND, encode_send(send)),
        RoomCommand::Edit(edit) => {
            let payload = EditPayload {
                by: fields::bytes(edit.by.as_str()),
                target: edit.target.0,
                body: edit.body.clone(),
                metadata: edit.metadata.clone(),
            };
            (kinds::ROOM_EDIT, payload.encode_to_vec())
        }
        RoomCommand::Delete(delete) => {
            let payload = DeletePayload {
                by: fields::bytes(delete.by.as_str()),
                target: delete.target.0,
                author: opt(delete.author.as_ref()),
            };
            (kinds::ROOM_DELETE, payload.encode_to_vec())
        }
        RoomCommand::Join { user } => (kinds::ROOM_JOIN, who(user, None)),
        RoomCommand::Leave { user } => (kinds::ROOM_LEAVE, who(user, None)),
        RoomCommand::Invite { by, user } => (kinds::ROOM_INVITE, who(by, Some(user))),
        RoomCommand::Kick { by, user } => (kinds::ROOM_KICK, who(by, Some(user))),
        RoomCommand::Uninvite(Uninvite { by, inviter, user }) => {
            let [by, inviter, user] = [by, inviter, user].map(|user| fields::bytes(user.as_str()));
            (kinds::ROOM_UNINVITE, UninvitePayload { by, inviter, user }.encode_to_vec())
        }
        RoomCommand::Update(update) => {
            let payload = UpdatePayload {
                by: fields::bytes(update.by.as_str()),
                title: update.title.clone(),
                ttl_ms: update.ttl_ms,
                may_send: update.may_send.map(|may| u32::from(may.number())),
                public: update.public,
            };
            (kinds::ROOM_UPDATE, payload.encode_to_vec())
        }
        RoomCommand::End { by } => (kinds::ROOM_END, who(by, None)),
        RoomCommand::Expire => (kinds::ROOM_EXPIRE, ExpirePayload {}.encode_to_vec()),
        RoomCommand::Block(block) => {
            let payload = BlockPayload {
                by: fields::bytes(block.by.as_str()),
                blocked: block.blocked,
                source: u32::from(block.source.get()),
                source_offset: block.source_offset.0,
            };
            (kinds::ROOM_BLOCK, payload.encode_to_vec())
        }
    }
}

fn encode_create(create: &Create) -> Vec<u8> {
    CreatePayload {
        kind: u32::from(create.kind.number()),
        creator: fields::bytes(create.creator.as_str()),
        members: create.members.iter().map(|user| fields::bytes(user.as_str())).collect(),
        title: create.title.clone(),
        channel: create.channel.clone(),
        ttl_ms: create.ttl_ms,
        public: create.public,
        may_send: u32::from(create.may_send.number()),
        max_members: create.max_members,
        history_events: create.history.events,
        history_age_ms: create.history.age_ms,
    }
    .encode_to_vec()
}

fn encode_send(send: &Send) -> Vec<u8> {
    SendPayload {
        sender: fields::bytes(send.sender.as_str()),
        client_id: send.client_id.as_ref().map_or(Bytes::new(), |id| fields::bytes(id.as_str())),
        device: send.device.as_ref().map_or(Bytes::new(), |id| fields::bytes(id.as_str())),
        prev: send.prev.as_ref().map_or(Bytes::new(), |id| fields::bytes(id.as_str())),
        body: send.content.body.clone(),
        message_type: send.content.message_type.clone(),
        metadata: send.content.metadata.clone(),
        reply_to: send.content.reply_to.map_or(0, |seq| seq.0),
        data: send.content.data.clone(),
        open: send.open.as_ref().map(|open| OpenPayload {
            channel: open.channel.clone(),
            history_events: open.history.events,
            history_age_ms: open.history.age_ms,
        }),
    }
    .encode_to_vec()
}

fn who(by: &UserId, user: Option<&UserId>) -> Vec<u8> {
    WhoPayload { by: fields::bytes(by.as_str()), user: opt(user) }.encode_to_vec()
}

fn opt(user: Option<&UserId>) -> Bytes {
    user.map_or(Bytes::new(), |user| fields::bytes(user.as_str()))
}

/// The command in a record.
///
/// # Errors
/// [`Reject::Invalid`] if the kind is none of a room, or key, command id or payload are not what they should be.
pub fn decode(envelope: &Envelope) -> Result<Command, Reject> {
    Ok(Command {
        room: fields::room(&envelope.key)?,
        id: fields::uuid(&envelope.command_id)?,
        issued_at: envelope.issued_at(),
        ttl_ms: envelope.ttl_ms,
        body: decode_body(envelope.kind, &envelope.payload)?,
    })
}

/// `Bytes` are handed in as they are, so that fields share the record's memory.
fn parse<M: Message + Default>(payload: &Bytes) -> Result<M, Reject> {
    M::decode(payload.clone()).map_err(|_| Reject::Invalid)
}

fn decode_body(kind: u32, payload: &Bytes) -> Result<RoomCommand, Reject> {
    Ok(match kind {
        kinds::ROOM_CREATE => RoomCommand::Create(decode_create(parse(payload)?)?),
        kinds::ROOM_SEND => RoomCommand::Send(decode_send(parse(payload)?)?),
        kinds::ROOM_EDIT => {
            let EditPayload { by, target, body, metadata } = parse(payload)?;
            RoomCommand::Edit(Edit { by: fields::user(&by)?, target: Seq(target), body, metadata })
        }
        kinds::ROOM_DELETE => {
            let DeletePayload { by, target, author } = parse(payload)?;
            let (by, author) = (fields::user(&by)?, fields::user_or_none(&author)?);
            RoomCommand::Delete(Delete { by, target: Seq(target), author })
        }
        kinds::ROOM_JOIN => RoomCommand::Join { user: alone(payload)? },
        kinds::ROOM_LEAVE => RoomCommand::Leave { user: alone(payload)? },
        kinds::ROOM_INVITE => {
            let (by, user) = pair(payload)?;
            RoomCommand::Invite { by, user }
        }
        kinds::ROOM_KICK => {
            let (by, user) = pair(payload)?;
            RoomCommand::Kick { by, user }
        }
        kinds::ROOM_UNINVITE => {
            let UninvitePayload { by, inviter, user } = parse(payload)?;
            let (by, inviter, user) = (fields::user(&by)?, fields::user(&inviter)?, fields::user(&user)?);
            RoomCommand::Uninvite(Uninvite { by, inviter, user })
        }
        kinds::ROOM_UPDATE => {
            let UpdatePayload { by, title, ttl_ms, may_send, public } = parse(payload)?;
            let may_send = may_send.map(may_send_of).transpose()?;
            RoomCommand::Update(Update { by: fields::user(&by)?, title, ttl_ms, may_send, public })
        }
        kinds::ROOM_END => RoomCommand::End { by: alone(payload)? },
        kinds::ROOM_EXPIRE => {
            let ExpirePayload {} = parse(payload)?;
            RoomCommand::Expire
        }
        kinds::ROOM_BLOCK => {
            let BlockPayload { by, blocked, source, source_offset } = parse(payload)?;
            let source = u16::try_from(source).ok().and_then(Partition::new).ok_or(Reject::Invalid)?;
            let source_offset = Offset(source_offset);
            RoomCommand::Block(Block { by: fields::user(&by)?, blocked, source, source_offset })
        }
        _ => return Err(Reject::Invalid),
    })
}

fn decode_create(payload: CreatePayload) -> Result<Create, Reject> {
    let kind = u8::try_from(payload.kind).ok().and_then(RoomKind::from_number).ok_or(Reject::Invalid)?;
    Ok(Create {
        kind,
        creator: fields::user(&payload.creator)?,
        members: payload.members.iter().map(|user| fields::user(user)).collect::<Result<_, _>>()?,
        title: payload.title,
        channel: payload.channel,
        ttl_ms: payload.ttl_ms,
        public: payload.public,
        may_send: may_send_of(payload.may_send)?,
        max_members: payload.max_members,
        history: HistoryBound { events: payload.history_events, age_ms: payload.history_age_ms },
    })
}

fn decode_send(payload: SendPayload) -> Result<Send, Reject> {
    Ok(Send {
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

fn may_send_of(number: u32) -> Result<MaySend, Reject> {
    u8::try_from(number).ok().and_then(MaySend::from_number).ok_or(Reject::Invalid)
}

fn alone(payload: &Bytes) -> Result<UserId, Reject> {
    let WhoPayload { by, user } = parse(payload)?;
    if user.is_empty() { fields::user(&by) } else { Err(Reject::Invalid) }
}

fn pair(payload: &Bytes) -> Result<(UserId, UserId), Reject> {
    let WhoPayload { by, user } = parse(payload)?;
    Ok((fields::user(&by)?, fields::user(&user)?))
}
