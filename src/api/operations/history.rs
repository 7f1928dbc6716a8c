//! `message.history`: a page of messages in their present form, the caller's own acknowledged writes among them.
//!
//! The store is read first, at one moment, and the room afterwards: the room is then never behind the rows, so its events in
//! memory from the rows' end on make them present (`merge`). So a replica of the database may tell the rows. If memory does
//! not reach back to the rows' end, that one is asked no more; if it does not for the database itself, the store is behind by
//! more than memory holds, and the handler waits for it a moment and tries again. If it does not come, or is down, a page comes
//! from memory alone, as far as that reaches, and says that there is more. Where memory does not reach, the room's records
//! are folded anew from the journal, if that goes back to the first one.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::admission::Cost;
use super::history_page::{Want, merge};
use super::request::{self, InRoom};
use super::view::{HistoryPage, MessageView};
use super::{Caller, Error, Handlers, reactions, stored};
use crate::actors::wire::{Entity, Event, Query, QueryAnswer, StreamEvent};
use crate::ids::{Offset, Partition, RoomId, Seq};
use crate::limits;
use crate::storage::store::rows::{MessageRow, Reactions};
use crate::storage::store::{HistoryQuestion, HistoryRows, SeqRange};

/// Messages in a page if the caller does not say.
const PAGE: usize = 50;

/// A page of messages: the newest, the newest below `before`, or the oldest above `after`.
#[derive(Deserialize, Debug, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct MessagesQuery {
    /// Messages below this seq.
    #[schema(required = false, nullable = false)]
    #[param(required = false, nullable = false)]
    pub(super) before: Option<u64>,
    /// Messages above this seq; not together with `before`.
    #[schema(required = false, nullable = false)]
    #[param(required = false, nullable = false)]
    pub(super) after: Option<u64>,
    /// How many, 50 unless said otherwise.
    #[schema(minimum = 1, maximum = 300, required = false, nullable = false)]
    #[param(minimum = 1, maximum = 300, required = false, nullable = false)]
    pub(super) limit: Option<u64>,
}
/// How long to wait for the store when it is behind by more than memory holds.
const CATCH_UP: Duration = Duration::from_secs(1);

/// What the store says of a room, or the journal in its place.
#[derive(Default)]
struct Stored {
    head: Seq,
    /// The first messages of those that are wanted.
    messages: Vec<MessageView>,
    /// The last of them in the wanted direction, if there may be more behind it.
    end: Option<Seq>,
    reactions: Reactions,
}

/// What the room says.
struct Look {
    head: Seq,
    floor: Seq,
    /// The end, in the partition, of what is in memory.
    end: Offset,
    /// Dense, up to the head. May begin later than asked for.
    recent: Vec<Arc<Event>>,
}

impl Look {
    /// The first seq in memory; one above the head if there is none.
    fn first(&self) -> Seq {
        self.recent.first().map_or_else(|| self.head.next(), |event| event.seq)
    }

    fn page(&self, stored: Stored, want: Want, limit: usize) -> HistoryPage {
        let (messages, more) = merge(stored.messages, stored.end, &self.recent, want, self.floor, limit);
        HistoryPage { messages, head: self.head, floor: self.floor, more }
    }

    /// A page from memory alone, if memory reaches what is wanted.
    fn page_without_store(&self, want: Want, limit: usize) -> Option<HistoryPage> {
        let first = self.first();
        let (low, high) = want.bounds(self.floor);
        let (all, some) = (first <= low, first <= high.min(self.head));
        let reaches = match want {
            Want::Before(_) => all || some,
            Want::After(_) => all,
        };
        let nothing = Stored::default();
        let mut page = reaches.then(|| self.page(nothing, want, limit))?;
        page.more |= !all;
        Some(page)
    }
}

pub(super) fn room_event(event: &StreamEvent) -> Option<Arc<Event>> {
    match event {
        StreamEvent::Room(event) => Some(Arc::clone(event)),
        StreamEvent::User(_) => None,
    }
}

impl Handlers {
    pub(in crate::api) async fn history(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        MessagesQuery { before, after, limit }: MessagesQuery,
    ) -> Result<HistoryPage, Error> {
        let limit = request::page(limit, PAGE, limits::HISTORY_PAGE)?;
        let want = match (before, after) {
            (Some(_), Some(_)) => return Err(Error::bad("either before or after")),
            (before, None) => Want::Before(Seq(before.unwrap_or(i64::MAX as u64))),
            (None, Some(after)) => Want::After(Seq(after)),
        };
        self.admit(caller, Cost::Question { rows: limit })?;
        // Strangers do not get as far as the store.
        self.inside(caller, room).await?;
        let (mut deadline, mut may_lag) = (None, true);
        loop {
            let without_store = match self.stored_messages(caller, room, want, limit, may_lag).await {
                Ok(mut stored) => {
                    let next = stored.head.next();
                    let look = self.look(caller, room, next).await?;
                    if look.first() <= next {
                        let counted = std::mem::take(&mut stored.reactions);
                        let mut page = look.page(stored, want, limit);
                        reactions::put(&mut page.messages, counted, &look.recent, &caller.user);
                        return Ok(page);
                    }
                    if std::mem::take(&mut may_lag) {
                        continue;
                    }
                    // What lies between the rows and memory is in neither.
                    match self.catch_up(room.partition(), look.end, &mut deadline).await {
                        Ok(()) => continue,
                        Err(behind) => behind,
                    }
                }
                Err(down @ Error::Unavailable { .. }) => down,
                Err(error) => return Err(error),
            };
            let look = self.look(caller, room, Seq(1)).await?;
            if let Some(page) = look.page_without_store(want, limit) {
                return Ok(self.with_reactions(caller, room, page, &look.recent).await);
            }
            let Some(told) = self.retold_messages(room, want, look.floor, limit).await else {
                return Err(without_store);
            };
            let next = told.head.next();
            let look = self.look(caller, room, next).await?;
            if look.first() > next {
                return Err(without_store);
            }
            let page = look.page(told, want, limit);
            return Ok(self.with_reactions(caller, room, page, &look.recent).await);
        }
    }

    /// The page with the emoji on its messages. `recent` was looked up before the store is asked now, so between the two
    /// nothing is missing. What neither can say is left out: emoji are not worth a page.
    async fn with_reactions(
        &self,
        caller: &Caller,
        room: RoomId,
        mut page: HistoryPage,
        recent: &[Arc<Event>],
    ) -> HistoryPage {
        if let (Some(first), Some(last)) = (page.messages.first(), page.messages.last()) {
            let question = self.node.store().reactions(room, SeqRange::new(first.seq, last.seq), &caller.user);
            let counted = stored(question).await.unwrap_or_default();
            reactions::put(&mut page.messages, counted, recent, &caller.user);
        }
        page
    }

    /// As [`Self::stored_messages`], from the journal. `None` if that does not reach back.
    async fn retold_messages(&self, room: RoomId, want: Want, floor: Seq, limit: usize) -> Option<Stored> {
        let retold = self.node.context().retold(&Entity::Room(room), Seq(1), Seq(i64::MAX as u64)).await;
        let events = retold.inspect_err(|why| tracing::debug!(%why, "history is not told from the journal")).ok()?;
        let events: Vec<Arc<Event>> = events.iter().filter_map(room_event).collect();
        let (messages, more) = merge(Vec::new(), None, &events, want, floor, limit);
        let end = if matches!(want, Want::Before(_)) { messages.first() } else { messages.last() };
        let end = end.filter(|_| more).map(|message| message.seq);
        let head = events.last().map_or(Seq::ZERO, |event| event.seq);
        Some(Stored { head, messages, end, ..Stored::default() })
    }

    async fn look(&self, caller: &Caller, room: RoomId, from: Seq) -> Result<Look, Error> {
        let query = Query::Recent { user: caller.user.clone(), from };
        let QueryAnswer::Recent { room, end, events } = self.ask_inside(caller, room, query).await? else {
            return Err(Error::unavailable());
        };
        let recent = events.iter().filter_map(room_event).collect();
        Ok(Look { head: room.head, floor: room.floor, end, recent })
    }

    /// The room's head in the store, and the wanted messages that are there: what a page needs of them.
    async fn stored_messages(
        &self,
        caller: &Caller,
        room: RoomId,
        want: Want,
        limit: usize,
        may_lag: bool,
    ) -> Result<Stored, Error> {
        let (low, high) = want.bounds(Seq::ZERO);
        let range = SeqRange { reverse: matches!(want, Want::Before(_)), ..SeqRange::new(low, high) };
        let range = range.within(limits::PAGE_BYTES);
        let question = HistoryQuestion { room, range, limit: limit + 1, user: &caller.user, may_lag };
        let Some(HistoryRows { chat, messages: rows, reactions }) = stored(self.node.store().history(question)).await?
        else {
            return Ok(Stored::default());
        };
        let whole = rows.len() <= limit && rows.iter().map(MessageRow::bytes).sum::<usize>() < range.bytes;
        let end = rows.last().filter(|_| !whole).map(|row| row.seq);
        Ok(Stored { head: chat.head, messages: rows.into_iter().map(MessageView::of_row).collect(), end, reactions })
    }

    /// Waits until the store has what the room had in memory; not longer than [`CATCH_UP`] in all.
    async fn catch_up(&self, partition: Partition, end: Offset, until: &mut Option<Instant>) -> Result<(), Error> {
        let deadline = *until.get_or_insert_with(|| Instant::now() + CATCH_UP);
        if Instant::now() >= deadline {
            return Err(Error::unavailable());
        }
        let reached = self.node.stored().reach(partition, end);
        tokio::time::timeout_at(deadline, reached).await.map_err(|_| Error::unavailable())
    }
}
