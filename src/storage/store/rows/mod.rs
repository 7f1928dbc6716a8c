//! The rows, as plain structs. Numbers like `kind` or `status` mean what the migrations say; the store only keeps them.

mod list;
mod outbox;
mod reaction;
mod user;

use bytes::Bytes;
use uuid::Uuid;

pub(crate) use self::list::{ACTIVE, LINE_BYTES, RoomListCursor, RoomListPage};
pub use self::list::{PageBound, RoomListRow, Shelf};
pub(crate) use self::outbox::{ExpandedPage, FanOut, OutboxPlace, OutboxRow};
pub(crate) use self::reaction::{ReactionCount, ReactionRow, Reactions};
pub(crate) use self::user::{BlockRow, DeviceRow, NotificationRow, ReadMarkRow, UserEventRow, UserRoomRow, UserRow};
use crate::ids::{ClientId, Generation, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};

/// The value of [`RoomEventRow::kind`] that goes with a [`RoomEventRow::message`].
pub const EVENT_MESSAGE: u8 = 2;
/// The value of [`MemberRow::state`] of a present member.
pub const MEMBER: u8 = 0;
/// The value of [`MemberRow::state`] of somebody who was asked in.
pub(crate) const INVITED: u8 = 1;
/// The value of [`MemberRow::state`] of somebody who was kicked and needs an invitation.
pub(crate) const KICKED: u8 = 2;
/// How far a partition is in the rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatermarkRow {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is not in the rows.
    pub next_offset: Offset,
    /// Running hash of the records below `next_offset`.
    pub log_hash: u64,
    /// Highest append time below `next_offset`.
    pub fold_time: Timestamp,
    /// The version of the fold in force behind the last record below `next_offset`.
    pub fold_version: u32,
    /// Digest of the record before `next_offset`, of its bytes and its append time. `None`: there is none, or an older program wrote
    /// the row.
    pub last_record: Option<u64>,
}

impl WatermarkRow {
    /// What an empty store says of a partition.
    #[must_use]
    pub fn start(partition: Partition) -> Self {
        Self {
            partition,
            next_offset: Offset::ZERO,
            log_hash: 0,
            fold_time: Timestamp::ZERO,
            fold_version: 1,
            last_record: None,
        }
    }
}

/// Where, when and by which command something happened in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// The event's seq.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// The command's id.
    pub id: Uuid,
}

/// A room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChatRow {
    /// Its uuid.
    pub room: RoomId,
    /// Its kind.
    pub kind: u8,
    /// 0 active, 1 ended, 2 expired.
    pub status: u8,
    /// Title, may be empty.
    pub title: String,
    /// An open channel's name, else empty.
    pub channel: String,
    /// Who made it.
    pub creator: Option<UserId>,
    /// Direct chats: the lower one of the two users.
    pub user1: Option<UserId>,
    /// Direct chats: the higher one.
    pub user2: Option<UserId>,
    /// `user1` ended it.
    pub ended_by_user1: bool,
    /// `user2` ended it.
    pub ended_by_user2: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When the last message came.
    pub last_message_at: Option<Timestamp>,
    /// Whether users may join by themselves.
    pub public: bool,
    /// Who may send.
    pub may_send: u8,
    /// Most members.
    pub max_members: u32,
    /// Events kept, 0 for all.
    pub history_events: u64,
    /// Milliseconds that an event is kept, 0 for ever.
    pub history_age_ms: u64,
    /// The protocol's epoch.
    pub generation: Generation,
    /// The last seq given.
    pub head: Seq,
    /// The lowest seq that can be had.
    pub floor: Seq,
    /// The last message number given.
    pub last_no: MessageNo,
    /// Its making, or the last time that it was opened again.
    pub opened: Mark,
    /// What ended it; zeros while it lives.
    pub closed: Mark,
    /// The first event that a fold needs.
    pub window: Seq,
    /// Client ids with a time up to here may have been seen and forgotten.
    pub evicted_until: Timestamp,
    /// The first offset of the room's partition that is not applied to the room.
    pub applied: Offset,
    /// Hash chain over (offset, outcome) of what is applied to the room (I10).
    pub chain: u64,
}

impl ChatRow {
    /// When something happened last that a list is sorted by: the last message, or the making of the room.
    #[must_use]
    pub(crate) fn activity(&self) -> Timestamp {
        self.last_message_at.unwrap_or(self.created_at)
    }
}

/// A user's place in a room. Somebody who left has none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberRow {
    /// The room.
    pub room: RoomId,
    /// The user.
    pub user: UserId,
    /// 0 member, 1 invited, 2 kicked.
    pub state: u8,
    /// The seq of the event that made it so.
    pub seq: Seq,
    /// The number of the last message that the user sent here.
    pub sent_no: MessageNo,
    /// The number of the last message before the user joined.
    pub joined_no: MessageNo,
    /// Whose invitation it is, where `state` is [`INVITED`].
    pub invited_by: Option<UserId>,
    /// The seq of the kick before it, where `state` is [`INVITED`].
    pub kicked: Option<Seq>,
}

/// An event of a room, as it happened; what a deletion took away is empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomEventRow {
    /// The room.
    pub room: RoomId,
    /// Its place.
    pub seq: Seq,
    /// What happened.
    pub kind: u8,
    /// Who did it.
    pub actor: Option<UserId>,
    /// The earlier message that it concerns.
    pub target: Option<Seq>,
    /// The id of the command that made it.
    pub id: Uuid,
    /// The client's id of that command.
    pub client_id: Option<ClientId>,
    /// When.
    pub at: Timestamp,
    /// What else belongs to the kind, JSON text.
    pub data: Option<String>,
    /// The content, if and only if it is a message ([`EVENT_MESSAGE`]).
    pub message: Option<MessageBody>,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageBody {
    /// Its number in the room.
    pub no: MessageNo,
    /// Text.
    pub body: String,
    /// Type.
    pub message_type: String,
    /// JSON text, or empty.
    pub metadata: String,
    /// The seq of the message that it answers.
    pub reply_to: Option<Seq>,
    /// What was published in an open channel, as it was.
    pub data: Bytes,
    /// The content was taken away.
    pub deleted: bool,
}

/// A message in its present form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageRow {
    /// The room.
    pub room: RoomId,
    /// Its seq.
    pub seq: Seq,
    /// Its id.
    pub id: Uuid,
    /// Who sent it.
    pub sender: Option<UserId>,
    /// The sender's id of it.
    pub client_id: Option<ClientId>,
    /// What it says now.
    pub message: MessageBody,
    /// When it was sent.
    pub created_at: Timestamp,
    /// When it was edited last.
    pub(crate) edited_at: Option<Timestamp>,
}

/// A recent event without its content: what a fold needs to know again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowRow {
    /// Its seq.
    pub seq: Seq,
    /// What happened.
    pub kind: u8,
    /// Who did it.
    pub actor: Option<UserId>,
    /// The id of the command.
    pub id: Uuid,
    /// The client's id of the command.
    pub client_id: Option<ClientId>,
    /// When.
    pub at: Timestamp,
    /// The earlier message that it concerns.
    pub target: Option<Seq>,
}

impl WindowRow {
    /// What is kept of an event.
    #[must_use]
    pub(crate) fn of(row: &RoomEventRow) -> Self {
        Self {
            seq: row.seq,
            kind: row.kind,
            actor: row.actor.clone(),
            id: row.id,
            client_id: row.client_id.clone(),
            at: row.at,
            target: row.target,
        }
    }
}

/// A new body for a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageEdit {
    /// The room.
    pub room: RoomId,
    /// The message.
    pub seq: Seq,
    /// The new text.
    pub body: String,
    /// The new metadata; `None` keeps what is.
    pub metadata: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// The highest offset of a source that was applied to a room or a user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SourceRow {
    /// The source.
    pub partition: Partition,
    /// The offset there.
    pub offset: Offset,
}

/// A record with a valid envelope and an invalid payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetterRow {
    /// Where it lies.
    pub partition: Partition,
    /// And at which offset.
    pub offset: Offset,
    /// Its append time.
    pub at: Timestamp,
    /// What is wrong with it. Never its content.
    pub reason: String,
    /// The record, byte for byte.
    pub record: Bytes,
}

/// All that a fold needs of a room, and the partition's watermark of the same moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomRows {
    /// The watermark of the room's partition.
    pub watermark: WatermarkRow,
    /// The room, if there is one.
    pub chat: Option<ChatRow>,
    /// Members, invited and kicked, by user id.
    pub members: Vec<MemberRow>,
    /// Who blocks the other one, by user id. May stand without a room.
    pub blocks: Vec<UserId>,
    /// The events from [`ChatRow::window`] on, by seq.
    pub window: Vec<WindowRow>,
    /// Sources, by partition.
    pub sources: Vec<SourceRow>,
    /// What was decided on commands that left no event, as the writer packed it; empty for nothing.
    pub decisions: Bytes,
}

/// All that a fold needs of a user, and the partition's watermark of the same moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRows {
    /// The watermark of the user's partition.
    pub watermark: WatermarkRow,
    /// The user, if the journal ever named him.
    pub user: Option<UserRow>,
    /// Devices, by id.
    pub devices: Vec<DeviceRow>,
    /// The users whom this one blocks, by id.
    pub blocks: Vec<BlockRow>,
    /// Rooms that the user was told of, by uuid.
    pub rooms: Vec<UserRoomRow>,
    /// Read marks, by room.
    pub(crate) read_marks: Vec<ReadMarkRow>,
    /// Sources, by partition.
    pub sources: Vec<SourceRow>,
}
