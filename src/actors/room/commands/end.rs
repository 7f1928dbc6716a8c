//! Ends a room.

use uuid::Uuid;

use super::Who;
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomKind, RoomStatus};
use crate::ids::UserId;

/// Ends the room: the creator, or either side of a direct chat. The side that is blocked does not end it: the other side
/// would hear of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// Who ends it.
    pub by: UserId,
}

impl Verb<RoomState, Outcome> for End {
    type Payload = Who;

    fn into_payload(self) -> Who {
        Who::alone(&self.by)
    }

    fn from_payload(payload: Who) -> Result<Self, Reject> {
        Ok(Self { by: payload.into_alone()? })
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let Self { by } = self;
        match room.existing()? {
            RoomKind::Open => return Err(Reject::WrongKind),
            RoomKind::Direct => room.member_only(&by)?,
            RoomKind::Group | RoomKind::Broadcast => room.creator_only(&by)?,
        }
        match room.status_at(now.append) {
            RoomStatus::Active => {}
            RoomStatus::Ended => {
                let closed = room.meta.closed;
                return Ok(Outcome::Duplicate { seq: closed.seq, id: closed.id, at: closed.at });
            }
            RoomStatus::Expired => return Err(Reject::Expired),
        }
        if !room.blocks.is_empty() && !room.blocks.contains(&by) {
            return Err(Reject::Blocked);
        }
        room.meta.status = RoomStatus::Ended;
        room.meta.closed = room.next_mark(now, id);
        Ok(room.accept(now, id, Some(by), None, EventBody::Ended))
    }
}
