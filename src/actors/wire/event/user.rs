//! What happened to a user: the personal stream.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// Notifications were read (for the other devices).
    NotificationsRead {
        /// All up to this one; nothing if that did not move.
        up_to: Option<Uuid>,
        /// These, too, sorted; none of them lies below what is read in all.
        ids: Vec<Uuid>,
    },
}

impl UserEventBody {
    /// Bytes in memory beside its own, about.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::NotificationsRead { ids, .. } => size_of_val(ids.as_slice()),
            Self::Room { .. } | Self::Block { .. } | Self::Preferences => 0,
        }
    }

    /// The number of what happened in rows: fixed for life.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self {
            Self::Room { .. } => 1,
            Self::Block { blocked: true, .. } => 2,
            Self::Block { blocked: false, .. } => 3,
            Self::Preferences => 4,
            Self::NotificationsRead { .. } => 5,
        }
    }
}
