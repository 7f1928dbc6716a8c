//! Entering, leaving, asking in and throwing out. Only in groups and broadcasts: a direct chat has its two sides for ever,
//! an open channel has no members.

use super::command::{Command, Uninvite};
use super::members::{Invitation, Standing};
use super::outcome::Outcome;
use super::parts::Status;
use super::state::RoomState;
use crate::actors::moment::Moment;
use crate::actors::wire::{EventBody, Reject};
use crate::ids::UserId;
use crate::limits;

impl RoomState {
    pub(super) fn decide_join(&mut self, now: Moment, command: &Command, user: &UserId) -> Result<Outcome, Reject> {
        self.with_membership()?;
        if user.is_anonymous() {
            return Err(Reject::NotAllowed);
        }
        let welcome = match self.members.standing(user) {
            Some(Standing::Member(member)) => return Ok(self.before(now, member.joined)),
            Some(Standing::Invited(_)) => true,
            Some(Standing::Kicked(_)) => false,
            None => self.meta.public,
        };
        if !welcome {
            return Err(Reject::NotInvited);
        }
        self.alive(now)?;
        if self.members.present.len() >= self.meta.max_members as usize {
            return Err(Reject::Full);
        }
        self.members.enter(user.clone(), self.meta.head.next());
        // A public room that everybody had left belongs to who enters first.
        self.meta.creator.get_or_insert_with(|| user.clone());
        Ok(self.accept(now, command, Some(user.clone()), None, EventBody::Joined))
    }

    /// A member goes, or somebody declines an invitation. When the creator goes, the room passes to the member who has been
    /// in for longest (of several who came with one event, the lowest id). When the last member goes, a public room stays,
    /// empty, and any other has ended with this event.
    pub(super) fn decide_leave(&mut self, now: Moment, command: &Command, user: &UserId) -> Result<Outcome, Reject> {
        self.with_membership()?;
        match self.members.standing(user) {
            Some(Standing::Member(_) | Standing::Invited(_)) => {}
            Some(Standing::Kicked(_)) | None => return Err(Reject::NotMember),
        }
        let was_member = self.members.is_member(user);
        self.members.leave(user);
        if self.meta.creator.as_ref() == Some(user) {
            self.meta.creator = self.members.senior().cloned();
        }
        let deserted = was_member && self.members.present.is_empty() && !self.meta.public;
        if deserted && self.status_at(now.append) == Status::Active {
            self.meta.status = Status::Ended;
            self.meta.closed = self.next_mark(now, command);
        }
        Ok(self.accept(now, command, Some(user.clone()), None, EventBody::Left))
    }

    pub(super) fn decide_invite(
        &mut self,
        now: Moment,
        command: &Command,
        by: &UserId,
        user: &UserId,
    ) -> Result<Outcome, Reject> {
        self.with_membership()?;
        self.member_only(by)?;
        if user.is_anonymous() {
            return Err(Reject::NotAllowed);
        }
        match self.members.standing(user) {
            Some(Standing::Member(member)) => return Ok(self.before(now, member.joined)),
            Some(Standing::Invited(seq)) => return Ok(self.before(now, seq)),
            Some(Standing::Kicked(_)) | None => {}
        }
        self.alive(now)?;
        let reserved = if self.meta.creator.as_ref() == Some(by) { 0 } else { limits::INVITES_OF_CREATOR };
        if self.members.invited.len() >= limits::INVITES - reserved {
            return Err(Reject::Full);
        }
        self.members.invite(user.clone(), Invitation { seq: self.meta.head.next(), by: by.clone() });
        Ok(self.accept(now, command, Some(by.clone()), None, EventBody::Invited { user: user.clone() }))
    }

    /// An invitation goes, and nothing else: a member stays one, and nobody is remembered as kicked. By whoever made it, in
    /// the room or not, by the creator, or by the one who was asked in; also once the room is over.
    pub(super) fn decide_uninvite(
        &mut self,
        now: Moment,
        command: &Command,
        uninvite: &Uninvite,
    ) -> Result<Outcome, Reject> {
        self.with_membership()?;
        let Uninvite { by, inviter, user } = uninvite;
        if self.members.invited.get(user).is_none_or(|invitation| invitation.by != *inviter) {
            return Err(Reject::NotMember);
        }
        if by != user && by != inviter {
            self.creator_only(by)?;
        }
        self.members.leave(user);
        let body = if by == user { EventBody::Left } else { EventBody::Uninvited { user: user.clone() } };
        Ok(self.accept(now, command, Some(by.clone()), None, body))
    }

    pub(super) fn decide_kick(
        &mut self,
        now: Moment,
        command: &Command,
        by: &UserId,
        user: &UserId,
    ) -> Result<Outcome, Reject> {
        self.with_membership()?;
        self.creator_only(by)?;
        if by == user {
            return Err(Reject::WrongKind);
        }
        match self.members.standing(user) {
            Some(Standing::Member(_) | Standing::Invited(_)) => {}
            Some(Standing::Kicked(seq)) => return Ok(self.before(now, seq)),
            None => return Err(Reject::NotMember),
        }
        self.alive(now)?;
        self.members.kick(user, self.meta.head.next());
        Ok(self.accept(now, command, Some(by.clone()), None, EventBody::Kicked { user: user.clone() }))
    }
}
