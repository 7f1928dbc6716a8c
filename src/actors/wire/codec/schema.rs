//! The protobuf messages of the frames. Nothing here is checked: [`super`] makes frames of them, or says that they are none.

use bytes::Bytes;
use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub(super) struct ToOwnerMessage {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(oneof = "ToOwnerBody", tags = "2, 3, 4, 5, 6, 7")]
    pub(super) body: Option<ToOwnerBody>,
    #[prost(message, optional, tag = "15")]
    pub(super) from: Option<NodeMessage>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ToOwnerBody {
    #[prost(message, tag = "2")]
    Command(CommandMessage),
    #[prost(message, tag = "3")]
    Listen(ListenMessage),
    #[prost(message, tag = "4")]
    Unlisten(RangeMessage),
    #[prost(message, tag = "5")]
    Fetch(RangeMessage),
    #[prost(message, tag = "6")]
    Ephemeral(EphemeralMessage),
    #[prost(message, tag = "7")]
    Query(QueryMessage),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ToGatewayMessage {
    #[prost(uint32, tag = "1")]
    pub(super) version: u32,
    #[prost(oneof = "ToGatewayBody", tags = "2, 3, 4, 5, 6, 7, 8, 9")]
    pub(super) body: Option<ToGatewayBody>,
    #[prost(message, optional, tag = "15")]
    pub(super) to: Option<NodeMessage>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum ToGatewayBody {
    #[prost(message, tag = "2")]
    Answer(AnswerMessage),
    #[prost(message, tag = "3")]
    Granted(StateMessage),
    #[prost(message, tag = "4")]
    Denied(DeniedMessage),
    #[prost(message, tag = "5")]
    Events(EventsMessage),
    #[prost(message, tag = "6")]
    Head(StateMessage),
    #[prost(message, tag = "7")]
    Fetched(FetchedMessage),
    #[prost(message, tag = "8")]
    Ephemeral(EphemeralMessage),
    #[prost(message, tag = "9")]
    Queried(QueryMessage),
}

/// A node in one of its lives.
#[derive(Clone, PartialEq, Message)]
pub(super) struct NodeMessage {
    #[prost(uint32, tag = "1")]
    pub(super) number: u32,
    #[prost(uint64, tag = "2")]
    pub(super) life: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommandMessage {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(uint32, tag = "2")]
    pub(super) partition: u32,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) record: Bytes,
}

/// An entity: one of the two is set.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EntityMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) room: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) user: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ListenMessage {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) stream: Option<EntityMessage>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) user: Bytes,
    #[prost(bool, tag = "4")]
    pub(super) open: bool,
}

/// A fetch; without a range, that nobody listens any more.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RangeMessage {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) stream: Option<EntityMessage>,
    #[prost(uint64, tag = "3")]
    pub(super) from: u64,
    #[prost(uint64, tag = "4")]
    pub(super) to: u64,
}

/// Where a stream stands: granted to a request, or announced without one.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StateMessage {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) stream: Option<EntityMessage>,
    #[prost(uint32, tag = "3")]
    pub(super) generation: u32,
    #[prost(uint64, tag = "4")]
    pub(super) head: u64,
    #[prost(uint64, tag = "5")]
    pub(super) floor: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeniedMessage {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) stream: Option<EntityMessage>,
    #[prost(uint32, tag = "3")]
    pub(super) reason: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AnswerMessage {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(oneof = "AnswerBody", tags = "2, 3, 4, 5")]
    pub(super) body: Option<AnswerBody>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum AnswerBody {
    #[prost(message, tag = "2")]
    Accepted(AcceptedMessage),
    /// The number of the [`Reject`].
    #[prost(uint32, tag = "3")]
    Rejected(u32),
    /// Milliseconds.
    #[prost(uint32, tag = "4")]
    Unavailable(u32),
    #[prost(bool, tag = "5")]
    Unknown(bool),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct AcceptedMessage {
    #[prost(uint64, tag = "1")]
    pub(super) seq: u64,
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) id: Bytes,
    #[prost(uint64, tag = "3")]
    pub(super) at: u64,
    #[prost(uint64, optional, tag = "4")]
    pub(super) no: Option<u64>,
    #[prost(bool, tag = "5")]
    pub(super) duplicate: bool,
    #[prost(uint64, tag = "6")]
    pub(super) offset: u64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EventsMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) stream: Option<EntityMessage>,
    #[prost(uint32, tag = "2")]
    pub(super) generation: u32,
    #[prost(message, repeated, tag = "3")]
    pub(super) events: Vec<EventMessage>,
}

/// An event of either kind, as [`Event::encode`] or [`UserEvent::encode`] writes it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EventMessage {
    #[prost(oneof = "EventBytes", tags = "1, 2")]
    pub(super) event: Option<EventBytes>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum EventBytes {
    #[prost(bytes = "bytes", tag = "1")]
    Room(Bytes),
    #[prost(bytes = "bytes", tag = "2")]
    User(Bytes),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FetchedMessage {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(oneof = "FetchedBody", tags = "2, 3, 4")]
    pub(super) body: Option<FetchedBody>,
    #[prost(message, optional, tag = "5")]
    pub(super) stream: Option<EntityMessage>,
    #[prost(uint32, tag = "6")]
    pub(super) generation: u32,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum FetchedBody {
    #[prost(message, tag = "2")]
    Events(EventsMessage),
    /// The floor.
    #[prost(uint64, tag = "3")]
    Gone(u64),
    #[prost(bool, tag = "4")]
    Unavailable(bool),
}

/// A query to an entity, or the answer to one without it, as JSON text.
#[derive(Clone, PartialEq, Message)]
pub(super) struct QueryMessage {
    #[prost(uint64, tag = "1")]
    pub(super) request: u64,
    #[prost(message, optional, tag = "2")]
    pub(super) stream: Option<EntityMessage>,
    #[prost(bytes = "bytes", tag = "3")]
    pub(super) text: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EphemeralMessage {
    #[prost(message, optional, tag = "1")]
    pub(super) stream: Option<EntityMessage>,
    #[prost(oneof = "EphemeralBody", tags = "2, 3, 4, 5")]
    pub(super) body: Option<EphemeralBody>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum EphemeralBody {
    /// Who types.
    #[prost(bytes = "bytes", tag = "2")]
    Typing(Bytes),
    #[prost(message, tag = "3")]
    Delivered(MarkMessage),
    #[prost(message, tag = "4")]
    Read(MarkMessage),
    #[prost(message, tag = "5")]
    ReadMark(MarkMessage),
}

/// A mark of a user in the stream's room, or of the stream's user in a room.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MarkMessage {
    #[prost(bytes = "bytes", tag = "1")]
    pub(super) key: Bytes,
    #[prost(uint64, tag = "2")]
    pub(super) seq: u64,
    #[prost(uint64, tag = "3")]
    pub(super) no: u64,
}
