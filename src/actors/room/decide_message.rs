//! Sending, editing and redacting messages.

use super::command::{Command, Delete, Edit, Send};
use super::outcome::Outcome;
use super::state::RoomState;
use crate::actors::moment::Moment;
use crate::actors::wire::{EventBody, MaySend, Reject, RoomKind};
use crate::ids::{Seq, UserId};

impl RoomState {
    pub(super) fn decide_send(&mut self, now: Moment, command: &Command, send: &Send) -> Result<Outcome, Reject> {
        let Some(kind) = self.meta.kind else { return self.open_channel(now, command, send) };
        // A message that is in stays in, whatever happened since: its sender is told so.
        if let Some(client_id) = &send.client_id
            && let Some(first) = self.window.find(&send.sender, client_id)
        {
            return Ok(Outcome::Duplicate { seq: first.seq, id: first.id, at: first.at });
        }
        match kind {
            RoomKind::Open => self.check_publish(send)?,
            RoomKind::Direct | RoomKind::Group | RoomKind::Broadcast => self.check_sender(now, send)?,
        }
        self.check_ids(send)?;
        if let Some(open) = &send.open {
            self.meta.history = open.history;
        }
        let no = self.meta.last_no.next();
        // The member's own copy of the id: thousands of entries then share it.
        let sender = self.members.present.get_key_value(&send.sender).map_or(&send.sender, |(user, _)| user).clone();
        self.members.sent(&sender, no);
        let body = EventBody::Message { no, content: send.content.clone(), redacted: false };
        Ok(self.accept(now, command, Some(sender), send.client_id.clone(), body))
    }

    /// Into an open channel by its name only: the gateway has judged by the namespace of that. Its uuid follows from the
    /// name, and must not be a way around.
    fn check_publish(&self, send: &Send) -> Result<(), Reject> {
        match &send.open {
            None => Err(Reject::NoRoom),
            Some(open) if open.channel != self.meta.channel => Err(Reject::Invalid),
            Some(_) => Ok(()),
        }
    }

    fn check_sender(&self, now: Moment, send: &Send) -> Result<(), Reject> {
        if send.open.is_some() {
            return Err(Reject::WrongKind);
        }
        self.takes_from(now, &send.sender)
    }

    /// Whether a message of this user would be taken now. The fold asks it of each message; whoever brings something for a
    /// message asks it before, and decides nothing by it.
    pub fn takes_from(&self, now: impl Into<Moment>, user: &UserId) -> Result<(), Reject> {
        if user.is_anonymous() {
            return Err(Reject::NotAllowed);
        }
        self.member_only(user)?;
        self.alive(now.into())?;
        if self.meta.may_send == MaySend::Creator && self.meta.creator.as_ref() != Some(user) {
            return Err(Reject::NotAllowed);
        }
        self.unblocked()
    }

    /// Between the two of a direct chat a block by either side silences both.
    pub(super) fn unblocked(&self) -> Result<(), Reject> {
        if self.blocks.is_empty() { Ok(()) } else { Err(Reject::Blocked) }
    }

    /// The ids that the sender gave, once it is clear that the message is not in: its own (P3) and that of the message
    /// before it (P5).
    pub(super) fn check_ids(&self, send: &Send) -> Result<(), Reject> {
        if send.client_id.as_ref().is_some_and(|id| self.window.is_too_old(id)) {
            return Err(Reject::TooOld);
        }
        if let Some(prev) = &send.prev
            && self.window.find(&send.sender, prev).is_none()
            && !self.window.is_too_old(prev)
        {
            return Err(Reject::NeedPrev);
        }
        match send.content.reply_to {
            Some(seq) if seq == Seq::ZERO || seq > self.meta.head => Err(Reject::NoMessage),
            _ => Ok(()),
        }
    }

    pub(super) fn decide_edit(&mut self, now: Moment, command: &Command, edit: &Edit) -> Result<Outcome, Reject> {
        if self.existing()? != RoomKind::Open {
            self.member_only(&edit.by)?;
        }
        self.alive(now)?;
        if edit.target == Seq::ZERO || edit.target > self.meta.head {
            return Err(Reject::NoMessage);
        }
        let entry = self.window.live(now.append, edit.target).ok_or(Reject::EditTooLate)?;
        if !entry.message {
            return Err(Reject::NoMessage);
        }
        if entry.actor.as_ref() != Some(&edit.by) {
            return Err(Reject::NotAuthor);
        }
        if entry.deleted.is_some() {
            return Err(Reject::Deleted);
        }
        self.unblocked()?;
        let body = EventBody::Edited { target: edit.target, body: edit.body.clone(), metadata: edit.metadata.clone() };
        Ok(self.accept(now, command, Some(edit.by.clone()), None, body))
    }

    /// Redacting one's own words is possible as long as one is in, also after the room's end.
    pub(super) fn decide_delete(&mut self, now: Moment, command: &Command, delete: &Delete) -> Result<Outcome, Reject> {
        if self.existing()? != RoomKind::Open {
            self.member_only(&delete.by)?;
        }
        if delete.target == Seq::ZERO || delete.target > self.meta.head {
            return Err(Reject::NoMessage);
        }
        let (author, deleted) = match self.window.live(now.append, delete.target) {
            Some(entry) if !entry.message => return Err(Reject::NoMessage),
            Some(entry) => (entry.actor.as_ref(), entry.deleted),
            None => (delete.author.as_ref(), None),
        };
        match author {
            None => return Err(Reject::NoMessage),
            Some(author) if *author != delete.by => return Err(Reject::NotAuthor),
            Some(_) => {}
        }
        if let Some(seq) = deleted {
            return Ok(self.before(now, seq));
        }
        let body = EventBody::Deleted { target: delete.target };
        Ok(self.accept(now, command, Some(delete.by.clone()), None, body))
    }
}
