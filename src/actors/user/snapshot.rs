//! A user's state as plain data, for store and simulation: all that the fold needs and nothing else.

use crate::actors::decisions::Decision;
use crate::actors::wire::{ReadPoint, RoomChange, RoomKind};
use crate::ids::{DeviceId, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::safe_debug::safe_debug;
use serde::Serialize;
use uuid::Uuid;

/// The scalars of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct UserMeta {
    /// The user.
    pub user: UserId,
    /// The last seq of the personal stream.
    pub head: Seq,
    /// Preferences, JSON text; empty for none.
    pub preferences: String,
    /// The notification up to which all are read; nil for none.
    #[serde(skip_serializing_if = "Uuid::is_nil")]
    pub notifications_read: Uuid,
    /// The chain over what was decided: see `actors::digest`. No decision rests on it.
    pub chain: u64,
}

/// A room on a user's list: what the user was told of it last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct ListedRoom {
    /// Its kind.
    pub kind: RoomKind,
    /// The last change: joined, invited or reopened.
    pub change: RoomChange,
    /// The seq of that in the room.
    pub since: Seq,
    /// Until when its messages notify the user no more; zero if they do.
    #[serde(skip_serializing_if = "is_zero")]
    pub muted_until: Timestamp,
}

/// Who mutes nothing has the hash that all had before there was a mute.
fn is_zero(at: &Timestamp) -> bool {
    *at == Timestamp::ZERO
}

/// A device of a user.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Device {
    /// `web`, `ios`, `android`, …
    pub platform: String,
    /// Where pushes go; empty for none.
    pub push_token: String,
    /// Fold time of when it was heard of last.
    pub seen: Timestamp,
}

// A push token is a secret: whoever has it can push.
safe_debug! {
    Device { platform, seen }
}

/// A user's whole state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct UserSnapshot {
    /// The scalars.
    pub meta: UserMeta,
    /// The room list, by uuid.
    pub rooms: Vec<(RoomId, ListedRoom)>,
    /// Read marks, by room; also of rooms that are not on the list, if they were read since they left it.
    pub reads: Vec<(RoomId, ReadPoint)>,
    /// The users whom this one blocks, and since when, by id.
    pub blocks: Vec<(UserId, Timestamp)>,
    /// Devices, by id.
    pub devices: Vec<(DeviceId, Device)>,
    /// The highest offset of each source of relayed facts.
    pub sources: Vec<(Partition, Offset)>,
    /// What was decided on commands, oldest first.
    pub decisions: Vec<Decision>,
}

impl UserSnapshot {
    /// Of a user of whom nothing was heard.
    #[must_use]
    pub(crate) fn new(user: UserId) -> Self {
        Self {
            meta: UserMeta {
                user,
                head: Seq::ZERO,
                preferences: String::new(),
                notifications_read: Uuid::nil(),
                chain: 0,
            },
            rooms: Vec::new(),
            reads: Vec::new(),
            blocks: Vec::new(),
            devices: Vec::new(),
            sources: Vec::new(),
            decisions: Vec::new(),
        }
    }
}
