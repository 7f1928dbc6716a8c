//! `room.create`, `room.get`, `room.update`, `room.end`.

use super::admission::Cost;
use super::request::InRoom;
use super::view::{self, Created, Happened, Inside, RoomHead, RoomView};
use super::{Caller, Error, Handlers};
use crate::actors::bounds;
use crate::actors::room::RoomCommand;
use crate::actors::room::commands::{self, End, NewKind, NewRoom, NewSettings};
use crate::actors::wire::{
    Entity, HistoryBound, MaySend, Query, QueryAnswer, Reject, RoomFacts, RoomKind, RoomStanding,
};
use crate::api::protocol::publication::{kind_name, may_send_name};
use crate::ids::{ClientId, RoomId, Timestamp, UserId};
use crate::limits;

impl Handlers {
    pub(in crate::api) async fn create(&self, caller: &Caller, new: NewRoom) -> Result<Created, Error> {
        // Each of them is asked before there is a command that could be judged.
        bounds::count("members", new.members.len(), limits::CREATE_MEMBERS)?;
        let (room, create) = match new.kind {
            NewKind::Direct => self.direct(caller, new)?,
            NewKind::Group => self.group(caller, new, RoomKind::Group).await?,
            NewKind::Broadcast => self.group(caller, new, RoomKind::Broadcast).await?,
        };
        let done = self.room_command(caller, room, RoomCommand::Create(create)).await?;
        Ok(Created { room, channel: room.channel(), seq: done.seq, ts: done.at, existing: done.duplicate })
    }

    fn direct(&self, caller: &Caller, new: NewRoom) -> Result<(RoomId, commands::Create), Error> {
        let NewRoom { kind: _, user, mut members, title, public, may_send, client_id: _, ttl } = new;
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

    async fn group(&self, caller: &Caller, new: NewRoom, kind: RoomKind) -> Result<(RoomId, commands::Create), Error> {
        let NewRoom { kind: _, user, mut members, title, public, may_send, client_id, ttl } = new;
        members.extend(user);
        let broadcast = kind == RoomKind::Broadcast;
        if broadcast && may_send == Some(MaySend::Members) {
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
            may_send: may_send.unwrap_or(default),
            max_members: self.options.max_members,
            history: HistoryBound::default(),
        };
        Ok((RoomId::group(&caller.user, &client_id), create))
    }

    pub(in crate::api) async fn get(&self, caller: &Caller, InRoom { room }: InRoom) -> Result<RoomView, Error> {
        self.admit(caller, Cost::QUESTION)?;
        let user = caller.user.clone();
        let QueryAnswer::Room(facts) = self.node.router().query(Entity::Room(room), Query::Room { user }).await else {
            return Err(Error::unavailable());
        };
        view_of(room, *facts, &caller.user, self.node.env().now()).ok_or_else(|| {
            self.asked_in_vain(caller);
            Error::Rejected(Reject::NotMember)
        })
    }

    pub(in crate::api) async fn update(
        &self,
        caller: &Caller,
        InRoom { room }: InRoom,
        new: NewSettings,
    ) -> Result<Happened, Error> {
        let update = RoomCommand::Update(new.by(caller.user.clone())?);
        self.room_command(caller, room, update).await.map(Happened::from)
    }

    pub(in crate::api) async fn end(&self, caller: &Caller, InRoom { room }: InRoom) -> Result<Happened, Error> {
        let end = RoomCommand::End(End { by: caller.user.clone() });
        self.room_command(caller, room, end).await.map(Happened::from)
    }
}

/// A client id for who gave none.
fn fresh(id: uuid::Uuid) -> Result<ClientId, Error> {
    ClientId::new(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
        .map_err(|why| Error::bad(why.to_string()))
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
