//! Silences a direct chat: a relayed block or unblock of one side by the other.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, RoomKind, fields};
use crate::ids::{Offset, Partition, UserId};

/// One side of a direct chat blocks or unblocks the other. It may come before the direct chat is made, and is kept for that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Who blocks.
    pub by: UserId,
    /// Block or unblock.
    pub blocked: bool,
    /// Where the relay read it: the user's partition.
    pub source: Partition,
    /// And the offset there. The room keeps the highest one of each source and drops the rest.
    pub source_offset: Offset,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(bool, tag = "2")]
    blocked: bool,
    #[prost(uint32, tag = "3")]
    source: u32,
    #[prost(uint64, tag = "4")]
    source_offset: u64,
}

impl Verb<RoomState, Outcome> for Block {
    type Payload = Payload;
    const BEARS_REPETITION: bool = true;

    fn into_payload(self) -> Payload {
        Payload {
            by: fields::bytes(self.by.as_str()),
            blocked: self.blocked,
            source: u32::from(self.source.get()),
            source_offset: self.source_offset.0,
        }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let Payload { by, blocked, source, source_offset } = payload;
        let source = u16::try_from(source).ok().and_then(Partition::new).ok_or(Reject::Invalid)?;
        Ok(Self { by: fields::user(&by)?, blocked, source, source_offset: Offset(source_offset) })
    }

    fn decide(self, room: &mut RoomState, _: Moment, _: Uuid) -> Result<Outcome, Reject> {
        let concerned = match room.meta.kind {
            None => room.blocks.contains(&self.by) || room.blocks.len() < 2,
            Some(RoomKind::Direct) => room.members.is_member(&self.by),
            Some(_) => false,
        };
        let known = room.sources.get(&self.source).is_some_and(|offset| self.source_offset <= *offset);
        if !concerned || known {
            return Ok(Outcome::Ignored);
        }
        room.sources.insert(self.source, self.source_offset);
        if self.blocked {
            room.blocks.insert(self.by);
        } else {
            room.blocks.remove(&self.by);
        }
        Ok(Outcome::Noted)
    }
}
