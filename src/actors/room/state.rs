//! The state of a room and its fold. What a command may do is said by its verb ([`super::commands`]).
//!
//! The fold decides first and changes afterwards: unless it answers `Accepted` or `Noted`, the state is as it was.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::commands::Command;
use super::members::{Invitation, Members};
use super::outcome::Outcome;
use super::parts::{Mark, PartsError, RoomMeta, RoomParts};
use super::window::{Window, WindowBounds, WindowEntry};
use uuid::Uuid;

use crate::actors::moment::Moment;
use crate::actors::wire::{
    Event, EventBody, HistoryBound, MaySend, Member, Reject, RoomKind, RoomStanding, RoomStatus,
};
use crate::ids::{ClientId, Generation, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;

/// A room.
#[derive(Clone, Debug, Serialize)]
pub struct RoomState {
    pub(super) meta: RoomMeta,
    pub(super) members: Members,
    pub(super) blocks: BTreeSet<UserId>,
    pub(super) sources: BTreeMap<Partition, Offset>,
    pub(super) window: Window,
}

impl RoomState {
    /// A room that was never made.
    #[must_use]
    pub fn absent(room: RoomId) -> Self {
        Self {
            meta: RoomMeta::absent(room),
            members: Members::default(),
            blocks: BTreeSet::new(),
            sources: BTreeMap::new(),
            window: Window::default(),
        }
    }

    /// Recent events that the fold keeps in mind.
    #[must_use]
    pub fn window_len(&self) -> usize {
        self.window.entries().len()
    }

    /// As [`Self::absent`], with a window that a test can fill.
    #[cfg(test)]
    pub(crate) fn absent_bounded(room: RoomId, bounds: WindowBounds) -> Self {
        Self { window: Window::bounded(bounds), ..Self::absent(room) }
    }

    /// Decides on one record and changes the state accordingly. Total and pure.
    ///
    /// `now`: the record's times. A command of another room is `Invalid`. Whether it comes in time is judged before.
    pub fn fold(&mut self, now: impl Into<Moment>, command: Command) -> Outcome {
        self.decide(now.into(), command).unwrap_or_else(Outcome::Rejected)
    }

    fn decide(&mut self, now: Moment, command: Command) -> Result<Outcome, Reject> {
        if command.room != self.meta.room {
            return Err(Reject::Invalid);
        }
        let Command { id, body, .. } = command;
        body.decide(self, now, id)
    }

    /// What the last record decided is in the chain now.
    pub(in crate::actors) fn set_chain(&mut self, chain: u64) {
        self.meta.chain = chain;
    }

    // What the decisions are made of.

    pub(super) fn existing(&self) -> Result<RoomKind, Reject> {
        self.meta.kind.ok_or(Reject::NoRoom)
    }

    /// The room exists and is one whose members come and go.
    pub(super) fn with_membership(&self) -> Result<RoomKind, Reject> {
        match self.existing()? {
            kind @ (RoomKind::Group | RoomKind::Broadcast) => Ok(kind),
            RoomKind::Direct | RoomKind::Open => Err(Reject::WrongKind),
        }
    }

    pub(super) fn alive(&self, now: Moment) -> Result<(), Reject> {
        match self.status_at(now.append) {
            RoomStatus::Active => Ok(()),
            RoomStatus::Ended => Err(Reject::Ended),
            RoomStatus::Expired => Err(Reject::Expired),
        }
    }

    pub(super) fn member_only(&self, user: &UserId) -> Result<(), Reject> {
        if self.members.is_member(user) { Ok(()) } else { Err(Reject::NotMember) }
    }

    pub(super) fn creator_only(&self, user: &UserId) -> Result<(), Reject> {
        self.member_only(user)?;
        if self.meta.creator.as_ref() == Some(user) { Ok(()) } else { Err(Reject::NotAllowed) }
    }

    /// Between the two of a direct chat a block by either side silences both.
    pub(super) fn unblocked(&self) -> Result<(), Reject> {
        if self.blocks.is_empty() { Ok(()) } else { Err(Reject::Blocked) }
    }

    /// "It had happened before, at `seq`."
    pub(super) fn before(&self, now: Moment, seq: Seq) -> Outcome {
        match self.window.live(now.append, seq) {
            Some(entry) => Outcome::Duplicate { seq, id: entry.id, at: entry.at },
            None => Outcome::Duplicate { seq, id: Uuid::nil(), at: Timestamp::ZERO },
        }
    }

    /// Gives the next seq to what happened.
    pub(super) fn accept(
        &mut self,
        now: Moment,
        id: Uuid,
        actor: Option<UserId>,
        client_id: Option<ClientId>,
        body: EventBody,
    ) -> Outcome {
        let seq = self.meta.head.next();
        let mut message = false;
        match body {
            EventBody::Message { no, .. } => {
                message = true;
                self.meta.last_no = no;
                self.meta.last_message_at = Some(now.fold);
            }
            EventBody::Deleted { target } => self.window.delete(target, seq),
            _ => {}
        }
        let entry = WindowEntry {
            seq,
            at: now.fold,
            id,
            actor: actor.clone(),
            client_id: client_id.clone(),
            no: self.meta.last_no,
            message,
            deleted: None,
        };
        self.window.push(now.append, entry);
        self.meta.head = seq;
        self.meta.window_from = self.window.first().unwrap_or(seq);
        self.meta.evicted_until = self.window.evicted_until();
        self.meta.floor = self.floor_at(now.append);
        Outcome::Accepted(Arc::new(Event { seq, at: now.fold, id, actor, client_id, body }))
    }

    /// The place that [`Self::accept`] is about to give.
    pub(super) fn next_mark(&self, now: Moment, id: Uuid) -> Mark {
        Mark { seq: self.meta.head.next(), at: now.fold, id }
    }

    // What can be asked.

    /// The scalars.
    #[must_use]
    pub fn meta(&self) -> &RoomMeta {
        &self.meta
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.meta.room
    }

    /// Whether there is such a room.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.meta.kind.is_some()
    }

    /// Its kind; `None` if there is no such room.
    #[must_use]
    pub fn kind(&self) -> Option<RoomKind> {
        self.meta.kind
    }

    /// Its title.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.meta.title
    }

    /// The channel's name, if it is an open channel; else empty.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.meta.channel
    }

    /// Its status by what was recorded.
    #[must_use]
    pub fn status(&self) -> RoomStatus {
        self.meta.status
    }

    /// Its status at a time: expired once its time is over, even if no record said so yet.
    #[must_use]
    pub fn status_at(&self, now: Timestamp) -> RoomStatus {
        self.meta.status.at(self.meta.expires_at, now)
    }

    /// Whose room it is.
    #[must_use]
    pub fn creator(&self) -> Option<&UserId> {
        self.meta.creator.as_ref()
    }

    /// The last seq given.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.meta.head
    }

    /// The last message number given.
    #[must_use]
    pub fn last_no(&self) -> MessageNo {
        self.meta.last_no
    }

    /// Fold time of the last message.
    #[must_use]
    pub fn last_message_at(&self) -> Option<Timestamp> {
        self.meta.last_message_at
    }

    /// The protocol's epoch.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.meta.generation
    }

    /// The lowest seq that could still be had at the last event: 1 if nothing is gone. Never falls.
    #[must_use]
    pub fn floor(&self) -> Seq {
        self.meta.floor
    }

    /// The lowest seq that can be had at `now`; one above the head if everything is gone.
    #[must_use]
    pub fn floor_at(&self, now: Timestamp) -> Seq {
        let HistoryBound { events, age_ms } = self.meta.history;
        let mut floor = self.meta.floor;
        if events > 0 {
            floor = floor.max(Seq(self.meta.head.0.saturating_sub(events) + 1));
        }
        if age_ms > 0 && age_ms <= self.window.bounds().age_ms && self.meta.head > Seq::ZERO {
            floor = floor.max(self.window.first_within(now, age_ms).unwrap_or(self.meta.head.next()));
        }
        floor
    }

    /// When it expires.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.meta.expires_at
    }

    /// Who may send.
    #[must_use]
    pub fn may_send(&self) -> MaySend {
        self.meta.may_send
    }

    /// Whether users may join by themselves.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.meta.public
    }

    /// How much history is kept.
    #[must_use]
    pub fn history(&self) -> HistoryBound {
        self.meta.history
    }

    /// Whether the user is a member.
    #[must_use]
    pub fn is_member(&self, user: &UserId) -> bool {
        self.members.is_member(user)
    }

    /// Whether the user may read the room: members, in an open channel everybody.
    #[must_use]
    pub fn may_listen(&self, user: &UserId) -> bool {
        match self.meta.kind {
            None => false,
            Some(RoomKind::Open) => true,
            Some(_) => self.members.is_member(user),
        }
    }

    /// The user's membership.
    #[must_use]
    pub fn member(&self, user: &UserId) -> Option<Member> {
        self.members.present.get(user).copied()
    }

    /// Member, invited or kicked.
    #[must_use]
    pub fn standing(&self, user: &UserId) -> Option<RoomStanding> {
        self.members.standing(user)
    }

    /// The members, by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&UserId, &Member)> {
        self.members.present.iter()
    }

    /// Members by id, after `after`.
    pub fn members_after<'a>(&'a self, after: Option<&UserId>) -> impl Iterator<Item = (&'a UserId, &'a Member)> {
        let after = after.map_or(Bound::Unbounded, |user| Bound::Excluded(user.clone()));
        self.members.present.range((after, Bound::Unbounded))
    }

    /// Who is asked in, with the invitation, by id.
    pub(crate) fn invited(&self) -> impl ExactSizeIterator<Item = (&UserId, &Invitation)> {
        self.members.invited.iter()
    }

    /// Whose invitation a user has not answered yet, if he has one.
    pub(crate) fn inviter(&self, user: &UserId) -> Option<&UserId> {
        self.members.invited.get(user).map(|invitation| &invitation.by)
    }

    /// Who was kicked and needs an invitation, with the seq of that, by id.
    pub fn kicked(&self) -> impl ExactSizeIterator<Item = (&UserId, Seq)> {
        self.members.kicked.iter().map(|(user, seq)| (user, *seq))
    }

    /// Direct chats: who blocks the other one, by id.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = &UserId> {
        self.blocks.iter()
    }

    /// Whether a block silences the room: neither of the two hears anything of the other.
    #[must_use]
    pub fn is_silenced(&self) -> bool {
        self.meta.kind == Some(RoomKind::Direct) && !self.blocks.is_empty()
    }

    /// The highest offset of each source of relayed facts.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (Partition, Offset)> {
        self.sources.iter().map(|(partition, offset)| (*partition, *offset))
    }

    /// What is remembered of the event at `seq`, if it is inside the window.
    #[must_use]
    pub(in crate::actors) fn remembered(&self, seq: Seq) -> Option<&WindowEntry> {
        self.window.get(seq)
    }

    /// Who wrote the message at `seq`, if that is one and inside the window.
    #[must_use]
    pub fn author_of(&self, seq: Seq) -> Option<&UserId> {
        self.window.get(seq).filter(|entry| entry.message)?.actor.as_ref()
    }

    /// The number of the last message at or below `seq`; `None` if that is older than the window. A seq beyond the head
    /// counts as the head.
    #[must_use]
    pub fn no_at(&self, seq: Seq) -> Option<MessageNo> {
        if seq >= self.meta.head {
            return Some(self.meta.last_no);
        }
        if let Some(entry) = self.window.get(seq) {
            return Some(entry.no);
        }
        // Just before the window: what its first entry leads up from.
        let first = self.window.get(seq.next())?;
        Some(if first.message { MessageNo(first.no.0.saturating_sub(1)) } else { first.no })
    }

    // What can be kept.

    /// The whole state as plain data.
    #[must_use]
    pub fn parts(&self) -> RoomParts {
        RoomParts {
            meta: self.meta.clone(),
            members: self.members().map(|(user, member)| (user.clone(), *member)).collect(),
            invited: self.invited().map(|(user, invitation)| (user.clone(), invitation.clone())).collect(),
            kicked: self.kicked().map(|(user, seq)| (user.clone(), seq)).collect(),
            blocks: self.blocks.iter().cloned().collect(),
            sources: self.sources().collect(),
            window: self.window.entries().cloned().collect(),
        }
    }

    /// The state from plain data.
    ///
    /// # Errors
    /// [`PartsError`]: the parts can't be those of a room.
    pub fn from_parts(parts: RoomParts) -> Result<Self, PartsError> {
        Self::from_parts_bounded(parts, WindowBounds::default())
    }

    pub(crate) fn from_parts_bounded(parts: RoomParts, bounds: WindowBounds) -> Result<Self, PartsError> {
        let RoomParts { meta, members, invited, kicked, blocks, sources, window } = parts;
        check_parts(&meta, &window)?;
        Ok(Self {
            window: Window::restore(window, meta.evicted_until, bounds),
            members: Members {
                present: members.into_iter().collect(),
                invited: invited.into_iter().collect(),
                kicked: kicked.into_iter().collect(),
            },
            blocks: blocks.into_iter().collect(),
            sources: sources.into_iter().collect(),
            meta,
        })
    }
}

fn check_parts(meta: &RoomMeta, window: &[WindowEntry]) -> Result<(), PartsError> {
    let highest = meta.head.0.max(meta.last_no.0).max(meta.window_from.0).max(meta.floor.0);
    if i64::try_from(highest).is_err() || meta.max_members as usize > limits::MEMBERS {
        return Err(PartsError::Range);
    }
    let expected = meta.window_from.0..=meta.head.0;
    if !window.iter().map(|entry| entry.seq.0).eq(expected) {
        return Err(PartsError::Window { from: meta.window_from, head: meta.head });
    }
    let mut no = meta.last_no.0;
    for entry in window.iter().rev() {
        if entry.no.0 != no {
            return Err(PartsError::Numbers);
        }
        if entry.message {
            no = no.checked_sub(1).ok_or(PartsError::Numbers)?;
        }
    }
    Ok(())
}
