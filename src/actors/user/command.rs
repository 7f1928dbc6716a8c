//! What a user may be asked.

use uuid::Uuid;

use crate::actors::room::command::{ReadPoint, RoomKind};
use crate::ids::{DeviceId, Offset, Partition, RoomId, Seq, Timestamp, UserId};

/// A user command with what the envelope says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserCommand {
    /// The user, the record's key.
    pub user: UserId,
    /// The command's own id.
    pub id: Uuid,
    /// When a gateway admitted it.
    pub issued_at: Timestamp,
    /// Milliseconds it is good for, 0 for ever.
    pub ttl_ms: u64,
    /// The wish.
    pub body: UserCommandBody,
}

/// The wishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserCommandBody {
    /// Moves the read mark of a room forward; never back (the maximum wins).
    Read {
        /// The room.
        room: RoomId,
        /// How far.
        to: ReadPoint,
    },
    /// Blocks a user.
    Block {
        /// Whom.
        user: UserId,
    },
    /// Takes a block back.
    Unblock {
        /// Whom.
        user: UserId,
    },
    /// Makes a device known or brings it up to date.
    Device {
        /// The device.
        device: DeviceId,
        /// `web`, `ios`, `android`, …; at most `limits::MESSAGE_TYPE_BYTES`.
        platform: String,
        /// Where pushes go; empty for none.
        push_token: String,
    },
    /// Forgets a device.
    DeviceRemove {
        /// The device.
        device: DeviceId,
    },
    /// Replaces the preferences.
    Preferences {
        /// JSON text.
        json: String,
    },
    /// The user's membership of a room changed, as the relay read it.
    Room(RoomFact),
}

/// A relayed fact about a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomFact {
    /// The room's partition.
    pub source: Partition,
    /// The offset there of the record that made it.
    pub source_offset: Offset,
    /// The room.
    pub room: RoomId,
    /// Its kind.
    pub kind: RoomKind,
    /// The seq of the event.
    pub seq: Seq,
    /// Who caused it.
    pub by: Option<UserId>,
    /// What changed for this user.
    pub change: RoomChange,
}

/// What changed for a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum RoomChange {
    /// Is a member now.
    Joined = 1,
    /// Left by himself.
    Left = 2,
    /// Is asked in.
    Invited = 3,
    /// Was removed, or the invitation was taken back.
    Kicked = 4,
    /// The room has ended or expired.
    Ended = 5,
    /// The direct chat is open again.
    Reopened = 6,
}

impl RoomChange {
    /// Its number in records, rows and hashes: fixed for life.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The change with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Joined, Self::Left, Self::Invited, Self::Kicked, Self::Ended, Self::Reopened]
            .into_iter()
            .find(|change| change.number() == number)
    }

    /// Whether the user is told to have the room after it: not once he is gone or it is over, or what is known of a user
    /// would grow for life.
    #[must_use]
    pub fn is_listed(self) -> bool {
        !matches!(self, Self::Left | Self::Kicked | Self::Ended)
    }
}
