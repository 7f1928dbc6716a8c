//! Changes a room's settings.

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::create::{expiry, may_send};
use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, MaySend, Reject, RoomKind, fields};
use crate::ids::UserId;
use crate::limits;
use crate::ttl::Ttl;

/// Settings to be changed; what is not named stays.
#[derive(Deserialize, Debug, ToSchema)]
pub(crate) struct NewSettings {
    /// At most 256 bytes.
    #[schema(required = false, nullable = false)]
    pub title: Option<String>,
    /// Milliseconds from now on, or a text such as "24h"; 0 for ever.
    #[schema(value_type = u64, required = false, nullable = false)]
    pub ttl: Option<Ttl>,
    /// Who may send.
    #[schema(inline, required = false, nullable = false)]
    pub may_send: Option<MaySend>,
    /// Whether users may join by themselves.
    #[schema(required = false, nullable = false)]
    pub public: Option<bool>,
}

impl NewSettings {
    /// The command.
    ///
    /// # Errors
    /// It changes nothing.
    pub(crate) fn by(self, by: UserId) -> Result<Update, BadInput> {
        let Self { title, ttl, may_send, public } = self;
        if title.is_none() && ttl.is_none() && may_send.is_none() && public.is_none() {
            return Err(BadInput::because("nothing to update"));
        }
        Ok(Update { by, title, ttl_ms: ttl.map(|ttl| ttl.0), may_send, public })
    }
}

/// Changes settings; the creator only. `None` keeps what is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Update {
    /// Who changes it.
    pub by: UserId,
    /// New title.
    pub title: Option<String>,
    /// New time to live in milliseconds from this record's fold time on; 0 = never expires.
    pub ttl_ms: Option<u64>,
    /// Who may send.
    pub may_send: Option<MaySend>,
    /// Whether users may join by themselves.
    pub public: Option<bool>,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    by: Bytes,
    #[prost(string, optional, tag = "2")]
    title: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    ttl_ms: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    may_send: Option<u32>,
    #[prost(bool, optional, tag = "5")]
    public: Option<bool>,
}

impl Verb<RoomState, Outcome> for Update {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        Payload {
            by: fields::bytes(self.by.as_str()),
            title: self.title,
            ttl_ms: self.ttl_ms,
            may_send: self.may_send.map(|may| u32::from(may.number())),
            public: self.public,
        }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        Ok(Self {
            by: fields::user(&payload.by)?,
            title: payload.title,
            ttl_ms: payload.ttl_ms,
            may_send: payload.may_send.map(may_send).transpose()?,
            public: payload.public,
        })
    }

    fn check(&self) -> Result<(), BadInput> {
        bounds::text("title", self.title.as_deref().unwrap_or_default(), limits::TITLE_BYTES)
    }

    /// Title and time to live may change in every room that has members; who may send only in groups, and who may enter
    /// in groups and broadcasts. What a block silences is no way around it: a title is a message, too.
    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let kind = room.existing()?;
        if kind == RoomKind::Open {
            return Err(Reject::WrongKind);
        }
        room.creator_only(&self.by)?;
        let fits = match kind {
            RoomKind::Group => true,
            RoomKind::Broadcast => self.may_send != Some(MaySend::Members),
            RoomKind::Direct | RoomKind::Open => self.may_send.is_none() && self.public.is_none(),
        };
        if !fits {
            return Err(Reject::WrongKind);
        }
        room.alive(now)?;
        room.unblocked()?;
        if let Some(title) = self.title {
            room.meta.title = title;
        }
        if let Some(ttl_ms) = self.ttl_ms {
            room.meta.expires_at = expiry(now.fold, ttl_ms);
        }
        room.meta.may_send = self.may_send.unwrap_or(room.meta.may_send);
        room.meta.public = self.public.unwrap_or(room.meta.public);
        let body = EventBody::Updated {
            title: room.meta.title.clone(),
            expires_at: room.meta.expires_at,
            may_send: room.meta.may_send,
            public: room.meta.public,
        };
        Ok(room.accept(now, id, Some(self.by), None, body))
    }
}
