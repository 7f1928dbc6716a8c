//! Replaces the preferences.

use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::user::{UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, UserEventBody};
use crate::limits;

/// What the preferences shall be.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewPreferences {
    /// A JSON object, at most 8 KiB; without it they are only asked for.
    #[schema(value_type = Option<serde_json::Value>, required = false)]
    pub preferences: Option<Box<RawValue>>,
}

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

    fn check(&self) -> Result<(), BadInput> {
        bounds::text("preferences", &self.json, limits::PREFERENCES_BYTES)
    }

    fn decide(self, user: &mut UserState, now: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        if user.meta.preferences == self.json {
            return Ok(UserOutcome::Unchanged);
        }
        user.meta.preferences = self.json;
        Ok(user.happened(now, UserEventBody::Preferences))
    }
}
