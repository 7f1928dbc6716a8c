//! What a gateway and an owner tell each other. The same types inside one node, in the simulation, and on the links
//! between nodes. Every frame may be lost, doubled, delayed or overtaken: the receiver must bear it.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use crate::actors::wire::{Entity, Query, QueryAnswer, Reject, RequestId, StreamEvent};
use crate::ids::{Generation, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};

/// From a gateway to the owner of a partition.
#[derive(Clone, PartialEq, Debug)]
pub enum ToOwner {
    /// Append this record; answered by [`ToGateway::Answer`] once the fold has decided.
    Command {
        /// Named in the answer.
        request: RequestId,
        /// The record's partition.
        partition: Partition,
        /// The encoded envelope.
        record: Bytes,
    },
    /// Somebody wants to listen. Answered by [`ToGateway::Granted`] or [`ToGateway::Denied`] at the owner's present head,
    /// in the order of the stream's events. From the first grant on the gateway gets [`ToGateway::Events`].
    Listen {
        /// Named in the answer.
        request: RequestId,
        /// What to listen to.
        stream: Entity,
        /// For whom: membership is checked against the fold's state.
        user: UserId,
        /// Asked for by an open channel's name: granted without membership, at head 0 if nothing was published yet, and
        /// denied (`NoRoom`) if the room is of another kind. Without it an open channel's room is denied likewise: its
        /// uuid must not be a way around the rules of its namespace.
        open: bool,
    },
    /// Nobody listens on this gateway any more.
    Unlisten {
        /// Higher than that of every `Listen` it takes back: one that a later `Listen` has overtaken does nothing.
        request: RequestId,
        /// To what.
        stream: Entity,
    },
    /// Events that the gateway lacks: `from` to `to`, both included. Answered by [`ToGateway::Fetched`].
    Fetch {
        /// Named in the answer.
        request: RequestId,
        /// Of what.
        stream: Entity,
        /// The first one.
        from: Seq,
        /// The last one.
        to: Seq,
    },
    /// Something about the folded state. Answered by [`ToGateway::Queried`].
    Query {
        /// Named in the answer.
        request: RequestId,
        /// Of what.
        stream: Entity,
        /// What.
        query: Query,
    },
    /// To all listeners of the stream, without a place in it; may be lost.
    Ephemeral {
        /// Where.
        stream: Entity,
        /// What.
        event: Ephemeral,
    },
}

impl ToOwner {
    /// The partition that it is for.
    #[must_use]
    pub(crate) fn partition(&self) -> Partition {
        match self {
            Self::Command { partition, .. } => *partition,
            Self::Listen { stream, .. }
            | Self::Unlisten { stream, .. }
            | Self::Fetch { stream, .. }
            | Self::Query { stream, .. }
            | Self::Ephemeral { stream, .. } => stream.partition(),
        }
    }
}

/// From an owner to a gateway.
#[derive(Clone, PartialEq, Debug)]
pub enum ToGateway {
    /// What became of a command.
    Answer {
        /// The question.
        request: RequestId,
        /// The answer.
        answer: Answer,
    },
    /// The user may listen, as of `head`: a place in the stream's order. An event above `head` that removes the user ends
    /// it again, also if the gateway has passed that event already.
    Granted {
        /// The question.
        request: RequestId,
        /// What may be listened to.
        stream: Entity,
        /// The stream's generation.
        generation: Generation,
        /// The owner's head when it decided.
        head: Seq,
        /// The lowest seq that can still be had: anything below is gone for good (1 if nothing is gone).
        floor: Seq,
    },
    /// The user may not listen.
    Denied {
        /// The question.
        request: RequestId,
        /// What may not be listened to.
        stream: Entity,
        /// Why.
        reason: Denial,
    },
    /// New events, dense and in order.
    Events {
        /// Of what.
        stream: Entity,
        /// Their generation.
        generation: Generation,
        /// The events.
        events: Arc<[StreamEvent]>,
    },
    /// The owner's head, sent now and then: shows that the last events were lost.
    Head {
        /// Of what.
        stream: Entity,
        /// The generation.
        generation: Generation,
        /// The last seq that is verified and folded.
        head: Seq,
    },
    /// Events that were asked for; dense from `from`, perhaps fewer than asked.
    Fetched {
        /// The question.
        request: RequestId,
        /// Of what.
        stream: Entity,
        /// The generation.
        generation: Generation,
        /// The events, or why there are none.
        events: Result<Arc<[StreamEvent]>, FetchError>,
    },
    /// The answer to a query.
    Queried {
        /// The question.
        request: RequestId,
        /// The answer.
        answer: QueryAnswer,
    },
    /// Something without a place in the stream.
    Ephemeral {
        /// Where.
        stream: Entity,
        /// What.
        event: Ephemeral,
    },
}

impl ToGateway {
    /// Whether it tells how things stood with its owner when it was sent: that is worth nothing once another owner may have
    /// gone on. What the log decided is the same whoever tells it.
    #[must_use]
    pub(crate) fn is_view(&self) -> bool {
        match self {
            Self::Granted { .. } | Self::Denied { .. } | Self::Head { .. } | Self::Queried { .. } => true,
            Self::Answer { .. } | Self::Events { .. } | Self::Fetched { .. } | Self::Ephemeral { .. } => false,
        }
    }
}

/// What became of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Folded and accepted, now or (`duplicate`) before.
    Accepted {
        /// Its place; 0 if it takes none (read marks, devices).
        seq: Seq,
        /// The id of the command that made it.
        id: Uuid,
        /// Fold time.
        at: Timestamp,
        /// The message's number, if it is a message accepted just now.
        no: Option<MessageNo>,
        /// Whether it had been accepted before.
        duplicate: bool,
        /// Where this command's record lies in its partition: a store whose watermark is above it has all that is said here.
        offset: Offset,
    },
    /// The fold said no.
    Rejected(Reject),
    /// Certainly not written: try again (journal refuses, queue full, partition moving).
    Unavailable {
        /// When, in milliseconds.
        retry_after_ms: u32,
    },
    /// It may be written: ask again with the same client id to learn.
    Unknown,
}

/// Why one may not listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denial {
    /// There is no such room.
    NoRoom,
    /// Not a member.
    NotMember,
    /// Not now: try again.
    Unavailable,
}

impl Denial {
    /// Its number on links: fixed for life.
    #[must_use]
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::NoRoom => 1,
            Self::NotMember => 2,
            Self::Unavailable => 3,
        }
    }

    /// The reason with this number.
    #[must_use]
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::NoRoom, Self::NotMember, Self::Unavailable].into_iter().find(|denial| denial.number() == number)
    }
}

/// Why events can't be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FetchError {
    /// Below the floor: gone for good.
    Gone {
        /// The lowest seq that can be had.
        floor: Seq,
    },
    /// Not now: the store or the journal does not answer.
    Unavailable,
}

/// Publications without a place in the stream: never journaled, dropped first under load.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ephemeral {
    /// Somebody types in a room.
    Typing {
        /// Who.
        user: UserId,
    },
    /// Somebody's mark moved: the messages up to `seq` were delivered to, or read by, `user`.
    Receipt {
        /// Whose.
        user: UserId,
        /// Delivered or read.
        status: ReceiptStatus,
        /// Up to here.
        seq: Seq,
    },
    /// One's own read mark moved, for one's other devices; in the personal stream.
    ReadMark {
        /// The room.
        room: RoomId,
        /// Up to here.
        seq: Seq,
        /// The number of the last message at or below it.
        no: MessageNo,
    },
}

/// How far a message came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ReceiptStatus {
    /// On the device.
    Delivered,
    /// Seen.
    Read,
}
