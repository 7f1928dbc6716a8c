//! `room.list`: the caller's rooms from the store; from memory those that the caller wrote to and the store is behind with.

use std::cmp::Reverse;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::admission::Cost;
use super::request;
use super::view::{self, MessageView, RoomHead, RoomLine, RoomPage};
use super::{Caller, Error, Handlers, stored};
use crate::actors::wire::{MaySend, RoomKind, RoomStatus};
use crate::api::protocol::publication::{kind_name, may_send_name};
use crate::ids::{RoomId, Timestamp, UserId};
use crate::limits;
use crate::storage::store::rows::{
    ChatRow, LINE_BYTES, MEMBER, PageBound, RoomListCursor, RoomListPage, RoomListRow, Shelf,
};

/// Rooms in a page if the caller does not say.
const PAGE: usize = 50;

/// A page of chats.
#[derive(Deserialize, Debug, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct ChatsQuery {
    /// How many, 50 unless said otherwise.
    #[schema(minimum = 1, maximum = 300, required = false, nullable = false)]
    #[param(minimum = 1, maximum = 300, required = false, nullable = false)]
    pub(super) limit: Option<u64>,
    /// Where the last page ended.
    #[schema(required = false, nullable = false)]
    #[param(required = false, nullable = false)]
    pub(super) cursor: Option<String>,
    /// The chats that have ended or expired instead of those that live.
    #[serde(default)]
    #[schema(required = false)]
    #[param(required = false)]
    ended: bool,
}

impl Handlers {
    pub(in crate::api) async fn list(&self, caller: &Caller, input: ChatsQuery) -> Result<RoomPage, Error> {
        let limit = request::page(input.limit, PAGE, limits::HISTORY_PAGE)?;
        let after = input.cursor.as_deref().map(cursor).transpose()?;
        self.admit(caller, Cost::Question { rows: limit })?;
        let (stored_to, halted) = (self.node.stored(), self.node.halted());
        let behind = self.own.behind(&caller.user, stored_to, halted).await.map_err(|_| Error::unavailable())?;
        let shelf = if input.ended { Shelf::Over } else { Shelf::Live };
        let bound = PageBound { rows: limit, bytes: limits::ROOM_LIST_BYTES };
        let RoomListPage { rows, more } =
            stored(self.node.store().room_list(&caller.user, shelf, after, bound)).await?;
        if rows.iter().any(|row| self.own.is_cut(row.chat.room.partition(), stored_to, halted)) {
            return Err(Error::unavailable());
        }
        let (now, end) = (self.node.env().now(), rows.last().map(RoomListRow::cursor).filter(|_| more));
        let kept = rows.into_iter().filter(|row| !behind.contains(&row.chat.room));
        let mut lines = kept.map(|row| line(row, &caller.user, now)).collect::<Result<Vec<_>, _>>()?;
        for room in behind {
            let own = self.own_line(caller, room).await?.filter(|own| own.shelf == shelf);
            // Of this page: the pages before it and behind it have theirs.
            let here = |at| after.is_none_or(|after| at < after) && end.is_none_or(|end| at > end);
            lines.extend(own.filter(|own| here(own.cursor()) || Some(own.cursor()) == end).map(|own| own.line));
        }
        lines.sort_unstable_by_key(|line| Reverse(cursor_of(line)));
        Ok(cut(lines, bound, end))
    }
}

/// A page of these lines. `end` is where the store's page ended, if more follow.
fn cut(lines: Vec<RoomLine>, bound: PageBound, end: Option<RoomListCursor>) -> RoomPage {
    let (mut rooms, mut bytes, mut cursor) = (Vec::with_capacity(lines.len()), 0, end);
    for line in lines {
        let next = bytes_of(&line);
        if !bound.takes(rooms.len(), bytes, next) {
            cursor = rooms.last().map(cursor_of);
            break;
        }
        bytes += next;
        rooms.push(line);
    }
    RoomPage { rooms, cursor: cursor.map(show_cursor) }
}

/// Where a line stands in its list.
pub(super) fn cursor_of(line: &RoomLine) -> RoomListCursor {
    RoomListCursor { at: line.activity, room: line.room.room }
}

/// As [`RoomListRow::bytes`] counts them.
fn bytes_of(line: &RoomLine) -> usize {
    let message = line
        .last_message
        .as_ref()
        .map_or(0, |message| message.body.len() + message.metadata.as_ref().map_or(0, |metadata| metadata.get().len()));
    LINE_BYTES + line.room.title.len() + message
}

/// `<activity>.<room>`: opaque to clients.
fn show_cursor(at: RoomListCursor) -> String {
    format!("{}.{}", at.at, at.room)
}

fn cursor(text: &str) -> Result<RoomListCursor, Error> {
    let parse = || {
        let (at, room) = text.split_once('.')?;
        Some(RoomListCursor { at: Timestamp(at.parse().ok()?), room: RoomId(Uuid::try_parse(room).ok()?) })
    };
    parse().ok_or_else(|| Error::bad("a cursor is what the page before gave"))
}

fn line(row: RoomListRow, user: &UserId, now: Timestamp) -> Result<RoomLine, Error> {
    let activity = row.chat.activity();
    let is_member = row.state == MEMBER;
    let head = is_member.then_some(row.chat.head);
    let room = room_head(row.chat, user, is_member, now).ok_or_else(|| {
        tracing::error!("a row of the room list has a kind or status that this program does not know");
        Error::Damaged
    })?;
    let last_message = row.last_message.map(MessageView::of_row);
    Ok(RoomLine { room, head, read_seq: row.read_seq, unread: row.unread, last_message, activity })
}

fn room_head(chat: ChatRow, user: &UserId, is_member: bool, now: Timestamp) -> Option<RoomHead> {
    let status = RoomStatus::from_number(chat.status)?.at(chat.expires_at, now);
    let peer = [chat.user1, chat.user2].into_iter().flatten().find(|other| other != user);
    Some(RoomHead {
        room: chat.room,
        channel: chat.room.channel(),
        kind: kind_name(RoomKind::from_number(chat.kind)?),
        title: chat.title,
        status: view::status(status),
        expires_at: chat.expires_at,
        public: chat.public,
        may_send: may_send_name(MaySend::from_number(chat.may_send)?),
        creator: chat.creator,
        peer,
        state: Some(if is_member { "member" } else { "invited" }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::bounds::BadInput;

    #[test]
    fn a_cursor_comes_back_as_it_went_and_others_are_refused() {
        let room = RoomId(Uuid::from_u128(7));
        let text = format!("{}.{}", 1_234, room);
        assert_eq!(cursor(&text), Ok(RoomListCursor { at: Timestamp(1_234), room }));
        for bad in
            ["", ".", "12", "12.", "x.00000000-0000-0000-0000-000000000007", "-1.00000000-0000-0000-0000-000000000007"]
        {
            assert!(matches!(cursor(bad), Err(Error::Input(BadInput::Malformed(_)))), "{bad:?}");
        }
    }
}
