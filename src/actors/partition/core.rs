//! The pure core of a partition's owner: what to append, what to read, whom to hand what. No tokio, no clock, no I/O.
//!
//! It is driven by inputs (a command, a delivery report, what the partition's tail told, an entity that was loaded or died, a
//! tick) and answers with [`Action`]s. Whoever drives it, the actor or the simulation, carries them out in order and decides
//! nothing. A record goes: queue -> append -> verified prefix -> entity.
//!
//! | file | holds |
//! |---|---|
//! | here | commands to appends, reports and records to verified records |
//! | `action` | what the driver is asked to do |
//! | `cover` | barriers for those who read the log without owning it |
//! | `placing` | records on their way into the journal, and what they bear from there on |
//! | `tail` | what the tail tells ([`LogReader`] reads it), and when it may tell more |
//! | `dispatch` | verified records to their entities, and what waits for a place in memory |
//! | `places` | commands and questions that wait for a place in memory |
//! | `residency` | which entities are in memory, what waits for them, when they may go |
//! | `deaths` | entities that died, and records that kill |
//! | `heads` | who listens, and who is told where a stream's head is |
//! | `version` | how a version of the fold begins |

mod action;
mod cover;
mod deaths;
mod dispatch;
mod heads;
mod places;
mod placing;
mod residency;
mod tail;
#[cfg(test)]
mod version;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use action::{Action, Ticket};

use self::cover::Cover;
use self::places::PlaceQueue;
use self::placing::{CommandKey, Queued, command_key};
use self::residency::{Parked, Residency};
use super::listeners::ListenerTable;
use super::log_reader::{Heard, LogReader};
use super::memory::Memory;
use super::progress::SharedProgress;
use super::verified::Rule;
use crate::actors::fold::{self, FoldClock};
use crate::actors::kinds;
use crate::actors::moment::FoldVersion;
use crate::actors::wire::{Answer, Entity, Origin, Reject};
use crate::ids::{Offset, Partition, Timestamp};
use crate::limits;
use crate::storage::journal::record::{Envelope, Prefix, STAMP_BYTES};
use crate::storage::journal::{AppendError, Appended, StoredRecord};
use crate::storage::store::rows::WatermarkRow;

/// Bounds and rules of a core.
#[derive(Clone, Debug)]
pub struct Options {
    /// What a readable end is worth.
    pub rule: Rule,
    /// Milliseconds after which a command whose append is unknown is answered so.
    pub unknown_after_ms: u64,
    /// Milliseconds that a refused asker is told to wait.
    pub retry_after_ms: u32,
    /// Milliseconds without work after which an entity is let go.
    pub idle_ms: u64,
    /// Milliseconds behind the last record that no later one covers, if somebody reads the log without owning it: then a
    /// barrier covers it.
    pub cover_after_ms: Option<u64>,
    /// The highest version of the fold that this program knows.
    pub knows: FoldVersion,
}

/// What a core begins with.
pub(crate) struct Deps {
    /// Where the store is: everything below is verified, folded and stored, and the tail begins there.
    pub watermark: WatermarkRow,
    /// Where the journal ends: what lies below is folded anew.
    pub journal_end: Offset,
    /// Who listens to the partition's streams. It outlives the core.
    pub listeners: Arc<ListenerTable>,
    /// Bytes that rooms and users in memory may take, of all partitions.
    pub memory: Arc<Memory>,
    /// Rooms and users in memory at most, until [`Core::tick`] says otherwise. At least one.
    pub resident: usize,
    /// Bounds and rules.
    pub options: Options,
}

/// The core.
pub(crate) struct Core {
    partition: Partition,
    options: Options,
    queue: VecDeque<Queued>,
    inflight: Option<(Ticket, Vec<Queued>)>,
    next_ticket: u64,
    /// What was read and not handed out yet, and how far it is verified.
    reader: LogReader,
    /// An own append was confirmed.
    has_report: bool,
    clock: FoldClock,
    /// What was handed to entities: new records say that this is verified.
    folded: Prefix,
    /// How far what was handed out is covered by what later records say.
    cover: Cover,
    /// Whom to answer, by command.
    waiting: HashMap<CommandKey, Origin>,
    /// Commands of appends with an unknown outcome, and when to give up on them.
    unknown: Vec<(Timestamp, CommandKey)>,
    residents: HashMap<Entity, Residency>,
    listeners: Arc<ListenerTable>,
    memory: Arc<Memory>,
    progress: SharedProgress,
    /// Entities that left memory before their head was announced often enough, and how often it still is.
    leaving: HashMap<Entity, u8>,
    /// The record over which an entity died last, and how often.
    deaths: HashMap<Entity, (Offset, u32)>,
    /// What lies below was in the journal at the start, and is folded anew.
    replay_to: Offset,
    /// Rooms and users in memory at most.
    resident: usize,
    /// What is folded anew waits: every place in memory is taken.
    is_full: bool,
    /// What waits for a place in memory, in order.
    for_place: PlaceQueue,
    /// The store has everything below, as far as is known.
    stored: Offset,
    /// The tail tells nothing until it is let.
    tail_rests: bool,
    /// The store had everything below when an entity was let go or this core began: a snapshot from before can't be used.
    settled: Offset,
    halted: bool,
}

impl Core {
    /// A core that goes on at the store's watermark. [`Core::begin`] comes first.
    pub(crate) fn new(deps: Deps) -> Self {
        let Deps { watermark, journal_end, listeners, memory, resident, options } = deps;
        let start = watermark.next_offset;
        let folded = Prefix { end: start, hash: watermark.log_hash };
        let clock = FoldClock::after(&watermark, options.knows);
        // What the last core of this partition kept for its residents, which are gone.
        listeners.forget_empty();
        Self {
            partition: watermark.partition,
            reader: LogReader::new(watermark.partition, options.rule, folded),
            options,
            queue: VecDeque::new(),
            inflight: None,
            next_ticket: 0,
            has_report: false,
            clock,
            folded,
            cover: Cover::new(start),
            waiting: HashMap::new(),
            unknown: Vec::new(),
            residents: HashMap::new(),
            listeners,
            memory,
            progress: SharedProgress::new(start),
            leaving: HashMap::new(),
            deaths: HashMap::new(),
            replay_to: journal_end,
            resident,
            is_full: false,
            for_place: PlaceQueue::default(),
            stored: start,
            tail_rests: true,
            settled: start,
            halted: false,
        }
    }

    /// Whether the partition has stopped for good.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn is_halted(&self) -> bool {
        self.halted
    }

    /// How far it is folded. Shared with the entities, which note what they have decided.
    pub(crate) fn progress(&self) -> &SharedProgress {
        &self.progress
    }

    /// One past the last verified offset.
    #[must_use]
    pub(crate) fn verified(&self) -> Offset {
        self.reader.verified()
    }

    /// The fold time of the last record that was handed out.
    #[must_use]
    pub(crate) fn fold_time(&self) -> Timestamp {
        self.clock.last()
    }

    /// A command from a gateway. It is appended once its entity is resident, so that a room whose state can't be had is
    /// refused before anything is written. `since`: from when its age counts here, by the clock that `now` is of; whoever
    /// hands it on from another node takes off what it had been under way there.
    pub(crate) fn submit(
        &mut self,
        origin: Origin,
        record: Bytes,
        since: Timestamp,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        if self.halted {
            out.push(Action::Answer { origin, answer: self.unavailable() });
            return;
        }
        let envelope = match Envelope::decode_record(&record) {
            Ok(envelope) if record.len() + STAMP_BYTES <= limits::RECORD_BYTES && !envelope.is_stamped() => envelope,
            _ => {
                out.push(Action::Answer { origin, answer: Answer::Rejected(Reject::Invalid) });
                return;
            }
        };
        let Some(entity) = fold::entity_in(self.partition, &envelope) else {
            out.push(Action::Answer { origin, answer: Answer::Rejected(Reject::Invalid) });
            return;
        };
        let queued = Queued::new(record, &envelope, since);
        drop(envelope);
        if let Some(before) = self.waiting.insert(queued.key.clone(), origin)
            && before != origin
        {
            // The same record by way of somebody else (two relays): one of the two is decided with an answer.
            out.push(Action::Answer { origin: before, answer: Answer::Unknown });
        }
        match self.residents.get_mut(&entity) {
            Some(Residency::Ready { last_used, .. }) => {
                *last_used = now;
                self.queue.push_back(queued);
                self.pump(out);
            }
            Some(Residency::Loading { held, .. }) => held.push_back(Parked::Command(queued)),
            None => self.load(entity, Parked::Command(queued), now, out),
        }
    }

    /// The report on an append. `now` is this node's clock, for giving up on unknown outcomes only.
    pub(crate) fn appended(
        &mut self,
        ticket: Ticket,
        report: Result<Appended, AppendError>,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        if self.halted {
            return;
        }
        let Some((expected, batch)) = self.inflight.take() else { return };
        if expected != ticket {
            self.inflight = Some((expected, batch));
            return;
        }
        match report {
            Ok(report) => self.delivered(report, batch, now, out),
            Err(AppendError::Unknown(_)) => {
                let give_up = Timestamp(now.0 + self.options.unknown_after_ms);
                // If it is written all the same, the tail tells.
                self.unknown.extend(batch.into_iter().map(|queued| (give_up, queued.key)));
            }
            Err(AppendError::Refused(_) | AppendError::Closed(_)) => {
                // Whatever waits behind the refused ones goes with them: a device's later message must not overtake.
                let queue = std::mem::take(&mut self.queue);
                for queued in batch.iter().chain(&queue) {
                    self.refuse(queued, out);
                }
            }
        }
        self.pump(out);
    }

    fn delivered(&mut self, report: Appended, batch: Vec<Queued>, now: Timestamp, out: &mut Vec<Action>) {
        let heard = self.reader.hears_of_losses(report.losses);
        self.seek(&heard, out);
        self.reader.delivered(&report);
        self.cover_is_in();
        self.has_report = true;
        if report.is_dense && report.first == self.reader.next() {
            // Nothing stands between what was folded and this batch: no need to read it back.
            for (queued, offset) in batch.into_iter().zip(report.first.0..) {
                let record = StoredRecord { offset: Offset(offset), time: report.time, bytes: queued.record };
                let envelope = Envelope::decode_record(&record.bytes).ok();
                self.reader.take(record, envelope);
            }
        } else if self.reader.next() < report.end {
            // Others stand before it or inside it, or what the tail told is still on its way: the tail tells all of it.
            out.push(Action::Seek { from: self.reader.next() });
        }
        self.dispatch(now, out);
    }

    fn refuse(&mut self, queued: &Queued, out: &mut Vec<Action>) {
        if let Some(origin) = self.waiting.remove(&queued.key) {
            out.push(Action::Answer { origin, answer: self.unavailable() });
        }
    }

    fn unavailable(&self) -> Answer {
        Answer::Unavailable { retry_after_ms: self.options.retry_after_ms }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Stops for good: an operator has to look. What waits is answered: it may be written. Whatever comes in afterwards, late
    /// reports, reads and loads above all, has no effect: there is no state any more that it could be applied to.
    pub(crate) fn halt(&mut self, reason: String, out: &mut Vec<Action>) {
        if !self.halted {
            self.stop(out);
            out.push(Action::Halt { reason });
        }
    }

    /// Answers everybody who waits, and does nothing any more.
    fn stop(&mut self, out: &mut Vec<Action>) {
        self.halted = true;
        self.inflight = None;
        self.unknown.clear();
        for queued in std::mem::take(&mut self.queue) {
            self.refuse(&queued, out);
        }
        while let Some((entity, held)) = self.for_place.pop() {
            held.into_iter().for_each(|held| self.refuse_held(&entity, held, out));
        }
        self.leaving.clear();
        self.deaths.clear();
        let mut residents: Vec<_> = self.residents.drain().collect();
        residents.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (entity, residency) in residents {
            let Residency::Loading { held, .. } = residency else { continue };
            held.into_iter().for_each(|held| self.refuse_held(&entity, held, out));
        }
        self.reader.stop();
        let mut waiting: Vec<_> = self.waiting.drain().map(|(_, origin)| origin).collect();
        waiting.sort_unstable();
        out.extend(waiting.into_iter().map(|origin| Action::Answer { origin, answer: Answer::Unknown }));
    }

    /// Once a second: lets a tail go on that rests, gives up on unknown outcomes, asks for a barrier, lets idle entities go,
    /// announces heads. `stored` is the partition's watermark: an entity goes only if the store has all that it applied. Of
    /// more than `resident` entities the longest idle go first, and what waits for a place goes on. `barrier` makes a barrier
    /// record.
    pub(crate) fn tick(
        &mut self,
        now: Timestamp,
        stored: Offset,
        resident: usize,
        barrier: impl FnOnce() -> Bytes,
        out: &mut Vec<Action>,
    ) {
        if self.halted {
            return;
        }
        self.resident = resident;
        self.stored = self.stored.max(stored);
        if self.tail_rests {
            self.follow(out);
        }
        let (over, rest) = self.unknown.drain(..).partition(|(give_up, _)| *give_up <= now);
        self.unknown = rest;
        let over: Vec<(Timestamp, CommandKey)> = over;
        for (_, key) in over {
            if let Some(origin) = self.waiting.remove(&key) {
                out.push(Action::Answer { origin, answer: Answer::Unknown });
            }
        }
        if self.reader.wants_barrier()
            && self.inflight.is_none()
            && self.queue.is_empty()
            && !(self.has_report && self.waits_for_barriers())
        {
            let record = barrier();
            if let Ok(envelope) = Envelope::decode_record(&record) {
                self.queue.push_back(Queued::new(record, &envelope, now));
            }
        }
        self.pump(out);
        self.passivate(now, stored, resident, self.options.idle_ms, out);
        self.relieve(stored, out);
        self.go_on_if_full(now, out);
        self.give_places(out);
        self.let_late_in(now, out);
        self.announce(out);
        self.cover_later(out);
    }

    /// One past the last record that is readable, if all that is not verified are barriers: nothing would follow from them.
    pub(crate) fn end_of_barriers(&self) -> Option<Offset> {
        self.waits_for_barriers().then(|| self.reader.next())
    }

    /// Whether all that is not verified are barriers: to answer those of another owner would never end. Each core appends one
    /// of its own all the same: what stands there may be of an earlier life, and then nobody else covers it.
    fn waits_for_barriers(&self) -> bool {
        let pending = self.reader.pending();
        let mut kinds = pending.iter().map(|pending| pending.envelope.as_ref().map(|envelope| envelope.kind));
        self.reader.has_all() && !pending.is_empty() && kinds.all(|kind| kind == Some(kinds::CONTROL_BARRIER))
    }
}
