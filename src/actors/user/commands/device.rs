//! Makes a device known.

use bytes::Bytes;
use prost::Message;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::user::snapshot;
use crate::actors::user::{Quiet, UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, fields};
use crate::ids::DeviceId;
use crate::limits;
use crate::safe_debug::safe_debug;

/// A device.
#[derive(Deserialize, Default, ToSchema)]
pub(crate) struct DeviceFacts {
    /// `web`, `ios`, `android`, …; at most 32 bytes.
    #[serde(default)]
    #[schema(required = false)]
    pub platform: String,
    /// Where pushes go, at most 2,048 bytes: see docs/notifications.md.
    #[serde(default)]
    #[schema(required = false)]
    pub push_token: String,
    /// Forget it instead.
    #[serde(default)]
    #[schema(required = false)]
    pub remove: bool,
}

/// Makes a device known or brings it up to date.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// The device.
    pub device: DeviceId,
    /// `web`, `ios`, `android`, …; at most `limits::MESSAGE_TYPE_BYTES`.
    pub platform: String,
    /// Where pushes go; empty for none.
    pub push_token: String,
}

#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    device: Bytes,
    #[prost(string, tag = "2")]
    platform: String,
    #[prost(string, tag = "3")]
    push_token: String,
}

// A push token is a secret: whoever has it can push.
safe_debug! {
    DeviceFacts { platform, remove }
    Device { device, platform }
    Payload { device, platform }
}

impl Verb<UserState, UserOutcome> for Device {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        let Self { device, platform, push_token } = self;
        Payload { device: fields::bytes(device.as_str()), platform, push_token }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let Payload { device, platform, push_token } = payload;
        Ok(Self { device: fields::device(&device)?, platform, push_token })
    }

    fn check(&self) -> Result<(), BadInput> {
        bounds::text("platform", &self.platform, limits::MESSAGE_TYPE_BYTES)?;
        bounds::text("push_token", &self.push_token, limits::PUSH_TOKEN_BYTES)
    }

    /// Above [`limits::DEVICES`] the device that was not heard of for longest makes room (of several the lowest id).
    fn decide(self, user: &mut UserState, now: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        if !user.devices.contains_key(&self.device) && user.devices.len() >= limits::DEVICES {
            let oldest = user.devices.iter().min_by_key(|(id, device)| (device.seen, *id)).map(|(id, _)| id.clone());
            oldest.map(|id| user.devices.remove(&id));
        }
        let Self { device, platform, push_token } = self.clone();
        user.devices.insert(device, snapshot::Device { platform, push_token, seen: now.fold });
        Ok(UserOutcome::Quiet(Quiet::Device(self)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_of_its_record_is_shown_without_the_token() {
        let device = DeviceId::new("phone").unwrap();
        let payload = Device { device, platform: "web".to_owned(), push_token: "token-7".to_owned() }.into_payload();
        let shown = format!("{payload:?}");
        assert!(shown.contains("web") && !shown.contains("token-7"), "{shown}");
    }
}
