//! What a user may be asked.

use uuid::Uuid;

use crate::actors::wire::{ReadPoint, RoomChange, RoomKind};
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
