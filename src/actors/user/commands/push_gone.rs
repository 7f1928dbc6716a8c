//! Takes a push token away from a device, because the provider says that it leads nowhere any more.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use super::Device;
use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::user::{Quiet, UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, fields};
use crate::ids::DeviceId;
use crate::limits;
use crate::safe_debug::safe_debug;

/// Takes a push token away from a device. The device stays known, and a token that it has named since stays, too: the
/// provider spoke of the one before.
#[derive(Clone, PartialEq, Eq)]
pub struct PushGone {
    /// The device.
    pub device: DeviceId,
    /// The token that leads nowhere.
    pub push_token: String,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    device: Bytes,
    #[prost(string, tag = "2")]
    push_token: String,
}

// A push token is a secret: whoever has it can push.
safe_debug! {
    PushGone { device }
    Payload { device }
}

impl Verb<UserState, UserOutcome> for PushGone {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        Payload { device: fields::bytes(self.device.as_str()), push_token: self.push_token }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        Ok(Self { device: fields::device(&payload.device)?, push_token: payload.push_token })
    }

    fn check(&self) -> Result<(), BadInput> {
        bounds::text("push_token", &self.push_token, limits::PUSH_TOKEN_BYTES)
    }

    fn decide(self, user: &mut UserState, _: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        let Self { device, push_token } = self;
        let known = user.devices.get_mut(&device).filter(|known| known.push_token == push_token);
        let Some(known) = known.filter(|_| !push_token.is_empty()) else { return Ok(UserOutcome::Unchanged) };
        known.push_token.clear();
        let (platform, push_token) = (known.platform.clone(), String::new());
        Ok(UserOutcome::Quiet(Quiet::Device(Device { device, platform, push_token })))
    }
}
