//! Closes a room whose time is over.

use prost::Message;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomStatus};

/// The room's time is over (`expires_at` ≤ append time); without effect before that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expire;

#[derive(Clone, Copy, PartialEq, Message)]
pub(in crate::actors) struct Payload {}

impl Verb<RoomState, Outcome> for Expire {
    type Payload = Payload;
    const BEARS_REPETITION: bool = true;

    fn into_payload(self) -> Payload {
        Payload {}
    }

    fn from_payload(Payload {}: Payload) -> Result<Self, Reject> {
        Ok(Self)
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        if room.meta.kind.is_none()
            || room.meta.status != RoomStatus::Active
            || room.status_at(now.append) == RoomStatus::Active
        {
            return Ok(Outcome::Ignored);
        }
        room.meta.status = RoomStatus::Expired;
        Ok(room.accept(now, id, None, None, EventBody::Expired))
    }
}
