//! What a gateway may ask of a room's or user's folded state, and what it is answered: facts of one moment, behind whatever
//! the gateway sent there before. The owner says whether the user that a question names is a member; what a client gets to
//! see of an answer is the gateway's business.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::StreamEvent;
use super::{MaySend, Member, ReadPoint, Reject, RoomKind, RoomStanding, RoomStatus};
use crate::ids::{Generation, MessageNo, Offset, RoomId, Seq, Timestamp, UserId};

/// A question to a room or user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Where its stream stands: [`QueryAnswer::Position`].
    Position,
    /// How much it holds, for operators: [`QueryAnswer::Figures`].
    Figures,
    /// Of a room: what it is, and where this user stands in it, whoever that is: [`QueryAnswer::Room`].
    Room {
        /// The user.
        user: UserId,
    },
    /// Of a room: the same with its recent events: [`QueryAnswer::Recent`].
    Recent {
        /// The user.
        user: UserId,
        /// The first event that is wanted.
        from: Seq,
    },
    /// Of a room: its members by id, for one of them: [`QueryAnswer::Members`].
    Members {
        /// The member who asks.
        user: UserId,
        /// Those behind this one.
        after: Option<UserId>,
        /// So many at most.
        limit: usize,
    },
    /// Of a room: whether it would take a message of this user now: [`QueryAnswer::TakesMessage`].
    TakesMessage {
        /// The user.
        user: UserId,
    },
    /// Of a room: what a read mark means for one of its members: [`QueryAnswer::Reading`].
    Reading {
        /// The member.
        user: UserId,
        /// Up to where the member has read.
        seq: Seq,
    },
    /// Of a room: who wrote a message, for one of its members: [`QueryAnswer::Author`].
    Author {
        /// The member who asks.
        user: UserId,
        /// The message's seq.
        seq: Seq,
    },
    /// Of a user: how far that user has read a room: [`QueryAnswer::ReadPoint`].
    ReadPoint {
        /// The room.
        room: RoomId,
    },
    /// Of a user: whether that user blocks another: [`QueryAnswer::Blocks`].
    Blocks {
        /// The other.
        other: UserId,
    },
    /// Of a user: the preferences: [`QueryAnswer::Preferences`].
    Preferences,
    /// Of a user: the rooms that are muted now: [`QueryAnswer::Mutes`].
    Mutes,
}

/// The answer to a [`Query`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryAnswer {
    /// Where a stream stands.
    Position {
        /// The generation.
        generation: Generation,
        /// The last seq.
        head: Seq,
        /// The lowest seq that can be had now.
        floor: Seq,
    },
    /// How much an entity holds.
    Figures(EntityFigures),
    /// A room, for a user.
    Room(Box<RoomFacts>),
    /// A room, for a user, with what happened last.
    Recent {
        /// The room.
        room: Box<RoomFacts>,
        /// The end, in the partition, of what is in memory: a store that has come to it lacks none of the events.
        end: Offset,
        /// Events up to the head, dense; they may begin later than asked for. None for a user who is neither in nor asked in.
        events: Arc<[StreamEvent]>,
    },
    /// Members of a room.
    Members {
        /// By id, each with the seq of the entrance.
        members: Vec<(UserId, Seq)>,
        /// How many there are in all.
        total: usize,
        /// Whose room it is.
        creator: Option<UserId>,
    },
    /// Whether a message would be taken, or why not.
    TakesMessage(Result<(), Reject>),
    /// What a read mark means.
    Reading(ReadFacts),
    /// Who wrote a message.
    Author {
        /// The room's last seq.
        head: Seq,
        /// The author, if there is such a message among the events that the room remembers.
        author: Option<UserId>,
        /// Whether the room remembers that seq. If not, its rows know.
        is_remembered: bool,
    },
    /// How far a user has read a room, if that is known.
    ReadPoint(Option<ReadPoint>),
    /// Whether a user blocks another.
    Blocks(bool),
    /// A user's preferences, JSON text; empty for none.
    Preferences(String),
    /// The rooms that a user has muted, and until when.
    Mutes(Vec<(RoomId, Timestamp)>),
    /// The user that the question named is no member of the room, or there is no such room.
    NotMember,
    /// Not now: the entity can't be had, or is none that could be asked this.
    Unavailable,
}

/// What a room is at a moment, for one user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RoomFacts {
    /// Its kind; `None` if there is no such room.
    pub kind: Option<RoomKind>,
    /// Its status by what was recorded.
    pub status: RoomStatus,
    /// Its title.
    pub title: String,
    /// Whose room it is.
    pub creator: Option<UserId>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Whether users may join by themselves.
    pub public: bool,
    /// Who may send.
    pub may_send: MaySend,
    /// How many members it has.
    pub members: usize,
    /// The last seq.
    pub head: Seq,
    /// The lowest seq that can be had now.
    pub floor: Seq,
    /// The number of the last message.
    pub last_no: MessageNo,
    /// Fold time of the last message.
    pub last_message_at: Option<Timestamp>,
    /// When it was made, or opened again.
    pub(crate) opened_at: Timestamp,
    /// Where the user stands in it.
    pub(crate) standing: Option<RoomStanding>,
    /// The other one of a direct chat.
    pub peer: Option<UserId>,
}

impl RoomFacts {
    /// The user's membership.
    #[must_use]
    pub(crate) fn member(&self) -> Option<Member> {
        match self.standing {
            Some(RoomStanding::Member(member)) => Some(member),
            _ => None,
        }
    }
}

/// What a read mark up to `seq` means for a member. A number is `None` where the room does not remember it: its rows do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadFacts {
    /// What was asked for, at most the head.
    pub seq: Seq,
    /// The number of the last message at or below it.
    pub no: Option<MessageNo>,
    /// The number of the room's last message.
    pub last_no: MessageNo,
    /// The membership.
    pub member: Member,
    /// The number of the last message before the member came in.
    pub joined_no: Option<MessageNo>,
}

/// How much a room or user holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EntityFigures {
    /// The last seq of its stream.
    pub head: Seq,
    /// Bytes of recent events in memory, about.
    pub(crate) ring_bytes: usize,
    /// What only the one or the other has.
    pub of: FiguresOf,
}

/// See [`EntityFigures`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FiguresOf {
    /// A room.
    Room {
        /// Its kind; `None` if there is no such room.
        kind: Option<RoomKind>,
        /// Its status by what was recorded.
        status: RoomStatus,
        /// How many are in.
        members: usize,
        /// How many are asked in.
        invited: usize,
        /// The lowest seq that could be had at the last event.
        floor: Seq,
        /// How many messages there were.
        messages: MessageNo,
        /// The stream's generation.
        generation: Generation,
    },
    /// A user.
    User {
        /// Rooms on the list.
        rooms: usize,
        /// Devices.
        devices: usize,
        /// Users who are blocked.
        blocks: usize,
    },
}
