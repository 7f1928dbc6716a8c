//! The one way from a record to its decision, for owners, projectors and whoever else folds: what the record belongs to,
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

#[cfg(any(test, feature = "sim"))]
use super::bugs::{self, Bug};
use super::gateway::frames::{StreamEvent, StreamId};
use super::moment::Moment;
use super::room::{self, Outcome, Reject, RoomState};
use super::user::{self, UserOutcome, UserState};
use super::{chain, codec, kinds};
use crate::ids::{Generation, Partition, RoomId, Seq, Timestamp, UserId};
use crate::storage::journal::record::Envelope;

/// What a record belongs to: the unit that is made resident, folds, and passivates.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Entity {
    /// A room.
    Room(RoomId),
    /// A user.
    User(UserId),
}

impl Entity {
    /// The partition that holds it.
    #[must_use]
    pub fn partition(&self) -> Partition {
        match self {
            Self::Room(room) => room.partition(),
            Self::User(user) => user.partition(),
        }
    }

    /// Its stream.
    #[must_use]
    pub fn stream(&self) -> StreamId {
        match self {
            Self::Room(room) => StreamId::Room(*room),
            Self::User(user) => StreamId::User(user.clone()),
        }
    }

    /// The entity behind a stream.
    #[must_use]
    pub fn of(stream: &StreamId) -> Self {
        match stream {
            StreamId::Room(room) => Self::Room(*room),
            StreamId::User(user) => Self::User(user.clone()),
        }
    }
}

/// The entity that a record belongs to; `None` if it belongs to nobody (see [`control_digest`]).
#[must_use]
pub fn entity_of(envelope: &Envelope) -> Option<Entity> {
    if kinds::is_room(envelope.kind) {
        codec::room(&envelope.key).ok().map(Entity::Room)
    } else if kinds::is_user(envelope.kind) {
        codec::user(&envelope.key).ok().map(Entity::User)
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
    chain::control_digest(envelope.kind, reject)
}

/// A barrier record: closes the verified prefix where others write.
#[must_use]
pub fn barrier(id: Uuid, now: Timestamp) -> Bytes {
    Envelope {
        kind: kinds::CONTROL_BARRIER,
        key: Bytes::new(),
        command_id: codec::uuid_bytes(id),
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
        Ok(command) => state.fold(now, &command),
        Err(reject) => Outcome::Rejected(reject),
    }
}

/// Decides on a record of this user.
pub fn fold_user(state: &mut UserState, now: Moment, envelope: &Envelope) -> UserOutcome {
    if is_stale(now, envelope) {
        return UserOutcome::Rejected(Reject::Stale);
    }
    match user::payload::decode(envelope) {
        Ok(command) => state.fold(now.fold, &command),
        Err(reject) => UserOutcome::Rejected(reject),
    }
}

/// Whether a record comes too late to count: in the journal's clock, from its placing to its own append time.
fn is_stale(now: Moment, envelope: &Envelope) -> bool {
    #[cfg(any(test, feature = "sim"))]
    if let Some(stale) = bugs::stale_instead(now, envelope) {
        return stale;
    }
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
        #[cfg(any(test, feature = "sim"))]
        if bugs::planted(Bug::FoldTimeGoesBack) {
            self.last = Timestamp::ZERO;
        }
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
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::actors::room::command::{Command, MaySend, RoomCommand, RoomKind};
    use crate::actors::room::tests::kit;
    use crate::storage::journal::record::RecordError;

    const NOW: Timestamp = Timestamp(kit::T0);

    fn of_room(room: RoomId, body: RoomCommand) -> Envelope {
        room::payload::encode(&Command { room, id: Uuid::from_u128(1), issued_at: NOW, ttl_ms: 0, body })
    }

    #[test]
    fn fold_time_never_goes_back() {
        let mut clock = FoldClock::new(Timestamp(5));
        let times = [3, 7, 6, 7, 9].map(|at| clock.advance(Timestamp(at)));
        assert_eq!(times.map(|now| now.fold.0), [5, 7, 7, 7, 9]);
        assert_eq!(times.map(|now| now.append.0), [3, 7, 6, 7, 9]);
        assert_eq!(clock.last(), Timestamp(9));
    }

    /// A direct chat of ann and bob with this time to live, and a function that folds: the append time from [`NOW`] on, in
    /// milliseconds, and what ann wishes.
    fn chat(ttl_ms: u64) -> impl FnMut(i64, RoomCommand) -> Outcome {
        let (ann, bob) = (kit::user("ann"), kit::user("bob"));
        let room = RoomId::direct(&ann, &bob);
        let create = room::command::Create {
            ttl_ms,
            may_send: MaySend::Members,
            ..kit::create(RoomKind::Direct, "ann", &["bob"])
        };
        let (mut state, mut clock) = (RoomState::absent(room), FoldClock::default());
        let mut fold = move |ms, body| {
            let (placed, append) = (NOW.0.saturating_add_signed(ms), NOW.0.saturating_add_signed(ms) + 5);
            let command = Command { room, id: Uuid::from_u128(1), issued_at: NOW, ttl_ms: 60_000, body };
            let envelope = room::payload::encode(&command).placed(Timestamp(placed), 3);
            fold_room(&mut state, clock.advance(Timestamp(append)), &envelope)
        };
        assert!(matches!(fold(0, RoomCommand::Create(create)), Outcome::Accepted(_)));
        fold
    }

    fn say() -> RoomCommand {
        RoomCommand::Send(kit::send("ann", None))
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_chat_expires_by_the_journals_clock() {
        let mut fold = chat(1_000);
        assert!(matches!(fold(994, say()), Outcome::Accepted(_)));
        assert_eq!(fold(1_000, say()), Outcome::Rejected(Reject::Expired));
        assert!(matches!(fold(1_000, RoomCommand::Expire), Outcome::Accepted(_)));
    }

    #[test]
    fn a_clock_that_was_wrong_for_one_record_mutes_nobody_and_ends_no_chat() {
        for wrong in [HOUR, 24 * HOUR, 365 * 24 * HOUR, -HOUR, -24 * HOUR] {
            let mut fold = chat(24 * HOUR as u64);
            let mut accepted = |ms, body: RoomCommand| match fold(ms, body.clone()) {
                Outcome::Accepted(event) => event.seq.0,
                // The chat is over by then: refused while the clock says so, and there again once it does not.
                Outcome::Rejected(Reject::Expired) if ms >= 24 * HOUR => 0,
                other => panic!("{wrong} {ms} {body:?}: {other:?}"),
            };
            let before = accepted(500, say());
            accepted(wrong, say());
            let after = accepted(1_000, say());
            accepted(2_000, kit::edit("ann", after, "better"));
            accepted(2_000, kit::edit("ann", before, "better"));
            accepted(3_000, kit::delete("ann", before));
            accepted(23 * HOUR, say());
            accepted(23 * HOUR + 1_000, RoomCommand::End { by: kit::user("ann") });
        }
    }

    #[test]
    fn an_expiry_by_a_clock_that_is_ahead_comes_to_nothing_once_the_clock_is_right() {
        let mut fold = chat(24 * HOUR as u64);
        assert_eq!(fold(25 * HOUR, say()), Outcome::Rejected(Reject::Expired));
        assert_eq!(fold(1_000, RoomCommand::Expire), Outcome::Ignored);
        assert!(matches!(fold(2_000, say()), Outcome::Accepted(_)));
    }

    #[test]
    fn what_lay_too_long_on_its_way_is_a_ghost_whatever_the_clocks_say() {
        let room = RoomId::open("news");
        let old = |placed: u64, age_ms| of_room(room, RoomCommand::Expire).placed(Timestamp(placed), age_ms);
        let fold = |append: u64, envelope: Envelope| {
            let envelope = Envelope { ttl_ms: 60_000, ..envelope };
            let mut clock = FoldClock::new(Timestamp(NOW.0 + 7 * 24 * 3_600_000));
            fold_room(&mut RoomState::absent(room), clock.advance(Timestamp(append)), &envelope)
        };
        let stale = Outcome::Rejected(Reject::Stale);
        assert_eq!(fold(NOW.0 + 60_001, old(NOW.0, 0)), stale, "in the producer's queue");
        assert_eq!(fold(NOW.0, old(NOW.0, 60_001)), stale, "before");
        assert_eq!(fold(NOW.0 + 1, old(NOW.0, 60_000)), stale, "together");
        assert_ne!(fold(NOW.0, old(NOW.0, 60_000)), stale);
        assert_ne!(fold(NOW.0 - 3_600_000, old(NOW.0, 0)), stale, "the clock went back on the way");
    }

    #[test]
    fn a_record_in_a_partition_of_others_belongs_to_nobody() {
        let room = RoomId::open("news");
        let envelope = of_room(room, RoomCommand::Expire);
        assert_eq!(entity_in(room.partition(), &envelope), Some(Entity::Room(room)));
        for partition in Partition::all().filter(|partition| *partition != room.partition()) {
            assert_eq!(entity_in(partition, &envelope), None);
        }
    }

    #[test]
    fn a_barrier_belongs_to_nobody_and_is_no_mistake() {
        let record = barrier(Uuid::from_u128(3), NOW);
        let envelope = Envelope::decode_record(&record).unwrap();
        assert_eq!((entity_of(&envelope), envelope.id()), (None, Uuid::from_u128(3)));
        let unknown = Envelope { kind: kinds::CONTROL_BARRIER + 1, ..envelope.clone() };
        assert_eq!(entity_of(&unknown), None);
        assert_ne!(control_digest(&envelope), control_digest(&unknown));
        // The same kind can only be a barrier or a mistake, never both.
        let mistaken = chain::control_digest(kinds::CONTROL_BARRIER, Some(Reject::Invalid));
        assert_ne!(control_digest(&envelope), mistaken);
    }

    #[test]
    fn a_record_of_another_entity_is_invalid_and_changes_nothing() {
        let envelope = of_room(RoomId::open("news"), RoomCommand::Expire);
        let mut room = EntityState::room(RoomState::absent(RoomId::open("other")));
        let mut user = EntityState::user(UserState::new(kit::user("ann")));
        let (before_room, before_user) = (room.hash(), user.hash());
        assert_eq!(room.fold(NOW, &envelope), EntityOutcome::Room(Outcome::Rejected(Reject::Invalid)));
        assert_eq!(user.fold(NOW, &envelope), EntityOutcome::User(UserOutcome::Rejected(Reject::Invalid)));
        assert_eq!((room.hash(), user.hash()), (before_room, before_user));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        /// Any envelope at all has a decision, and the same one for everybody.
        #[test]
        fn any_envelope_has_a_decision(
            kind in prop_oneof![0..14u32, 998..1009u32, 1999..2003u32, any::<u32>()],
            key in prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 16), Just(b"ann".to_vec())],
            command_id in prop_oneof![vec(any::<u8>(), 16), vec(any::<u8>(), 0..20)],
            payload in vec(any::<u8>(), 0..64),
            times in (any::<u64>(), any::<u64>(), any::<u64>()),
        ) {
            let (issued_at_ms, ttl_ms, now) = times;
            let envelope = Envelope {
                kind, key: key.into(), command_id: command_id.into(), issued_at_ms, ttl_ms, payload: payload.into(),
                placed_at_ms: issued_at_ms / 2, age_ms: issued_at_ms % 100_000,
            };
            let read = Envelope::decode_record(&envelope.encode_record()).unwrap();
            prop_assert_eq!(&read, &envelope);
            match entity_of(&envelope) {
                None => prop_assert_eq!(control_digest(&envelope), control_digest(&read)),
                Some(entity) => {
                    let (mut one, mut other) = (EntityState::absent(&entity), EntityState::absent(&entity));
                    prop_assert_eq!(one.entity(), entity);
                    let (here, there) = (one.fold(Timestamp(now), &envelope), other.fold(Timestamp(now), &read));
                    prop_assert_eq!(&here, &there);
                    prop_assert_eq!(here.digest(), there.digest());
                    prop_assert_eq!(one.hash(), other.hash());
                }
            }
        }

        /// Any bytes are a record or an error that halts; nothing panics.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..80)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = crate::storage::journal::record::MAGIC;
            }
            let newer = bytes.get(1).is_some_and(|version| *version > crate::storage::journal::record::VERSION);
            let read = Envelope::decode_record(&bytes.clone().into());
            if newer && bytes.len() >= 6 {
                prop_assert_eq!(read, Err(RecordError::NewerVersion(bytes[1])));
            }
        }
    }
}
