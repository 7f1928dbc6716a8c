//! Makes a room, or opens a direct chat again.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::actors::bounds::{self, BadInput};
use crate::actors::moment::Moment;
use crate::actors::room::{Outcome, RoomState};
use crate::actors::verbs::Verb;
use crate::actors::wire::{EventBody, HistoryBound, MaySend, Reject, RoomKind, RoomStatus, fields};
use crate::ids::{ClientId, RoomId, Timestamp, UserId};
use crate::limits;
use crate::ttl::Ttl;

/// A chat to be made.
#[derive(Deserialize, Debug, ToSchema)]
pub(crate) struct NewRoom {
    /// Its kind.
    #[serde(default)]
    #[schema(inline, required = false)]
    pub kind: NewKind,
    /// The other one, in a direct chat.
    #[schema(required = false, nullable = false)]
    pub user: Option<UserId>,
    /// Who else is in, at most 1,000.
    #[serde(default)]
    #[schema(required = false)]
    pub members: Vec<UserId>,
    /// At most 256 bytes.
    #[serde(default)]
    #[schema(required = false)]
    pub title: String,
    /// Whether users may join by themselves.
    #[serde(default)]
    #[schema(required = false)]
    pub public: bool,
    /// Who may send.
    #[schema(inline, required = false, nullable = false)]
    pub may_send: Option<MaySend>,
    /// Names the group: a retry with it gives the same chat.
    #[schema(required = false, nullable = false)]
    pub client_id: Option<ClientId>,
    /// Milliseconds, or a text such as "24h"; 0 for ever.
    #[schema(value_type = u64, required = false, nullable = false)]
    pub ttl: Option<Ttl>,
}

/// The kinds of room that can be asked for: open channels are made by their first publish.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NewKind {
    /// Two users.
    Direct,
    /// Many.
    #[default]
    Group,
    /// Many, one sends.
    Broadcast,
}

/// Makes the room, or opens an ended or expired direct chat again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Create {
    /// The kind.
    pub kind: RoomKind,
    /// Who makes it.
    pub creator: UserId,
    /// The first members, with or without the creator, who is one in any case. Direct: the other side. Open: none.
    pub members: Vec<UserId>,
    /// Title, may be empty.
    pub title: String,
    /// The channel's name, for open channels; empty otherwise.
    pub channel: String,
    /// Milliseconds from creation (direct: from opening) to expiry; 0 = never.
    pub ttl_ms: u64,
    /// Whether users may join without an invitation.
    pub public: bool,
    /// Who may send.
    pub may_send: MaySend,
    /// Most members, resolved from configuration; at most `limits::MEMBERS`.
    pub max_members: u32,
    /// How much history is kept.
    pub history: HistoryBound,
}

#[derive(Clone, PartialEq, Message)]
pub(in crate::actors) struct Payload {
    #[prost(uint32, tag = "1")]
    kind: u32,
    #[prost(bytes = "bytes", tag = "2")]
    creator: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    members: Vec<Bytes>,
    #[prost(string, tag = "4")]
    title: String,
    #[prost(string, tag = "5")]
    channel: String,
    #[prost(uint64, tag = "6")]
    ttl_ms: u64,
    #[prost(bool, tag = "7")]
    public: bool,
    #[prost(uint32, tag = "8")]
    may_send: u32,
    #[prost(uint32, tag = "9")]
    max_members: u32,
    #[prost(uint64, tag = "10")]
    history_events: u64,
    #[prost(uint64, tag = "11")]
    history_age_ms: u64,
}

impl Verb<RoomState, Outcome> for Create {
    type Payload = Payload;

    fn into_payload(self) -> Payload {
        Payload {
            kind: u32::from(self.kind.number()),
            creator: fields::bytes(self.creator.as_str()),
            members: self.members.iter().map(|user| fields::bytes(user.as_str())).collect(),
            title: self.title,
            channel: self.channel,
            ttl_ms: self.ttl_ms,
            public: self.public,
            may_send: u32::from(self.may_send.number()),
            max_members: self.max_members,
            history_events: self.history.events,
            history_age_ms: self.history.age_ms,
        }
    }

    fn from_payload(payload: Payload) -> Result<Self, Reject> {
        let kind = u8::try_from(payload.kind).ok().and_then(RoomKind::from_number).ok_or(Reject::Invalid)?;
        Ok(Self {
            kind,
            creator: fields::user(&payload.creator)?,
            members: payload.members.iter().map(|user| fields::user(user)).collect::<Result<_, _>>()?,
            title: payload.title,
            channel: payload.channel,
            ttl_ms: payload.ttl_ms,
            public: payload.public,
            may_send: may_send(payload.may_send)?,
            max_members: payload.max_members,
            history: HistoryBound { events: payload.history_events, age_ms: payload.history_age_ms },
        })
    }

    fn check(&self) -> Result<(), BadInput> {
        bounds::text("title", &self.title, limits::TITLE_BYTES)?;
        bounds::text("channel", &self.channel, limits::CHANNEL_BYTES)?;
        bounds::count("members", self.members.len(), limits::CREATE_MEMBERS)
    }

    fn names(&self) -> usize {
        self.members.len()
    }

    fn decide(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        if self.kind == RoomKind::Open || !self.channel.is_empty() {
            return Err(Reject::Invalid);
        }
        if self.creator.is_anonymous() || self.members.iter().any(UserId::is_anonymous) {
            return Err(Reject::NotAllowed);
        }
        match self.kind {
            RoomKind::Direct => self.direct(room, now, id),
            _ => self.group(room, now, id),
        }
    }
}

/// What a room is made with, once its kind has had its say.
struct Terms {
    members: BTreeSet<UserId>,
    may_send: MaySend,
    public: bool,
    most: usize,
}

impl Create {
    /// A room for two. Its uuid is made of their ids, so either of them means the same room.
    fn direct(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        let members = self.first_members();
        let pair: Vec<&UserId> = members.iter().collect();
        let [low, high] = pair[..] else { return Err(Reject::Invalid) };
        if RoomId::direct(low, high) != room.meta.room {
            return Err(Reject::Invalid);
        }
        match room.meta.kind {
            Some(RoomKind::Direct) if room.status_at(now.append) == RoomStatus::Active => {
                let opened = room.meta.opened;
                return Ok(Outcome::Duplicate { seq: opened.seq, id: opened.id, at: opened.at });
            }
            Some(RoomKind::Direct) | None => {}
            Some(_) => return Err(Reject::Exists),
        }
        // A block may have come before the room.
        if members.iter().any(|user| room.blocks.contains(user)) {
            return Err(Reject::Blocked);
        }
        if room.exists() {
            return Ok(self.reopen(room, now, id));
        }
        let terms = Terms { members, may_send: MaySend::Members, public: false, most: 2 };
        Ok(self.make(room, now, id, terms))
    }

    fn reopen(self, room: &mut RoomState, now: Moment, id: Uuid) -> Outcome {
        let expires_at = expiry(now.fold, self.ttl_ms);
        room.meta.status = RoomStatus::Active;
        room.meta.expires_at = expires_at;
        room.meta.opened = room.next_mark(now, id);
        room.meta.closed = Default::default();
        room.accept(now, id, Some(self.creator), None, EventBody::Reopened { expires_at })
    }

    fn group(self, room: &mut RoomState, now: Moment, id: Uuid) -> Result<Outcome, Reject> {
        if let Some(kind) = room.meta.kind {
            if kind != self.kind || room.meta.creator.as_ref() != Some(&self.creator) {
                return Err(Reject::Exists);
            }
            let opened = room.meta.opened;
            return Ok(Outcome::Duplicate { seq: opened.seq, id: opened.id, at: opened.at });
        }
        let most = match self.max_members {
            0 => limits::MEMBERS,
            most => (most as usize).min(limits::MEMBERS),
        };
        let members = self.first_members();
        if members.len() > most {
            return Err(Reject::Full);
        }
        let may_send = if self.kind == RoomKind::Broadcast { MaySend::Creator } else { self.may_send };
        let terms = Terms { members, may_send, public: self.public, most };
        Ok(self.make(room, now, id, terms))
    }

    fn make(self, room: &mut RoomState, now: Moment, id: Uuid, terms: Terms) -> Outcome {
        let Terms { members, may_send, public, most } = terms;
        let expires_at = expiry(now.fold, self.ttl_ms);
        let opened = room.next_mark(now, id);
        // Blocks that came before the room and do not concern it.
        room.blocks.clear();
        room.meta.kind = Some(self.kind);
        room.meta.title.clone_from(&self.title);
        room.meta.creator = Some(self.creator.clone());
        room.meta.opened = opened;
        room.meta.history = self.history;
        room.meta.expires_at = expires_at;
        room.meta.may_send = may_send;
        room.meta.public = public;
        room.meta.max_members = u32::try_from(most).unwrap_or(u32::MAX);
        for user in &members {
            room.members.enter(user.clone(), opened.seq);
        }
        let body = EventBody::Created {
            kind: self.kind,
            title: self.title,
            members: members.into_iter().collect(),
            expires_at,
            may_send,
            public,
            history: self.history,
        };
        room.accept(now, id, Some(self.creator), None, body)
    }

    /// The named members and the creator, each once.
    fn first_members(&self) -> BTreeSet<UserId> {
        self.members.iter().chain([&self.creator]).cloned().collect()
    }
}

/// When a time to live that begins at `now` is over; never if it is 0.
pub(super) fn expiry(now: Timestamp, ttl_ms: u64) -> Option<Timestamp> {
    (ttl_ms != 0).then(|| Timestamp(now.0.saturating_add(ttl_ms)))
}

/// Who may send, by the number in a payload.
pub(super) fn may_send(number: u32) -> Result<MaySend, Reject> {
    u8::try_from(number).ok().and_then(MaySend::from_number).ok_or(Reject::Invalid)
}
