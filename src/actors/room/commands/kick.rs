//! Removes a member.

use uuid::Uuid;

use super::Who;
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomStanding};
use crate::ids::UserId;

/// Removes a member, or takes an invitation back; the creator only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kick {
    /// Who removes.
    pub by: UserId,
    /// Who goes.
    pub user: UserId,
}

impl Verb<RoomState, Outcome> for Kick {
    type Payload = Who;

    fn into_payload(self) -> Who {
        Who::pair(&self.by, &self.user)
    }

    fn from_payload(payload: Who) -> Result<Self, Reject> {
        payload.into_pair().map(|(by, user)| Self { by, user })
    }

    fn names(&self) -> usize {
        1
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let Self { by, user } = self;
        room.with_membership()?;
        room.creator_only(&by)?;
        if by == user {
            return Err(Reject::WrongKind);
        }
        match room.members.standing(&user) {
            Some(RoomStanding::Member(_) | RoomStanding::Invited(_)) => {}
            Some(RoomStanding::Kicked(seq)) => return Ok(room.before(now, seq)),
            None => return Err(Reject::NotMember),
        }
        room.alive(now)?;
        room.members.kick(&user, room.meta.head.next());
        Ok(room.accept(now, id, Some(by), None, EventBody::Kicked { user }))
    }
}
