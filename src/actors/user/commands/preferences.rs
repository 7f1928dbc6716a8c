//! Replaces the preferences.

use prost::Message;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::room::bounds;
use crate::actors::user::{UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, UserEventBody};
use crate::limits;

/// Replaces the preferences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Preferences {
    /// JSON text, at most `limits::PREFERENCES_BYTES`.
    pub json: String,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(string, tag = "1")]
    json: String,
}

impl Verb<UserState, UserOutcome> for Preferences {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        Payload { json: self.json }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        Ok(Self { json: payload.json })
    }

    fn check(&self) -> Result<(), Reject> {
        bounds::text(&self.json, limits::PREFERENCES_BYTES)
    }

    fn decide(self, user: &mut UserState, now: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        if user.meta.preferences == self.json {
            return Ok(UserOutcome::Unchanged);
        }
        user.meta.preferences = self.json;
        Ok(user.happened(now, UserEventBody::Preferences))
    }
}
