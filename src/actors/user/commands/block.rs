//! Blocks a user.

use uuid::Uuid;

use super::Whom;
use crate::actors::moment::Moment;
use crate::actors::user::{UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, UserEventBody, fields};
use crate::ids::UserId;
use crate::limits;

/// Blocks a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Whom.
    pub user: UserId,
}

impl Verb<UserState, UserOutcome> for Block {
    type Payload = Whom;

    fn into_payload(self) -> Whom {
        Whom { user: fields::bytes(self.user.as_str()) }
    }

    fn from_payload(payload: Whom) -> Result<Self, Reject> {
        Ok(Self { user: fields::user(&payload.user)? })
    }

    fn decide(self, user: &mut UserState, now: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        if self.user == user.meta.user {
            return Err(Reject::Invalid);
        }
        if user.blocks.contains_key(&self.user) {
            return Ok(UserOutcome::Unchanged);
        }
        if user.blocks.len() >= limits::BLOCKS {
            return Err(Reject::Full);
        }
        user.blocks.insert(self.user.clone(), now.fold);
        Ok(user.happened(now, UserEventBody::Block { user: self.user, blocked: true }))
    }
}
