//! A store with a gate: commits can be held back, and all of it can be down.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tokio::sync::{RwLock, watch};

use crate::ids::{Partition, RoomId, Seq, Timestamp, UserId};
use crate::storage::store::rows::{
    ChatRow, DeadLetterRow, ExpandedPage, MemberRow, MessageRow, OutboxPlace, OutboxRow, PageBound, Reactions,
    ReadMarkRow, RoomEventRow, RoomListCursor, RoomListPage, RoomListRow, RoomRows, Shelf, UserEventRow, UserRow,
    UserRows, WatermarkRow,
};
use crate::storage::store::{Commit, HistoryQuestion, HistoryRows, Invitations, SeqRange, Store, StoreError};

type Result<T> = std::result::Result<T, StoreError>;

pub(crate) struct Gated {
    inner: Arc<dyn Store>,
    open: watch::Sender<bool>,
    /// Read while a commit is under way.
    passing: RwLock<()>,
    down: AtomicBool,
}

impl Gated {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, open: watch::Sender::new(true), passing: RwLock::default(), down: AtomicBool::new(false) }
    }

    /// Lets commits through, or holds them back.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Holds commits back, and waits for those under way.
    pub(crate) async fn shut(&self) {
        self.set_open(false);
        drop(self.passing.write().await);
    }

    /// Whether everything fails.
    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    fn inner(&self) -> Result<&Arc<dyn Store>> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("down".to_owned())),
            false => Ok(&self.inner),
        }
    }
}

#[async_trait]
impl Store for Gated {
    async fn commit(&self, commit: Commit) -> Result<()> {
        let mut open = self.open.subscribe();
        loop {
            open.wait_for(|open| *open).await.expect("the gate lives as long as the store");
            let _passing = self.passing.read().await;
            if *open.borrow() {
                return self.inner()?.commit(commit).await;
            }
        }
    }

    async fn watermarks(&self) -> Result<Vec<WatermarkRow>> {
        self.inner()?.watermarks().await
    }

    async fn room(&self, room: RoomId) -> Result<RoomRows> {
        self.inner()?.room(room).await
    }

    async fn user_snapshots(&self, users: &[UserId]) -> Result<Vec<UserRows>> {
        self.inner()?.user_snapshots(users).await
    }

    async fn chat(&self, room: RoomId) -> Result<Option<ChatRow>> {
        self.inner()?.chat(room).await
    }

    async fn rooms(&self, after: Option<RoomId>, limit: usize) -> Result<Vec<ChatRow>> {
        self.inner()?.rooms(after, limit).await
    }

    async fn users(&self, after: Option<&UserId>, limit: usize) -> Result<Vec<UserRow>> {
        self.inner()?.users(after, limit).await
    }

    async fn member(&self, room: RoomId, user: &UserId) -> Result<Option<MemberRow>> {
        self.inner()?.member(room, user).await
    }

    async fn events(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<RoomEventRow>> {
        self.inner()?.events(room, range, limit).await
    }

    async fn messages(&self, room: RoomId, range: SeqRange, limit: usize) -> Result<Vec<MessageRow>> {
        self.inner()?.messages(room, range, limit).await
    }

    async fn history(&self, question: HistoryQuestion<'_>) -> Result<Option<HistoryRows>> {
        self.inner()?.history(question).await
    }

    async fn reactions(&self, room: RoomId, range: SeqRange, user: &UserId) -> Result<Reactions> {
        self.inner()?.reactions(room, range, user).await
    }

    async fn user_events(&self, user: &UserId, range: SeqRange, limit: usize) -> Result<Vec<UserEventRow>> {
        self.inner()?.user_events(user, range, limit).await
    }

    async fn room_list(
        &self,
        user: &UserId,
        shelf: Shelf,
        after: Option<RoomListCursor>,
        bound: PageBound,
    ) -> Result<RoomListPage> {
        self.inner()?.room_list(user, shelf, after, bound).await
    }

    async fn room_line(&self, user: &UserId, room: RoomId) -> Result<Option<RoomListRow>> {
        self.inner()?.room_line(user, room).await
    }

    async fn members(&self, room: RoomId, after: Option<&UserId>, limit: usize) -> Result<Vec<MemberRow>> {
        self.inner()?.members(room, after, limit).await
    }

    async fn invitations(&self, which: Invitations<'_>, limit: usize) -> Result<Vec<MemberRow>> {
        self.inner()?.invitations(which, limit).await
    }

    async fn emoji_on(&self, room: RoomId, message: Seq, most: usize) -> Result<Vec<String>> {
        self.inner()?.emoji_on(room, message, most).await
    }

    async fn invitations_out(&self, by: &UserId, most: usize) -> Result<usize> {
        self.inner()?.invitations_out(by, most).await
    }

    async fn pending_invitations(&self, by: &UserId, most: usize) -> Result<usize> {
        self.inner()?.pending_invitations(by, most).await
    }

    async fn read_marks(&self, room: RoomId, after: Option<&UserId>, limit: usize) -> Result<Vec<ReadMarkRow>> {
        self.inner()?.read_marks(room, after, limit).await
    }

    async fn expiring(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, RoomId)>,
        limit: usize,
    ) -> Result<Vec<(RoomId, Timestamp)>> {
        self.inner()?.expiring(now, after, limit).await
    }

    async fn relay_next(&self, from: OutboxPlace, limit: usize) -> Result<Vec<OutboxRow>> {
        self.inner()?.relay_next(from, limit).await
    }

    async fn relay_done(&self, delivered: &[OutboxPlace]) -> Result<()> {
        self.inner()?.relay_done(delivered).await
    }

    async fn relay_expand(&self, page: ExpandedPage) -> Result<bool> {
        self.inner()?.relay_expand(page).await
    }

    async fn dead_letters(&self, partition: Partition, limit: usize) -> Result<Vec<DeadLetterRow>> {
        self.inner()?.dead_letters(partition, limit).await
    }

    async fn meta(&self, key: &str) -> Result<Option<String>> {
        self.inner()?.meta(key).await
    }

    async fn set_meta(&self, key: &str, value: &str) -> Result<()> {
        self.inner()?.set_meta(key, value).await
    }

    async fn health(&self) -> Result<()> {
        self.inner()?.health().await
    }

    async fn backup_to(&self, path: &Path) -> Result<Vec<WatermarkRow>> {
        self.inner()?.backup_to(path).await
    }

    async fn flush(&self) -> Result<Vec<WatermarkRow>> {
        self.inner()?.flush().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
