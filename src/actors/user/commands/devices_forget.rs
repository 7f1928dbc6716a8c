//! Forgets all devices: the user has signed out everywhere, or is gone.

use prost::Message;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::user::{Quiet, UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::Reject;

/// Forgets all devices, and where their pushes went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DevicesForget;

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {}

impl Verb<UserState, UserOutcome> for DevicesForget {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        Payload {}
    }

    fn from_payload(Payload {}: Payload) -> Result<Self, Reject> {
        Ok(Self)
    }

    fn decide(self, user: &mut UserState, _: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        let gone = std::mem::take(&mut user.devices);
        if gone.is_empty() {
            return Ok(UserOutcome::Unchanged);
        }
        Ok(UserOutcome::Quiet(Quiet::DevicesForgotten(gone.into_keys().collect())))
    }
}
