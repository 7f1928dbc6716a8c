//! Frames as bytes, for the links between nodes: protobuf, with the version of the frames as the first field.
//!
//! Total on any bytes: what is too large, of another version or no frame is an error, never a panic. A field is only ever
//! added; a change that an older node would read wrongly takes a new version.

mod schema;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use schema::{
    AcceptedMessage, AnswerBody, AnswerMessage, CommandMessage, DeniedMessage, EntityMessage, EphemeralBody,
    EphemeralMessage, EventBytes, EventMessage, EventsMessage, FetchedBody, FetchedMessage, ListenMessage, MarkMessage,
    NodeMessage, QueryMessage, RangeMessage, StateMessage, ToGatewayBody, ToGatewayMessage, ToOwnerBody,
    ToOwnerMessage,
};

use super::event::{self, Event, EventError, StreamEvent, UserEvent};
use super::frames::{Answer, Denial, Ephemeral, FetchError, ReceiptStatus, ToGateway, ToOwner};
use super::{Entity, NodeId, Reject, RequestId, fields};
use crate::ids::{Generation, MessageNo, Offset, Partition, Seq, Timestamp};
use crate::limits;

/// The version of the frames that this program writes and reads.
const VERSION: u32 = 1;

/// Bytes are no frame for this node, or a frame is too large to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    /// More than [`limits::LINK_FRAME_BYTES`].
    #[error("a frame of {0} bytes is too large")]
    TooLarge(usize),
    /// Written by a program that speaks otherwise.
    #[error("frames of version {0} are not understood")]
    Version(u32),
    /// No frame.
    #[error("not a frame")]
    Invalid,
    /// For another node, or for another life of this one: it is dropped, as nobody here asked for it.
    #[error("a frame for node {} in its life {}", .0.number, .0.life)]
    NotHere(NodeId),
}

impl From<Reject> for FrameError {
    fn from(_: Reject) -> Self {
        Self::Invalid
    }
}

impl From<EventError> for FrameError {
    fn from(_: EventError) -> Self {
        Self::Invalid
    }
}

/// The bytes of a message, unless they are too many.
fn bounded(message: &impl Message) -> Result<Bytes, FrameError> {
    let length = message.encoded_len();
    if length > limits::LINK_FRAME_BYTES {
        return Err(FrameError::TooLarge(length));
    }
    Ok(message.encode_to_vec().into())
}

/// The message in these bytes, which are not trusted.
fn read<M: Message + Default>(bytes: &Bytes) -> Result<M, FrameError> {
    if bytes.len() > limits::LINK_FRAME_BYTES {
        return Err(FrameError::TooLarge(bytes.len()));
    }
    M::decode(bytes.clone()).map_err(|_| FrameError::Invalid)
}

fn node(node: NodeId) -> NodeMessage {
    NodeMessage { number: node.number, life: node.life }
}

fn node_of(message: Option<NodeMessage>) -> Result<NodeId, FrameError> {
    let NodeMessage { number, life } = message.ok_or(FrameError::Invalid)?;
    Ok(NodeId { number, life })
}

fn understood(version: u32) -> Result<(), FrameError> {
    if version == VERSION { Ok(()) } else { Err(FrameError::Version(version)) }
}

impl ToOwner {
    /// The frame of a gateway as bytes.
    ///
    /// # Errors
    /// It is too large.
    pub fn encode(&self, from: NodeId) -> Result<Bytes, FrameError> {
        let body = match self {
            Self::Command { request, partition, record } => ToOwnerBody::Command(CommandMessage {
                request: request.0,
                partition: u32::from(partition.get()),
                record: record.clone(),
            }),
            Self::Listen { request, stream, user, open } => ToOwnerBody::Listen(ListenMessage {
                request: request.0,
                stream: entity(stream),
                user: fields::bytes(user.as_str()),
                open: *open,
            }),
            Self::Unlisten { request, stream } => {
                ToOwnerBody::Unlisten(RangeMessage { request: request.0, stream: entity(stream), from: 0, to: 0 })
            }
            Self::Fetch { request, stream, from, to } => {
                ToOwnerBody::Fetch(RangeMessage { request: request.0, stream: entity(stream), from: from.0, to: to.0 })
            }
            Self::Query { request, stream, query } => ToOwnerBody::Query(QueryMessage {
                request: request.0,
                stream: entity(stream),
                text: event::text_of(query).into(),
            }),
            Self::Ephemeral { stream, event } => ToOwnerBody::Ephemeral(ephemeral(stream, event)),
        };
        bounded(&ToOwnerMessage { version: VERSION, from: Some(node(from)), body: Some(body) })
    }

    /// The frame in these bytes, and whose gateway asks; a record shares their memory.
    ///
    /// # Errors
    /// They are none that this program understands.
    pub fn decode(bytes: &Bytes) -> Result<(NodeId, Self), FrameError> {
        let ToOwnerMessage { version, from, body } = read(bytes)?;
        understood(version)?;
        Ok((node_of(from)?, Self::of(body.ok_or(FrameError::Invalid)?)?))
    }

    fn of(body: ToOwnerBody) -> Result<Self, FrameError> {
        Ok(match body {
            ToOwnerBody::Command(CommandMessage { request, partition, record }) => {
                let partition = u16::try_from(partition).ok().and_then(Partition::new).ok_or(FrameError::Invalid)?;
                Self::Command { request: RequestId(request), partition, record }
            }
            ToOwnerBody::Listen(ListenMessage { request, stream, user, open }) => Self::Listen {
                request: RequestId(request),
                stream: entity_of(stream)?,
                user: fields::user(&user)?,
                open,
            },
            ToOwnerBody::Unlisten(RangeMessage { request, stream, .. }) => {
                Self::Unlisten { request: RequestId(request), stream: entity_of(stream)? }
            }
            ToOwnerBody::Fetch(RangeMessage { request, stream, from, to }) => {
                Self::Fetch { request: RequestId(request), stream: entity_of(stream)?, from: Seq(from), to: Seq(to) }
            }
            ToOwnerBody::Query(QueryMessage { request, stream, text }) => {
                Self::Query { request: RequestId(request), stream: entity_of(stream)?, query: event::from_text(text)? }
            }
            ToOwnerBody::Ephemeral(message) => {
                let (stream, event) = ephemeral_of(message)?;
                Self::Ephemeral { stream, event }
            }
        })
    }
}

impl ToGateway {
    /// The frame as bytes, for the gateway of a node in one of its lives.
    ///
    /// # Errors
    /// It is too large.
    pub fn encode(&self, to: NodeId) -> Result<Bytes, FrameError> {
        let body = match self {
            Self::Answer { request, answer } => {
                ToGatewayBody::Answer(AnswerMessage { request: request.0, body: Some(answer_body(answer)) })
            }
            Self::Granted { request, stream, generation, head, floor } => ToGatewayBody::Granted(StateMessage {
                request: request.0,
                stream: entity(stream),
                generation: generation.0,
                head: head.0,
                floor: floor.0,
            }),
            Self::Denied { request, stream, reason } => ToGatewayBody::Denied(DeniedMessage {
                request: request.0,
                stream: entity(stream),
                reason: u32::from(reason.number()),
            }),
            Self::Events { stream, generation, events } => {
                ToGatewayBody::Events(events_message(Some(stream), *generation, events))
            }
            Self::Head { stream, generation, head } => ToGatewayBody::Head(StateMessage {
                stream: entity(stream),
                generation: generation.0,
                head: head.0,
                ..StateMessage::default()
            }),
            Self::Fetched { request, stream, generation, events } => ToGatewayBody::Fetched(FetchedMessage {
                request: request.0,
                stream: entity(stream),
                generation: generation.0,
                body: Some(match events {
                    Ok(events) => FetchedBody::Events(events_message(None, *generation, events)),
                    Err(FetchError::Gone { floor }) => FetchedBody::Gone(floor.0),
                    Err(FetchError::Unavailable) => FetchedBody::Unavailable(true),
                }),
            }),
            Self::Queried { request, answer } => ToGatewayBody::Queried(QueryMessage {
                request: request.0,
                stream: None,
                text: event::text_of(answer).into(),
            }),
            Self::Ephemeral { stream, event } => ToGatewayBody::Ephemeral(ephemeral(stream, event)),
        };
        bounded(&ToGatewayMessage { version: VERSION, to: Some(node(to)), body: Some(body) })
    }

    /// The frame in these bytes, as it comes to `here`; published data shares their memory.
    ///
    /// # Errors
    /// They are none that this program understands, or [`FrameError::NotHere`]: an answer to what an earlier life asked must
    /// not meet a question of this one that has the same number.
    pub fn decode(bytes: &Bytes, here: NodeId) -> Result<Self, FrameError> {
        let ToGatewayMessage { version, to, body } = read(bytes)?;
        understood(version)?;
        let to = node_of(to)?;
        if to != here {
            return Err(FrameError::NotHere(to));
        }
        Ok(match body.ok_or(FrameError::Invalid)? {
            ToGatewayBody::Answer(AnswerMessage { request, body }) => {
                Self::Answer { request: RequestId(request), answer: answer_of(body.ok_or(FrameError::Invalid)?)? }
            }
            ToGatewayBody::Granted(StateMessage { request, stream, generation, head, floor }) => Self::Granted {
                request: RequestId(request),
                stream: entity_of(stream)?,
                generation: Generation(generation),
                head: Seq(head),
                floor: Seq(floor),
            },
            ToGatewayBody::Denied(DeniedMessage { request, stream, reason }) => Self::Denied {
                request: RequestId(request),
                stream: entity_of(stream)?,
                reason: small(reason, Denial::from_number)?,
            },
            ToGatewayBody::Events(EventsMessage { stream, generation, events }) => Self::Events {
                stream: entity_of(stream)?,
                generation: Generation(generation),
                events: events_of(&events)?,
            },
            ToGatewayBody::Head(StateMessage { stream, generation, head, .. }) => {
                Self::Head { stream: entity_of(stream)?, generation: Generation(generation), head: Seq(head) }
            }
            ToGatewayBody::Fetched(FetchedMessage { request, body, stream, generation }) => Self::Fetched {
                request: RequestId(request),
                stream: entity_of(stream)?,
                generation: Generation(generation),
                events: match body.ok_or(FrameError::Invalid)? {
                    FetchedBody::Events(message) => Ok(events_of(&message.events)?),
                    FetchedBody::Gone(floor) => Err(FetchError::Gone { floor: Seq(floor) }),
                    FetchedBody::Unavailable(_) => Err(FetchError::Unavailable),
                },
            },
            ToGatewayBody::Queried(QueryMessage { request, text, .. }) => {
                Self::Queried { request: RequestId(request), answer: event::from_text(text)? }
            }
            ToGatewayBody::Ephemeral(message) => {
                let (stream, event) = ephemeral_of(message)?;
                Self::Ephemeral { stream, event }
            }
        })
    }
}

/// The value with this number, of a kind that is numbered from one on in a byte.
fn small<T>(number: u32, from: impl FnOnce(u8) -> Option<T>) -> Result<T, FrameError> {
    u8::try_from(number).ok().and_then(from).ok_or(FrameError::Invalid)
}

fn entity(entity: &Entity) -> Option<EntityMessage> {
    Some(match entity {
        Entity::Room(room) => EntityMessage { room: fields::uuid_bytes(room.0), user: Bytes::new() },
        Entity::User(user) => EntityMessage { room: Bytes::new(), user: fields::bytes(user.as_str()) },
    })
}

fn entity_of(message: Option<EntityMessage>) -> Result<Entity, FrameError> {
    let EntityMessage { room, user } = message.ok_or(FrameError::Invalid)?;
    match (room.is_empty(), user.is_empty()) {
        (false, true) => Ok(Entity::Room(fields::room(&room)?)),
        (true, false) => Ok(Entity::User(fields::user(&user)?)),
        _ => Err(FrameError::Invalid),
    }
}

fn answer_body(answer: &Answer) -> AnswerBody {
    match answer {
        Answer::Accepted { seq, id, at, no, duplicate, offset } => AnswerBody::Accepted(AcceptedMessage {
            seq: seq.0,
            id: fields::uuid_bytes(*id),
            at: at.0,
            no: no.map(|no| no.0),
            duplicate: *duplicate,
            offset: offset.0,
        }),
        Answer::Rejected(reject) => AnswerBody::Rejected(u32::from(reject.number())),
        Answer::Unavailable { retry_after_ms } => AnswerBody::Unavailable(*retry_after_ms),
        Answer::Unknown => AnswerBody::Unknown(true),
    }
}

fn answer_of(body: AnswerBody) -> Result<Answer, FrameError> {
    Ok(match body {
        AnswerBody::Accepted(message) => Answer::Accepted {
            seq: Seq(message.seq),
            id: fields::uuid(&message.id)?,
            at: Timestamp(message.at),
            no: message.no.map(MessageNo),
            duplicate: message.duplicate,
            offset: Offset(message.offset),
        },
        AnswerBody::Rejected(number) => Answer::Rejected(small(number, Reject::from_number)?),
        AnswerBody::Unavailable(retry_after_ms) => Answer::Unavailable { retry_after_ms },
        AnswerBody::Unknown(_) => Answer::Unknown,
    })
}

fn events_message(stream: Option<&Entity>, generation: Generation, events: &[StreamEvent]) -> EventsMessage {
    let events = events.iter().map(|event| match event {
        StreamEvent::Room(event) => EventBytes::Room(event::text_of(event.as_ref()).into()),
        StreamEvent::User(event) => EventBytes::User(event::text_of(event.as_ref()).into()),
    });
    EventsMessage {
        stream: stream.and_then(entity),
        generation: generation.0,
        events: events.map(|event| EventMessage { event: Some(event) }).collect(),
    }
}

fn events_of(messages: &[EventMessage]) -> Result<Arc<[StreamEvent]>, FrameError> {
    let event = |message: &EventMessage| match message.event.as_ref().ok_or(FrameError::Invalid)? {
        EventBytes::Room(bytes) => Ok(StreamEvent::Room(Arc::new(event::from_text::<Event>(bytes)?))),
        EventBytes::User(bytes) => Ok(StreamEvent::User(Arc::new(event::from_text::<UserEvent>(bytes)?))),
    };
    messages.iter().map(event).collect()
}

fn ephemeral(stream: &Entity, event: &Ephemeral) -> EphemeralMessage {
    let body = match event {
        Ephemeral::Typing { user } => EphemeralBody::Typing(fields::bytes(user.as_str())),
        Ephemeral::Receipt { user, status, seq } => {
            let mark = MarkMessage { key: fields::bytes(user.as_str()), seq: seq.0, no: 0 };
            match status {
                ReceiptStatus::Delivered => EphemeralBody::Delivered(mark),
                ReceiptStatus::Read => EphemeralBody::Read(mark),
            }
        }
        Ephemeral::ReadMark { room, seq, no } => {
            EphemeralBody::ReadMark(MarkMessage { key: fields::uuid_bytes(room.0), seq: seq.0, no: no.0 })
        }
    };
    EphemeralMessage { stream: entity(stream), body: Some(body) }
}

fn ephemeral_of(message: EphemeralMessage) -> Result<(Entity, Ephemeral), FrameError> {
    let receipt = |status, mark: &MarkMessage| -> Result<Ephemeral, FrameError> {
        Ok(Ephemeral::Receipt { user: fields::user(&mark.key)?, status, seq: Seq(mark.seq) })
    };
    let event = match message.body.ok_or(FrameError::Invalid)? {
        EphemeralBody::Typing(user) => Ephemeral::Typing { user: fields::user(&user)? },
        EphemeralBody::Delivered(mark) => receipt(ReceiptStatus::Delivered, &mark)?,
        EphemeralBody::Read(mark) => receipt(ReceiptStatus::Read, &mark)?,
        EphemeralBody::ReadMark(MarkMessage { key, seq, no }) => {
            Ephemeral::ReadMark { room: fields::room(&key)?, seq: Seq(seq), no: MessageNo(no) }
        }
    };
    Ok((entity_of(message.stream)?, event))
}
