//! What happened to a user, and what the fold decided.

use std::sync::Arc;

use super::command::{RoomChange, UserCommandBody};
use crate::actors::room::Reject;
use crate::actors::room::command::{ReadPoint, RoomKind};
use crate::ids::{RoomId, Seq, Timestamp, UserId};

/// An event of the personal stream: has an offset, is journaled by way of its command, is a row of `user_events`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserEvent {
    /// Its place in the personal stream.
    pub seq: Seq,
    /// Fold time.
    pub at: Timestamp,
    /// What happened.
    pub body: UserEventBody,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserEventBody {
    /// The membership of a room changed.
    Room {
        /// The room.
        room: RoomId,
        /// Its kind.
        kind: RoomKind,
        /// What changed.
        change: RoomChange,
        /// The seq of the event in the room.
        room_seq: Seq,
        /// Who caused it.
        by: Option<UserId>,
    },
    /// A user was blocked or unblocked (for the other devices).
    Block {
        /// Whom.
        user: UserId,
        /// Block or unblock.
        blocked: bool,
    },
    /// The preferences changed.
    Preferences,
}

impl UserEventBody {
    /// The number of what happened, in rows, on links and in hashes: fixed for life.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self {
            Self::Room { .. } => 1,
            Self::Block { blocked: true, .. } => 2,
            Self::Block { blocked: false, .. } => 3,
            Self::Preferences => 4,
        }
    }
}

/// The decision on one record of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserOutcome {
    /// It happened and takes a seq of the personal stream.
    Event(Arc<UserEvent>),
    /// It happened without a place in the stream.
    Quiet(Quiet),
    /// Nothing changed: known already.
    Unchanged,
    /// It does not happen.
    Rejected(Reject),
}

/// Changes that take no seq.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Quiet {
    /// A read mark moved to here.
    Read {
        /// The room.
        room: RoomId,
        /// Where it stands now.
        to: ReadPoint,
    },
    /// A device was made known, changed or forgotten.
    Device(UserCommandBody),
}
