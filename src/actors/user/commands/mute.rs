//! Mutes a room for its user, or takes that back.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::user::{Quiet, UserOutcome, UserState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{Reject, fields};
use crate::ids::{RoomId, Timestamp};

/// How long a room is muted.
#[derive(Deserialize, Debug, Default, ToSchema)]
pub(crate) struct MuteTime {
    /// When it ends by itself, in milliseconds since 1970; without it, it does not.
    #[schema(required = false, nullable = false)]
    pub until: Option<Timestamp>,
}

/// Mutes a room of the user's list: its messages notify this user no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mute {
    /// The room.
    pub room: RoomId,
    /// When it ends by itself; [`Mute::FOR_EVER`] if it does not. What is over already takes a mute back.
    pub until: Timestamp,
}

impl Mute {
    /// A mute without an end: the last moment that a row can hold.
    pub(crate) const FOR_EVER: Timestamp = Timestamp(i64::MAX as u64);
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    room: Bytes,
    #[prost(uint64, tag = "2")]
    until: u64,
}

impl Verb<UserState, UserOutcome> for Mute {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        Payload { room: fields::uuid_bytes(self.room.0), until: self.until.0 }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        Ok(Self { room: fields::room(&payload.room)?, until: Timestamp(payload.until) })
    }

    /// A room that is not on the list has nothing to be muted: it notifies nobody, or is not known here yet.
    fn decide(self, user: &mut UserState, now: Moment, _: Uuid) -> Result<UserOutcome, Reject> {
        let Self { room, until } = self;
        let listed = user.rooms.get_mut(&room).ok_or(Reject::NotMember)?;
        let until = if until > now.append { until.min(Self::FOR_EVER) } else { Timestamp::ZERO };
        if listed.muted_until == until {
            return Ok(UserOutcome::Unchanged);
        }
        listed.muted_until = until;
        Ok(UserOutcome::Quiet(Quiet::Muted { room, until }))
    }
}
