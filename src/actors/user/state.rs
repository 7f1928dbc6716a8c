//! The state of a user and its fold. Decides first and changes afterwards: after `Unchanged` and `Rejected` the state is
//! as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{RoomFact, UserCommand, UserCommandBody};
use super::outcome::{Quiet, UserOutcome};
use super::parts::{Device, ListedRoom, UserMeta, UserParts};
use crate::actors::room::bounds;
use crate::actors::wire::{ReadPoint, Reject, UserEvent, UserEventBody};
use crate::ids::{DeviceId, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;

/// A user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserState {
    pub(super) meta: UserMeta,
    pub(super) rooms: BTreeMap<RoomId, ListedRoom>,
    pub(super) reads: BTreeMap<RoomId, ReadPoint>,
    pub(super) blocks: BTreeMap<UserId, Timestamp>,
    pub(super) devices: BTreeMap<DeviceId, Device>,
    pub(super) sources: BTreeMap<Partition, Offset>,
}

impl UserState {
    /// A user of whom nothing was heard.
    #[must_use]
    pub fn new(user: UserId) -> Self {
        Self::from_parts(UserParts::new(user))
    }

    /// Decides on one record and changes the state accordingly. Total and pure.
    ///
    /// `now` is the fold time of the record. A command of another user is `Invalid`. An anonymous user has nothing that
    /// would be kept: everything is `NotAllowed`.
    pub fn fold(&mut self, now: Timestamp, command: &UserCommand) -> UserOutcome {
        self.decide(now, command).unwrap_or_else(UserOutcome::Rejected)
    }

    fn decide(&mut self, now: Timestamp, command: &UserCommand) -> Result<UserOutcome, Reject> {
        if command.user != self.meta.user {
            return Err(Reject::Invalid);
        }
        if command.user.is_anonymous() {
            return Err(Reject::NotAllowed);
        }
        match &command.body {
            UserCommandBody::Read { room, to } => self.decide_read(*room, *to),
            UserCommandBody::Block { user } => self.decide_block(now, user),
            UserCommandBody::Unblock { user } => Ok(self.decide_unblock(now, user)),
            UserCommandBody::Device { device, platform, push_token } => {
                self.decide_device(now, device, platform, push_token)?;
                Ok(UserOutcome::Quiet(Quiet::Device(command.body.clone())))
            }
            UserCommandBody::DeviceRemove { device } => Ok(match self.devices.remove(device) {
                Some(_) => UserOutcome::Quiet(Quiet::Device(command.body.clone())),
                None => UserOutcome::Unchanged,
            }),
            UserCommandBody::Preferences { json } => self.decide_preferences(now, json),
            UserCommandBody::Room(fact) => self.decide_room(now, fact),
        }
    }

    fn decide_read(&mut self, room: RoomId, to: ReadPoint) -> Result<UserOutcome, Reject> {
        let full = self.reads.len() >= limits::ROOMS_PER_USER;
        let to = match self.reads.get(&room) {
            Some(mark) if to.seq <= mark.seq => return Ok(UserOutcome::Unchanged),
            Some(mark) => ReadPoint { seq: to.seq, no: to.no.max(mark.no) },
            None if to.seq == Seq::ZERO => return Ok(UserOutcome::Unchanged),
            None => to,
        };
        // Above the bound the rows alone keep it: they take the highest.
        if !full || self.reads.contains_key(&room) {
            self.reads.insert(room, to);
        }
        Ok(UserOutcome::Quiet(Quiet::Read { room, to }))
    }

    fn decide_block(&mut self, now: Timestamp, user: &UserId) -> Result<UserOutcome, Reject> {
        if *user == self.meta.user {
            return Err(Reject::Invalid);
        }
        if self.blocks.contains_key(user) {
            return Ok(UserOutcome::Unchanged);
        }
        if self.blocks.len() >= limits::BLOCKS {
            return Err(Reject::Full);
        }
        self.blocks.insert(user.clone(), now);
        Ok(self.happened(now, UserEventBody::Block { user: user.clone(), blocked: true }))
    }

    fn decide_unblock(&mut self, now: Timestamp, user: &UserId) -> UserOutcome {
        if self.blocks.remove(user).is_none() {
            return UserOutcome::Unchanged;
        }
        self.happened(now, UserEventBody::Block { user: user.clone(), blocked: false })
    }

    /// Above [`limits::DEVICES`] the device that was not heard of for longest makes room (of several the lowest id).
    fn decide_device(
        &mut self,
        now: Timestamp,
        device: &DeviceId,
        platform: &str,
        push_token: &str,
    ) -> Result<(), Reject> {
        bounds::text(platform, limits::MESSAGE_TYPE_BYTES)?;
        bounds::text(push_token, limits::PUSH_TOKEN_BYTES)?;
        if !self.devices.contains_key(device) && self.devices.len() >= limits::DEVICES {
            let oldest = self.devices.iter().min_by_key(|(id, device)| (device.seen, *id)).map(|(id, _)| id.clone());
            oldest.map(|id| self.devices.remove(&id));
        }
        let known = Device { platform: platform.to_owned(), push_token: push_token.to_owned(), seen: now };
        self.devices.insert(device.clone(), known);
        Ok(())
    }

    fn decide_preferences(&mut self, now: Timestamp, json: &str) -> Result<UserOutcome, Reject> {
        bounds::text(json, limits::PREFERENCES_BYTES)?;
        if self.meta.preferences == json {
            return Ok(UserOutcome::Unchanged);
        }
        json.clone_into(&mut self.meta.preferences);
        Ok(self.happened(now, UserEventBody::Preferences))
    }

    /// The relay repeats itself: what is not above the highest offset of its source is known.
    fn decide_room(&mut self, now: Timestamp, fact: &RoomFact) -> Result<UserOutcome, Reject> {
        let known = self.sources.get(&fact.source).is_some_and(|offset| fact.source_offset <= *offset);
        if known {
            return Ok(UserOutcome::Unchanged);
        }
        if !fact.change.is_listed() {
            self.rooms.remove(&fact.room);
            self.reads.remove(&fact.room);
        } else if self.rooms.len() < limits::ROOMS_PER_USER || self.rooms.contains_key(&fact.room) {
            self.rooms.insert(fact.room, ListedRoom { kind: fact.kind, change: fact.change, since: fact.seq });
        }
        // Above the bound the user is told all the same; who is in the room is the room's to know.
        self.sources.insert(fact.source, fact.source_offset);
        let body = UserEventBody::Room {
            room: fact.room,
            kind: fact.kind,
            change: fact.change,
            room_seq: fact.seq,
            by: fact.by.clone(),
        };
        Ok(self.happened(now, body))
    }

    fn happened(&mut self, now: Timestamp, body: UserEventBody) -> UserOutcome {
        self.meta.head = self.meta.head.next();
        UserOutcome::Event(Arc::new(UserEvent { seq: self.meta.head, at: now, body }))
    }

    // What can be asked.

    /// The scalars.
    #[must_use]
    pub fn meta(&self) -> &UserMeta {
        &self.meta
    }

    /// The user.
    #[must_use]
    pub fn user(&self) -> &UserId {
        &self.meta.user
    }

    /// The last seq of the personal stream.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.meta.head
    }

    /// Preferences, JSON text; empty for none.
    #[must_use]
    pub fn preferences(&self) -> &str {
        &self.meta.preferences
    }

    /// The room list, by uuid.
    pub fn rooms(&self) -> impl ExactSizeIterator<Item = (RoomId, &ListedRoom)> {
        self.rooms.iter().map(|(room, listed)| (*room, listed))
    }

    /// A room on the list.
    #[must_use]
    pub fn room(&self, room: RoomId) -> Option<&ListedRoom> {
        self.rooms.get(&room)
    }

    /// Read marks, by room.
    pub fn reads(&self) -> impl ExactSizeIterator<Item = (RoomId, ReadPoint)> {
        self.reads.iter().map(|(room, mark)| (*room, *mark))
    }

    /// Whether it is known how far the user has read a room.
    #[must_use]
    pub fn has_read(&self, room: RoomId) -> bool {
        self.reads.contains_key(&room)
    }

    /// How far the user has read a room; zero if never.
    #[must_use]
    pub fn read(&self, room: RoomId) -> ReadPoint {
        self.reads.get(&room).copied().unwrap_or_default()
    }

    /// Whom the user blocks and since when, by id.
    pub fn blocks(&self) -> impl ExactSizeIterator<Item = (&UserId, Timestamp)> {
        self.blocks.iter().map(|(user, since)| (user, *since))
    }

    /// Whether the user blocks `other`.
    #[must_use]
    pub fn is_blocking(&self, other: &UserId) -> bool {
        self.blocks.contains_key(other)
    }

    /// Devices, by id.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = (&DeviceId, &Device)> {
        self.devices.iter()
    }

    /// The highest offset of each source of relayed facts.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (Partition, Offset)> {
        self.sources.iter().map(|(partition, offset)| (*partition, *offset))
    }

    // What can be kept.

    /// The whole state as plain data.
    #[must_use]
    pub fn parts(&self) -> UserParts {
        UserParts {
            meta: self.meta.clone(),
            rooms: self.rooms.iter().map(|(room, listed)| (*room, *listed)).collect(),
            reads: self.reads().collect(),
            blocks: self.blocks.iter().map(|(user, since)| (user.clone(), *since)).collect(),
            devices: self.devices.iter().map(|(id, device)| (id.clone(), device.clone())).collect(),
            sources: self.sources().collect(),
        }
    }

    /// The state from plain data.
    #[must_use]
    pub fn from_parts(parts: UserParts) -> Self {
        Self {
            meta: parts.meta,
            rooms: parts.rooms.into_iter().collect(),
            reads: parts.reads.into_iter().collect(),
            blocks: parts.blocks.into_iter().collect(),
            devices: parts.devices.into_iter().collect(),
            sources: parts.sources.into_iter().collect(),
        }
    }
}
