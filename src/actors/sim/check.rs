//! What must hold when everything has settled, and of the rows after each commit.

use std::collections::BTreeMap;

use super::oracle::Truth;
use super::population::Cast;
use super::world::{NODES, World};
use crate::actors::fold::EntityState;
use crate::actors::kinds;
use crate::actors::wire::{Entity, RoomKind, RoomStanding, RoomStatus, StreamEvent};
use crate::actors::workers::persistence::rows;
use crate::actors::workers::prefix::PrefixReader;
use crate::ids::{Offset, Partition, Seq};
use crate::storage::journal::memory::MemoryLog;
use crate::storage::journal::record::{Envelope, Prefix};
use crate::storage::journal::{Bounds, StoredRecord, Tailed};
use crate::storage::store::SeqRange;
use crate::storage::store::rows::OutboxPlace;

/// Milliseconds within which an owner says what became of a command.
const UNANSWERED_MS: u64 = 10_000;
/// Barriers of a partition in a while in which no client does anything: of each owner one for what others wrote and one that
/// covers it, and some to spare. As many again for each record that is relayed meanwhile.
const QUIET_BARRIERS: usize = 3 * NODES;

impl World<'_> {
    /// I6: after a commit the rows have read the log that is; where the rows have all, their states are the
    /// fold's.
    pub(crate) fn check_rows(&mut self, touched: &[Entity], partitions: &[Partition]) {
        for partition in partitions {
            let row = self.store.rows().watermark(*partition);
            let read = Prefix { end: row.next_offset, hash: row.log_hash };
            let truth = self.truth.prefix(*partition, row.next_offset);
            if truth != Some(read) {
                self.fail(format!("I6: the rows of {partition} have read {read:?}, {truth:?} is true"));
            }
        }
        for entity in touched {
            let partition = entity.partition();
            if self.store.rows().watermark(partition).next_offset == self.truth.next(partition) {
                self.check_row(entity);
            }
        }
    }

    fn check_row(&mut self, entity: &Entity) {
        match self.store.state(entity) {
            Err(why) => self.fail(format!("I6: the rows of {entity:?} make no state: {why}")),
            Ok(state) if state.hash() != self.truth.stream(entity).state.hash() => {
                self.fail(format!("I6: the rows of {entity:?} are not what the log makes of it"));
            }
            Ok(_) => {}
        }
    }

    /// What has not settled yet, if anything.
    pub(crate) fn unsettled(&self) -> Option<String> {
        if let Some(client) = self.clients.iter().position(|client| !client.is_answered()) {
            return Some(format!("client {client} waits for an answer"));
        }
        for partition in &self.cast.partitions {
            let end = self.log.bounds(*partition).end;
            let watermark = self.store.rows().watermark(*partition).next_offset;
            if !only_barriers(&self.log, *partition, watermark) {
                return Some(format!("partition {partition} is stored up to {watermark} of {end}"));
            }
        }
        if let Some(row) = self.store.rows().relay_next(OutboxPlace::first_of(Partition::FIRST), 1).first() {
            return Some(format!("the outbox has a row of {} at {}", row.source, row.offset));
        }
        for client in 0..self.clients.len() {
            for n in 0..self.clients[client].streams.len() {
                let stream = self.key_of(client, n).stream;
                let head = self.truth.stream(&stream).head();
                let listening = &self.clients[client].streams[n];
                let there = listening.begun && listening.at.as_ref().is_some_and(|(_, at)| *at == head);
                if self.may_listen(client, n) && !there {
                    return Some(format!("client {client} is not at {head} of {stream:?} but {listening:?}"));
                }
                if !self.may_listen(client, n) && listening.begun {
                    return Some(format!("client {client} still listens to {stream:?}"));
                }
            }
        }
        None
    }

    /// Everything, once all is quiet.
    pub(crate) fn final_checks(&mut self) {
        let checks = [
            self.check_replay(),
            self.check_owners(),
            self.check_store(),
            self.check_messages(),
            self.check_unread(),
            self.check_acks(),
            self.check_answered(),
            self.arrivals.check(&self.truth),
            self.check_relayed(),
            self.check_told(),
            self.check_covered(),
        ];
        if let Some(why) = checks.into_iter().find_map(Result::err) {
            self.fail(why);
        }
        self.stats.records = self.cast.partitions.iter().map(|partition| self.log.bounds(*partition).end.0).sum();
        for (_, stream) in self.truth.streams() {
            self.stats.expired += stream.expired();
            self.stats.trimmed += u64::from(stream.state.floor() > Seq(1));
        }
        let hashes: Vec<u64> = self.truth.streams().map(|(_, stream)| stream.state.hash()).collect();
        hashes.into_iter().for_each(|hash| self.trace.mix(hash));
    }

    /// I1: the surviving log, folded anew, is what was folded on the way.
    fn check_replay(&self) -> Result<(), String> {
        if self.cast.partitions.iter().any(|partition| self.log.bounds(*partition).start > Offset::ZERO) {
            // Its first records are trimmed.
            return Ok(());
        }
        let mut again = Truth::new(self.cast);
        again.forgiven.clone_from(&self.truth.forgiven);
        again.unordered.clone_from(&self.truth.unordered);
        for partition in &self.cast.partitions {
            again.advance(*partition, &self.log)?;
            let at = again.next(*partition);
            if at != self.truth.next(*partition) || again.prefix(*partition, at) != self.truth.prefix(*partition, at) {
                return Err(format!("I1: partition {partition} read anew has another hash"));
            }
        }
        for (entity, stream) in again.streams() {
            if stream.state.hash() != self.truth.stream(entity).state.hash() {
                return Err(format!("I1: {entity:?} folded anew has another state"));
            }
        }
        Ok(())
    }

    /// I1, I10: what owners have in memory is what the log makes of it.
    fn check_owners(&self) -> Result<(), String> {
        for owner in self.nodes.iter().flat_map(|node| node.owners.values()) {
            let (partition, applied) = (owner.id.partition, owner.core.progress().applied());
            if !only_barriers(&self.log, partition, applied) {
                continue;
            }
            for (entity, resident) in owner.residents.iter().filter(|(_, r)| !r.dead && r.inbox.is_empty()) {
                if resident.core.state().hash() != self.truth.stream(entity).state.hash() {
                    return Err(format!("I1: {entity:?} at {:?} is not what the log makes of it", owner.id));
                }
            }
        }
        Ok(())
    }

    /// I6: rows are what the log makes of it, events included.
    fn check_store(&self) -> Result<(), String> {
        for (entity, stream) in self.truth.streams() {
            let state = self.store.state(entity)?;
            if state.hash() != stream.state.hash() {
                return Err(format!("I6: the rows of {entity:?} are not what the log makes of it"));
            }
            let events: Vec<StreamEvent> = match entity {
                Entity::Room(room) => {
                    let rows = self.store.rows().events(*room, SeqRange::all(), usize::MAX);
                    let events = rows.into_iter().map(|row| rows::event(row).map(|e| StreamEvent::Room(e.into())));
                    events.collect::<Result<_, _>>().map_err(|error| error.to_string())?
                }
                Entity::User(user) => {
                    let rows = self.store.rows().user_events(user, SeqRange::all(), usize::MAX);
                    let events = rows.into_iter().map(|row| rows::user_event(row).map(|e| StreamEvent::User(e.into())));
                    events.collect::<Result<_, _>>().map_err(|error| error.to_string())?
                }
            };
            let first = events.first().map_or(stream.head().next(), StreamEvent::seq);
            let dense = events.iter().zip(first.0..).all(|(event, seq)| event.seq().0 == seq);
            let whole = events.last().map_or(first, |event| event.seq().next()) == stream.head().next();
            if !dense || !whole || first > stream.state.floor().max(Seq(1)) {
                return Err(format!("I6: the events of {entity:?} in the rows have holes"));
            }
            events.iter().try_for_each(|event| self.truth.check_event(entity, event))?;
            self.truth.check_redacted(entity, &events, stream.head())?;
        }
        Ok(())
    }

    /// I2, P1: what was acknowledged is there, and what was said not to be written is not.
    pub(crate) fn check_acks(&self) -> Result<(), String> {
        for (entity, seq, id, client_id) in &self.acks {
            let event = (seq.0 as usize).checked_sub(1).and_then(|at| self.truth.stream(entity).events.get(at));
            let there = matches!(event, Some(StreamEvent::Room(event))
                if event.id == *id && event.client_id.as_ref() == Some(client_id));
            if !there {
                return Err(format!("P1: {client_id} was acknowledged as {seq} of {entity:?}, there is {event:?}"));
            }
        }
        for (command, copies) in &self.copies {
            let there = self.truth.times(command);
            if there + copies.refused > copies.came {
                let (id, _) = command;
                return Err(format!("P1: command {id} was said not to be written, and is: {there} times, {copies:?}"));
            }
        }
        Ok(())
    }

    /// Each command that came to an owner was answered, were it that nobody knows what became of it.
    pub(crate) fn check_answered(&self) -> Result<(), String> {
        let over = |came: &u64| self.now > came + UNANSWERED_MS;
        match self.owed.iter().find(|((owner, ..), came)| over(came) && self.owner(*owner).is_some()) {
            Some(((owner, gateway, request), came)) => {
                Err(format!("{owner:?} never answered {request:?} of {gateway:?}, which came at {came} ms"))
            }
            None => Ok(()),
        }
    }

    /// Two owners of a partition do not answer each other's barriers for ever: while nothing else happens, few are written.
    pub(crate) fn check_quiet(&self, since: &BTreeMap<Partition, Offset>) -> Result<(), String> {
        for (partition, from) in since {
            let records = self.log.read(*partition, *from, usize::MAX).map_err(|error| error.to_string())?;
            let is_barrier = |record: &&StoredRecord| {
                Envelope::decode_record(&record.bytes).is_ok_and(|envelope| envelope.kind == kinds::CONTROL_BARRIER)
            };
            let barriers = records.iter().filter(is_barrier).count();
            let others = records.len() - barriers;
            if barriers > QUIET_BARRIERS * (1 + others) {
                let what = format!("{barriers} barriers were written into {partition}");
                return Err(format!("{what}, and {others} other records, while nothing happened"));
            }
        }
        Ok(())
    }

    /// What was relayed arrived: room lists are memberships, blocks of users are blocks of their direct chats.
    fn check_relayed(&self) -> Result<(), String> {
        for room in self.cast.rooms.iter().filter(|room| room.kind != RoomKind::Open) {
            let EntityState::Room(state) = &self.truth.stream(&Entity::Room(room.id)).state else { continue };
            if !state.exists() {
                continue;
            }
            for user in &self.cast.users {
                let EntityState::User(own) = &self.truth.stream(&Entity::User(user.clone())).state else { continue };
                let inside = matches!(state.standing(user), Some(RoomStanding::Member(_) | RoomStanding::Invited(_)));
                let listed = own.room(room.id);
                let lives = state.status() == RoomStatus::Active;
                if listed.is_some() != (inside && lives) {
                    let standing = state.standing(user);
                    return Err(format!(
                        "relay: {user} is {standing:?} of {:?} ({:?}), his list says {listed:?}",
                        room.id,
                        state.status()
                    ));
                }
                if let (RoomKind::Direct, Some(other)) = (room.kind, self.other_side(room.id, user)) {
                    let blocks = state.blocks().any(|by| by == user);
                    if blocks != own.is_blocking(&self.cast.users[other]) {
                        return Err(format!("relay: {user} blocks the other side of {:?}: {blocks} there", room.id));
                    }
                }
            }
        }
        Ok(())
    }

    /// Who reads the log without owning it comes to the end of all that means something.
    fn check_covered(&self) -> Result<(), String> {
        for partition in self.cast.partitions.iter().copied().filter(|_| !self.plan.embedded) {
            let Bounds { start, end } = self.log.bounds(partition);
            let Some(prefix) = self.truth.prefix(partition, start) else { continue };
            let records = self.log.read(partition, start, usize::MAX).map_err(|error| error.to_string())?;
            let alone = self.bystander.as_ref().and_then(|reader| reader.verified(partition));
            if let Some(verified) = alone.filter(|prefix| !only_barriers(&self.log, partition, prefix.end)) {
                return Err(format!("liveness: who stands alone has {partition} up to {} of {end}", verified.end));
            }
            let mut reader = PrefixReader::new(partition, prefix);
            reader.heard(Tailed::Batch { records, end, losses: 0 })?;
            if !only_barriers(&self.log, partition, reader.verified().end) {
                let verified = reader.verified().end;
                return Err(format!("liveness: {partition} is verified up to {verified} of {end} by what it says"));
            }
        }
        Ok(())
    }

    fn other_side(&self, room: crate::ids::RoomId, user: &crate::ids::UserId) -> Option<usize> {
        let cast: &Cast = self.cast;
        let members = &cast.room(room)?.members;
        members.iter().any(|index| cast.users[*index] == *user).then_some(())?;
        members.iter().copied().find(|index| cast.users[*index] != *user)
    }
}

/// Whether nothing but barriers lies from `from` on.
fn only_barriers(log: &MemoryLog, partition: Partition, from: Offset) -> bool {
    let Ok(records) = log.read(partition, from, usize::MAX) else { return false };
    records.iter().all(|record| {
        Envelope::decode_record(&record.bytes).is_ok_and(|envelope| envelope.kind == kinds::CONTROL_BARRIER)
    })
}
