//! The one way from a record to its decision, for owners, projectors and all others that fold: what the record belongs to,
//! and the fold of that.
//!
//! A record whose envelope can't be read (damage, newer version) halts the partition before it comes here: see
//! [`RecordError`](crate::storage::journal::record::RecordError). Everything that does come here has a decision, the same
//! by everyone:
//!
//! - a room's or user's kind with a key that is one: the entity decides; a payload that is none is `Rejected(Invalid)`;
//! - [`kinds::CONTROL_BARRIER`]: no meaning;
//! - [`kinds::CONTROL_VERSION`]: the folds follow other rules from here on ([`FoldClock`]); a program that does not know
//!   them halts before it;
//! - any other kind, or a key that is none, or (by [`entity_in`]) one of another partition: belongs to nobody, and counts
//!   as invalid: it changes nothing. A program that gives a new kind a meaning must write it under a new record
//!   version, or programs of this version would decide differently.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::decisions::{Decision, Known};
use super::digest::Chain;
use super::kinds;
use super::moment::{FoldVersion, Moment};
use super::room::{self, Outcome, RoomState};
use super::user::{self, UserOutcome, UserState};
use crate::actors::wire::fields;
use crate::actors::wire::{Entity, Reject, StreamEvent};
use crate::ids::{Generation, Offset, Partition, Seq, Timestamp};
use crate::storage::journal::record::{Envelope, RecordError};
use crate::storage::store::rows::WatermarkRow;

/// The entity that a record belongs to; `None` if it belongs to nobody (see [`is_valid_control`]).
#[must_use]
pub fn entity_of(envelope: &Envelope) -> Option<Entity> {
    if kinds::is_room(envelope.kind) {
        fields::room(&envelope.key).ok().map(Entity::Room)
    } else if kinds::is_user(envelope.kind) {
        fields::user(&envelope.key).ok().map(Entity::User)
    } else {
        None
    }
}

/// As [`entity_of`], but a record that lies in a partition where its entity does not live belongs to nobody: one entity is
/// never folded from two logs.
#[must_use]
pub(crate) fn entity_in(partition: Partition, envelope: &Envelope) -> Option<Entity> {
    entity_of(envelope).filter(|entity| entity.partition() == partition)
}

/// Whether a record that belongs to nobody is one that was meant so.
#[must_use]
pub fn is_valid_control(envelope: &Envelope) -> bool {
    envelope.kind == kinds::CONTROL_BARRIER || version_of(envelope).is_some()
}

/// The version that begins behind this record, if it is a version barrier.
fn version_of(envelope: &Envelope) -> Option<FoldVersion> {
    let number = <[u8; 4]>::try_from(&envelope.payload[..]).ok().filter(|_| envelope.kind == kinds::CONTROL_VERSION)?;
    Some(FoldVersion(u32::from_le_bytes(number))).filter(|version| *version >= FoldVersion::FIRST)
}

/// A barrier record: closes the verified prefix where others write.
#[must_use]
pub fn barrier(id: Uuid, now: Timestamp) -> Bytes {
    control(kinds::CONTROL_BARRIER, id, now, Bytes::new())
}

/// A version barrier: the folds follow `version` behind it, whatever came before; a lower version than the one in force
/// changes nothing. Only a partition's owner appends one, once everybody who reads the partition knows that version,
/// because whoever does not stops there. It can't be taken back.
#[must_use]
pub fn version_barrier(id: Uuid, now: Timestamp, version: FoldVersion) -> Bytes {
    control(kinds::CONTROL_VERSION, id, now, Bytes::copy_from_slice(&version.0.to_le_bytes()))
}

fn control(kind: u32, id: Uuid, now: Timestamp, payload: Bytes) -> Bytes {
    Envelope { kind, payload, command_id: fields::uuid_bytes(id), issued_at_ms: now.0, ..Envelope::default() }
        .encode_record()
}

/// Bytes of a state besides its lists, about.
const BASE_BYTES: usize = 1_024;
/// Bytes of a member, a block, a mark or a listed room, about.
pub(crate) const LISTED_BYTES: usize = 120;

/// The state of a room or a user.
#[derive(Clone, Debug)]
pub enum EntityState {
    /// Of a room.
    Room(Box<RoomState>),
    /// Of a user.
    User(Box<UserState>),
}

/// The decision on a record of a room or a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntityOutcome {
    /// Of a room.
    Room(Outcome),
    /// Of a user.
    User(UserOutcome),
}

impl EntityOutcome {
    /// The event that it made, if it made one.
    #[must_use]
    pub(crate) fn event(&self) -> Option<StreamEvent> {
        match self {
            Self::Room(Outcome::Accepted(event)) => Some(StreamEvent::Room(Arc::clone(event))),
            Self::User(UserOutcome::Event(event)) => Some(StreamEvent::User(Arc::clone(event))),
            _ => None,
        }
    }
}

impl EntityState {
    /// A room's state.
    #[must_use]
    pub(crate) fn room(state: RoomState) -> Self {
        Self::Room(Box::new(state))
    }

    /// A user's state.
    #[must_use]
    pub(crate) fn user(state: UserState) -> Self {
        Self::User(Box::new(state))
    }

    /// The state of an entity that no record named yet.
    #[must_use]
    pub fn absent(entity: &Entity) -> Self {
        match entity {
            Entity::Room(room) => Self::room(RoomState::absent(*room)),
            Entity::User(user) => Self::user(UserState::new(user.clone())),
        }
    }

    /// Whose state it is.
    #[must_use]
    pub fn entity(&self) -> Entity {
        match self {
            Self::Room(room) => Entity::Room(room.room()),
            Self::User(user) => Entity::User(user.user().clone()),
        }
    }

    /// Decides on a record of this entity, from its times. A record of another entity is `Rejected(Invalid)`; whoever hands
    /// one in has a bug.
    pub fn fold(&mut self, now: impl Into<Moment>, envelope: &Envelope) -> EntityOutcome {
        let now = now.into();
        match self {
            Self::Room(state) => EntityOutcome::Room(fold_room(state, now, envelope)),
            Self::User(state) => EntityOutcome::User(fold_user(state, now, envelope)),
        }
    }

    /// What the sender of a record was told that lies below what this state has folded; `now`: its times. `None` if that is not
    /// remembered, or not of this record alone.
    pub(in crate::actors) fn answered(&self, now: Moment, envelope: &Envelope) -> Option<Result<Known, Reject>> {
        match self {
            Self::Room(room) => room.answered(now, envelope.id()),
            Self::User(user) => user.answered(now, envelope.id()),
        }
    }

    /// The chain over what was decided on this entity (I10).
    #[must_use]
    pub fn chain(&self) -> Chain {
        Chain(match self {
            Self::Room(room) => room.meta().chain,
            Self::User(user) => user.meta().chain,
        })
    }

    /// The last seq of the entity's stream.
    #[must_use]
    pub fn head(&self) -> Seq {
        match self {
            Self::Room(room) => room.head(),
            Self::User(user) => user.head(),
        }
    }

    /// The generation of the entity's stream; a personal stream has only one.
    #[must_use]
    pub fn generation(&self) -> Generation {
        match self {
            Self::Room(room) => room.generation(),
            Self::User(_) => Generation::FIRST,
        }
    }

    /// The lowest seq of the entity's stream that could still be had at its last event; 1 if nothing is gone.
    #[must_use]
    pub fn floor(&self) -> Seq {
        match self {
            Self::Room(room) => room.floor(),
            Self::User(_) => Seq(1),
        }
    }

    /// The lowest seq of the entity's stream that can be had at `now`.
    #[must_use]
    pub(crate) fn floor_at(&self, now: Timestamp) -> Seq {
        match self {
            Self::Room(room) => room.floor_at(now),
            Self::User(_) => Seq(1),
        }
    }

    /// Bytes in memory, about.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Room(room) => room_weight(room),
            Self::User(user) => user_weight(user),
        }
    }

    /// A hash of the whole state. Equal prefixes give equal hashes.
    #[must_use]
    pub fn hash(&self) -> u64 {
        match self {
            Self::Room(room) => room.hash(),
            Self::User(user) => user.hash(),
        }
    }
}

/// Bytes of a room's state, about.
#[must_use]
pub(crate) fn room_weight(room: &RoomState) -> usize {
    let listed = room.members().len() + room.invited().len() + room.kicked().len();
    BASE_BYTES + room.recent_bytes() + listed * LISTED_BYTES
}

/// Bytes of a user's state, about.
#[must_use]
pub(crate) fn user_weight(user: &UserState) -> usize {
    let listed = user.rooms().len() + user.reads().len() + user.blocks().len() + user.devices().len();
    BASE_BYTES + listed * LISTED_BYTES + user.decisions().len() * size_of::<Decision>()
}

/// Decides on a record of this room. What changed a room that exists goes into its chain; what is noted of one that nobody
/// has made has no row to keep a chain in.
pub(crate) fn fold_room(state: &mut RoomState, now: Moment, envelope: &Envelope) -> Outcome {
    let outcome = decide_room(state, now, envelope);
    if outcome.is_change() && state.exists() {
        state.set_chain(Chain(state.meta().chain).next(now.offset, outcome.digest()).0);
    }
    outcome
}

fn decide_room(state: &mut RoomState, now: Moment, envelope: &Envelope) -> Outcome {
    match room::payload::decode(envelope) {
        Ok(command) if is_stale(now, envelope) => state.refuse(now, command, Reject::Stale),
        #[cfg(test)]
        Ok(command) if now.version >= FoldVersion::SECOND => state.fold(now, second::understood(command)),
        Ok(command) => state.fold(now, command),
        Err(reject) => Outcome::Rejected(reject),
    }
}

/// Decides on a record of this user. What changed the user goes into the user's chain.
pub(crate) fn fold_user(state: &mut UserState, now: Moment, envelope: &Envelope) -> UserOutcome {
    let outcome = decide_user(state, now, envelope);
    if outcome.is_change() {
        state.set_chain(Chain(state.meta().chain).next(now.offset, outcome.digest()).0);
    }
    outcome
}

fn decide_user(state: &mut UserState, now: Moment, envelope: &Envelope) -> UserOutcome {
    match user::payload::decode(envelope) {
        Ok(command) if is_stale(now, envelope) => state.refuse(now, command, Reject::Stale),
        Ok(command) => state.fold(now, command),
        Err(reject) => UserOutcome::Rejected(reject),
    }
}

/// Whether a record comes too late to count: in the journal's clock, from its placing to its own append time.
fn is_stale(now: Moment, envelope: &Envelope) -> bool {
    envelope.is_stale(now.append)
}

/// What a partition's records leave to those behind them: the fold time, which is the highest append time so far (clocks
/// may go back, fold time does not), and the version of the fold that is in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoldClock {
    last: Timestamp,
    version: FoldVersion,
    knows: FoldVersion,
}

impl Default for FoldClock {
    /// Of a partition without records.
    fn default() -> Self {
        Self { last: Timestamp::ZERO, version: FoldVersion::FIRST, knows: FoldVersion::KNOWN }
    }
}

impl FoldClock {
    /// Goes on from a watermark, in a program that knows so much.
    #[must_use]
    pub fn after(watermark: &WatermarkRow, knows: FoldVersion) -> Self {
        Self { last: watermark.fold_time, version: FoldVersion(watermark.fold_version), knows }
    }

    /// Whether this program may fold here at all.
    ///
    /// # Errors
    /// [`RecordError::NewerFold`]: a version is in force that it does not know.
    pub fn check(&self) -> Result<(), RecordError> {
        if self.version > self.knows {
            return Err(RecordError::NewerFold { version: self.version.0, known: self.knows.0 });
        }
        Ok(())
    }

    /// The moment of the next record, from its place and its append time.
    ///
    /// # Errors
    /// [`RecordError::NewerFold`]: the record begins a version that this program does not know.
    pub fn advance(
        &mut self,
        offset: Offset,
        append_time: Timestamp,
        envelope: &Envelope,
    ) -> Result<Moment, RecordError> {
        let version = version_of(envelope).map_or(self.version, |version| version.max(self.version));
        let next = Self { last: self.last.max(append_time), version, ..*self };
        next.check()?;
        *self = next;
        Ok(Moment { offset, version, fold: self.last, append: append_time })
    }

    /// The version in force behind the last record.
    #[must_use]
    pub fn version(&self) -> FoldVersion {
        self.version
    }

    /// The fold time of the last record.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        self.last
    }
}

#[cfg(test)]
mod second;
#[cfg(test)]
mod tests;
