//! Lines of `room.list` that the rows do not have as the caller was told: from the room's memory on top of its row, so that
//! a list includes one's own writes however far the store is behind.

use std::sync::Arc;

use super::history::room_event;
use super::history_page::{Want, merge};
use super::list;
use super::rooms::view_of;
use super::view::{MessageView, RoomHead, RoomLine};
use super::{Caller, Error, Handlers, stored};
use crate::actors::wire::{Entity, Event, EventBody, Query, QueryAnswer, ReadPoint, RoomFacts, StreamEvent};
use crate::ids::{MessageNo, RoomId, Seq, Timestamp, UserId};
use crate::storage::store::rows::{INVITED, RoomListCursor, RoomListRow, Shelf};

/// A line, and on which list it is.
pub(super) struct OwnLine {
    pub(super) shelf: Shelf,
    pub(super) line: RoomLine,
}

impl OwnLine {
    /// Where it stands in its list.
    pub(super) fn cursor(&self) -> RoomListCursor {
        list::cursor_of(&self.line)
    }
}

/// What the room says.
struct Look {
    room: RoomHead,
    shelf: Shelf,
    is_member: bool,
    head: Seq,
    floor: Seq,
    last_no: MessageNo,
    last_message_at: Option<Timestamp>,
    opened_at: Timestamp,
    /// Dense, up to the head. May begin later than asked for.
    recent: Vec<Arc<Event>>,
}

impl Look {
    /// `None` if the user is neither in nor asked in.
    fn new(room: RoomId, facts: RoomFacts, events: &[StreamEvent], user: &UserId, now: Timestamp) -> Option<Self> {
        Some(Self {
            shelf: Shelf::of(facts.status.number()),
            is_member: facts.member().is_some(),
            head: facts.head,
            floor: facts.floor,
            last_no: facts.last_no,
            last_message_at: facts.last_message_at,
            opened_at: facts.opened_at,
            recent: events.iter().filter_map(room_event).collect(),
            room: view_of(room, facts, user, now)?.room,
        })
        .filter(|look| look.room.state.is_some())
    }

    /// Whether memory goes on where the rows end.
    fn reaches(&self, from: Seq) -> bool {
        self.head < from || self.recent.first().is_some_and(|event| event.seq <= from)
    }

    /// The line, on top of the row.
    fn onto(self, row: Option<RoomListRow>, user: &UserId, mark: Option<ReadPoint>) -> OwnLine {
        let (mut read_seq, mut unread, mut created_at, mut known) = (Seq::ZERO, 0, self.opened_at, Vec::new());
        if let Some(row) = row {
            (read_seq, unread, created_at) = (row.read_seq, row.unread, row.chat.created_at);
            if row.state == INVITED {
                unread = row.chat.last_no.0;
            }
            known.extend(row.last_message.map(MessageView::of_row));
        }
        for event in &self.recent {
            let by_user = event.actor.as_ref() == Some(user);
            match &event.body {
                // What came before one was in is not unread, nor what came before one's own.
                EventBody::Message { .. } | EventBody::Joined if by_user => unread = 0,
                EventBody::Message { .. } => unread += 1,
                _ => {}
            }
        }
        if let Some(mark) = mark.filter(|mark| mark.seq > read_seq) {
            read_seq = mark.seq;
            unread = unread.min(self.last_no.0.saturating_sub(mark.no.0));
        }
        let last = merge(known, None, &self.recent, Want::Before(Seq(i64::MAX as u64)), self.floor, 1).0.pop();
        let line = RoomLine {
            head: self.is_member.then_some(self.head),
            read_seq,
            unread: if self.is_member { unread } else { 0 },
            last_message: last.filter(|_| self.is_member),
            activity: self.last_message_at.unwrap_or(created_at),
            room: self.room,
        };
        OwnLine { shelf: self.shelf, line }
    }
}

impl Handlers {
    /// The caller's line of a room as it is now; `None` if the caller is not in it any more.
    ///
    /// # Errors
    /// The room can't be had now, or the store lacks more of it than memory has.
    pub(super) async fn own_line(&self, caller: &Caller, room: RoomId) -> Result<Option<OwnLine>, Error> {
        let row = stored(self.node.store().room_line(&caller.user, room)).await?;
        let head = match &row {
            Some(row) => row.chat.head,
            None => stored(self.node.store().chat(room)).await?.map_or(Seq::ZERO, |chat| chat.head),
        };
        let (user, from) = (caller.user.clone(), head.next());
        let recent = self.node.router().query(Entity::Room(room), Query::Recent { user, from }).await;
        let QueryAnswer::Recent { room: facts, events, .. } = recent else { return Err(Error::unavailable()) };
        let now = self.node.env().now();
        let Some(look) = Look::new(room, *facts, &events, &caller.user, now) else { return Ok(None) };
        if !look.reaches(from) {
            return Err(Error::unavailable());
        }
        let mark = self.read_point(caller, room).await?;
        Ok(Some(look.onto(row, &caller.user, mark)))
    }
}
