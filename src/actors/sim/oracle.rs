//! What is true: the fold of what is durable, and what can be said of it without the fold.
//!
//! Nothing durable is ever lost, so whatever a node tells anybody must be in here at that moment (I2, I4). What the fold
//! itself might get wrong is looked at by counting: dense seqs, one message for each client id (P3), the order of a
//! device's messages (P5), messages of members only, nothing after its time to live.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::answers::{age, fits};
use super::event::CommandKey;
use super::population::Cast;
use super::rights::Rights;
use crate::actors::digest::{Chain, RunningHash};
use crate::actors::fold::{self, EntityOutcome, EntityState, FoldClock};
use crate::actors::moment::{FoldVersion, Moment};
use crate::actors::room::commands::{Command, RoomCommand, Send};
use crate::actors::room::{Outcome, payload};
use crate::actors::user::outcome::Quiet;
use crate::actors::user::outcome::UserOutcome;
use crate::actors::user::{self, UserCommand, UserCommandBody};
use crate::actors::wire::{Answer, Content, Entity, Event, EventBody, QueryAnswer, RoomKind, StreamEvent, ToGateway};
use crate::ids::{ClientId, DeviceId, MessageNo, Offset, Partition, RoomId, Seq, Timestamp, UserId};
use crate::limits;
use crate::storage::journal::StoredRecord;
use crate::storage::journal::memory::MemoryLog;
use crate::storage::journal::record::{Envelope, Prefix, RecordError};
use crate::storage::store::rows::WatermarkRow;

/// A message by its device's number.
type Numbered = (DeviceId, RoomId, u64);

/// A room's or user's stream.
pub(crate) struct Stream {
    /// The fold's state.
    pub state: EntityState,
    /// Its events as they were made.
    pub events: Vec<StreamEvent>,
    /// Messages, and the deletions of them.
    deleted: BTreeMap<Seq, Seq>,
    rights: Rights,
    /// From the seq that made somebody a member to the one that removed him.
    spans: BTreeMap<UserId, Vec<(Seq, Option<Seq>)>>,
    sent: BTreeMap<(UserId, ClientId), (Seq, Timestamp)>,
    /// What each device wrote, by the numbers that it gave its messages, as they stand in the log.
    pub numbers: BTreeMap<DeviceId, Vec<u64>>,
    /// How far a user has read in each room.
    reads: BTreeMap<RoomId, MessageNo>,
    /// The last of the facts that were relayed from each source.
    sources: BTreeMap<Partition, Offset>,
}

struct Log {
    clock: FoldClock,
    /// The log up to each offset, and the chain of the entity of each record after it.
    prefixes: Vec<Prefix>,
    chains: Vec<Chain>,
}

/// See the module.
pub(crate) struct Truth {
    logs: BTreeMap<Partition, Log>,
    streams: BTreeMap<Entity, Stream>,
    decided: HashMap<CommandKey, Vec<EntityOutcome>>,
    /// What was decided on each command first, and when, of those that rooms and users remember.
    pub(super) first: HashMap<CommandKey, (Timestamp, EntityOutcome)>,
    /// Messages whose senders were told that they are refused for good: their place in the sender's order is free.
    pub forgiven: BTreeSet<Numbered>,
    halted: BTreeSet<Partition>,
    /// Devices that send several messages at a time and name none before: see [`super::order`].
    pub unordered: BTreeSet<DeviceId>,
}

impl Truth {
    /// Before the first record.
    pub(crate) fn new(cast: &Cast) -> Self {
        let clock = FoldClock::after(&WatermarkRow::start(Partition::FIRST), FoldVersion::SECOND);
        let log = || Log { clock, prefixes: vec![Prefix::default()], chains: Vec::new() };
        let stream = |entity: Entity| {
            let stream = Stream::of(&entity);
            (entity, stream)
        };
        Self {
            logs: cast.partitions.iter().map(|partition| (*partition, log())).collect(),
            streams: cast.entities().map(stream).collect(),
            decided: HashMap::new(),
            first: HashMap::new(),
            forgiven: BTreeSet::new(),
            unordered: BTreeSet::new(),
            halted: BTreeSet::new(),
        }
    }

    /// Takes what has become durable.
    pub(crate) fn advance(&mut self, partition: Partition, log: &MemoryLog) -> Result<(), String> {
        let (from, durable) = (self.next(partition), log.durable_end(partition));
        if from >= durable {
            return Ok(());
        }
        let records = log.read(partition, from, usize::MAX).map_err(|error| error.to_string())?;
        for record in records.into_iter().take_while(|record| record.offset < durable) {
            if matches!(Envelope::decode_record(&record.bytes), Err(RecordError::NewerVersion(_))) {
                // Nobody who does not know it may go on.
                self.halted.insert(partition);
                break;
            }
            self.take(partition, &record)?;
        }
        Ok(())
    }

    /// Whether the partition holds a record that nobody here can read.
    pub(crate) fn is_halted(&self, partition: Partition) -> bool {
        self.halted.contains(&partition)
    }

    /// The version of the fold in force behind the last durable record.
    pub(crate) fn version(&self, partition: Partition) -> FoldVersion {
        self.logs.get(&partition).map_or(FoldVersion::FIRST, |log| log.clock.version())
    }

    fn take(&mut self, partition: Partition, record: &StoredRecord) -> Result<(), String> {
        let envelope = Envelope::decode_record(&record.bytes).map_err(|error| error.to_string())?;
        let Some(log) = self.logs.get_mut(&partition) else { return Err("a record outside the cast".to_owned()) };
        let now = log.clock.advance(record.offset, record.time, &envelope).map_err(|error| error.to_string())?;
        let (chain, outcome) = match fold::entity_in(partition, &envelope) {
            None => (Chain::START, None),
            Some(entity) => {
                // A block may concern a direct chat that nobody has made.
                let stream = self.streams.entry(entity.clone()).or_insert_with(|| Stream::of(&entity));
                let outcome = stream.state.fold(now, &envelope);
                let exempt = |key: &Numbered| self.unordered.contains(&key.0) || self.forgiven.contains(key);
                stream.note(now, &envelope, &outcome, &exempt).map_err(|why| format!("{entity:?}: {why}"))?;
                (stream.state.chain(), Some(outcome))
            }
        };
        log.chains.push(chain);
        let before = log.prefixes.last().copied().unwrap_or_default();
        log.prefixes.push(RunningHash::new(before).push(record));
        if let Some(outcome) = outcome {
            let command = (envelope.id(), envelope.key.clone());
            self.check_repeat(partition, &envelope, &command, now.append, &outcome)?;
            self.decided.entry(command).or_default().push(outcome);
        }
        Ok(())
    }

    /// One past the last durable record.
    pub(crate) fn next(&self, partition: Partition) -> Offset {
        let log = self.logs.get(&partition).and_then(|log| log.prefixes.last());
        log.map_or(Offset::ZERO, |prefix| prefix.end)
    }

    /// The log up to `end`; `None` if that is not durable.
    pub(crate) fn prefix(&self, partition: Partition, end: Offset) -> Option<Prefix> {
        self.logs.get(&partition)?.prefixes.get(end.0 as usize).copied()
    }

    /// The chain of whoever the record at `at` concerns, after it; `None` if that is not durable.
    pub(crate) fn chain(&self, partition: Partition, at: Offset) -> Option<Chain> {
        self.logs.get(&partition)?.chains.get(at.0 as usize).copied()
    }

    /// A stream, if there was ever anything of it.
    pub(crate) fn known(&self, entity: &Entity) -> Option<&Stream> {
        self.streams.get(entity)
    }

    /// A stream of the cast.
    pub(crate) fn stream(&self, entity: &Entity) -> &Stream {
        &self.streams[entity]
    }

    /// All streams.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (&Entity, &Stream)> {
        self.streams.iter()
    }

    /// All commands of which there are records, and how many of each.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (&CommandKey, usize)> {
        self.decided.iter().map(|(command, outcomes)| (command, outcomes.len()))
    }

    /// How many records of this command are in.
    pub(crate) fn times(&self, command: &CommandKey) -> usize {
        self.decided.get(command).map_or(0, Vec::len)
    }

    /// I2, I3: an answer says what the fold of the durable log says of that command.
    pub(crate) fn check_answer(&self, command: &CommandKey, answer: &Answer) -> Result<(), String> {
        if matches!(answer, Answer::Unavailable { .. } | Answer::Unknown) {
            return Ok(());
        }
        let decided = self.decided.get(command).map_or(&[][..], Vec::as_slice);
        if decided.iter().any(|outcome| fits(outcome, answer)) {
            return Ok(());
        }
        Err(format!("I2: command {} is answered {answer:?}, the durable log says {decided:?}", command.0))
    }

    /// I4: a frame says nothing that is not durable.
    pub(crate) fn check_frame(&self, frame: &ToGateway) -> Result<(), String> {
        match frame {
            ToGateway::Events { stream, events, .. } | ToGateway::Fetched { stream, events: Ok(events), .. } => {
                events.iter().try_for_each(|event| self.check_event(stream, event))
            }
            ToGateway::Head { stream, head, .. } | ToGateway::Granted { stream, head, .. } => {
                let durable = self.streams[stream].events.len() as u64;
                if head.0 <= durable {
                    Ok(())
                } else {
                    Err(format!("I4: head {head} of {stream:?}, durable are {durable}"))
                }
            }
            _ => Ok(()),
        }
    }

    /// I4: nor does the answer to a query; and its events lead up to the head that it names.
    pub(crate) fn check_query(&self, stream: &Entity, answer: &QueryAnswer) -> Result<(), String> {
        let (head, events): (Seq, &[StreamEvent]) = match answer {
            QueryAnswer::Position { head, .. } => (*head, &[]),
            QueryAnswer::Recent { room, events, .. } => (room.head, events),
            QueryAnswer::Unavailable => return Ok(()),
            other => return Err(format!("{stream:?} was not asked for {other:?}")),
        };
        let durable = self.streams[stream].events.len() as u64;
        if head.0 > durable {
            return Err(format!("I4: {stream:?} says that its head is {head}, durable are {durable}"));
        }
        events.iter().try_for_each(|event| self.check_event(stream, event))?;
        if events.iter().rev().zip((0..=head.0).rev()).any(|(event, seq)| event.seq().0 != seq) {
            return Err(format!("the last events of {stream:?} do not lead up to {head}: {events:?}"));
        }
        Ok(())
    }

    /// I2: an event is the one that the durable log has at its seq, with its content or, if that was deleted, without.
    pub(crate) fn check_event(&self, stream: &Entity, event: &StreamEvent) -> Result<(), String> {
        let known = &self.streams[stream];
        let Some(there) = (event.seq().0 as usize).checked_sub(1).and_then(|at| known.events.get(at)) else {
            return Err(format!("I4: event {} of {stream:?} is not durable", event.seq()));
        };
        let same = match (event, there) {
            (StreamEvent::Room(event), StreamEvent::Room(there)) => {
                Arc::ptr_eq(event, there) || event == there || known.is_redacted(event, there)
            }
            (event, there) => event == there,
        };
        if same { Ok(()) } else { Err(format!("I2: {stream:?} has {there:?}, somebody got {event:?}")) }
    }

    /// What was deleted by an event up to `head` is gone from these events.
    pub(crate) fn check_redacted(&self, entity: &Entity, events: &[StreamEvent], head: Seq) -> Result<(), String> {
        let deleted = self.streams[entity].deleted.iter().filter(|(_, by)| **by <= head);
        for (target, by) in deleted {
            for event in events {
                if let StreamEvent::Room(event) = event
                    && event.carries(*target)
                    && !is_bare(event)
                {
                    return Err(format!("redaction: {by} of {entity:?} deleted {event:?}, which is given at {head}"));
                }
            }
        }
        Ok(())
    }
}

impl Stream {
    fn of(entity: &Entity) -> Self {
        Self {
            state: EntityState::absent(entity),
            events: Vec::new(),
            deleted: BTreeMap::new(),
            rights: Rights::default(),
            spans: BTreeMap::new(),
            sent: BTreeMap::new(),
            numbers: BTreeMap::new(),
            reads: BTreeMap::new(),
            sources: BTreeMap::new(),
        }
    }

    /// The last seq.
    pub(crate) fn head(&self) -> Seq {
        Seq(self.events.len() as u64)
    }

    /// How often its time was over.
    pub(crate) fn expired(&self) -> u64 {
        let expired =
            |event: &&StreamEvent| matches!(event, StreamEvent::Room(event) if event.body == EventBody::Expired);
        self.events.iter().filter(expired).count() as u64
    }

    /// Whether the event is `there` without its content, and that was deleted.
    fn is_redacted(&self, event: &Event, there: &Event) -> bool {
        let mut bare = there.clone();
        bare.redact();
        bare == *event && self.deleted.keys().any(|target| there.carries(*target))
    }

    /// P6: whether a user may be given this event: he was not removed before it, or has come again since.
    pub(crate) fn may_see(&self, user: &UserId, seq: Seq) -> bool {
        let EntityState::Room(room) = &self.state else { return true };
        room.kind() == Some(RoomKind::Open)
            || self.spans.get(user).is_some_and(|spans| spans.iter().any(|(_, to)| to.is_none_or(|to| seq <= to)))
    }

    /// The seq since which a user is a member, if he is one at the head.
    pub(crate) fn member_since(&self, user: &UserId) -> Option<Seq> {
        self.spans.get(user)?.iter().find(|(_, to)| to.is_none()).map(|(from, _)| *from)
    }

    /// How far a user has read in a room, if this is his stream.
    pub(crate) fn read(&self, room: RoomId) -> MessageNo {
        self.reads.get(&room).copied().unwrap_or_default()
    }

    /// Whether a user is a member at the head.
    pub(crate) fn is_member(&self, user: &UserId) -> bool {
        self.spans.get(user).is_some_and(|spans| spans.iter().any(|(_, to)| to.is_none()))
    }

    /// Takes an outcome, and looks at it.
    fn note(
        &mut self,
        now: Moment,
        envelope: &Envelope,
        outcome: &EntityOutcome,
        exempt: &impl Fn(&Numbered) -> bool,
    ) -> Result<(), String> {
        if let Some(event) = outcome.event()
            && let Some(last) = self.events.last().filter(|last| last.at() > event.at())
        {
            return Err(format!("time goes back: {event:?} comes after {last:?}"));
        }
        match outcome {
            EntityOutcome::User(UserOutcome::Event(event)) => {
                if event.seq != self.head().next() {
                    return Err(format!("event {} comes after {}", event.seq, self.head()));
                }
                self.told(envelope)?;
                self.events.push(StreamEvent::User(Arc::clone(event)));
            }
            EntityOutcome::Room(Outcome::Accepted(event)) => {
                if let (age_ms, true) = age(now.append, envelope) {
                    return Err(format!("a ghost: {event:?} came {age_ms} ms old"));
                }
                if event.seq != self.head().next() {
                    return Err(format!("event {} comes after {}", event.seq, self.head()));
                }
                self.rights.check(now.append, event)?;
                self.members(event)?;
                if let Ok(Command { room, body: RoomCommand::Send(send), .. }) = payload::decode(envelope) {
                    self.message(now, event, room, &send, exempt)?;
                }
                self.events.push(StreamEvent::Room(Arc::clone(event)));
            }
            EntityOutcome::Room(Outcome::Duplicate { seq, .. }) => {
                if let Ok(Command { body: RoomCommand::Send(Send { sender, client_id: Some(id), .. }), .. }) =
                    payload::decode(envelope)
                    && self.sent.get(&(sender.clone(), id.clone())).map(|(seq, _)| seq) != Some(seq)
                {
                    return Err(format!("P3: {sender} is told that his {id} is {seq}, which it is not"));
                }
            }
            EntityOutcome::Room(Outcome::Noted) => {
                if let Ok(Command { body: RoomCommand::Block(block), .. }) = payload::decode(envelope) {
                    self.rights.block(&block.by, block.blocked);
                }
            }
            EntityOutcome::User(UserOutcome::Quiet(Quiet::Read { room, to })) => {
                let furthest = self.reads.entry(*room).or_default();
                *furthest = to.no.max(*furthest);
            }
            _ => {}
        }
        Ok(())
    }

    /// What the relay repeats is told once, and never the older after the newer.
    fn told(&mut self, envelope: &Envelope) -> Result<(), String> {
        let Ok(UserCommand { body: UserCommandBody::RoomFact(fact), .. }) = user::payload::decode(envelope) else {
            return Ok(());
        };
        match self.sources.insert(fact.source, fact.source_offset) {
            Some(before) if before >= fact.source_offset => {
                Err(format!("{fact:?} is told after what {before} of its source says"))
            }
            _ => Ok(()),
        }
    }

    fn message(
        &mut self,
        now: Moment,
        event: &Event,
        room: RoomId,
        send: &Send,
        exempt: &impl Fn(&Numbered) -> bool,
    ) -> Result<(), String> {
        if let Some(id) = &send.client_id
            && let Some((before, at)) = self.sent.insert((send.sender.clone(), id.clone()), (event.seq, now.append))
        {
            if id.time().is_some() || now.append.since(at) <= limits::DEDUPE_WINDOW_MS {
                return Err(format!("P3: {id} of {} is there twice, at {before} and {}", send.sender, event.seq));
            }
            // An id without a time in it is known as long as the window reaches back: this one came a day late.
            return Ok(());
        }
        let Some(device) = &send.device else { return Ok(()) };
        let Some(number) = number(&send.content) else { return Ok(()) };
        let before = self.numbers.entry(device.clone()).or_default();
        let last = before.iter().copied().max().unwrap_or_default();
        if number < last && !exempt(&(device.clone(), room, number)) {
            return Err(format!("P5: {device} sent {number} before {last}, it stands after it at {}", event.seq));
        }
        before.push(number);
        Ok(())
    }

    /// Follows who is a member, and sees that only members speak.
    fn members(&mut self, event: &Event) -> Result<(), String> {
        let enter = |spans: &mut BTreeMap<UserId, Vec<(Seq, Option<Seq>)>>, user: &UserId| {
            spans.entry(user.clone()).or_default().push((event.seq, None));
        };
        match &event.body {
            EventBody::Created { members, .. } => members.iter().for_each(|user| enter(&mut self.spans, user)),
            EventBody::Joined => event.actor.iter().for_each(|user| enter(&mut self.spans, user)),
            EventBody::Left | EventBody::Kicked { .. } => {
                let spans = event.removes().and_then(|user| self.spans.get_mut(user));
                if let Some((_, to @ None)) = spans.and_then(|spans| spans.last_mut()) {
                    *to = Some(event.seq);
                }
            }
            EventBody::Invited { .. } if !event.actor.as_ref().is_some_and(|user| self.is_member(user)) => {
                return Err(format!("{:?} is no member and asked somebody in at {}", event.actor, event.seq));
            }
            EventBody::Message { .. } => {
                let EntityState::Room(room) = &self.state else { return Ok(()) };
                let speaks = event.actor.as_ref().is_some_and(|user| self.is_member(user));
                if room.kind() != Some(RoomKind::Open) && !speaks {
                    return Err(format!("{:?} is no member and sent {}", event.actor, event.seq));
                }
            }
            EventBody::Deleted { target } => _ = self.deleted.entry(*target).or_insert(event.seq),
            _ => {}
        }
        Ok(())
    }
}

/// Whether nothing is left to redact.
fn is_bare(event: &Event) -> bool {
    let mut bare = event.clone();
    bare.redact();
    bare == *event
}

/// The number that a client gave its message: its text.
pub(crate) fn number(content: &Content) -> Option<u64> {
    match content.data.is_empty() {
        true => content.body.parse().ok(),
        false => std::str::from_utf8(&content.data).ok()?.parse().ok(),
    }
}
