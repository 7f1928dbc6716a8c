//! Settings, the room's end, and what is relayed to it.

use super::command::{Block, Command, Update};
use super::decide_create::expiry;
use super::outcome::Outcome;
use super::parts::Status;
use super::state::RoomState;
use crate::actors::moment::Moment;
use crate::actors::wire::{EventBody, MaySend, Reject, RoomKind};
use crate::ids::UserId;

impl RoomState {
    /// Title and time to live may change in every room that has members; who may send only in groups, and who may enter
    /// in groups and broadcasts. What a block silences is no way around it: a title is a message, too.
    pub(super) fn decide_update(&mut self, now: Moment, command: &Command, update: &Update) -> Result<Outcome, Reject> {
        let kind = self.existing()?;
        if kind == RoomKind::Open {
            return Err(Reject::WrongKind);
        }
        self.creator_only(&update.by)?;
        let fits = match kind {
            RoomKind::Group => true,
            RoomKind::Broadcast => update.may_send != Some(MaySend::Members),
            RoomKind::Direct | RoomKind::Open => update.may_send.is_none() && update.public.is_none(),
        };
        if !fits {
            return Err(Reject::WrongKind);
        }
        self.alive(now)?;
        self.unblocked()?;
        if let Some(title) = &update.title {
            self.meta.title.clone_from(title);
        }
        if let Some(ttl_ms) = update.ttl_ms {
            self.meta.expires_at = expiry(now.fold, ttl_ms);
        }
        self.meta.may_send = update.may_send.unwrap_or(self.meta.may_send);
        self.meta.public = update.public.unwrap_or(self.meta.public);
        let body = EventBody::Updated {
            title: self.meta.title.clone(),
            expires_at: self.meta.expires_at,
            may_send: self.meta.may_send,
            public: self.meta.public,
        };
        Ok(self.accept(now, command, Some(update.by.clone()), None, body))
    }

    /// Of the two of a direct chat, who is blocked does not end it: who blocks would hear of it.
    pub(super) fn decide_end(&mut self, now: Moment, command: &Command, by: &UserId) -> Result<Outcome, Reject> {
        match self.existing()? {
            RoomKind::Open => return Err(Reject::WrongKind),
            RoomKind::Direct => self.member_only(by)?,
            RoomKind::Group | RoomKind::Broadcast => self.creator_only(by)?,
        }
        match self.status_at(now.append) {
            Status::Active => {}
            Status::Ended => {
                let closed = self.meta.closed;
                return Ok(Outcome::Duplicate { seq: closed.seq, id: closed.id, at: closed.at });
            }
            Status::Expired => return Err(Reject::Expired),
        }
        if !self.blocks.is_empty() && !self.blocks.contains(by) {
            return Err(Reject::Blocked);
        }
        self.meta.status = Status::Ended;
        self.meta.closed = self.next_mark(now, command);
        Ok(self.accept(now, command, Some(by.clone()), None, EventBody::Ended))
    }

    pub(super) fn decide_expire(&mut self, now: Moment, command: &Command) -> Result<Outcome, Reject> {
        if self.meta.kind.is_none()
            || self.meta.status != Status::Active
            || self.status_at(now.append) == Status::Active
        {
            return Ok(Outcome::Ignored);
        }
        self.meta.status = Status::Expired;
        Ok(self.accept(now, command, None, None, EventBody::Expired))
    }

    /// A relayed block may come before the direct chat is made: it is kept for that.
    pub(super) fn decide_block(&mut self, block: &Block) -> Outcome {
        let concerned = match self.meta.kind {
            None => self.blocks.contains(&block.by) || self.blocks.len() < 2,
            Some(RoomKind::Direct) => self.members.is_member(&block.by),
            Some(_) => false,
        };
        let known = self.sources.get(&block.source).is_some_and(|offset| block.source_offset <= *offset);
        if !concerned || known {
            return Outcome::Ignored;
        }
        self.sources.insert(block.source, block.source_offset);
        if block.blocked {
            self.blocks.insert(block.by.clone());
        } else {
            self.blocks.remove(&block.by);
        }
        Outcome::Noted
    }
}
