//! Takes what the relay read of a room: the user's membership there changed.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::user::snapshot::ListedRoom;
use crate::actors::user::{UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, RoomChange, RoomKind, UserEventBody, fields};
use crate::ids::{Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;

/// A relayed fact about a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomFact {
    /// The room's partition.
    pub source: Partition,
    /// The offset there of the record that made it.
    pub source_offset: Offset,
    /// The room.
    pub room: RoomId,
    /// Its kind.
    pub kind: RoomKind,
    /// The seq of the event.
    pub seq: Seq,
    /// Who caused it.
    pub by: Option<UserId>,
    /// What changed for this user.
    pub change: RoomChange,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(uint32, tag = "1")]
    source: u32,
    #[prost(uint64, tag = "2")]
    source_offset: u64,
    #[prost(bytes = "bytes", tag = "3")]
    room: Bytes,
    #[prost(uint32, tag = "4")]
    kind: u32,
    #[prost(uint64, tag = "5")]
    seq: u64,
    #[prost(bytes = "bytes", tag = "6")]
    by: Bytes,
    #[prost(uint32, tag = "7")]
    change: u32,
}

impl Verb<UserState, UserOutcome> for RoomFact {
    type Payload = Payload;
    const BEARS_REPETITION: bool = true;

    fn into_payload(self) -> Payload {
        Payload {
            source: u32::from(self.source.get()),
            source_offset: self.source_offset.0,
            room: fields::uuid_bytes(self.room.0),
            kind: u32::from(self.kind.number()),
            seq: self.seq.0,
            by: self.by.map_or(Bytes::new(), |by| fields::bytes(by.as_str())),
            change: u32::from(self.change.number()),
        }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let small = |number: u32| u8::try_from(number).ok();
        Ok(Self {
            source: u16::try_from(payload.source).ok().and_then(Partition::new).ok_or(Reject::Invalid)?,
            source_offset: Offset(payload.source_offset),
            room: fields::room(&payload.room)?,
            kind: small(payload.kind).and_then(RoomKind::from_number).ok_or(Reject::Invalid)?,
            seq: Seq(payload.seq),
            by: fields::user_or_none(&payload.by)?,
            change: small(payload.change).and_then(RoomChange::from_number).ok_or(Reject::Invalid)?,
        })
    }

    /// The relay repeats itself: what is not above the highest offset of its source is known.
    fn decide(self, user: &mut UserState, now: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        let known = user.sources.get(&self.source).is_some_and(|offset| self.source_offset <= *offset);
        if known {
            return Ok(UserOutcome::Unchanged);
        }
        let Self { source, source_offset, room, kind, seq, by, change } = self;
        if !change.is_listed() {
            user.rooms.remove(&room);
            user.reads.remove(&room);
        } else if user.rooms.len() < limits::ROOMS_PER_USER || user.rooms.contains_key(&room) {
            // What the user wants to hear of it stays, as long as it is on the list.
            let muted_until = user.rooms.get(&room).map_or(Timestamp::ZERO, |known| known.muted_until);
            user.rooms.insert(room, ListedRoom { kind, change, since: seq, muted_until });
        }
        // Above the bound the user is told all the same: membership is the room's to know.
        user.sources.insert(source, source_offset);
        Ok(user.happened(now, UserEventBody::Room { room, kind, change, room_seq: seq, by }))
    }
}
