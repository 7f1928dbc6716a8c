//! `room.create`, `room.get`, `room.update`, `room.end`.

use super::admission::Cost;
use super::input::{self, Create, InRoom, Kind, Senders, Update};
use super::view::{self, Created, Happened, Inside, RoomHead, RoomView};
use super::{Caller, Error, Handlers};
use crate::actors::room::RoomCommand;
use crate::actors::room::commands;
use crate::actors::room::commands::End;
use crate::actors::wire::{
    Entity, HistoryBound, MaySend, Query, QueryAnswer, Reject, RoomFacts, RoomKind, RoomStanding,
};
use crate::api::protocol::publication::{kind_name, may_send_name};
use crate::ids::{ClientId, RoomId, Timestamp, UserId};
use crate::limits;

impl Handlers {
    pub(in crate::api) async fn create(&self, caller: &Caller, input: Create) -> Result<Created, Error> {
        input::count("members", input.members.len(), limits::CREATE_MEMBERS)?;
        input::text("title", &input.title, limits::TITLE_BYTES)?;
        let (room, create) = match input.kind {
            Kind::Direct => self.direct(caller, input)?,
            Kind::Group => self.group(caller, input, RoomKind::Group).await?,
            Kind::Broadcast => self.group(caller, input, RoomKind::Broadcast).await?,
        };
        let done = self.room_command(caller, room, RoomCommand::Create(create)).await?;
        Ok(Created { room, channel: room.channel(), seq: done.seq, ts: done.at, existing: done.duplicate })
    }

    fn direct(&self, caller: &Caller, input: Create) -> Result<(RoomId, commands::Create), Error> {
        let Create { kind: _, user, mut members, title, public, may_send, client_id: _, ttl } = input;
        members.extend(user);
        members.retain(|user| *user != caller.user);
        members.sort();
        members.dedup();
        let [peer] = &members[..] else {
            return Err(Error::bad("a direct chat has exactly one other member"));
        };
        if public || may_send.is_some() {
            return Err(Error::bad("a direct chat is neither public nor has it a may_send"));
        }
        let room = RoomId::direct(&caller.user, peer);
        let ttl_ms = ttl.map_or(self.options.direct_ttl_ms, |ttl| ttl.0);
        let create = commands::Create {
            kind: RoomKind::Direct,
            creator: caller.user.clone(),
            members,
            title,
            channel: String::new(),
            ttl_ms,
            public: false,
            may_send: MaySend::Members,
            max_members: 2,
            history: HistoryBound::default(),
        };
        Ok((room, create))
    }

    async fn group(&self, caller: &Caller, input: Create, kind: RoomKind) -> Result<(RoomId, commands::Create), Error> {
        let Create { kind: _, user, mut members, title, public, may_send, client_id, ttl } = input;
        members.extend(user);
        let broadcast = kind == RoomKind::Broadcast;
        if broadcast && may_send == Some(Senders::Members) {
            return Err(Error::bad("in a broadcast only the creator sends"));
        }
        let client_id = match client_id {
            Some(id) => id,
            None => fresh(self.node.env().ids.next())?,
        };
        self.may_change(caller)?;
        let members = self.reachable(caller, members).await?;
        let default = if broadcast { MaySend::Creator } else { MaySend::Members };
        let create = commands::Create {
            kind,
            creator: caller.user.clone(),
            members,
            title,
            channel: String::new(),
            ttl_ms: ttl.map_or(0, |ttl| ttl.0),
            public,
            may_send: may_send.map_or(default, MaySend::from),
            max_members: self.options.max_members,
            history: HistoryBound::default(),
        };
        Ok((RoomId::group(&caller.user, &client_id), create))
    }

    pub(in crate::api) async fn get(&self, caller: &Caller, input: InRoom) -> Result<RoomView, Error> {
        self.admit(caller, Cost::QUESTION)?;
        let (room, user) = (input.room.0, caller.user.clone());
        let QueryAnswer::Room(facts) = self.node.router().query(Entity::Room(room), Query::Room { user }).await else {
            return Err(Error::unavailable());
        };
        view_of(room, *facts, &caller.user, self.node.env().now()).ok_or_else(|| {
            self.asked_in_vain(caller);
            Error::Rejected(Reject::NotMember)
        })
    }

    pub(in crate::api) async fn update(&self, caller: &Caller, input: Update) -> Result<Happened, Error> {
        let Update { room, title, ttl, may_send, public } = input;
        input::text("title", title.as_deref().unwrap_or_default(), limits::TITLE_BYTES)?;
        if title.is_none() && ttl.is_none() && may_send.is_none() && public.is_none() {
            return Err(Error::bad("nothing to update"));
        }
        let update = commands::Update {
            by: caller.user.clone(),
            title,
            ttl_ms: ttl.map(|ttl| ttl.0),
            may_send: may_send.map(MaySend::from),
            public,
        };
        self.room_command(caller, room.0, RoomCommand::Update(update)).await.map(Happened::from)
    }

    pub(in crate::api) async fn end(&self, caller: &Caller, input: InRoom) -> Result<Happened, Error> {
        let end = RoomCommand::End(End { by: caller.user.clone() });
        self.room_command(caller, input.room.0, end).await.map(Happened::from)
    }
}

/// A client id for who gave none.
fn fresh(id: uuid::Uuid) -> Result<ClientId, Error> {
    ClientId::new(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
        .map_err(|why| Error::bad(why.to_string()))
}

impl From<Senders> for MaySend {
    fn from(senders: Senders) -> Self {
        match senders {
            Senders::Members => Self::Members,
            Senders::Creator => Self::Creator,
        }
    }
}

/// A room as this user may see it: all of it for members; its outside for users who are invited or may join; nothing
/// for the rest.
pub(super) fn view_of(room: RoomId, facts: RoomFacts, user: &UserId, now: Timestamp) -> Option<RoomView> {
    let kind = facts.kind.filter(|kind| *kind != RoomKind::Open)?;
    let (state, inside) = match facts.standing {
        Some(RoomStanding::Member(member)) => {
            let inside = Inside {
                head: facts.head,
                floor: facts.floor,
                last_no: facts.last_no,
                last_message_at: facts.last_message_at,
                joined: member.joined,
                role: view::role(user, facts.creator.as_ref()),
            };
            (Some("member"), Some(inside))
        }
        Some(RoomStanding::Invited(_)) => (Some("invited"), None),
        Some(RoomStanding::Kicked(_)) => return None,
        None if facts.public => (None, None),
        None => return None,
    };
    let head = RoomHead {
        room,
        channel: room.channel(),
        kind: kind_name(kind),
        title: facts.title,
        status: view::status(facts.status.at(facts.expires_at, now)),
        expires_at: facts.expires_at,
        public: facts.public,
        may_send: may_send_name(facts.may_send),
        creator: facts.creator,
        peer: facts.peer,
        state,
    };
    Some(RoomView { room: head, members: facts.members, inside })
}
