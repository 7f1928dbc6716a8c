//! Takes a block back.

use uuid::Uuid;

use super::Whom;
use crate::actors::moment::Moment;
use crate::actors::user::{UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, UserEventBody, fields};
use crate::ids::UserId;

/// Takes a block back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unblock {
    /// Whose.
    pub user: UserId,
}

impl Verb<UserState, UserOutcome> for Unblock {
    type Payload = Whom;

    fn into_payload(self) -> Whom {
        Whom { user: fields::bytes(self.user.as_str()) }
    }

    fn from_payload(payload: Whom) -> Result<Self, Reject> {
        Ok(Self { user: fields::user(&payload.user)? })
    }

    fn decide(self, user: &mut UserState, now: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        if user.blocks.remove(&self.user).is_none() {
            return Ok(UserOutcome::Unchanged);
        }
        Ok(user.happened(now, UserEventBody::Block { user: self.user, blocked: false }))
    }
}
