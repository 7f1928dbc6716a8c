//! The rows of the memory store and what is done with them, synchronously, so that the simulation can drive them on one
//! thread. Ordered maps only: the same calls give the same answers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use crate::ids::{DeviceId, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::storage::store::commit::{BlockChange, Commit, DeviceChange, MemberChange, UserRoomChange};
use crate::storage::store::rows::{
    ACTIVE, BlockRow, ChatRow, DeadLetterRow, DeviceRow, EVENT_MESSAGE, INVITED, MEMBER, MemberRow, MessageRow,
    OutboxPlace, OutboxRow, PageBound, ReactionRow, ReadMarkRow, RoomEventRow, RoomListCursor, RoomListPage,
    RoomListRow, RoomRows, Shelf, SourceRow, UserEventRow, UserRoomRow, UserRow, UserRows, WatermarkRow, WindowRow,
};
use crate::storage::store::{Invitations, SeqRange, StoreError};

mod relay;

/// All rows. `Clone` is a backup; equality compares stores row by row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Core {
    watermarks: BTreeMap<Partition, WatermarkRow>,
    pub(super) chats: BTreeMap<RoomId, ChatRow>,
    members: BTreeMap<(RoomId, UserId), MemberRow>,
    pub(super) events: BTreeMap<(RoomId, Seq), RoomEventRow>,
    /// What edits made of messages: (body, metadata, when). The events keep what was said first.
    pub(super) edited: BTreeMap<(RoomId, Seq), (String, String, Timestamp)>,
    pub(super) reactions: BTreeSet<ReactionRow>,
    room_blocks: BTreeSet<(RoomId, UserId)>,
    room_sources: BTreeMap<(RoomId, Partition), Offset>,
    room_decisions: BTreeMap<RoomId, Bytes>,
    users: BTreeMap<UserId, UserRow>,
    user_events: BTreeMap<(UserId, Seq), UserEventRow>,
    user_rooms: BTreeMap<(UserId, RoomId), UserRoomRow>,
    read_marks: BTreeMap<(UserId, RoomId), MarkRow>,
    blocks: BTreeMap<(UserId, UserId), BlockRow>,
    devices: BTreeMap<(UserId, DeviceId), DeviceRow>,
    user_sources: BTreeMap<(UserId, Partition), Offset>,
    outbox: BTreeMap<OutboxPlace, OutboxRow>,
    dead_letters: BTreeMap<(Partition, Offset), DeadLetterRow>,
    meta: BTreeMap<String, String>,
}

/// A read mark: what is shown, and what the fold knows.
#[derive(Clone, PartialEq, Eq, Debug)]
struct MarkRow {
    shown: ReadMarkRow,
    folded: Option<(Seq, MessageNo)>,
}

impl Default for Core {
    fn default() -> Self {
        Self {
            watermarks: Partition::all().map(|p| (p, WatermarkRow::start(p))).collect(),
            chats: BTreeMap::new(),
            members: BTreeMap::new(),
            events: BTreeMap::new(),
            edited: BTreeMap::new(),
            reactions: BTreeSet::new(),
            room_blocks: BTreeSet::new(),
            room_sources: BTreeMap::new(),
            room_decisions: BTreeMap::new(),
            users: BTreeMap::new(),
            user_events: BTreeMap::new(),
            user_rooms: BTreeMap::new(),
            read_marks: BTreeMap::new(),
            blocks: BTreeMap::new(),
            devices: BTreeMap::new(),
            user_sources: BTreeMap::new(),
            outbox: BTreeMap::new(),
            dead_letters: BTreeMap::new(),
            meta: BTreeMap::new(),
        }
    }
}

/// The lowest room id: where the entries of one user begin.
const FIRST_ROOM: RoomId = RoomId(uuid::Uuid::nil());
/// The lowest partition: where the sources of one room or user begin.
const FIRST: Partition = Partition::FIRST;

impl Core {
    /// See [`crate::storage::store::Store::watermarks`]; so for the others.
    #[must_use]
    pub(crate) fn watermarks(&self) -> Vec<WatermarkRow> {
        self.watermarks.values().copied().collect()
    }

    /// The watermark of one partition.
    #[must_use]
    pub(crate) fn watermark(&self, partition: Partition) -> WatermarkRow {
        self.watermarks.get(&partition).copied().unwrap_or(WatermarkRow::start(partition))
    }

    /// Writes all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError::Stale`]; [`StoreError::Damaged`] if an event is there already.
    pub(crate) fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        for m in &commit.watermarks {
            let found = self.watermark(m.to.partition).next_offset;
            if found != m.from {
                return Err(StoreError::Stale { partition: m.to.partition, found });
            }
        }
        for row in &commit.room_events {
            if (row.kind == EVENT_MESSAGE) != row.message.is_some() {
                return Err(StoreError::Damaged("content goes with messages, and only with them".to_owned()));
            }
            if self.events.contains_key(&(row.room, row.seq)) {
                return Err(StoreError::Damaged(format!("room_events has seq {} already", row.seq)));
            }
        }
        if commit.user_events.iter().any(|row| self.user_events.contains_key(&(row.user.clone(), row.seq))) {
            return Err(StoreError::Damaged("user_events has the seq already".to_owned()));
        }
        self.apply(commit);
        Ok(())
    }

    /// Writes without the guard: beside [`Self::commit`] for tests alone, that need rows which no projector writes.
    pub(crate) fn apply(&mut self, commit: Commit) {
        self.watermarks.extend(commit.watermarks.into_iter().map(|m| (m.to.partition, m.to)));
        for mut row in commit.chats {
            if let Some(old) = self.chats.get(&row.room) {
                row.created_at = old.created_at;
            }
            self.chats.insert(row.room, row);
        }
        for change in commit.members {
            match change {
                MemberChange::Put(row) => _ = self.members.insert((row.room, row.user.clone()), row),
                MemberChange::Remove(room, user) => _ = self.members.remove(&(room, user)),
            }
        }
        for (room, user, no) in commit.sent {
            if let Some(row) = self.members.get_mut(&(room, user)) {
                row.sent_no = no;
            }
        }
        self.events.extend(commit.room_events.into_iter().map(|row| ((row.room, row.seq), row)));
        for edit in commit.edits {
            let key = (edit.room, edit.seq);
            let Some(message) = self.events.get(&key).and_then(|row| row.message.as_ref()) else { continue };
            if !message.deleted {
                let before = self.edited.get(&key).map_or(&message.metadata, |(_, metadata, _)| metadata).clone();
                self.edited.insert(key, (edit.body, edit.metadata.unwrap_or(before), edit.at));
            }
        }
        self.apply_reactions(commit.reactions);
        for (room, seq) in commit.redactions {
            self.redact(room, seq);
        }
        for (room, floor) in commit.trims {
            self.events.retain(|(r, seq), _| *r != room || *seq >= floor);
            self.edited.retain(|(r, seq), _| *r != room || *seq >= floor);
            self.reactions.retain(|row| row.room != room || row.seq >= floor);
        }
        for (room, user, blocked) in commit.room_blocks {
            match blocked {
                true => _ = self.room_blocks.insert((room, user)),
                false => _ = self.room_blocks.remove(&(room, user)),
            }
        }
        self.room_sources.extend(commit.room_sources.into_iter().map(|(room, p, offset)| ((room, p), offset)));
        self.room_decisions.extend(commit.room_decisions);
        for mut row in commit.users {
            if let Some(old) = self.users.get(&row.user) {
                row.created_at = old.created_at;
            }
            self.users.insert(row.user.clone(), row);
        }
        self.apply_user_parts(commit.user_rooms, commit.blocks, commit.devices);
        self.user_events.extend(commit.user_events.into_iter().map(|row| ((row.user.clone(), row.seq), row)));
        for row in commit.past_marks {
            self.apply_mark(row, false);
        }
        for row in commit.read_marks {
            self.apply_mark(row, true);
        }
        self.user_sources.extend(commit.user_sources.into_iter().map(|(user, p, offset)| ((user, p), offset)));
        self.outbox.extend(commit.outbox.into_iter().map(|row| (row.place(), row)));
        for row in commit.dead_letters {
            let partition = row.partition;
            self.dead_letters.insert((partition, row.offset), row);
            let of_it = (partition, Offset::ZERO)..=(partition, Offset(u64::MAX));
            if self.dead_letters.range(of_it.clone()).count() > limits::DEAD_LETTERS
                && let Some(first) = self.dead_letters.range(of_it).next().map(|(key, _)| *key)
            {
                self.dead_letters.remove(&first);
            }
        }
    }

    fn apply_user_parts(&mut self, rooms: Vec<UserRoomChange>, blocks: Vec<BlockChange>, devices: Vec<DeviceChange>) {
        for change in rooms {
            match change {
                UserRoomChange::Put(row) => _ = self.user_rooms.insert((row.user.clone(), row.room), row),
                UserRoomChange::Remove(user, room) => _ = self.user_rooms.remove(&(user, room)),
            }
        }
        for change in blocks {
            match change {
                BlockChange::Put(row) => _ = self.blocks.insert((row.user.clone(), row.blocked.clone()), row),
                BlockChange::Remove(user, blocked) => _ = self.blocks.remove(&(user, blocked)),
            }
        }
        for change in devices {
            match change {
                DeviceChange::Put(row) => _ = self.devices.insert((row.user.clone(), row.device.clone()), row),
                DeviceChange::Remove(user, device) => _ = self.devices.remove(&(user, device)),
            }
        }
    }

    fn apply_mark(&mut self, row: ReadMarkRow, known: bool) {
        let folded = known.then_some((row.seq, row.no));
        let key = (row.user.clone(), row.room);
        if let Some(mark) = self.read_marks.get_mut(&key) {
            mark.shown.seq = mark.shown.seq.max(row.seq);
            mark.shown.no = mark.shown.no.max(row.no);
            mark.folded = folded;
        } else if known || row.seq > Seq::ZERO {
            self.read_marks.insert(key, MarkRow { shown: row, folded });
        }
    }

    /// A room with all that a fold needs.
    #[must_use]
    pub(crate) fn room(&self, room: RoomId) -> RoomRows {
        let watermark = self.watermark(room.partition());
        let chat = self.chats.get(&room).cloned();
        let from = chat.as_ref().map_or(Seq(u64::MAX), |chat| chat.window);
        let recent = self.events.range((room, from)..=(room, Seq(u64::MAX))).map(|(_, row)| row);
        RoomRows {
            watermark,
            members: self.members_after(room, None).cloned().collect(),
            blocks: self.room_blocks.iter().filter(|(of, _)| *of == room).map(|(_, user)| user.clone()).collect(),
            window: recent.map(WindowRow::of).collect(),
            sources: sources(self.room_sources.range((room, FIRST)..).take_while(|((of, _), _)| *of == room)),
            decisions: self.room_decisions.get(&room).cloned().unwrap_or_default(),
            chat,
        }
    }

    /// A user with all that a fold needs.
    #[must_use]
    pub(crate) fn user(&self, user: &UserId) -> UserRows {
        let first = || (user.clone(), FIRST_ROOM);
        UserRows {
            watermark: self.watermark(user.partition()),
            user: self.users.get(user).cloned(),
            devices: self.devices.values().filter(|row| row.user == *user).cloned().collect(),
            blocks: self.blocks.values().filter(|row| row.user == *user).cloned().collect(),
            rooms: self.user_rooms.range(first()..).map_while(|(_, r)| (r.user == *user).then(|| r.clone())).collect(),
            read_marks: self
                .read_marks
                .range(first()..)
                .take_while(|((of, _), _)| of == user)
                .filter_map(|((_, room), mark)| mark.folded.map(|(seq, no)| (*room, seq, no)))
                .map(|(room, seq, no)| ReadMarkRow { user: user.clone(), room, seq, no })
                .collect(),
            sources: sources(self.user_sources.range((user.clone(), FIRST)..).take_while(|((of, _), _)| of == user)),
        }
    }

    /// A room's row.
    #[must_use]
    pub(crate) fn chat(&self, room: RoomId) -> Option<ChatRow> {
        self.chats.get(&room).cloned()
    }

    /// All rooms.
    #[must_use]
    pub(crate) fn rooms(&self, after: Option<RoomId>, limit: usize) -> Vec<ChatRow> {
        let after = Bound::Excluded(after.unwrap_or(FIRST_ROOM));
        self.chats.range((after, Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect()
    }

    /// The row that an account has before the journal says anything of its user.
    #[cfg(test)]
    pub(crate) fn register(&mut self, user: UserId) {
        self.users.entry(user.clone()).or_insert_with(|| UserRow::unsaid(user));
    }

    /// All users.
    #[must_use]
    pub(crate) fn users(&self, after: Option<&UserId>, limit: usize) -> Vec<UserRow> {
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.users.range::<UserId, _>((after, Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect()
    }

    /// A user's place in a room.
    #[must_use]
    pub(crate) fn member(&self, room: RoomId, user: &UserId) -> Option<MemberRow> {
        self.members.get(&(room, user.clone())).cloned()
    }

    /// Events of a room.
    #[must_use]
    pub(crate) fn events(&self, room: RoomId, range: SeqRange, limit: usize) -> Vec<RoomEventRow> {
        if range.from > range.to {
            return Vec::new();
        }
        let found = self.events.range((room, range.from)..=(room, range.to)).map(|(_, row)| row.clone());
        range.first(found, limit, RoomEventRow::bytes)
    }

    /// Messages of a room in their present form.
    #[must_use]
    pub(crate) fn messages(&self, room: RoomId, range: SeqRange, limit: usize) -> Vec<MessageRow> {
        if range.from > range.to {
            return Vec::new();
        }
        let found = self.events.range((room, range.from)..=(room, range.to)).filter_map(|(_, row)| self.present(row));
        range.first(found, limit, MessageRow::bytes)
    }

    fn present(&self, row: &RoomEventRow) -> Option<MessageRow> {
        let mut message = row.message.clone()?;
        let mut edited_at = None;
        if let Some((body, metadata, at)) = self.edited.get(&(row.room, row.seq)) {
            message.body.clone_from(body);
            message.metadata.clone_from(metadata);
            edited_at = Some(*at);
        }
        Some(MessageRow {
            room: row.room,
            seq: row.seq,
            id: row.id,
            sender: row.actor.clone(),
            client_id: row.client_id.clone(),
            message,
            created_at: row.at,
            edited_at,
        })
    }

    /// Events of a personal stream.
    #[must_use]
    pub(crate) fn user_events(&self, user: &UserId, range: SeqRange, limit: usize) -> Vec<UserEventRow> {
        if range.from > range.to {
            return Vec::new();
        }
        let found =
            self.user_events.range((user.clone(), range.from)..=(user.clone(), range.to)).map(|(_, row)| row.clone());
        if range.reverse { found.rev().take(limit).collect() } else { found.take(limit).collect() }
    }

    /// A page of a user's room list.
    #[must_use]
    pub(crate) fn room_list(
        &self,
        user: &UserId,
        shelf: Shelf,
        after: Option<RoomListCursor>,
        bound: PageBound,
    ) -> RoomListPage {
        let mine =
            self.members.values().filter(|row| row.user == *user && (row.state == MEMBER || row.state == INVITED));
        let key = |chat: &ChatRow| RoomListCursor { at: chat.activity(), room: chat.room };
        let mut lines: Vec<_> = mine.filter_map(|row| Some((row, self.chats.get(&row.room)?))).collect();
        lines.retain(|(_, chat)| Shelf::of(chat.status) == shelf && after.is_none_or(|after| key(chat) < after));
        lines.sort_by_key(|(_, chat)| Reverse(key(chat)));
        let (mut page, mut bytes) = (RoomListPage::default(), 0);
        for row in lines.into_iter().map(|(member, chat)| self.list_row(member, chat)) {
            if !bound.takes(page.rows.len(), bytes, row.bytes()) {
                page.more = true;
                break;
            }
            bytes += row.bytes();
            page.rows.push(row);
        }
        page
    }

    /// A user's line of one room.
    #[must_use]
    pub(crate) fn room_line(&self, user: &UserId, room: RoomId) -> Option<RoomListRow> {
        let member = self.member(room, user).filter(|row| row.state == MEMBER || row.state == INVITED)?;
        Some(self.list_row(&member, self.chats.get(&room)?))
    }

    fn list_row(&self, member: &MemberRow, chat: &ChatRow) -> RoomListRow {
        let mark = self.read_marks.get(&(member.user.clone(), chat.room)).map(|mark| &mark.shown);
        let (read_seq, read_no) = mark.map_or((Seq::ZERO, MessageNo::ZERO), |mark| (mark.seq, mark.no));
        let is_member = member.state == MEMBER;
        let events = self.events.range((chat.room, chat.floor)..=(chat.room, Seq(u64::MAX)));
        RoomListRow {
            chat: chat.clone(),
            state: member.state,
            read_seq,
            unread: if is_member {
                chat.last_no.0.saturating_sub(read_no.max(member.sent_no).max(member.joined_no).0)
            } else {
                0
            },
            last_message: if is_member { events.rev().find_map(|(_, row)| self.present(row)) } else { None },
        }
    }

    fn members_after(&self, room: RoomId, after: Option<&UserId>) -> impl Iterator<Item = &MemberRow> {
        let from = after.map(|user| (room, user.clone()));
        let rows = self.members.range((from.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded));
        rows.map(|(_, row)| row).skip_while(move |row| row.room < room).take_while(move |row| row.room == room)
    }

    /// Members, invited and kicked of a room.
    #[must_use]
    pub(crate) fn members(&self, room: RoomId, after: Option<&UserId>, limit: usize) -> Vec<MemberRow> {
        self.members_after(room, after).take(limit).cloned().collect()
    }

    /// Invitations that are not answered.
    #[must_use]
    pub(crate) fn invitations(&self, which: Invitations<'_>, limit: usize) -> Vec<MemberRow> {
        let Invitations { by, room, user } = which;
        let rows = self.members.values().filter(|row| row.state == INVITED && row.invited_by.as_ref() == Some(by));
        let rows = rows.filter(|row| room.is_none_or(|room| row.room == room));
        rows.filter(|row| user.is_none_or(|user| row.user == *user)).take(limit).cloned().collect()
    }

    /// How many of them are into rooms that live.
    #[must_use]
    pub(crate) fn pending_invitations(&self, by: &UserId, most: usize) -> usize {
        let rows = self.invitations(Invitations::of(by), most);
        let lives = |row: &&MemberRow| self.chats.get(&row.room).is_some_and(|chat| chat.status == ACTIVE);
        if rows.len() == most { most } else { rows.iter().filter(lives).count() }
    }

    /// Read marks in a room.
    #[must_use]
    pub(crate) fn read_marks(&self, room: RoomId, after: Option<&UserId>, limit: usize) -> Vec<ReadMarkRow> {
        let rows = self.read_marks.values().map(|mark| &mark.shown);
        let rows = rows.filter(|row| row.room == room && after.is_none_or(|after| row.user > *after));
        rows.take(limit).cloned().collect()
    }

    /// Rooms whose time is over.
    #[must_use]
    pub(crate) fn expiring(
        &self,
        now: Timestamp,
        after: Option<(Timestamp, RoomId)>,
        limit: usize,
    ) -> Vec<(RoomId, Timestamp)> {
        let active = self.chats.values().filter(|chat| chat.status == ACTIVE);
        let mut over: Vec<_> = active.filter_map(|c| Some((c.room, c.expires_at.filter(|at| *at <= now)?))).collect();
        over.retain(|(room, at)| after.is_none_or(|after| (*at, *room) > after));
        over.sort_by_key(|(room, at)| (*at, *room));
        over.truncate(limit);
        over
    }

    /// The dead letters of a partition.
    #[must_use]
    pub(crate) fn dead_letters(&self, partition: Partition, limit: usize) -> Vec<DeadLetterRow> {
        self.dead_letters.values().filter(|row| row.partition == partition).take(limit).cloned().collect()
    }

    /// A note.
    #[must_use]
    pub(crate) fn meta(&self, key: &str) -> Option<String> {
        self.meta.get(key).cloned()
    }

    /// Writes a note.
    pub(crate) fn set_meta(&mut self, key: &str, value: &str) {
        self.meta.insert(key.to_owned(), value.to_owned());
    }
}

fn sources<'a, K: 'a>(rows: impl Iterator<Item = (&'a (K, Partition), &'a Offset)>) -> Vec<SourceRow> {
    rows.map(|((_, partition), offset)| SourceRow { partition: *partition, offset: *offset }).collect()
}
