//! What other partitions must be told of an outcome. Pure, and the same in every process that derives it: the record's id is that of the
//! record that caused it, its time the fold time, and the numbers by which the target drops repetitions are the source's
//! partition and offset.

use bytes::Bytes;
use uuid::Uuid;

use crate::actors::room::commands::{Block, Command, RoomCommand};
use crate::actors::room::{self, RoomState};
use crate::actors::user::commands::RoomFact;
use crate::actors::user::{self, UserCommand, UserCommandBody};
use crate::actors::wire::{Event, ListChange, RoomKind, UserEvent, UserEventBody};
use crate::ids::{Offset, Partition, RoomId, Timestamp, UserId};
use crate::limits;
use crate::storage::journal::record::{Addressed, Envelope};
use crate::storage::store::rows::{FanOut, OutboxRow};

/// Where a fact comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source {
    /// The partition of the record that made it.
    pub partition: Partition,
    /// Its offset.
    pub offset: Offset,
    /// The record's id.
    pub id: Uuid,
    /// Its fold time.
    pub now: Timestamp,
}

/// The outbox rows of an event of a room, whose state is `state` after it: one for each user whose list changes, or in a
/// large room one fan-out for all members.
///
/// A fan-out goes to those who are members or invited when the relay comes to it. Whoever left in the meantime is told
/// that instead: the order of one source is kept.
#[must_use]
pub(crate) fn of_room(source: Source, state: &RoomState, kind: RoomKind, event: &Event) -> Vec<OutboxRow> {
    let room = state.room();
    if kind == RoomKind::Open {
        return Vec::new();
    }
    let fact = |change| RoomFact {
        source: source.partition,
        source_offset: source.offset,
        room,
        kind,
        seq: event.seq,
        by: event.actor.clone(),
        change,
    };
    let each = |users: &[UserId], change| {
        users.iter().zip(0..).map(|(user, ord)| told(source, ord, user, fact(change))).collect()
    };
    let all = |change| {
        let everybody = state.members().map(|(user, _)| user).chain(state.invited().map(|(user, _)| user));
        let some: Vec<UserId> = everybody.take(limits::LISTED_PLACES + 1).cloned().collect();
        if some.len() > limits::LISTED_PLACES { vec![told_all(source, fact(change))] } else { each(&some, change) }
    };
    match event.body.lists() {
        ListChange::Nobody => Vec::new(),
        ListChange::Actor(change) => each(event.actor.as_slice(), change),
        ListChange::Users(users, change) => each(users, change),
        ListChange::Everybody(change) => all(change),
    }
}

/// The outbox row of an event of a user: a block concerns the direct room of the two.
#[must_use]
pub(crate) fn of_user(source: Source, user: &UserId, event: &UserEvent) -> Option<OutboxRow> {
    let UserEventBody::Block { user: other, blocked } = &event.body else { return None };
    let block = Block { by: user.clone(), blocked: *blocked, source: source.partition, source_offset: source.offset };
    let command = Command {
        room: RoomId::direct(user, other),
        id: source.id,
        issued_at: source.now,
        ttl_ms: 0,
        body: RoomCommand::Block(block),
    };
    let addressed = room::payload::address(command);
    Some(row(source, 0, addressed.partition, addressed.record, None))
}

fn command(source: Source, user: &UserId, fact: RoomFact) -> UserCommand {
    UserCommand {
        user: user.clone(),
        id: source.id,
        issued_at: source.now,
        ttl_ms: 0,
        body: UserCommandBody::RoomFact(fact),
    }
}

fn told(source: Source, ord: u32, user: &UserId, fact: RoomFact) -> OutboxRow {
    let addressed = user::payload::address(command(source, user, fact));
    row(source, ord, addressed.partition, addressed.record, None)
}

/// The pattern of a fan-out: the whole record, but for nobody. See [`for_member`].
fn told_all(source: Source, fact: RoomFact) -> OutboxRow {
    let room = fact.room;
    let nobody = UserId::anonymous(Uuid::nil());
    let pattern = user::payload::encode(command(source, &nobody, fact));
    row(source, 0, source.partition, pattern, Some(FanOut { room, after: None }))
}

/// Who caused a fact, which is whose turn it takes: nobody if time did, or if it can't be read.
#[must_use]
pub(crate) fn caused_by(envelope: &Envelope) -> Option<UserId> {
    if let Ok(UserCommand { body: UserCommandBody::RoomFact(fact), .. }) = user::payload::decode(envelope) {
        return fact.by;
    }
    match room::payload::decode(envelope) {
        Ok(Command { body: RoomCommand::Block(block), .. }) => Some(block.by),
        _ => None,
    }
}

/// The record of a fan-out for one of the members.
#[must_use]
pub(crate) fn for_member(pattern: &Envelope, user: &UserId) -> Addressed {
    let envelope = Envelope { key: Bytes::copy_from_slice(user.as_str().as_bytes()), ..pattern.clone() };
    Addressed { partition: user.partition(), room: None, record: envelope.encode_record() }
}

fn row(source: Source, ord: u32, target: Partition, record: Bytes, fan_out: Option<FanOut>) -> OutboxRow {
    OutboxRow { source: source.partition, offset: source.offset, ord, target, record, fan_out }
}
