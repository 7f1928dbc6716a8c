//! Redacts a message.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomKind, fields};
use crate::ids::{Seq, UserId};

/// Redacts a message; its author only, as long as the author is in, also after the room's end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delete {
    /// Who deletes.
    pub by: UserId,
    /// The message's seq.
    pub target: Seq,
    /// The author of `target` as the admitting node read it below the verified prefix, where it never changes. Used only
    /// for messages older than the fold's window; the window itself knows the authors of newer ones.
    pub author: Option<UserId>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(uint64, tag = "2")]
    target: u64,
    #[prost(bytes = "bytes", tag = "3")]
    author: Bytes,
}

impl Verb<RoomState, Outcome> for Delete {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        let author = self.author.map_or(Bytes::new(), |user| fields::bytes(user.as_str()));
        Payload { by: fields::bytes(self.by.as_str()), target: self.target.0, author }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let Payload { by, target, author } = payload;
        Ok(Self { by: fields::user(&by)?, target: Seq(target), author: fields::user_or_none(&author)? })
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let Self { by, target, author } = self;
        if room.existing()? != RoomKind::Open {
            room.member_only(&by)?;
        }
        if target == Seq::ZERO || target > room.meta.head {
            return Err(Reject::NoMessage);
        }
        let (author, deleted) = match room.window.live(now.append, target) {
            Some(entry) if !entry.is_message() => return Err(Reject::NoMessage),
            Some(entry) => (entry.actor.as_ref(), entry.deleted()),
            None => (author.as_ref(), None),
        };
        match author {
            None => return Err(Reject::NoMessage),
            Some(author) if *author != by => return Err(Reject::NotAuthor),
            Some(_) => {}
        }
        if let Some(seq) = deleted {
            return Ok(room.before(now, seq));
        }
        Ok(room.accept(now, id, Some(by), None, EventBody::Deleted { target }))
    }
}
