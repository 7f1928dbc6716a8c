//! The store in memory: for tests and the simulation. Nothing survives the process.
//!
//! [`Core`] holds the rows and is synchronous; [`MemoryStore`] puts the trait around it, with faults to order.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::commit::Commit;
use super::rows::{
    ChatRow, DeadLetterRow, ExpandedPage, MemberRow, MessageRow, OutboxPlace, OutboxRow, PageBound, Reactions,
    ReadMarkRow, RoomEventRow, RoomListCursor, RoomListPage, RoomListRow, RoomRows, Shelf, UserEventRow, UserRow,
    UserRows, WatermarkRow,
};
use super::{HistoryQuestion, HistoryRows, Invitations, SeqRange, Store, StoreError};
use crate::ids::{Partition, RoomId, Seq, Timestamp, UserId};

mod core;
mod messages;

pub(crate) use core::Core;

/// A [`Core`] behind the trait.
#[derive(Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    core: Core,
    down: bool,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on (`true`) every call is answered with [`StoreError::Unavailable`], until it is taken back.
    pub(crate) fn set_down(&self, down: bool) {
        self.lock().down = down;
    }

    /// The rows as they are now.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn snapshot(&self) -> Core {
        self.lock().core.clone()
    }

    /// Falls back to an earlier moment, as after a crash or from a backup.
    #[cfg(test)]
    pub(crate) fn restore(&self, core: Core) {
        self.lock().core = core;
    }

    /// Nothing here leaves the rows half changed, so a panic elsewhere does not poison them.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn core<T>(&self, act: impl FnOnce(&mut Core) -> T) -> Result<T, StoreError> {
        let mut inner = self.lock();
        if inner.down {
            return Err(StoreError::Unavailable("switched off".to_owned()));
        }
        Ok(act(&mut inner.core))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn watermarks(&self) -> Result<Vec<WatermarkRow>, StoreError> {
        self.core(|core| core.watermarks())
    }

    async fn commit(&self, commit: Commit) -> Result<(), StoreError> {
        self.core(|core| core.commit(commit))?
    }

    async fn room(&self, room: RoomId) -> Result<RoomRows, StoreError> {
        self.core(|core| core.room(room))
    }

    async fn user_snapshots(&self, users: &[UserId]) -> Result<Vec<UserRows>, StoreError> {
        self.core(|core| users.iter().map(|user| core.user(user)).collect())
    }

    async fn chat(&self, room: RoomId) -> Result<Option<ChatRow>, StoreError> {
        self.core(|core| core.chat(room))
    }

    async fn rooms(&self, after: Option<RoomId>, limit: usize) -> Result<Vec<ChatRow>, StoreError> {
        self.core(|core| core.rooms(after, limit))
    }

    async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserRow>, StoreError> {
        self.core(|core| core.users(after, limit))
    }

    async fn member(&self, room: RoomId, user: &UserId) -> Result<Option<MemberRow>, StoreError> {
        self.core(|core| core.member(room, user))
    }

    async fn events(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<RoomEventRow>, StoreError> {
        self.core(|core| core.events(room, range, limit))
    }

    async fn messages(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
        self.core(|core| core.messages(room, range, limit))
    }

    async fn history(&self, question: HistoryQuestion<'_>) -> Result<Option<HistoryRows>, StoreError> {
        self.core(|core| core.history(question))
    }

    async fn reactions(&self, room: RoomId, range: SeqRange, user: &UserId) -> Result<Reactions, StoreError> {
        self.core(|core| core.reactions(room, range, user))
    }

    async fn user_events(&self, user: &UserId, range: SeqRange, limit: usize) -> Result<Vec<UserEventRow>, StoreError> {
        self.core(|core| core.user_events(user, range, limit))
    }

    async fn room_list(
        &self,
        user: &UserId,
        shelf: Shelf,
        after: Option<RoomListCursor>,
        bound: PageBound,
    ) -> Result<RoomListPage, StoreError> {
        self.core(|core| core.room_list(user, shelf, after, bound))
    }

    async fn room_line(&self, user: &UserId, room: RoomId) -> Result<Option<RoomListRow>, StoreError> {
        self.core(|core| core.room_line(user, room))
    }

    async fn members(&self, room: RoomId, after: Option<&UserId>, limit: usize) -> Result<Vec<MemberRow>, StoreError> {
        self.core(|core| core.members(room, after, limit))
    }

    async fn invitations(&self, which: Invitations<'_>, limit: usize) -> Result<Vec<MemberRow>, StoreError> {
        self.core(|core| core.invitations(which, limit))
    }

    async fn emoji_on(&self, room: RoomId, message: Seq, most: usize) -> Result<Vec<String>, StoreError> {
        self.core(|core| core.emoji_on(room, message, most))
    }

    async fn invitations_out(&self, by: &UserId, most: usize) -> Result<usize, StoreError> {
        self.core(|core| core.invitations(Invitations::of(by), most).len())
    }

    async fn pending_invitations(&self, by: &UserId, most: usize) -> Result<usize, StoreError> {
        self.core(|core| core.pending_invitations(by, most))
    }

    async fn read_marks(
        &self,
        room: RoomId,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<ReadMarkRow>, StoreError> {
        self.core(|core| core.read_marks(room, after, limit))
    }

    async fn expiring(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, RoomId)>,
        limit: usize,
    ) -> Result<Vec<(RoomId, Timestamp)>, StoreError> {
        self.core(|core| core.expiring(now, after, limit))
    }

    async fn relay_next(&self, from: OutboxPlace, limit: usize) -> Result<Vec<OutboxRow>, StoreError> {
        self.core(|core| core.relay_next(from, limit))
    }

    async fn relay_done(&self, delivered: &[OutboxPlace]) -> Result<(), StoreError> {
        self.core(|core| delivered.iter().for_each(|place| core.relay_done(*place)))
    }

    async fn relay_expand(&self, page: ExpandedPage) -> Result<bool, StoreError> {
        self.core(|core| core.relay_expand(page))
    }

    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetterRow>, StoreError> {
        self.core(|core| core.dead_letters(partition, limit))
    }

    async fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.core(|core| core.meta(key))
    }

    async fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.core(|core| core.set_meta(key, value))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.core(|_| ())
    }

    async fn backup_to(&self, _path: &Path) -> Result<Vec<WatermarkRow>, StoreError> {
        Err(StoreError::Incompatible("a store in memory is not backed up to a file".to_owned()))
    }

    async fn flush(&self) -> Result<Vec<WatermarkRow>, StoreError> {
        self.watermarks().await
    }

    async fn close(&self) {
        self.set_down(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::store::contract::Fixture;

    async fn fixture() -> Fixture {
        Fixture { store: std::sync::Arc::new(MemoryStore::new()), keep: Box::new(()) }
    }

    crate::store_contract!(fixture);
}
