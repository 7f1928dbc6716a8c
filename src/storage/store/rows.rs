//! The rows, as plain structs. Numbers like `kind` or `status` mean what the migrations say; the store only keeps them.

use bytes::Bytes;
use uuid::Uuid;

use crate::ids::{ClientId, DeviceId, Generation, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};

/// The value of [`RoomEventRow::kind`] that goes with a [`RoomEventRow::message`].
pub const EVENT_MESSAGE: u8 = 2;
/// The value of [`MemberRow::state`] of a present member.
pub const MEMBER: u8 = 0;
/// The value of [`MemberRow::state`] of somebody who was asked in.
pub const INVITED: u8 = 1;
/// The value of [`MemberRow::state`] of somebody who was kicked and needs an invitation.
pub const KICKED: u8 = 2;
/// The value of [`ChatRow::status`] of a room that is neither ended nor expired.
pub const ACTIVE: u8 = 0;

/// Which of a user's two room lists a room is on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Shelf {
    /// It lives.
    Live,
    /// It has ended or expired.
    Over,
}

impl Shelf {
    /// The shelf of a room with this [`ChatRow::status`].
    #[must_use]
    pub fn of(status: u8) -> Self {
        if status == ACTIVE { Self::Live } else { Self::Over }
    }

    /// Its number in rows.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }
}

/// How far a partition is in the rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WatermarkRow {
    /// The partition.
    pub partition: Partition,
    /// The first offset that is not in the rows.
    pub next_offset: Offset,
    /// Hash chain over (offset, outcome) below `next_offset` (I10).
    pub chain: u64,
    /// Highest append time below `next_offset`.
    pub fold_time: Timestamp,
}

impl WatermarkRow {
    /// What an empty store says of a partition.
    #[must_use]
    pub fn start(partition: Partition) -> Self {
        Self { partition, next_offset: Offset::ZERO, chain: 0, fold_time: Timestamp::ZERO }
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
}

impl ChatRow {
    /// When something happened last that a list is sorted by: the last message, or the making of the room.
    #[must_use]
    pub fn activity(&self) -> Timestamp {
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
    /// Whom it concerns.
    pub subject: Option<UserId>,
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
    pub edited_at: Option<Timestamp>,
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

/// What the journal says of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
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
}

/// A user's device.
#[derive(Clone, PartialEq, Eq, Debug)]
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
    pub seen_at: Timestamp,
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
    pub room_kind: Option<u8>,
    /// What changed there.
    pub change: Option<u8>,
    /// The seq of the event there.
    pub room_seq: Option<Seq>,
    /// Who caused it.
    pub actor: Option<UserId>,
    /// Whom it concerns.
    pub subject: Option<UserId>,
}

/// Something that a user should notice, beside its place in his stream.
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

/// Something that another partition must be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutboxRow {
    /// Where the fact was made.
    pub source: Partition,
    /// By which record.
    pub offset: Offset,
    /// 0, 1, 2, … within that record.
    pub ord: u32,
    /// Where it goes. Not used for a fan-out.
    pub target: Partition,
    /// The encoded record, or the pattern of one for a fan-out.
    pub record: Bytes,
    /// Set for a fact that goes to each member of a room: page by page a row for each of them takes its place.
    pub fan_out: Option<FanOut>,
}

/// A row's place in the outbox: the order in which facts of one source came about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OutboxPlace {
    /// See [`OutboxRow::source`].
    pub source: Partition,
    /// See [`OutboxRow::offset`].
    pub offset: Offset,
    /// See [`OutboxRow::ord`].
    pub ord: u32,
}

impl OutboxPlace {
    /// Where the rows of a source begin.
    #[must_use]
    pub fn first_of(source: Partition) -> Self {
        Self { source, offset: Offset::ZERO, ord: 0 }
    }

    /// The place right behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        match self.ord.checked_add(1) {
            Some(ord) => Self { ord, ..self },
            None => Self { offset: self.offset.next(), ord: 0, ..self },
        }
    }
}

impl OutboxRow {
    /// Its place.
    #[must_use]
    pub fn place(&self) -> OutboxPlace {
        OutboxPlace { source: self.source, offset: self.offset, ord: self.ord }
    }
}

/// See [`OutboxRow::fan_out`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FanOut {
    /// Whose members are told.
    pub room: RoomId,
    /// Members up to and including this one have a row of their own.
    pub after: Option<UserId>,
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
pub struct RoomSnapshot {
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
}

/// All that a fold needs of a user, and the partition's watermark of the same moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserSnapshot {
    /// The watermark of the user's partition.
    pub watermark: WatermarkRow,
    /// The user, if the journal ever named him.
    pub user: Option<UserRow>,
    /// Devices, by id.
    pub devices: Vec<DeviceRow>,
    /// Whom he blocks, by id.
    pub blocks: Vec<BlockRow>,
    /// Rooms he was told of, by uuid.
    pub rooms: Vec<UserRoomRow>,
    /// Read marks, by room.
    pub read_marks: Vec<ReadMarkRow>,
    /// Sources, by partition.
    pub sources: Vec<SourceRow>,
}

/// A line of a user's room list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomListRow {
    /// The room.
    pub chat: ChatRow,
    /// 0 member, 1 invited.
    pub state: u8,
    /// How far the user has read.
    pub read_seq: Seq,
    /// For members: the last number − max(number at the read mark, of the last own message, at the joining). For invited
    /// ones 0.
    pub unread: u64,
    /// The last message in its present form, if the history still has it and the user is a member.
    pub last_message: Option<MessageRow>,
}

/// Bytes of a line of a room list besides its texts, about: names, numbers, and what JSON writes around them.
pub const LINE_BYTES: usize = 512;

impl RoomListRow {
    /// Where a page that ends with this line is gone on from.
    #[must_use]
    pub fn cursor(&self) -> RoomListCursor {
        RoomListCursor { at: self.chat.activity(), room: self.chat.room }
    }

    /// Bytes of the line, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let message = self.last_message.as_ref().map_or(0, |row| {
            let message = &row.message;
            message.body.len() + message.metadata.len() + message.data.len()
        });
        LINE_BYTES + self.chat.title.len() + message
    }
}

/// A page of a user's room list.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RoomListPage {
    /// Its lines, the latest activity first.
    pub rows: Vec<RoomListRow>,
    /// Whether more lines follow.
    pub more: bool,
}

/// How much a page of a room list holds at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PageBound {
    /// Lines.
    pub rows: usize,
    /// Bytes of the lines, see [`RoomListRow::bytes`]; the first line comes in any case.
    pub bytes: usize,
}

impl PageBound {
    /// This many lines, however large.
    #[must_use]
    pub fn rows(rows: usize) -> Self {
        Self { rows, bytes: usize::MAX }
    }

    /// Whether a page with `rows` lines of `bytes` in all takes one more of `next` bytes.
    #[must_use]
    pub fn takes(self, rows: usize, bytes: usize, next: usize) -> bool {
        rows < self.rows && (rows == 0 || bytes.saturating_add(next) <= self.bytes)
    }
}

/// Where a page of a room list begins: after this line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RoomListCursor {
    /// [`ChatRow::activity`] of the line: the list goes from the latest to the earliest.
    pub at: Timestamp,
    /// Its room, which decides where the times are equal.
    pub room: RoomId,
}
