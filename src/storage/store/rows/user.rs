//! Rows about users: what they told of themselves, what they were told, and how far they have read.

use bytes::Bytes;
use uuid::Uuid;

use crate::ids::{DeviceId, MessageNo, Offset, RoomId, Seq, Timestamp, UserId};
use crate::safe_debug::safe_debug;

/// What the journal says of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRow {
    /// The user.
    pub user: UserId,
    /// The push token of the device heard of last, empty for none.
    pub push_token: String,
    /// Preferences, JSON text, empty for none.
    pub preferences: String,
    /// Fold time of the first record about the user.
    pub created_at: Timestamp,
    /// Fold time of the last one that changed something.
    pub updated_at: Timestamp,
    /// The last seq of the personal stream.
    pub head: Seq,
    /// The first offset of the user's partition that is not applied to the user.
    pub applied: Offset,
    /// Hash chain over (offset, outcome) of what is applied to the user (I10).
    pub chain: u64,
    /// The notification up to which all are read; nil for none.
    pub notifications_read: Uuid,
    /// What was decided on the user's commands, as the writer packed it; empty for nothing.
    pub decisions: Bytes,
}

impl UserRow {
    /// Of a user of whom the journal has said nothing.
    #[must_use]
    pub(crate) fn unsaid(user: UserId) -> Self {
        Self {
            user,
            push_token: String::new(),
            preferences: String::new(),
            created_at: Timestamp::ZERO,
            updated_at: Timestamp::ZERO,
            head: Seq::ZERO,
            applied: Offset::ZERO,
            chain: 0,
            notifications_read: Uuid::nil(),
            decisions: Bytes::new(),
        }
    }
}

/// A user's device.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// The user.
    pub user: UserId,
    /// The device.
    pub device: DeviceId,
    /// Its platform.
    pub platform: String,
    /// Where pushes go, empty for none.
    pub push_token: String,
    /// When it was heard of last.
    pub(crate) seen_at: Timestamp,
}

// A push token is a secret: whoever has it can push.
safe_debug! {
    UserRow { user, created_at, updated_at, head, applied, chain, notifications_read }
    DeviceRow { user, device, platform, seen_at }
}

/// A user blocks another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockRow {
    /// Who.
    pub user: UserId,
    /// Whom.
    pub blocked: UserId,
    /// Since when.
    pub at: Timestamp,
}

/// What a user was told of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRoomRow {
    /// The user.
    pub user: UserId,
    /// The room.
    pub room: RoomId,
    /// The room's kind.
    pub kind: u8,
    /// The last change.
    pub state: u8,
    /// The seq of its event in the room.
    pub seq: Seq,
    /// Until when its messages notify the user no more; zero if they do.
    pub muted_until: Timestamp,
}

/// An event of a personal stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserEventRow {
    /// The user.
    pub user: UserId,
    /// Its place.
    pub seq: Seq,
    /// What happened.
    pub kind: u8,
    /// When.
    pub at: Timestamp,
    /// The room that it concerns.
    pub room: Option<RoomId>,
    /// The room's kind.
    pub(crate) room_kind: Option<u8>,
    /// What changed there.
    pub change: Option<u8>,
    /// The seq of the event there.
    pub room_seq: Option<Seq>,
    /// Who caused it.
    pub actor: Option<UserId>,
    /// Whom it concerns.
    pub(crate) subject: Option<UserId>,
    /// What else it says, JSON text.
    pub(crate) data: Option<String>,
}

/// Something that a user should notice, beside its place in the user's stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotificationRow {
    /// The user.
    pub user: UserId,
    /// Its id: the same for the same event, however often it is written; in the order of time.
    pub id: Uuid,
    /// What it is, for programs.
    pub kind: &'static str,
    /// For people, in a few words.
    pub title: &'static str,
    /// For people, in a sentence.
    pub message: String,
    /// JSON text.
    pub data: String,
    /// When.
    pub at: Timestamp,
}

/// How far a user has read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadMarkRow {
    /// Who.
    pub user: UserId,
    /// Where.
    pub room: RoomId,
    /// The last seq read.
    pub seq: Seq,
    /// The number of the last message at or below it.
    pub no: MessageNo,
}
