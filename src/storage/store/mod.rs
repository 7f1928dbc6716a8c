//! The store: rows that answer what the journal can't answer quickly. All of them but the accounts are derived from the
//! journal and can be rebuilt from it.
//!
//! The store knows no room: it keeps plain rows, decides nothing and checks no permission. Its readers clamp to the
//! room's floor ([`rows::ChatRow::floor`]) and to what the asking user may see.
//!
//! # The contract
//!
//! Every implementation passes the one suite in `contract`. In words:
//!
//! 1. *One transaction, one guard (I6).* A [`Commit`] is written as a whole or not at all, and only if each partition in it
//!    still stands at the `from` of its move; else [`StoreError::Stale`] and nothing has changed. So two projectors of one
//!    partition are harmless: the slower one is refused.
//! 2. *One snapshot.* [`Store::room`] and [`Store::user_snapshots`] return rows and watermark of one moment.
//! 3. *Exactly what was written.* Ids, times, texts and bytes come back as they were; events come back as they happened
//!    also after edits, until a deletion takes their content away.
//! 4. *Regression is honest.* A store may fall back to an earlier moment (crash, restored backup), but rows and watermarks
//!    fall back together. The journal is the truth and brings the rest again.
//! 5. *Errors.* [`StoreError::Unavailable`] may be tried again and has changed nothing, or everything: the guard tells.
//!    The other errors do not go away by trying again.

use std::path::Path;

use async_trait::async_trait;

use crate::ids::{Offset, Partition, RoomId, Seq, Timestamp, UserId};

pub mod commit;
#[cfg(test)]
pub(crate) mod contract;
mod history;
pub mod memory;
pub mod rows;
pub mod sql;
mod weight;

pub use commit::Commit;
pub use history::{HistoryQuestion, HistoryRows};
use rows::{
    ChatRow, DeadLetterRow, ExpandedPage, MemberRow, MessageRow, OutboxPlace, OutboxRow, PageBound, Reactions,
    ReadMarkRow, RoomEventRow, RoomListCursor, RoomListPage, RoomListRow, RoomRows, Shelf, UserEventRow, UserRow,
    UserRows, WatermarkRow,
};

/// Durable rows. See the module for the contract.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The watermarks of all partitions, in order.
    ///
    /// # Errors
    /// See [`StoreError`]; so for each of the following.
    async fn watermarks(&self) -> Result<Vec<WatermarkRow>, StoreError>;

    /// Writes rows and watermarks together, or nothing.
    async fn commit(&self, commit: Commit) -> Result<(), StoreError>;

    /// All that a fold needs of a room, with the watermark of its partition at the same moment.
    async fn room(&self, room: RoomId) -> Result<RoomRows, StoreError>;

    /// All that folds need of these users, each named once, in their order: of each what was so at one moment, with the
    /// watermark of the user's partition at the same moment. Many cost little more than one.
    async fn user_snapshots(&self, users: &[UserId]) -> Result<Vec<UserRows>, StoreError>;

    /// The same of one user.
    async fn user(&self, user: &UserId) -> Result<UserRows, StoreError> {
        let found = self.user_snapshots(std::slice::from_ref(user)).await?;
        found.into_iter().next().ok_or_else(|| StoreError::Damaged(format!("nothing is said of {user}")))
    }

    /// A room's row.
    async fn chat(&self, room: RoomId) -> Result<Option<ChatRow>, StoreError>;

    /// All rooms by id, after `after`, at most `limit`; for operators.
    async fn rooms(&self, after: Option<RoomId>, limit: usize) -> Result<Vec<ChatRow>, StoreError>;

    /// All users that the journal ever named by id, after `after`, at most `limit`; for operators.
    async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserRow>, StoreError>;

    /// A user's place in a room.
    async fn member(&self, room: RoomId, user: &UserId) -> Result<Option<MemberRow>, StoreError>;

    /// Events of a room inside `range`, at most `limit`.
    async fn events(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<RoomEventRow>, StoreError>;

    /// Messages of a room in their present form inside `range`, at most `limit`; deleted ones have no content.
    async fn messages(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<MessageRow>, StoreError>;

    /// A page of a room's history, all of it of one moment. `None` if there is no such room at that moment.
    async fn history(&self, question: HistoryQuestion<'_>) -> Result<Option<HistoryRows>, StoreError>;

    /// The reactions to the messages inside `range`, as `user` sees them. Bounds of rows and bytes do not count.
    async fn reactions(&self, room: RoomId, range: SeqRange, user: &UserId) -> Result<Reactions, StoreError>;

    /// Events of a personal stream inside `range`, at most `limit`.
    async fn user_events(&self, user: &UserId, range: SeqRange, limit: usize) -> Result<Vec<UserEventRow>, StoreError>;

    /// The rooms that the user is a member of or invited to and that live, or those that are over, the latest activity
    /// first, after `after`. What a page costs does not depend on how many there are.
    async fn room_list(
        &self,
        user: &UserId,
        shelf: Shelf,
        after: Option<RoomListCursor>,
        bound: PageBound,
    ) -> Result<RoomListPage, StoreError>;

    /// The user's line of one room, if the user is a member or invited, on whichever list it is.
    async fn room_line(&self, user: &UserId, room: RoomId) -> Result<Option<RoomListRow>, StoreError>;

    /// Members, invited and kicked of a room by user id, after `after`, at most `limit`.
    async fn members(&self, room: RoomId, after: Option<&UserId>, limit: usize) -> Result<Vec<MemberRow>, StoreError>;

    /// Invitations that are not answered, by room and user, at most `limit`.
    async fn invitations(&self, which: Invitations<'_>, limit: usize) -> Result<Vec<MemberRow>, StoreError>;

    /// The different emoji on a message, at most `most`. Costs a look for each of them, however many users put it there.
    async fn emoji_on(&self, room: RoomId, message: Seq, most: usize) -> Result<Vec<String>, StoreError>;

    /// How many unanswered invitations a user has made, those into rooms that are over too; at most `most`. Reads an index
    /// and no row.
    async fn invitations_out(&self, by: &UserId, most: usize) -> Result<usize, StoreError>;

    /// How many unanswered invitations into rooms that live a user has made; `most` also if there are so many of any kind:
    /// no more are looked at.
    async fn pending_invitations(&self, by: &UserId, most: usize) -> Result<usize, StoreError>;

    /// Read marks in a room by user id, after `after`, at most `limit`.
    async fn read_marks(
        &self,
        room: RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<ReadMarkRow>, StoreError>;

    /// Active rooms whose time is over at `now`, the longest overdue first (of several the lower id), after `after`, at
    /// most `limit`.
    async fn expiring(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, RoomId)>,
        limit: usize,
    ) -> Result<Vec<(RoomId, Timestamp)>, StoreError>;

    /// Rows of the outbox in their order, from the place `from` on, at most `limit`.
    async fn relay_next(&self, from: OutboxPlace, limit: usize) -> Result<Vec<OutboxRow>, StoreError>;

    /// Removes the rows at these places, which were delivered. Those that are not there are passed over.
    async fn relay_done(&self, delivered: &[OutboxPlace]) -> Result<(), StoreError>;

    /// Gives a page of the members of a fan-out rows of their own, behind all rows of the same record. `false`, and nothing is
    /// written, if the fan-out is not where the page begins any more: somebody else gave it. One transaction.
    async fn relay_expand(&self, page: ExpandedPage) -> Result<bool, StoreError>;

    /// The dead letters of a partition, the oldest first, at most `limit`.
    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetterRow>, StoreError>;

    /// A note that belongs to the store as a whole, like the id of the journal that it is made from.
    async fn meta(&self, key: &str) -> Result<Option<String>, StoreError>;

    /// Writes such a note.
    async fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError>;

    /// Whether the store answers and takes rows.
    async fn health(&self) -> Result<(), StoreError>;

    /// Writes a consistent copy to `path` (which must not exist) while the store is in use, flushed to disk. Returns the
    /// watermarks of the copy: the journal may be trimmed behind them once the copy is safe (I7). A store that lies in a
    /// server of its own writes no file.
    async fn backup_to(&self, path: &Path) -> Result<Vec<WatermarkRow>, StoreError>;

    /// Makes what was committed durable, against a power cut, too. Returns watermarks that are.
    async fn flush(&self) -> Result<Vec<WatermarkRow>, StoreError>;

    /// Flushes and closes. Later calls are refused.
    async fn close(&self);
}

/// Which unanswered invitations of a user are meant.
#[derive(Clone, Copy, Debug)]
pub struct Invitations<'a> {
    /// Who made them.
    pub by: &'a UserId,
    /// Into this room only.
    pub room: Option<RoomId>,
    /// Of this user only.
    pub user: Option<&'a UserId>,
}

impl<'a> Invitations<'a> {
    /// All that this user made.
    #[must_use]
    pub(crate) fn of(by: &'a UserId) -> Self {
        Self { by, room: None, user: None }
    }
}

/// A stretch of a stream, both ends included, or the first part of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeqRange {
    /// The lowest seq.
    pub from: Seq,
    /// The highest seq.
    pub to: Seq,
    /// From the highest to the lowest.
    pub(crate) reverse: bool,
    /// Bytes of content that are wanted: the row with which they are reached is the last one.
    pub bytes: usize,
}

impl SeqRange {
    /// `from..=to`, upwards.
    #[must_use]
    pub(crate) fn new(from: Seq, to: Seq) -> Self {
        Self { from, to, reverse: false, bytes: usize::MAX }
    }

    /// All seqs, upwards.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn all() -> Self {
        Self::new(Seq::ZERO, Seq(i64::MAX as u64))
    }

    /// Its first part, of so many bytes.
    #[must_use]
    pub(crate) fn within(self, bytes: usize) -> Self {
        Self { bytes, ..self }
    }

    /// The first of `rows` up to the one with which `bytes` are reached.
    pub(crate) fn cut<T>(
        &self,
        rows: impl Iterator<Item = T>,
        weight: impl Fn(&T) -> usize,
    ) -> impl Iterator<Item = T> {
        let most = self.bytes;
        rows.scan(0usize, move |bytes, row| {
            let before = *bytes;
            *bytes = bytes.saturating_add(weight(&row));
            (before < most).then_some(row)
        })
    }

    /// The first of these rows, which are all that there are upwards, at most `limit`.
    pub(crate) fn first<T>(
        &self,
        rows: impl DoubleEndedIterator<Item = T>,
        limit: usize,
        weight: impl Fn(&T) -> usize,
    ) -> Vec<T> {
        if self.reverse {
            self.cut(rows.rev().take(limit), weight).collect()
        } else {
            self.cut(rows.take(limit), weight).collect()
        }
    }

    /// The same stretch from its end.
    #[must_use]
    pub(crate) fn reversed(self) -> Self {
        Self { reverse: true, ..self }
    }
}

/// Why the store did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody else moved the partition: read the watermark again and forget what was cached. Nothing was written.
    #[error("partition {partition} stands at offset {found}")]
    Stale {
        /// The partition.
        partition: Partition,
        /// Its `next_offset`.
        found: Offset,
    },
    /// Not now: busy, disk full, connection lost, closed. May be tried again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The rows are not what they must be: a broken file, or a row that contradicts another.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The schema is newer than this program, or the address names no store that it knows.
    #[error("the store does not fit this program: {0}")]
    Incompatible(String),
}

impl StoreError {
    /// Whether trying again may help.
    #[must_use]
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
