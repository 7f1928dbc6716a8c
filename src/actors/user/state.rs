//! The state of a user and its fold. Decides first and changes afterwards: after `Unchanged` and `Rejected` the state is
//! as it was, but for what is remembered of the command's own decision. A command that was decided before is never decided
//! again.

use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::commands::UserCommand;
use super::outcome::UserOutcome;
use super::snapshot::{Device, ListedRoom, UserMeta, UserSnapshot};
use crate::actors::decisions::{Decision, Decisions, Earlier, Known};
use crate::actors::moment::Moment;
use crate::actors::wire::{ReadPoint, Reject, UserEvent, UserEventBody};
use crate::ids::{DeviceId, Offset, Partition, RoomId, Seq, Timestamp, UserId};

/// A user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct UserState {
    pub(super) meta: UserMeta,
    pub(super) rooms: BTreeMap<RoomId, ListedRoom>,
    pub(super) reads: BTreeMap<RoomId, ReadPoint>,
    pub(super) blocks: BTreeMap<UserId, Timestamp>,
    pub(super) devices: BTreeMap<DeviceId, Device>,
    pub(super) sources: BTreeMap<Partition, Offset>,
    decisions: Decisions,
}

impl UserState {
    /// A user of whom nothing was heard.
    #[must_use]
    pub(crate) fn new(user: UserId) -> Self {
        Self::from_snapshot(UserSnapshot::new(user))
    }

    /// Decides on one record and changes the state accordingly. Total and pure.
    ///
    /// `now` is the fold time of the record. A command of another user is `Invalid`. An anonymous user has nothing that
    /// would be kept: everything is `NotAllowed`.
    pub(crate) fn fold(&mut self, now: impl Into<Moment>, command: UserCommand) -> UserOutcome {
        self.once(now.into(), command, |user, now, UserCommand { id, body, .. }| body.decide(user, now, id))
    }

    /// Refuses a command for a reason that is not the user's to know.
    pub(in crate::actors) fn refuse(&mut self, now: Moment, command: UserCommand, reject: Reject) -> UserOutcome {
        self.once(now, command, |_, _, _| Err(reject))
    }

    /// Decides on a command, unless it was decided before: then that holds.
    fn once(
        &mut self,
        now: Moment,
        command: UserCommand,
        decide: impl FnOnce(&mut Self, Moment, UserCommand) -> Result<UserOutcome, Reject>,
    ) -> UserOutcome {
        if command.user != self.meta.user {
            return UserOutcome::Rejected(Reject::Invalid);
        }
        if command.user.is_anonymous() {
            return UserOutcome::Rejected(Reject::NotAllowed);
        }
        let (id, bears_repetition) = (command.id, command.body.bears_repetition());
        if let Some(decision) = self.decisions.find(id) {
            return match decision.answer {
                Ok(Earlier { seq, at, .. }) => UserOutcome::Duplicate { seq, at },
                Err(reject) => UserOutcome::Rejected(reject),
            };
        }
        let outcome = decide(self, now, command).unwrap_or_else(UserOutcome::Rejected);
        if !bears_repetition {
            let answer = match &outcome {
                UserOutcome::Event(event) => Ok(Earlier { seq: event.seq, at: event.at, ..Earlier::default() }),
                UserOutcome::Rejected(reject) => Err(*reject),
                UserOutcome::Quiet(_) | UserOutcome::Unchanged | UserOutcome::Duplicate { .. } => {
                    Ok(Earlier::default())
                }
            };
            self.decisions.keep(Decision { command: id, at: now.append, answer });
        }
        outcome
    }

    /// See [`EntityState::answered`](crate::actors::fold::EntityState::answered). Of what takes no seq it is not remembered whether it
    /// had happened before.
    pub(in crate::actors) fn answered(&self, now: Moment, command: Uuid) -> Option<Result<Known, Reject>> {
        match self.decisions.answered(command, now.append)? {
            Ok(Known { earlier: Earlier { seq: Seq::ZERO, .. }, .. }) => None,
            answer => Some(answer.map(|known| Known { is_repeat: false, ..known })),
        }
    }

    /// What the last record decided is in the chain now.
    pub(in crate::actors) fn set_chain(&mut self, chain: u64) {
        self.meta.chain = chain;
    }

    pub(super) fn happened(&mut self, now: Moment, body: UserEventBody) -> UserOutcome {
        self.meta.head = self.meta.head.next();
        UserOutcome::Event(Arc::new(UserEvent { seq: self.meta.head, at: now.fold, body }))
    }

    // What can be asked.

    /// The scalars.
    #[must_use]
    pub(crate) fn meta(&self) -> &UserMeta {
        &self.meta
    }

    /// The user.
    #[must_use]
    pub(crate) fn user(&self) -> &UserId {
        &self.meta.user
    }

    /// The last seq of the personal stream.
    #[must_use]
    pub(crate) fn head(&self) -> Seq {
        self.meta.head
    }

    /// Preferences, JSON text; empty for none.
    #[must_use]
    pub(crate) fn preferences(&self) -> &str {
        &self.meta.preferences
    }

    /// The room list, by uuid.
    pub(crate) fn rooms(&self) -> impl ExactSizeIterator<Item = (RoomId, &ListedRoom)> {
        self.rooms.iter().map(|(room, listed)| (*room, listed))
    }

    /// A room on the list.
    #[must_use]
    pub(crate) fn room(&self, room: RoomId) -> Option<&ListedRoom> {
        self.rooms.get(&room)
    }

    /// The rooms that are muted at this time, and until when.
    pub(crate) fn mutes(&self, now: Timestamp) -> impl Iterator<Item = (RoomId, Timestamp)> {
        let until = |(room, listed): (&RoomId, &ListedRoom)| (*room, listed.muted_until);
        self.rooms.iter().map(until).filter(move |(_, until)| *until > now)
    }

    /// Read marks, by room.
    pub(crate) fn reads(&self) -> impl ExactSizeIterator<Item = (RoomId, ReadPoint)> {
        self.reads.iter().map(|(room, mark)| (*room, *mark))
    }

    /// Whether it is known how far the user has read a room.
    #[must_use]
    pub(crate) fn has_read(&self, room: RoomId) -> bool {
        self.reads.contains_key(&room)
    }

    /// How far the user has read a room; zero if never.
    #[must_use]
    pub(crate) fn read(&self, room: RoomId) -> ReadPoint {
        self.reads.get(&room).copied().unwrap_or_default()
    }

    /// Whom the user blocks and since when, by id.
    pub(crate) fn blocks(&self) -> impl ExactSizeIterator<Item = (&UserId, Timestamp)> {
        self.blocks.iter().map(|(user, since)| (user, *since))
    }

    /// Whether the user blocks `other`.
    #[must_use]
    pub(crate) fn is_blocking(&self, other: &UserId) -> bool {
        self.blocks.contains_key(other)
    }

    /// Devices, by id.
    pub(crate) fn devices(&self) -> impl ExactSizeIterator<Item = (&DeviceId, &Device)> {
        self.devices.iter()
    }

    /// The highest offset of each source of relayed facts.
    pub(crate) fn sources(&self) -> impl ExactSizeIterator<Item = (Partition, Offset)> {
        self.sources.iter().map(|(partition, offset)| (*partition, *offset))
    }

    /// What was decided on commands, oldest first.
    pub(in crate::actors) fn decisions(&self) -> impl ExactSizeIterator<Item = &Decision> {
        self.decisions.iter()
    }

    /// Whether the command is the one that was decided last of those whose decision is kept.
    pub(in crate::actors) fn has_just_decided(&self, command: Uuid) -> bool {
        self.decisions.last().is_some_and(|(last, _)| last == command)
    }

    // What can be kept.

    /// The whole state as plain data.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn snapshot(&self) -> UserSnapshot {
        UserSnapshot {
            meta: self.meta.clone(),
            rooms: self.rooms.iter().map(|(room, listed)| (*room, *listed)).collect(),
            reads: self.reads().collect(),
            blocks: self.blocks.iter().map(|(user, since)| (user.clone(), *since)).collect(),
            devices: self.devices.iter().map(|(id, device)| (id.clone(), device.clone())).collect(),
            sources: self.sources().collect(),
            decisions: self.decisions.iter().cloned().collect(),
        }
    }

    /// The state from plain data.
    #[must_use]
    pub(crate) fn from_snapshot(snapshot: UserSnapshot) -> Self {
        Self {
            meta: snapshot.meta,
            rooms: snapshot.rooms.into_iter().collect(),
            reads: snapshot.reads.into_iter().collect(),
            blocks: snapshot.blocks.into_iter().collect(),
            devices: snapshot.devices.into_iter().collect(),
            sources: snapshot.sources.into_iter().collect(),
            decisions: Decisions::restore(snapshot.decisions),
        }
    }
}
