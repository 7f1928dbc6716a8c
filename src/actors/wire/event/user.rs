//! What happened to a user: the personal stream.

use serde::{Deserialize, Serialize};

use crate::actors::wire::{RoomChange, RoomKind};
use crate::ids::{RoomId, Seq, Timestamp, UserId};

/// An event of the personal stream: has an offset, is journaled by way of its command, is a row of `user_events`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserEvent {
    /// Its place in the personal stream.
    pub seq: Seq,
    /// Fold time.
    pub at: Timestamp,
    /// What happened.
    pub body: UserEventBody,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// The number of what happened in rows: fixed for life.
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
