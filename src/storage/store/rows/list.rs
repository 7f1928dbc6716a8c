//! A user's list of rooms: its lines, its pages, and where a page begins.

use super::{ChatRow, MessageRow};
use crate::ids::{RoomId, Seq, Timestamp};

/// The value of [`ChatRow::status`] of a room that is neither ended nor expired.
pub(crate) const ACTIVE: u8 = 0;

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

/// A line of a user's room list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomListRow {
    /// The room.
    pub chat: ChatRow,
    /// 0 member, 1 invited.
    pub state: u8,
    /// How far the user has read.
    pub(crate) read_seq: Seq,
    /// For members: the last number − max(number at the read mark, of the last own message, at the joining). For invited
    /// ones 0.
    pub unread: u64,
    /// The last message in its present form, if the history still has it and the user is a member.
    pub(crate) last_message: Option<MessageRow>,
}

/// Bytes of a line of a room list besides its texts, about: names, numbers, and what JSON writes around them.
pub(crate) const LINE_BYTES: usize = 512;

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
