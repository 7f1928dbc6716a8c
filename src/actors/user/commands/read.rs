//! Moves a read mark.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::user::{Quiet, UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{ReadPoint, Reject, fields};
use crate::ids::{MessageNo, RoomId, Seq};
use crate::limits;

/// Up to an event of a room.
#[derive(Deserialize, Debug, ToSchema)]
pub(crate) struct UpTo {
    /// Its seq.
    #[schema(minimum = 1)]
    pub seq: u64,
}

/// Moves the read mark of a room forward; never back (the maximum wins).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Read {
    /// The room.
    pub room: RoomId,
    /// How far.
    pub to: ReadPoint,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    room: Bytes,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(uint64, tag = "3")]
    no: u64,
}

impl Verb<UserState, UserOutcome> for Read {
    type Payload = Payload;
    const BEARS_REPETITION: bool = true;

    fn into_payload(self) -> Payload {
        Payload { room: fields::uuid_bytes(self.room.0), seq: self.to.seq.0, no: self.to.no.0 }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let to = ReadPoint { seq: Seq(payload.seq), no: MessageNo(payload.no) };
        Ok(Self { room: fields::room(&payload.room)?, to })
    }

    fn decide(self, user: &mut UserState, _: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        let Self { room, to } = self;
        let full = user.reads.len() >= limits::ROOMS_PER_USER;
        let to = match user.reads.get(&room) {
            Some(mark) if to.seq <= mark.seq => return Ok(UserOutcome::Unchanged),
            Some(mark) => ReadPoint { seq: to.seq, no: to.no.max(mark.no) },
            None if to.seq == Seq::ZERO => return Ok(UserOutcome::Unchanged),
            None => to,
        };
        // Above the bound the rows alone keep it: they take the highest.
        if !full || user.reads.contains_key(&room) {
            user.reads.insert(room, to);
        }
        Ok(UserOutcome::Quiet(Quiet::Read { room, to }))
    }
}
