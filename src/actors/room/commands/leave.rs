//! Leaves a room.

use uuid::Uuid;

use super::Who;
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomStanding, RoomStatus};
use crate::ids::UserId;

/// Leaves, or declines an invitation. When the creator goes, the room passes to the member who has been in for longest (of
/// several who came with one event, the lowest id). When the last member goes, a public room stays, empty, and any other has
/// ended with this event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leave {
    /// Who leaves.
    pub user: UserId,
}

impl Verb<RoomState, Outcome> for Leave {
    type Payload = Who;

    fn into_payload(self) -> Who {
        Who::alone(&self.user)
    }

    fn from_payload(payload: Who) -> Result<Self, Reject> {
        Ok(Self { user: payload.into_alone()? })
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let Self { user } = self;
        room.with_membership()?;
        match room.members.standing(&user) {
            Some(RoomStanding::Member(_) | RoomStanding::Invited(_)) => {}
            Some(RoomStanding::Kicked(_)) | None => return Err(Reject::NotMember),
        }
        let was_member = room.members.is_member(&user);
        room.members.leave(&user);
        if room.meta.creator.as_ref() == Some(&user) {
            room.meta.creator = room.members.senior().cloned();
        }
        let deserted = was_member && room.members.present.is_empty() && !room.meta.public;
        if deserted && room.status_at(now.append) == RoomStatus::Active {
            room.meta.status = RoomStatus::Ended;
            room.meta.closed = room.next_mark(now, id);
        }
        Ok(room.accept(now, id, Some(user), None, EventBody::Left))
    }
}
