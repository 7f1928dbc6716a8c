//! Who may do what in a room, followed by its events alone and not by the fold that is looked at.
//!
//! What is over takes nothing any more, a block silences a direct chat, settings, end and removals are the creator's, and
//! a message is its author's. The fold decides all of that, too: here it stands in other words, so that a fold that
//! forgets one of them is found out.

use std::collections::{BTreeMap, BTreeSet};

use crate::actors::wire::{Event, EventBody, RoomKind};
use crate::ids::{Seq, Timestamp, UserId};

/// What the events of a room so far say of rights.
#[derive(Default)]
pub(crate) struct Rights {
    /// `None` for an open channel: it belongs to nobody.
    kind: Option<RoomKind>,
    creator: Option<UserId>,
    expires_at: Option<Timestamp>,
    over: bool,
    public: bool,
    /// Since which seq.
    members: BTreeMap<UserId, Seq>,
    /// By whom.
    invited: BTreeMap<UserId, Option<UserId>>,
    kicked: BTreeSet<UserId>,
    blocks: BTreeSet<UserId>,
    authors: BTreeMap<Seq, Option<UserId>>,
}

impl Rights {
    /// A user blocks the other side of the direct chat, or does not any more.
    pub(crate) fn block(&mut self, by: &UserId, blocked: bool) {
        match blocked {
            true => _ = self.blocks.insert(by.clone()),
            false => _ = self.blocks.remove(by),
        }
    }

    /// Takes an event whose record was appended at `append`.
    ///
    /// # Errors
    /// Whoever caused the event had no right to.
    pub(crate) fn check(&mut self, append: Timestamp, event: &Event) -> Result<(), String> {
        let over = self.over || self.expires_at.is_some_and(|at| at <= append);
        let refuse = |why: &str| Err(format!("rights: {why}: {event:?}"));
        match &event.body {
            EventBody::Message { .. } | EventBody::Edited { .. } | EventBody::Updated { .. } if over => {
                return refuse("the room is over");
            }
            EventBody::Message { .. } | EventBody::Edited { .. } | EventBody::Updated { .. }
                if !self.blocks.is_empty() =>
            {
                return refuse("one side has blocked the other");
            }
            EventBody::Updated { .. } | EventBody::Kicked { .. } if self.creator != event.actor => {
                return refuse("only the creator may");
            }
            EventBody::Uninvited { user }
                if self.creator != event.actor && self.invited.get(user) != Some(&event.actor) =>
            {
                return refuse("only the creator and who asked him in may");
            }
            EventBody::Ended if self.kind != Some(RoomKind::Direct) && self.creator != event.actor => {
                return refuse("only the creator may");
            }
            EventBody::Message { .. } if self.kind == Some(RoomKind::Broadcast) && self.creator != event.actor => {
                return refuse("only the creator speaks here");
            }
            EventBody::Joined if !event.actor.as_ref().is_some_and(|user| self.is_welcome(user)) => {
                return refuse("nobody asked him in");
            }
            EventBody::Edited { target, .. } | EventBody::Deleted { target }
                if self.authors.get(target) != Some(&event.actor) =>
            {
                return refuse("only the author may");
            }
            _ => {}
        }
        match &event.body {
            EventBody::Created { kind, expires_at, members, public, .. } => {
                (self.kind, self.creator) = (Some(*kind), event.actor.clone());
                (self.expires_at, self.public) = (*expires_at, *public);
                self.members.extend(members.iter().map(|user| (user.clone(), event.seq)));
            }
            EventBody::Invited { user } => _ = self.invited.insert(user.clone(), event.actor.clone()),
            EventBody::Uninvited { user } => _ = self.invited.remove(user),
            EventBody::Joined => {
                self.invited.retain(|user, _| event.actor.as_ref() != Some(user));
                self.kicked.retain(|user| event.actor.as_ref() != Some(user));
                self.members.extend(event.actor.iter().map(|user| (user.clone(), event.seq)));
                self.creator = self.creator.take().or_else(|| event.actor.clone());
            }
            EventBody::Left | EventBody::Kicked { .. } => self.removed(event),
            EventBody::Reopened { expires_at } => (self.over, self.expires_at) = (false, *expires_at),
            EventBody::Updated { expires_at, public, .. } => (self.expires_at, self.public) = (*expires_at, *public),
            EventBody::Ended | EventBody::Expired => self.over = true,
            EventBody::Message { .. } => _ = self.authors.insert(event.seq, event.actor.clone()),
            _ => {}
        }
        Ok(())
    }

    /// Whether a user may come in.
    fn is_welcome(&self, user: &UserId) -> bool {
        self.invited.contains_key(user) || (self.public && !self.kicked.contains(user))
    }

    /// A room whose creator goes passes to the member who has been in for longest; without members it is over, unless
    /// everybody may come in.
    fn removed(&mut self, event: &Event) {
        let Some(user) = event.removes() else { return };
        let was_member = self.members.remove(user).is_some();
        self.invited.remove(user);
        if let EventBody::Kicked { .. } = event.body {
            self.kicked.insert(user.clone());
        }
        if self.creator.as_ref() == Some(user) {
            self.creator =
                self.members.iter().min_by_key(|(user, since)| (**since, *user)).map(|(user, _)| user.clone());
        }
        self.over |= was_member && self.members.is_empty() && !self.public;
    }
}
