//! Forgets a device.

use bytes::Bytes;
use prost::Message;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::user::{Quiet, UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, fields};
use crate::ids::DeviceId;

/// Forgets a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceRemove {
    /// The device.
    pub device: DeviceId,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    device: Bytes,
}

impl Verb<UserState, UserOutcome> for DeviceRemove {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        Payload { device: fields::bytes(self.device.as_str()) }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        Ok(Self { device: fields::device(&payload.device)? })
    }

    fn decide(self, user: &mut UserState, _: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        Ok(match user.devices.remove(&self.device) {
            Some(_) => UserOutcome::Quiet(Quiet::DeviceRemoved(self.device)),
            None => UserOutcome::Unchanged,
        })
    }
}
