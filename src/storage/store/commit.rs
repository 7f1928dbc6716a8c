//! What one transaction writes: the rows of a stretch of records of one or many partitions, and the watermarks that move
//! over them.

use bytes::Bytes;
use uuid::Uuid;

use super::rows::{
    BlockRow, ChatRow, DeadLetterRow, DeviceRow, MemberRow, MessageEdit, NotificationRow, OutboxRow, ReactionRow,
    ReadMarkRow, RoomEventRow, Shelf, UserEventRow, UserRoomRow, UserRow, WatermarkRow, WindowRow,
};
use crate::ids::{DeviceId, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};

/// Rows and watermarks that are written together or not at all.
///
/// The parts are applied in the order of the fields. Of a row that is replaced (everything but events) there is at most
/// one for each key: the last state.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Commit {
    /// The guard: each partition moves from `from`, or nothing is written (I6). At most one for each partition.
    pub watermarks: Vec<WatermarkMove>,
    /// Rooms as they are now.
    pub chats: Vec<ChatRow>,
    /// Places in rooms, as they are now.
    pub members: Vec<MemberChange>,
    /// Where rooms stand in the lists of all who have a place in them, those who came with this commit included.
    pub listings: Vec<Listing>,
    /// Last own message numbers of members: (room, user, number). Users without a place are passed over.
    pub sent: Vec<(RoomId, UserId, MessageNo)>,
    /// New events with their messages.
    pub room_events: Vec<RoomEventRow>,
    /// Stretches of events that came to their end and lie inside their rooms' windows. Events stay the truth: what no piece
    /// holds is read from their rows, and a store may do without pieces.
    pub window_pieces: Vec<WindowPiece>,
    /// New bodies, in the order of their events.
    pub edits: Vec<MessageEdit>,
    /// Reactions that came or went, in the order of their events. None comes to a message that is gone or deleted.
    pub reactions: Vec<ReactionChange>,
    /// Messages whose content goes with all reactions, here and in the events that concern them.
    pub redactions: Vec<(RoomId, Seq)>,
    /// Events and messages below the seq go for good (bounded history).
    pub trims: Vec<(RoomId, Seq)>,
    /// Blocks in direct rooms: (room, who, whether).
    pub room_blocks: Vec<(RoomId, UserId, bool)>,
    /// Sources of rooms: (room, partition, highest offset).
    pub room_sources: Vec<(RoomId, Partition, Offset)>,
    /// What was decided on commands of rooms that left no event, as it is now.
    pub room_decisions: Vec<(RoomId, Bytes)>,
    /// Users as they are now.
    pub users: Vec<UserRow>,
    /// New events of personal streams.
    pub user_events: Vec<UserEventRow>,
    /// What users should notice. One that is there already stays as it is, read or not.
    pub notifications: Vec<NotificationRow>,
    /// Notifications that were read one by one: (user, id), each once. One that is not there yet is read once it is.
    pub notifications_read: Vec<(UserId, Uuid)>,
    /// What users know of rooms, as it is now.
    pub user_rooms: Vec<UserRoomChange>,
    /// Read marks that the fold has let go of: what is shown of them rises to this and never falls. With seq 0 nothing is
    /// read, and a mark that is there is only let go of.
    pub past_marks: Vec<ReadMarkRow>,
    /// Read marks as the fold has them now; what is shown never falls.
    pub read_marks: Vec<ReadMarkRow>,
    /// Blocks that came or went.
    pub blocks: Vec<BlockChange>,
    /// Devices that came, changed or went.
    pub devices: Vec<DeviceChange>,
    /// Sources of users: (user, partition, highest offset).
    pub user_sources: Vec<(UserId, Partition, Offset)>,
    /// What other partitions must be told.
    pub outbox: Vec<OutboxRow>,
    /// Records that could not be understood. The store keeps the last [`crate::limits::DEAD_LETTERS`] of each partition.
    pub dead_letters: Vec<DeadLetterRow>,
}

/// A partition's watermark moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatermarkMove {
    /// `next_offset` as the writer knows it.
    pub from: Offset,
    /// The watermark from now on.
    pub to: WatermarkRow,
}

/// A place in a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MemberChange {
    /// It is so now.
    Put(MemberRow),
    /// There is none any more.
    Remove(RoomId, UserId),
}

/// A room's place in the lists of its members and of those who are asked in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listing {
    /// The room.
    pub room: RoomId,
    /// On which list, and when something happened there last ([`ChatRow::activity`]). `None` for a room with so many
    /// members that a row of each does not follow it; whoever lists looks into the room's own row. A place without a
    /// listing counts as that, too.
    pub at: Option<(Shelf, Timestamp)>,
}

/// The events of a stretch of [`limits::WINDOW_PIECE_EVENTS`](crate::limits::WINDOW_PIECE_EVENTS), dense by seq. A room is made
/// of such a piece with one read, and it never changes: it holds what no edit and no deletion touches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowPiece {
    /// The room.
    pub room: RoomId,
    /// The events, without their content.
    pub events: Vec<WindowRow>,
    /// Where the room's window begins now: pieces below it are not needed any more.
    pub window: Seq,
}

/// What a user knows of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserRoomChange {
    /// It is so now.
    Put(UserRoomRow),
    /// Forgotten.
    Remove(UserId, RoomId),
}

/// A reaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReactionChange {
    /// It is there. Nothing changes if it was.
    Put(ReactionRow),
    /// It is not.
    Remove(ReactionRow),
}

/// A block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BlockChange {
    /// It holds.
    Put(BlockRow),
    /// It does not (who, whom).
    Remove(UserId, UserId),
}

/// A device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DeviceChange {
    /// It is so now.
    Put(DeviceRow),
    /// Forgotten.
    Remove(UserId, DeviceId),
}
