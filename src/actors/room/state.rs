//! The state of a room and its fold. What a command may do is said by its verb ([`super::commands`]).
//!
//! The fold decides first and changes afterwards: unless it answers `Accepted` or `Noted`, the state is as it was, but for
//! what is remembered of the command's own decision. A command that was decided before is never decided again: whoever
//! repeats it is told what was decided then.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use super::commands::Command;
use super::members::{Invitation, Members};
use super::outcome::Outcome;
use super::snapshot::{Mark, RoomMeta, RoomSnapshot, SnapshotError};
use super::window::{Window, WindowBounds, WindowEntry};
use uuid::Uuid;

use crate::actors::decisions::{Decision, Decisions, Earlier, Known};
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
    decisions: Decisions,
}

impl RoomState {
    /// A room that was never made.
    #[must_use]
    pub(crate) fn absent(room: RoomId) -> Self {
        Self {
            meta: RoomMeta::absent(room),
            members: Members::default(),
            blocks: BTreeSet::new(),
            sources: BTreeMap::new(),
            window: Window::default(),
            decisions: Decisions::default(),
        }
    }

    /// Bytes of what the fold keeps of recent events and commands, about.
    pub(in crate::actors) fn recent_bytes(&self) -> usize {
        self.window.bytes() + self.decisions.iter().len() * size_of::<Decision>()
    }

    /// The command that was decided last of those that left no event, and when.
    pub(in crate::actors) fn last_decided(&self) -> Option<(Uuid, Timestamp)> {
        self.decisions.last()
    }

    /// What was decided on commands that left no event, oldest first.
    pub(in crate::actors) fn decisions(&self) -> impl ExactSizeIterator<Item = &Decision> {
        self.decisions.iter()
    }

    /// As [`Self::absent`], with a window that a test can fill.
    #[cfg(test)]
    pub(crate) fn absent_bounded(room: RoomId, bounds: WindowBounds) -> Self {
        Self { window: Window::bounded(bounds), ..Self::absent(room) }
    }

    /// Decides on one record and changes the state accordingly. Total and pure.
    ///
    /// `now`: the record's times. A command of another room is `Invalid`. Whether it comes in time is judged before.
    pub(crate) fn fold(&mut self, now: impl Into<Moment>, command: Command) -> Outcome {
        self.once(now.into(), command, |room, now, Command { id, body, .. }| body.decide(room, now, id))
    }

    /// Refuses a command for a reason that is not the room's to know.
    pub(in crate::actors) fn refuse(&mut self, now: Moment, command: Command, reject: Reject) -> Outcome {
        self.once(now, command, |_, _, _| Err(reject))
    }

    /// Decides on a command, unless it was decided before: then that holds.
    fn once(
        &mut self,
        now: Moment,
        command: Command,
        decide: impl FnOnce(&mut Self, Moment, Command) -> Result<Outcome, Reject>,
    ) -> Outcome {
        if command.room != self.meta.room {
            return Outcome::Rejected(Reject::Invalid);
        }
        let (id, bears_repetition) = (command.id, command.body.bears_repetition());
        if let Some(decided) = self.decided(id) {
            return decided;
        }
        let outcome = decide(self, now, command).unwrap_or_else(Outcome::Rejected);
        let answer = match &outcome {
            Outcome::Duplicate { seq, id, at } => Ok(Earlier { seq: *seq, id: *id, at: *at }),
            Outcome::Rejected(reject) => Err(*reject),
            Outcome::Accepted(_) | Outcome::Noted | Outcome::Ignored => return outcome,
        };
        // Of a room that does not exist nothing is kept: strangers could fill the store with names that they make up.
        if self.exists() && !bears_repetition {
            self.decisions.keep(Decision { command: id, at: now.append, answer });
        }
        outcome
    }

    /// What was decided on the command with this id, as far as it is remembered.
    fn decided(&self, command: Uuid) -> Option<Outcome> {
        if let Some(entry) = self.window.made_by(command) {
            return Some(Outcome::Duplicate { seq: entry.seq, id: entry.id, at: entry.at });
        }
        Some(match self.decisions.find(command)?.answer {
            Ok(Earlier { seq, id, at }) => Outcome::Duplicate { seq, id, at },
            Err(reject) => Outcome::Rejected(reject),
        })
    }

    /// See [`EntityState::answered`](crate::actors::fold::EntityState::answered).
    pub(in crate::actors) fn answered(&self, now: Moment, command: Uuid) -> Option<Result<Known, Reject>> {
        let Some(entry) = self.window.made_by(command) else { return self.decisions.answered(command, now.append) };
        let earlier = Earlier { seq: entry.seq, id: entry.id, at: entry.at };
        // Fold time never goes back: with a later one the event was made by a record behind this one.
        (entry.at <= now.fold).then_some(Ok(Known { earlier, is_repeat: entry.at < now.fold }))
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
        match body {
            EventBody::Message { no, .. } => {
                self.meta.last_no = no;
                self.meta.last_message_at = Some(now.fold);
            }
            EventBody::Deleted { target } => self.window.delete(target, seq),
            _ => {}
        }
        // The member's own copy of the id: thousands of entries then share it.
        let actor =
            actor.map(|user| self.members.present.get_key_value(&user).map_or(user.clone(), |(own, _)| own.clone()));
        let event = Event { seq, at: now.fold, id, actor, client_id, body };
        self.window.push(now.append, WindowEntry::of(&event));
        self.meta.head = seq;
        self.meta.window_from = self.window.first().unwrap_or(seq);
        self.meta.evicted_until = self.window.evicted_until();
        self.meta.floor = self.floor_at(now.append);
        Outcome::Accepted(Arc::new(event))
    }

    /// The place that [`Self::accept`] is about to give.
    pub(super) fn next_mark(&self, now: Moment, id: Uuid) -> Mark {
        Mark { seq: self.meta.head.next(), at: now.fold, id }
    }

    // What can be asked.

    /// The scalars.
    #[must_use]
    pub(crate) fn meta(&self) -> &RoomMeta {
        &self.meta
    }

    /// The room.
    #[must_use]
    pub(crate) fn room(&self) -> RoomId {
        self.meta.room
    }

    /// Whether there is such a room.
    #[must_use]
    pub(crate) fn exists(&self) -> bool {
        self.meta.kind.is_some()
    }

    /// Its kind; `None` if there is no such room.
    #[must_use]
    pub(crate) fn kind(&self) -> Option<RoomKind> {
        self.meta.kind
    }

    /// Its title.
    #[must_use]
    pub(crate) fn title(&self) -> &str {
        &self.meta.title
    }

    /// The channel's name, if it is an open channel; else empty.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn channel(&self) -> &str {
        &self.meta.channel
    }

    /// Its status by what was recorded.
    #[must_use]
    pub(crate) fn status(&self) -> RoomStatus {
        self.meta.status
    }

    /// Its status at a time: expired once its time is over, even if no record said so yet.
    #[must_use]
    pub(crate) fn status_at(&self, now: Timestamp) -> RoomStatus {
        self.meta.status.at(self.meta.expires_at, now)
    }

    /// Whose room it is.
    #[must_use]
    pub(crate) fn creator(&self) -> Option<&UserId> {
        self.meta.creator.as_ref()
    }

    /// The last seq given.
    #[must_use]
    pub(crate) fn head(&self) -> Seq {
        self.meta.head
    }

    /// The last message number given.
    #[must_use]
    pub(crate) fn last_no(&self) -> MessageNo {
        self.meta.last_no
    }

    /// Fold time of the last message.
    #[must_use]
    pub(crate) fn last_message_at(&self) -> Option<Timestamp> {
        self.meta.last_message_at
    }

    /// The protocol's epoch.
    #[must_use]
    pub(crate) fn generation(&self) -> Generation {
        self.meta.generation
    }

    /// The lowest seq that could still be had at the last event: 1 if nothing is gone. Never falls.
    #[must_use]
    pub(crate) fn floor(&self) -> Seq {
        self.meta.floor
    }

    /// The lowest seq that can be had at `now`; one above the head if everything is gone.
    #[must_use]
    pub(crate) fn floor_at(&self, now: Timestamp) -> Seq {
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
    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        self.meta.expires_at
    }

    /// Who may send.
    #[must_use]
    pub(crate) fn may_send(&self) -> MaySend {
        self.meta.may_send
    }

    /// Whether users may join by themselves.
    #[must_use]
    pub(crate) fn is_public(&self) -> bool {
        self.meta.public
    }

    /// Whether the user is a member.
    #[must_use]
    pub(crate) fn is_member(&self, user: &UserId) -> bool {
        self.members.is_member(user)
    }

    /// Whether the user may read the room: members, in an open channel everybody.
    #[must_use]
    pub(crate) fn may_listen(&self, user: &UserId) -> bool {
        match self.meta.kind {
            None => false,
            Some(RoomKind::Open) => true,
            Some(_) => self.members.is_member(user),
        }
    }

    /// The user's membership.
    #[must_use]
    pub(crate) fn member(&self, user: &UserId) -> Option<Member> {
        self.members.present.get(user).copied()
    }

    /// Member, invited or kicked.
    #[must_use]
    pub(crate) fn standing(&self, user: &UserId) -> Option<RoomStanding> {
        self.members.standing(user)
    }

    /// The members, by id.
    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = (&UserId, &Member)> {
        self.members.present.iter()
    }

    /// Members by id, after `after`.
    pub(crate) fn members_after<'a>(
        &'a self,
        after: Option<&UserId>,
    ) -> impl Iterator<Item = (&'a UserId, &'a Member)> {
        let after = after.map_or(Bound::Unbounded, |user| Bound::Excluded(user.clone()));
        self.members.present.range((after, Bound::Unbounded))
    }

    /// Who is asked in, with the invitation, by id.
    pub(crate) fn invited(&self) -> impl ExactSizeIterator<Item = (&UserId, &Invitation)> {
        self.members.invited.iter()
    }

    /// The invitation that a user has not answered yet, if there is one.
    pub(crate) fn invitation(&self, user: &UserId) -> Option<&Invitation> {
        self.members.invited.get(user)
    }

    /// Who was kicked and needs an invitation, with the seq of that, by id.
    pub(crate) fn kicked(&self) -> impl ExactSizeIterator<Item = (&UserId, Seq)> {
        self.members.kicked.iter().map(|(user, seq)| (user, *seq))
    }

    /// Direct chats: who blocks the other one, by id.
    pub(crate) fn blocks(&self) -> impl ExactSizeIterator<Item = &UserId> {
        self.blocks.iter()
    }

    /// Whether a block silences the room: neither of the two hears anything of the other.
    #[must_use]
    pub(crate) fn is_silenced(&self) -> bool {
        self.meta.kind == Some(RoomKind::Direct) && !self.blocks.is_empty()
    }

    /// The highest offset of each source of relayed facts.
    pub(crate) fn sources(&self) -> impl ExactSizeIterator<Item = (Partition, Offset)> {
        self.sources.iter().map(|(partition, offset)| (*partition, *offset))
    }

    /// What is remembered of the event at `seq`, if it is inside the window.
    #[must_use]
    pub(in crate::actors) fn remembered(&self, seq: Seq) -> Option<&WindowEntry> {
        self.window.get(seq)
    }

    /// Who wrote the message at `seq`, if that is one and inside the window.
    #[must_use]
    pub(crate) fn author_of(&self, seq: Seq) -> Option<&UserId> {
        self.window.get(seq).filter(|entry| entry.is_message())?.actor.as_ref()
    }

    /// The number of the last message at or below `seq`; `None` if that is older than the window. A seq beyond the head
    /// counts as the head.
    #[must_use]
    pub(crate) fn no_at(&self, seq: Seq) -> Option<MessageNo> {
        if seq < self.meta.head {
            // Just before the window is near enough: all that came later is inside.
            self.window.get(seq.next())?;
        }
        // Most of what is asked for is near the head.
        let later = self.window.entries().rev().take_while(|entry| entry.seq > seq).filter(|entry| entry.is_message());
        Some(MessageNo(self.meta.last_no.0.saturating_sub(later.count() as u64)))
    }

    // What can be kept.

    /// The whole state as plain data.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn snapshot(&self) -> RoomSnapshot {
        RoomSnapshot {
            meta: self.meta.clone(),
            members: self.members().map(|(user, member)| (user.clone(), *member)).collect(),
            invited: self.invited().map(|(user, invitation)| (user.clone(), invitation.clone())).collect(),
            kicked: self.kicked().map(|(user, seq)| (user.clone(), seq)).collect(),
            blocks: self.blocks.iter().cloned().collect(),
            sources: self.sources().collect(),
            window: self.window.entries().cloned().collect(),
            decisions: self.decisions.iter().cloned().collect(),
        }
    }

    /// The state from plain data.
    ///
    /// # Errors
    /// [`SnapshotError`]: the snapshot cannot be that of a room.
    pub(crate) fn from_snapshot(snapshot: RoomSnapshot) -> Result<Self, SnapshotError> {
        Self::from_snapshot_bounded(snapshot, WindowBounds::default())
    }

    pub(crate) fn from_snapshot_bounded(snapshot: RoomSnapshot, bounds: WindowBounds) -> Result<Self, SnapshotError> {
        let RoomSnapshot { meta, members, invited, kicked, blocks, sources, mut window, decisions } = snapshot;
        check_snapshot(&meta, &window)?;
        share_users(&members, &mut window);
        Ok(Self {
            window: Window::restore(window, meta.evicted_until, bounds),
            members: Members {
                present: members.into_iter().collect(),
                invited: invited.into_iter().collect(),
                kicked: kicked.into_iter().collect(),
            },
            blocks: blocks.into_iter().collect(),
            sources: sources.into_iter().collect(),
            decisions: Decisions::restore(decisions),
            meta,
        })
    }
}

fn check_snapshot(meta: &RoomMeta, window: &[WindowEntry]) -> Result<(), SnapshotError> {
    let highest = meta.head.0.max(meta.last_no.0).max(meta.window_from.0).max(meta.floor.0);
    if i64::try_from(highest).is_err() || meta.max_members as usize > limits::MEMBERS {
        return Err(SnapshotError::Range);
    }
    let expected = meta.window_from.0..=meta.head.0;
    if !window.iter().map(|entry| entry.seq.0).eq(expected) {
        return Err(SnapshotError::Window { from: meta.window_from, head: meta.head });
    }
    let messages = window.iter().filter(|entry| entry.is_message()).count() as u64;
    if messages > meta.last_no.0 { Err(SnapshotError::Numbers) } else { Ok(()) }
}

/// Keeps each user's id once, however much the user did.
fn share_users(members: &[(UserId, Member)], window: &mut [WindowEntry]) {
    let mut known: HashSet<UserId> = members.iter().map(|(user, _)| user.clone()).collect();
    for user in window.iter_mut().filter_map(|entry| entry.actor.as_mut()) {
        match known.get(user) {
            Some(own) => *user = own.clone(),
            None => _ = known.insert(user.clone()),
        }
    }
}
