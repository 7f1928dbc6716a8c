//! The one way from a record to its decision, for owners, projectors and all others that fold: what the record belongs to,
//! and the fold of that.
//!
//! A record whose envelope can't be read (damage, newer version) halts the partition before it comes here: see
//! [`RecordError`](crate::storage::journal::record::RecordError). Everything that does come here has a decision, the same
//! by everyone:
//!
//! - a room's or user's kind with a key that is one: the entity decides; a payload that is none is `Rejected(Invalid)`;
//! - [`kinds::CONTROL_BARRIER`]: no meaning;
//! - any other kind, or a key that is none, or (by [`entity_in`]) one of another partition: belongs to nobody, and counts
//!   as `Rejected(Invalid)` in the chain. A program that gives a new kind a meaning must write it under a new record
//!   version, or programs of this version would decide differently.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::moment::Moment;
use super::room::{self, Outcome, RoomState};
use super::user::{self, UserOutcome, UserState};
use super::{digest, kinds};
use crate::actors::wire::fields;
use crate::actors::wire::{Entity, Reject, StreamEvent};
use crate::ids::{Generation, Partition, Seq, Timestamp};
use crate::storage::journal::record::Envelope;

/// The entity that a record belongs to; `None` if it belongs to nobody (see [`control_digest`]).
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
pub fn entity_in(partition: Partition, envelope: &Envelope) -> Option<Entity> {
    entity_of(envelope).filter(|entity| entity.partition() == partition)
}

/// The digest for the chain of a record that belongs to nobody.
#[must_use]
pub fn control_digest(envelope: &Envelope) -> u64 {
    let reject = (envelope.kind != kinds::CONTROL_BARRIER).then_some(Reject::Invalid);
    digest::control_digest(envelope.kind, reject)
}

/// A barrier record: closes the verified prefix where others write.
#[must_use]
pub fn barrier(id: Uuid, now: Timestamp) -> Bytes {
    Envelope {
        kind: kinds::CONTROL_BARRIER,
        key: Bytes::new(),
        command_id: fields::uuid_bytes(id),
        issued_at_ms: now.0,
        ttl_ms: 0,
        payload: Bytes::new(),
        placed_at_ms: 0,
        age_ms: 0,
    }
    .encode_record()
}

/// Bytes of a state besides its lists, about.
const BASE_BYTES: usize = 1_024;
/// Bytes of a recent event in the window, with its place in the index, about.
const WINDOW_ENTRY_BYTES: usize = 280;
/// Bytes of a member, a block, a mark or a listed room, about.
pub const LISTED_BYTES: usize = 120;

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
    pub fn event(&self) -> Option<StreamEvent> {
        match self {
            Self::Room(Outcome::Accepted(event)) => Some(StreamEvent::Room(Arc::clone(event))),
            Self::User(UserOutcome::Event(event)) => Some(StreamEvent::User(Arc::clone(event))),
            _ => None,
        }
    }

    /// The outcome's digest for the chain.
    #[must_use]
    pub fn digest(&self) -> u64 {
        match self {
            Self::Room(outcome) => outcome.digest(),
            Self::User(outcome) => outcome.digest(),
        }
    }
}

impl EntityState {
    /// A room's state.
    #[must_use]
    pub fn room(state: RoomState) -> Self {
        Self::Room(Box::new(state))
    }

    /// A user's state.
    #[must_use]
    pub fn user(state: UserState) -> Self {
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
    pub fn floor_at(&self, now: Timestamp) -> Seq {
        match self {
            Self::Room(room) => room.floor_at(now),
            Self::User(_) => Seq(1),
        }
    }

    /// Bytes in memory, about.
    #[must_use]
    pub fn weight(&self) -> usize {
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
pub fn room_weight(room: &RoomState) -> usize {
    let listed = room.members().len() + room.invited().len() + room.kicked().len();
    BASE_BYTES + room.window_len() * WINDOW_ENTRY_BYTES + listed * LISTED_BYTES
}

/// Bytes of a user's state, about.
#[must_use]
pub fn user_weight(user: &UserState) -> usize {
    let listed = user.rooms().len() + user.reads().len() + user.blocks().len() + user.devices().len();
    BASE_BYTES + listed * LISTED_BYTES
}

/// Decides on a record of this room.
pub fn fold_room(state: &mut RoomState, now: Moment, envelope: &Envelope) -> Outcome {
    if is_stale(now, envelope) {
        return Outcome::Rejected(Reject::Stale);
    }
    match room::payload::decode(envelope) {
        Ok(command) => state.fold(now, command),
        Err(reject) => Outcome::Rejected(reject),
    }
}

/// Decides on a record of this user.
pub fn fold_user(state: &mut UserState, now: Moment, envelope: &Envelope) -> UserOutcome {
    if is_stale(now, envelope) {
        return UserOutcome::Rejected(Reject::Stale);
    }
    match user::payload::decode(envelope) {
        Ok(command) => state.fold(now, command),
        Err(reject) => UserOutcome::Rejected(reject),
    }
}

/// Whether a record comes too late to count: in the journal's clock, from its placing to its own append time.
fn is_stale(now: Moment, envelope: &Envelope) -> bool {
    envelope.is_stale(now.append)
}

/// The fold time of a partition: the highest append time so far. Clocks may go back, fold time does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FoldClock {
    last: Timestamp,
}

impl FoldClock {
    /// A clock that goes on from the fold time of the last record that was folded; zero at the start of a partition.
    #[must_use]
    pub fn new(last: Timestamp) -> Self {
        Self { last }
    }

    /// The times of the next record, from its append time.
    pub fn advance(&mut self, append_time: Timestamp) -> Moment {
        self.last = self.last.max(append_time);
        Moment { fold: self.last, append: append_time }
    }

    /// The fold time of the last record.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        self.last
    }
}

#[cfg(test)]
mod tests;
