//! Enters a room.

use uuid::Uuid;

use super::Who;
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomStanding};
use crate::ids::UserId;

/// Enters a public room, or answers an invitation. A direct chat has its two sides for ever, and an open channel has no
/// members, so neither can be joined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Join {
    /// Who enters.
    pub user: UserId,
}

impl Verb<RoomState, Outcome> for Join {
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
        if user.is_anonymous() {
            return Err(Reject::NotAllowed);
        }
        let welcome = match room.members.standing(&user) {
            Some(RoomStanding::Member(member)) => return Ok(room.before(now, member.joined)),
            Some(RoomStanding::Invited(_)) => true,
            Some(RoomStanding::Kicked(_)) => false,
            None => room.meta.public,
        };
        if !welcome {
            return Err(Reject::NotInvited);
        }
        room.alive(now)?;
        if room.members.present.len() >= room.meta.max_members as usize {
            return Err(Reject::Full);
        }
        room.members.enter(user.clone(), room.meta.head.next());
        // A public room that everybody had left belongs to the user who enters first.
        room.meta.creator.get_or_insert_with(|| user.clone());
        Ok(room.accept(now, id, Some(user), None, EventBody::Joined))
    }
}
