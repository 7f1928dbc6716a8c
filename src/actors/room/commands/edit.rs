//! Gives a message a new body.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, Reject, RoomKind, fields};
use crate::ids::{Seq, UserId};
use crate::limits;

/// A new body.
#[derive(Deserialize, ToSchema)]
pub(crate) struct NewBody {
    /// The new text.
    pub body: String,
    /// The new metadata; without it the old one stays.
    #[schema(value_type = Option<serde_json::Value>, required = false)]
    pub metadata: Option<Box<RawValue>>,
}

impl NewBody {
    /// The command, for the message at `target`.
    pub(crate) fn by(self, by: UserId, target: Seq) -> Edit {
        let metadata = self.metadata.map(|json| Box::<str>::from(json).into_string());
        Edit { by, target, body: self.body, metadata }
    }
}

/// Gives a message a new body; its author only, while the message is inside the window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// Who edits.
    pub by: UserId,
    /// The message's seq.
    pub target: Seq,
    /// The new text.
    pub body: String,
    /// The new metadata; `None` keeps the old.
    pub metadata: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(uint64, tag = "2")]
    target: u64,
    #[prost(string, tag = "3")]
    body: String,
    #[prost(string, optional, tag = "4")]
    metadata: Option<String>,
}

impl Verb<RoomState, Outcome> for Edit {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        let Self { by, target, body, metadata } = self;
        Payload { by: fields::bytes(by.as_str()), target: target.0, body, metadata }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let Payload { by, target, body, metadata } = payload;
        Ok(Self { by: fields::user(&by)?, target: Seq(target), body, metadata })
    }

    fn check(&self) -> Result<(), BadInput> {
        bounds::text("body", &self.body, limits::BODY_BYTES)?;
        bounds::text("metadata", self.metadata.as_deref().unwrap_or_default(), limits::METADATA_BYTES)
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let Self { by, target, body, metadata } = self;
        if room.existing()? != RoomKind::Open {
            room.member_only(&by)?;
        }
        room.alive(now)?;
        if target == Seq::ZERO || target > room.meta.head {
            return Err(Reject::NoMessage);
        }
        let entry = room.window.live(now.append, target).ok_or(Reject::EditTooLate)?;
        if !entry.is_message() {
            return Err(Reject::NoMessage);
        }
        if entry.actor.as_ref() != Some(&by) {
            return Err(Reject::NotAuthor);
        }
        if entry.deleted().is_some() {
            return Err(Reject::Deleted);
        }
        room.unblocked()?;
        Ok(room.accept(now, id, Some(by), None, EventBody::Edited { target, body, metadata }))
    }
}
