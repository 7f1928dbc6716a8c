//! `read.mark`, `message.delivered`, `typing`.
//!
//! A read mark is durable: a record in the reader's own partition, at most one on its way for each user and room, and the
//! furthest mark wins. Deliveries and typing are passed on to who listens and kept nowhere.

use super::coalesce::Mergeable;
use super::request::{InRoom, seq};
use super::view::{Done, Marked};
use super::{Caller, Error, Handlers, stored};
use crate::actors::user::UserCommandBody;
use crate::actors::user::commands::{self, UpTo};
use crate::actors::wire::{Entity, Ephemeral, Query, QueryAnswer, ReadFacts, ReadPoint, ReceiptStatus};
use crate::ids::{MessageNo, Offset, RoomId, Seq, UserId};
use crate::storage::store::SeqRange;

/// Read marks of one user in one room, merged while one is on its way.
pub(crate) struct Reading;

impl Mergeable for Reading {
    type Value = ReadPoint;
    /// The end, in the user's partition, of what the store must have to show it.
    type Outcome = Result<Offset, Error>;
}

impl Handlers {
    pub(in crate::api) async fn mark_read(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        to: UpTo,
    ) -> Result<Marked, Error> {
        let query = Query::Reading { user: caller.user.clone(), seq: seq(to.seq)? };
        let QueryAnswer::Reading(reading) = self.ask_inside(caller, room, query).await? else {
            return Err(Error::unavailable());
        };
        let ReadFacts { seq, no, last_no, member, joined_no } = reading;
        let no = match no {
            Some(no) => no,
            None => self.stored_no(room, seq).await?,
        };
        let key = (caller.user.clone(), room);
        let give = |to: ReadPoint| async move {
            let read = UserCommandBody::Read(commands::Read { room, to });
            self.user_command(caller, read).await.map(|accepted| accepted.end)
        };
        let end = self.reads.submit(key, ReadPoint { seq, no }, give).await?;
        self.wrote_of(caller, room, caller.user.partition(), end);
        // A mark never goes back: it may stand further on than was wished.
        let mark = self.read_point(caller, room).await?.unwrap_or_default();
        // One's own send moves one's own mark, and what came before one was in is not unread.
        let joined_no = match joined_no {
            Some(no) => no,
            None if mark.seq >= member.joined => MessageNo::ZERO,
            None => self.stored_no(room, member.joined).await?,
        };
        let read_no = mark.no.max(member.sent_no).max(joined_no);
        Ok(Marked { seq: mark.seq, no: mark.no, unread: last_no.0.saturating_sub(read_no.0) })
    }

    /// The number of the last message at or below a seq that the room remembers no more.
    async fn stored_no(&self, room: RoomId, seq: Seq) -> Result<MessageNo, Error> {
        let store = self.node.store();
        if stored(store.chat(room)).await?.is_none_or(|chat| chat.head < seq) {
            return Err(Error::unavailable());
        }
        let rows = stored(store.messages(room, SeqRange::new(Seq::ZERO, seq).reversed(), 1)).await?;
        Ok(rows.first().map_or(MessageNo::ZERO, |row| row.message.no))
    }

    pub(in crate::api) async fn mark_delivered(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        to: UpTo,
    ) -> Result<Done, Error> {
        let seq = seq(to.seq)?;
        let seq = seq.min(self.inside(caller, room).await?.head);
        if self.delivered.advance(&caller.user, room, seq) {
            if let Some(told) = &self.told {
                told.note(&caller.user, room, seq);
            }
            let status = ReceiptStatus::Delivered;
            self.tell(room, Ephemeral::Receipt { user: caller.user.clone(), status, seq })?;
        }
        Ok(Done {})
    }

    /// How far a device of a user's has acknowledged a room, as far as this node remembers. A hint: with a restart, or when
    /// there is too much to remember, it is forgotten.
    #[must_use]
    pub(crate) fn delivered_to(&self, user: &UserId, room: RoomId) -> Option<Seq> {
        self.delivered.to(user, room)
    }

    pub(in crate::api) async fn typing(&self, caller: &Caller, InRoom { room }: InRoom) -> Result<Done, Error> {
        self.inside(caller, room).await?;
        if self.typing.allow(&caller.user, room, self.node.env().now()) {
            self.tell(room, Ephemeral::Typing { user: caller.user.clone() })?;
        }
        Ok(Done {})
    }

    fn tell(&self, room: RoomId, event: Ephemeral) -> Result<(), Error> {
        self.node.router().ephemeral(Entity::Room(room), event).map_err(|_| Error::unavailable())
    }
}
