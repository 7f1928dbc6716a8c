//! Who is in a room: members, who was asked in, who was thrown out. A user is at most one of the three.

use serde::Serialize;
use std::collections::BTreeMap;

use crate::actors::wire::{Member, RoomStanding};
use crate::ids::{MessageNo, Seq, UserId};
use crate::limits;

/// An invitation that is not answered yet.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Invitation {
    /// The seq of the event that made it.
    pub seq: Seq,
    /// Whose it is: that user may take it back.
    pub by: UserId,
    /// The kick before it, by its seq: only who enters is forgiven, so it counts again if the invitation goes otherwise.
    pub kicked: Option<Seq>,
}

/// The three lists.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Members {
    pub(super) present: BTreeMap<UserId, Member>,
    pub(super) invited: BTreeMap<UserId, Invitation>,
    pub(super) kicked: BTreeMap<UserId, Seq>,
}

impl Members {
    pub(super) fn standing(&self, user: &UserId) -> Option<RoomStanding> {
        if let Some(member) = self.present.get(user) {
            return Some(RoomStanding::Member(*member));
        }
        if let Some(invitation) = self.invited.get(user) {
            return Some(RoomStanding::Invited(invitation.seq));
        }
        self.kicked.get(user).copied().map(RoomStanding::Kicked)
    }

    pub(super) fn is_member(&self, user: &UserId) -> bool {
        self.present.contains_key(user)
    }

    pub(super) fn enter(&mut self, user: UserId, seq: Seq) {
        self.invited.remove(&user);
        self.kicked.remove(&user);
        self.present.insert(user, Member { joined: seq, sent_no: MessageNo::ZERO });
    }

    pub(super) fn invite(&mut self, user: UserId, by: UserId, seq: Seq) {
        let kicked = self.kicked.remove(&user);
        self.invited.insert(user, Invitation { seq, by, kicked });
    }

    /// Takes the user out, whether in or only invited.
    pub(super) fn leave(&mut self, user: &UserId) {
        self.present.remove(user);
        if let Some(kicked) = self.invited.remove(user).and_then(|invitation| invitation.kicked) {
            self.remember(user, kicked);
        }
    }

    /// Takes the user out and remembers it, unless [`limits::KICKED`] are remembered already: the user is then out, and no more.
    pub(super) fn kick(&mut self, user: &UserId, seq: Seq) {
        self.leave(user);
        self.remember(user, seq);
    }

    fn remember(&mut self, user: &UserId, seq: Seq) {
        if self.kicked.len() < limits::KICKED {
            self.kicked.insert(user.clone(), seq);
        }
    }

    /// The member who has been in for longest; of several who came with one event the lowest id.
    pub(super) fn senior(&self) -> Option<&UserId> {
        self.present.iter().min_by_key(|(user, member)| (member.joined, *user)).map(|(user, _)| user)
    }

    pub(super) fn sent(&mut self, user: &UserId, no: MessageNo) {
        if let Some(member) = self.present.get_mut(user) {
            member.sent_no = no;
        }
    }
}
