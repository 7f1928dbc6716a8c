//! Asks a user in.

use uuid::Uuid;

use super::Who;
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomStanding};
use crate::ids::UserId;
use crate::limits;

/// Asks somebody in; members only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invite {
    /// Who asks.
    pub by: UserId,
    /// Who is asked.
    pub user: UserId,
}

impl Verb<RoomState, Outcome> for Invite {
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
        room.member_only(&by)?;
        if user.is_anonymous() {
            return Err(Reject::NotAllowed);
        }
        match room.members.standing(&user) {
            Some(RoomStanding::Member(member)) => return Ok(room.before(now, member.joined)),
            Some(RoomStanding::Invited(seq)) => return Ok(room.before(now, seq)),
            Some(RoomStanding::Kicked(_)) | None => {}
        }
        room.alive(now)?;
        let reserved = if room.meta.creator.as_ref() == Some(&by) { 0 } else { limits::INVITES_OF_CREATOR };
        if room.members.invited.len() >= limits::INVITES - reserved {
            return Err(Reject::Full);
        }
        room.members.invite(user.clone(), by.clone(), room.meta.head.next());
        Ok(room.accept(now, id, Some(by), None, EventBody::Invited { user }))
    }
}
