//! Marks notifications as read.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::{Builder, Uuid};

use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::user::{UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, UserEventBody, fields};
use crate::ids::Timestamp;
use crate::limits;

/// What has been seen: `ids`, or everything.
#[derive(Deserialize, Debug, Default, ToSchema)]
pub(crate) struct WhatIsRead {
    /// These, at most 100.
    #[serde(default)]
    #[schema(required = false)]
    pub ids: Vec<Uuid>,
    /// All; with `up_to`, all that are not newer than that one.
    #[serde(default)]
    #[schema(required = false)]
    pub all: bool,
    /// See `all`.
    #[schema(required = false, nullable = false)]
    pub up_to: Option<Uuid>,
}

/// Marks notifications of the user as read. Which ones there are is the rows' to know: here they are ids, in the order of
/// their times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotificationRead {
    /// All up to this one, whether it is there or not; nil for none. What would lie beyond the record's own time counts as that.
    pub up_to: Uuid,
    /// These, too.
    pub ids: Vec<Uuid>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    up_to: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    ids: Vec<Bytes>,
}

/// The last id that a notification of this time can have.
fn last_id_at(at: Timestamp) -> Uuid {
    Builder::from_unix_timestamp_millis(at.0, &[u8::MAX; 10]).into_uuid()
}

impl Verb<UserState, UserOutcome> for NotificationRead {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        let up_to = if self.up_to.is_nil() { Bytes::new() } else { fields::uuid_bytes(self.up_to) };
        Payload { up_to, ids: self.ids.into_iter().map(fields::uuid_bytes).collect() }
    }

    fn from_payload(Payload { up_to, ids }: Payload) -> Result<Self, Reject> {
        let up_to = if up_to.is_empty() { Uuid::nil() } else { fields::uuid(&up_to)? };
        Ok(Self { up_to, ids: ids.iter().map(|id| fields::uuid(id)).collect::<Result<_, _>>()? })
    }

    fn check(&self) -> Result<(), BadInput> {
        bounds::count("ids", self.ids.len(), limits::NOTIFICATION_IDS)
    }

    /// Marks are kept up to one id; single ones beyond it are told and written, and so may be told again.
    fn decide(self, user: &mut UserState, now: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        let known = user.meta.notifications_read;
        let up_to = self.up_to.min(last_id_at(now.fold)).max(known);
        let mut ids = self.ids;
        // Whatever is none of these has never been an id of a notification.
        ids.retain(|id| *id > up_to && id.get_version_num() == 7);
        ids.sort_unstable();
        ids.dedup();
        if up_to == known && ids.is_empty() {
            return Ok(UserOutcome::Unchanged);
        }
        user.meta.notifications_read = up_to;
        let up_to = Some(up_to).filter(|up_to| *up_to > known);
        Ok(user.happened(now, UserEventBody::NotificationsRead { up_to, ids }))
    }
}
