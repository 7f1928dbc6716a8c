//! How a room is made, and how a direct chat is opened again.

use std::collections::BTreeSet;

use super::command::{Command, Create, Send};
use super::outcome::Outcome;
use super::parts::Status;
use super::state::RoomState;
use crate::actors::moment::Moment;
use crate::actors::wire::{EventBody, MaySend, Reject, RoomKind};
use crate::ids::{MessageNo, RoomId, Timestamp, UserId};
use crate::limits;

/// What a room is made with, once its kind has had its say.
struct Terms {
    members: BTreeSet<UserId>,
    may_send: MaySend,
    public: bool,
    most: usize,
}

impl RoomState {
    pub(super) fn decide_create(&mut self, now: Moment, command: &Command, create: &Create) -> Result<Outcome, Reject> {
        if create.kind == RoomKind::Open || !create.channel.is_empty() {
            return Err(Reject::Invalid);
        }
        if create.creator.is_anonymous() || create.members.iter().any(UserId::is_anonymous) {
            return Err(Reject::NotAllowed);
        }
        match create.kind {
            RoomKind::Direct => self.create_direct(now, command, create),
            _ => self.create_group(now, command, create),
        }
    }

    /// A room for two. Its uuid is made of their ids, so whoever asks for it means the same room.
    fn create_direct(&mut self, now: Moment, command: &Command, create: &Create) -> Result<Outcome, Reject> {
        let members = first_members(create);
        let pair: Vec<&UserId> = members.iter().collect();
        let [low, high] = pair[..] else { return Err(Reject::Invalid) };
        if RoomId::direct(low, high) != self.meta.room {
            return Err(Reject::Invalid);
        }
        match self.meta.kind {
            Some(RoomKind::Direct) if self.status_at(now.append) == Status::Active => {
                let opened = self.meta.opened;
                return Ok(Outcome::Duplicate { seq: opened.seq, id: opened.id, at: opened.at });
            }
            Some(RoomKind::Direct) | None => {}
            Some(_) => return Err(Reject::Exists),
        }
        // A block may have come before the room.
        if members.iter().any(|user| self.blocks.contains(user)) {
            return Err(Reject::Blocked);
        }
        if self.exists() {
            return Ok(self.reopen(now, command, create));
        }
        let terms = Terms { members, may_send: MaySend::Members, public: false, most: 2 };
        Ok(self.make(now, command, create, terms))
    }

    fn reopen(&mut self, now: Moment, command: &Command, create: &Create) -> Outcome {
        let expires_at = expiry(now.fold, create.ttl_ms);
        self.meta.status = Status::Active;
        self.meta.expires_at = expires_at;
        self.meta.opened = self.next_mark(now, command);
        self.meta.closed = Default::default();
        self.accept(now, command, Some(create.creator.clone()), None, EventBody::Reopened { expires_at })
    }

    fn create_group(&mut self, now: Moment, command: &Command, create: &Create) -> Result<Outcome, Reject> {
        if let Some(kind) = self.meta.kind {
            if kind != create.kind || self.meta.creator.as_ref() != Some(&create.creator) {
                return Err(Reject::Exists);
            }
            let opened = self.meta.opened;
            return Ok(Outcome::Duplicate { seq: opened.seq, id: opened.id, at: opened.at });
        }
        let most = match create.max_members {
            0 => limits::MEMBERS,
            most => (most as usize).min(limits::MEMBERS),
        };
        let members = first_members(create);
        if members.len() > most {
            return Err(Reject::Full);
        }
        let may_send = if create.kind == RoomKind::Broadcast { MaySend::Creator } else { create.may_send };
        let terms = Terms { members, may_send, public: create.public, most };
        Ok(self.make(now, command, create, terms))
    }

    fn make(&mut self, now: Moment, command: &Command, create: &Create, terms: Terms) -> Outcome {
        let Terms { members, may_send, public, most } = terms;
        let expires_at = expiry(now.fold, create.ttl_ms);
        let opened = self.next_mark(now, command);
        // Blocks that came before the room and do not concern it.
        self.blocks.clear();
        self.meta.kind = Some(create.kind);
        self.meta.title.clone_from(&create.title);
        self.meta.creator = Some(create.creator.clone());
        self.meta.opened = opened;
        self.meta.history = create.history;
        self.meta.expires_at = expires_at;
        self.meta.may_send = may_send;
        self.meta.public = public;
        self.meta.max_members = u32::try_from(most).unwrap_or(u32::MAX);
        for user in &members {
            self.members.enter(user.clone(), opened.seq);
        }
        let body = EventBody::Created {
            kind: create.kind,
            title: create.title.clone(),
            members: members.into_iter().collect(),
            expires_at,
            may_send,
            public,
            history: create.history,
        };
        self.accept(now, command, Some(create.creator.clone()), None, body)
    }

    /// The first publish of an open channel makes it: its message is seq 1.
    pub(super) fn open_channel(&mut self, now: Moment, command: &Command, send: &Send) -> Result<Outcome, Reject> {
        let open = send.open.as_ref().ok_or(Reject::NoRoom)?;
        if open.channel.is_empty() || RoomId::open(&open.channel) != self.meta.room {
            return Err(Reject::Invalid);
        }
        self.check_ids(send)?;
        self.blocks.clear();
        self.meta.kind = Some(RoomKind::Open);
        self.meta.channel.clone_from(&open.channel);
        self.meta.public = true;
        self.meta.history = open.history;
        self.meta.opened = self.next_mark(now, command);
        let body = EventBody::Message { no: MessageNo(1), content: send.content.clone(), redacted: false };
        Ok(self.accept(now, command, Some(send.sender.clone()), send.client_id.clone(), body))
    }
}

/// The named members and the creator, each once.
fn first_members(create: &Create) -> BTreeSet<UserId> {
    create.members.iter().chain([&create.creator]).cloned().collect()
}

/// When a time to live that begins at `now` is over; never if it is 0.
pub(super) fn expiry(now: Timestamp, ttl_ms: u64) -> Option<Timestamp> {
    (ttl_ms != 0).then(|| Timestamp(now.0.saturating_add(ttl_ms)))
}
