//! Why the fold says no: one list for rooms and users, as clients, hashes and other nodes know it.

use serde::{Deserialize, Serialize};

/// Why a command was rejected. The names go into the digests: fixed for life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, thiserror::Error)]
#[repr(u8)]
pub enum Reject {
    /// There is no such room.
    #[error("no such room")]
    NoRoom = 1,
    /// The room exists and is another.
    #[error("the room exists already")]
    Exists = 2,
    /// Somebody ended the room.
    #[error("the room has ended")]
    Ended = 3,
    /// The room's time is over.
    #[error("the room has expired")]
    Expired = 4,
    /// Members only.
    #[error("not a member of the room")]
    NotMember = 5,
    /// Neither public nor invited.
    #[error("not invited to the room")]
    NotInvited = 6,
    /// The role does not allow it.
    #[error("not allowed in this room")]
    NotAllowed = 7,
    /// One side of the direct chat blocks the other.
    #[error("blocked")]
    Blocked = 8,
    /// The device's previous message is not in.
    #[error("the device's previous message is missing")]
    NeedPrev = 9,
    /// The client id is older than the dedupe window: nobody can tell whether it was sent before.
    #[error("the client id is older than the dedupe window")]
    TooOld = 10,
    /// The target of an edit or a deletion is no message of this room.
    #[error("no such message")]
    NoMessage = 11,
    /// Not one's own message.
    #[error("not the author of the message")]
    NotAuthor = 12,
    /// The message was deleted.
    #[error("the message is deleted")]
    Deleted = 13,
    /// The message left the window in which it may be edited.
    #[error("the message is too old to be edited")]
    EditTooLate = 14,
    /// The room has as many members or invitations as it may.
    #[error("the room is full")]
    Full = 15,
    /// Something in the command is longer than it may be.
    #[error("too large")]
    TooLarge = 16,
    /// The command was appended after its time to live.
    #[error("the command came too late")]
    Stale = 17,
    /// A valid envelope with an invalid payload.
    #[error("invalid command")]
    Invalid = 18,
    /// The wish makes no sense for this kind of room (joining a direct chat, kicking oneself).
    #[error("not possible in this kind of room")]
    WrongKind = 19,
}

impl Reject {
    /// Its number, fixed for life.
    #[must_use]
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// The reason with this number.
    #[must_use]
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reject| reject.number() == number)
    }

    const ALL: [Self; 19] = [
        Self::NoRoom,
        Self::Exists,
        Self::Ended,
        Self::Expired,
        Self::NotMember,
        Self::NotInvited,
        Self::NotAllowed,
        Self::Blocked,
        Self::NeedPrev,
        Self::TooOld,
        Self::NoMessage,
        Self::NotAuthor,
        Self::Deleted,
        Self::EditTooLate,
        Self::Full,
        Self::TooLarge,
        Self::Stale,
        Self::Invalid,
        Self::WrongKind,
    ];

    /// Its name, for metrics and error replies.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoRoom => "no_room",
            Self::Exists => "exists",
            Self::Ended => "room_ended",
            Self::Expired => "room_expired",
            Self::NotMember => "not_a_member",
            Self::NotInvited => "not_invited",
            Self::NotAllowed => "not_allowed",
            Self::Blocked => "blocked",
            Self::NeedPrev => "need_prev",
            Self::TooOld => "too_old",
            Self::NoMessage => "no_message",
            Self::NotAuthor => "not_author",
            Self::Deleted => "deleted",
            Self::EditTooLate => "edit_too_late",
            Self::Full => "room_full",
            Self::TooLarge => "too_large",
            Self::Stale => "stale_command",
            Self::Invalid => "invalid",
            Self::WrongKind => "wrong_kind",
        }
    }
}
