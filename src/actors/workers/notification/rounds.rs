//! The pure core of deciding: which records are read, which messages are due, whose members are asked for, and when what was
//! decided is written. It never passes a message by: what can't be read or written now is read again.
//!
//! A message is due when its devices have had their time; until then the cursor of its partition stands before it, so that
//! there is nothing to remember. A driver, the worker or a test, asks for the next [`NotifyStep`], carries it out and says what
//! came of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::decide::{self, is_notified};
use super::pending::{Due, PartitionBatch, due_records};
use super::providers::NotificationChannel;
use crate::actors::router::owned::{Owned, OwnerEpoch};
use crate::actors::wire::RoomKind;
use crate::actors::workers::back_off;
use crate::ids::{Offset, PARTITIONS, Partition, RoomId, Seq, Timestamp, UserId, millis};
use crate::limits;
use crate::storage::journal::{ReadError, StoredRecord};
use crate::storage::notifications::devices::PushDevice;
use crate::storage::notifications::facts::{NotifiedMember, NotifiedMessage, NotifiedRoom};
use crate::storage::notifications::outbox::{Decided, NotificationCursor};
use crate::storage::store::StoreError;
use crate::storage::store::rows::WatermarkRow;

/// What is decided by.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How long the devices have to acknowledge.
    pub after: Duration,
    /// Older messages notify nobody.
    pub expiry: Duration,
    /// Who is told.
    pub channels: Vec<NotificationChannel>,
    /// The partitions that are decided on here.
    pub owned: Arc<Owned>,
    /// Members that are asked for at a time.
    pub members: usize,
    /// Notifications of one transaction, about.
    pub batch: usize,
    /// Notifications that may wait for providers.
    pub waiting: u64,
    /// First wait after a failure.
    pub retry_first: Duration,
    /// Longest wait after failures.
    pub retry_most: Duration,
}

impl Options {
    /// For these channels, with the program's own bounds.
    pub(crate) fn new(after: Duration, expiry: Duration, channels: Vec<NotificationChannel>) -> Self {
        Self {
            after,
            expiry,
            channels,
            owned: Arc::new(Owned::new(Partition::all(), OwnerEpoch(1))),
            members: limits::NOTIFY_MEMBERS,
            batch: limits::NOTIFY_BATCH,
            waiting: u64::from(limits::NOTIFY_WAITING),
            retry_first: Duration::from_millis(50),
            retry_most: Duration::from_secs(5),
        }
    }
}

/// How the worker is, for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotifyStatus {
    /// The last failure, until something succeeds again.
    pub failing: Option<String>,
    /// Partitions that it does not decide on any further, with the reason for the operator.
    pub halted: Vec<(Partition, String)>,
    /// Records that are not decided on, by partition.
    pub lag: BTreeMap<Partition, u64>,
    /// Notifications that it has written.
    pub decided: u64,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum NotifyStep {
    /// Read the cursors; then [`NotifyRounds::cursors`].
    Cursors,
    /// Read the store's watermarks, and how many notifications wait for a provider; then [`NotifyRounds::standing`].
    Standing,
    /// Read records of a partition; then [`NotifyRounds::read`].
    Read {
        /// The partition.
        partition: Partition,
        /// The first one.
        from: Offset,
    },
    /// Find the messages of these records; then [`NotifyRounds::found`].
    Find {
        /// Their room.
        room: RoomId,
        /// None of them is older.
        since: Timestamp,
        /// None of them is younger.
        until: Timestamp,
        /// The records' ids.
        ids: Vec<Uuid>,
    },
    /// Read members of a room; then [`NotifyRounds::members`].
    Members {
        /// The room.
        room: RoomId,
        /// Of the message.
        sender: Option<UserId>,
        /// Behind this one.
        after: Option<UserId>,
        /// So many at most.
        limit: usize,
    },
    /// Write this; then [`NotifyRounds::decided`].
    Decide(Decided),
    /// There is nothing to do. Wait until more is stored, or so long.
    Rest(Option<Duration>),
    /// Something failed. Wait so long.
    Retry(Duration),
}

enum Stage {
    /// Between two rounds.
    Begin,
    /// Visits the partitions, this many behind the first.
    Visit(u16),
    Retry,
}

/// See the module.
pub(crate) struct NotifyRounds {
    options: Options,
    /// By partition; none before they are read.
    cursors: Vec<NotificationCursor>,
    /// How far the rows are, as the store said in this round; none before it did.
    readable: Vec<Offset>,
    stage: Stage,
    /// The partition that is visited first: none waits for ever behind a busy one.
    first: u16,
    /// Something was read in this round.
    has_read: bool,
    /// The partition in work.
    batch: Option<PartitionBatch>,
    /// The message of each partition that is due next, and when, by a clock that never jumps.
    due: BTreeMap<Partition, Due>,
    draft: Draft,
    failures: u32,
    status: NotifyStatus,
}

#[derive(Default)]
struct Draft {
    moves: BTreeMap<Partition, (NotificationCursor, NotificationCursor)>,
    decided: Decided,
    /// Rows that are being written.
    writing: u64,
}

impl NotifyRounds {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            cursors: Vec::new(),
            readable: Vec::new(),
            stage: Stage::Begin,
            first: 0,
            has_read: false,
            batch: None,
            due: BTreeMap::new(),
            draft: Draft::default(),
            failures: 0,
            status: NotifyStatus::default(),
        }
    }

    /// How it is.
    pub(crate) fn status(&self) -> &NotifyStatus {
        &self.status
    }

    /// What is to be done next. `applied` says how far a partition may be read, `steady_ms` is a time that never jumps.
    pub(crate) fn step(&mut self, applied: impl Fn(Partition) -> Offset, steady_ms: u64) -> NotifyStep {
        loop {
            match self.stage {
                Stage::Retry => {
                    let wait = back_off(self.options.retry_first, self.failures, self.options.retry_most);
                    (self.failures, self.stage) = (self.failures.saturating_add(1), Stage::Begin);
                    return NotifyStep::Retry(wait);
                }
                Stage::Begin if self.cursors.is_empty() => return NotifyStep::Cursors,
                Stage::Begin => {
                    let lag = |at: &NotificationCursor| applied(at.partition).0.saturating_sub(at.next.0);
                    let all = self.own_cursors().map(|at| (at.partition, lag(at)));
                    self.status.lag = all.filter(|(_, lag)| *lag > 0).collect();
                    if self.wanted(&applied, steady_ms).next().is_some() {
                        return NotifyStep::Standing;
                    }
                    let next = self.next_due(&applied).map(|at| at.saturating_sub(steady_ms));
                    return NotifyStep::Rest(next.map(Duration::from_millis));
                }
                Stage::Visit(step) => {
                    if self.draft.decided.outgoing.len() + self.draft.decided.rows.len() >= self.options.batch {
                        return self.write();
                    }
                    if self.batch.is_some() {
                        match self.work() {
                            Some(ask) => return ask,
                            None => continue,
                        }
                    }
                    if step == PARTITIONS {
                        (self.stage, self.first) = (Stage::Begin, (self.first + 1) % PARTITIONS);
                        if !self.draft.moves.is_empty() {
                            return self.write();
                        }
                        if !self.has_read {
                            // The store has fallen back; the projector brings the rows again.
                            self.fails("the rows are behind what was applied");
                        }
                        continue;
                    }
                    self.stage = Stage::Visit(step + 1);
                    let at = usize::from((self.first + step) % PARTITIONS);
                    let visits = |at: &&NotificationCursor| {
                        let readable = self.readable[at.partition.index()].min(applied(at.partition));
                        at.next < readable
                            && self.options.owned.has(at.partition)
                            && !self.waits(at.partition, steady_ms)
                    };
                    if let Some(cursor) = self.cursors.get(at).filter(visits) {
                        self.has_read = true;
                        return NotifyStep::Read { partition: cursor.partition, from: cursor.next };
                    }
                }
            }
        }
    }

    /// The partitions in which there is something to read.
    fn wanted<'a>(
        &'a self,
        applied: &'a impl Fn(Partition) -> Offset,
        steady_ms: u64,
    ) -> impl Iterator<Item = Partition> + 'a {
        self.unread(applied).filter(move |partition| !self.waits(*partition, steady_ms))
    }

    /// When the first message is due of those that are left here: another worker may have decided on one that was waited for.
    fn next_due(&self, applied: &impl Fn(Partition) -> Offset) -> Option<u64> {
        self.unread(applied).filter_map(|partition| self.due.get(&partition)).map(|due| due.steady_ms).min()
    }

    fn unread<'a>(&'a self, applied: &'a impl Fn(Partition) -> Offset) -> impl Iterator<Item = Partition> + 'a {
        self.own_cursors().filter(|at| at.next < applied(at.partition)).map(|at| at.partition)
    }

    fn own_cursors(&self) -> impl Iterator<Item = &NotificationCursor> {
        self.cursors.iter().filter(|at| self.options.owned.has(at.partition))
    }

    fn waits(&self, partition: Partition, steady_ms: u64) -> bool {
        self.due.get(&partition).is_some_and(|due| steady_ms < due.steady_ms)
            || self.status.halted.iter().any(|(halted, _)| *halted == partition)
    }

    /// What the partition in work needs next; `None` if it is another one's turn.
    fn work(&mut self) -> Option<NotifyStep> {
        let batch = self.batch.as_mut()?;
        if let Some((room, since, ids)) = batch.unfound.front() {
            return Some(NotifyStep::Find { room: *room, since: *since, until: batch.latest, ids: ids.clone() });
        }
        while let Some(record) = batch.records.front() {
            if let Some((_, message)) = batch.messages.get(&record.id) {
                return Some(NotifyStep::Members {
                    room: record.room,
                    sender: message.sender.clone(),
                    after: batch.after.clone(),
                    limit: self.options.members,
                });
            }
            // A repetition, a refusal, or one that is too old.
            (batch.after, _) = (None, batch.records.pop_front());
        }
        let (partition, end, latest) = (batch.partition, batch.end, batch.latest);
        self.batch = None;
        self.moves_to(NotificationCursor { partition, next: end, after: None, latest });
        None
    }

    fn moves_to(&mut self, to: NotificationCursor) {
        let Some(from) = self.cursors.get(to.partition.index()) else { return };
        if *from != to {
            let moved = self.draft.moves.entry(to.partition).or_insert_with(|| (from.clone(), from.clone()));
            moved.1 = to;
        }
    }

    fn write(&mut self) -> NotifyStep {
        let moves = self.draft.moves.values().cloned().collect();
        let decided = std::mem::take(&mut self.draft.decided);
        self.draft.writing = decided.rows.len() as u64;
        NotifyStep::Decide(Decided { moves, ..decided })
    }

    /// The cursors of all partitions.
    pub(crate) fn cursors(&mut self, cursors: Result<Vec<NotificationCursor>, StoreError>) {
        match cursors {
            Ok(cursors) if cursors.len() == usize::from(PARTITIONS) => self.cursors = cursors,
            Ok(cursors) => self.fails(format!("{} partitions were begun, of {PARTITIONS}", cursors.len())),
            Err(error) => self.fails(error),
        }
    }

    /// How far the rows are, and how many notifications wait.
    pub(crate) fn standing(&mut self, standing: Result<(Vec<WatermarkRow>, u64), StoreError>) {
        match standing {
            Ok((_, waiting)) if waiting >= self.options.waiting => {
                self.fails(format!("{waiting} notifications wait for their provider"));
            }
            Ok((rows, _)) => {
                self.readable = vec![Offset::ZERO; usize::from(PARTITIONS)];
                for row in rows {
                    self.readable[row.partition.index()] = row.next_offset;
                }
                (self.stage, self.has_read) = (Stage::Visit(0), false);
            }
            Err(error) => self.fails(error),
        }
    }

    /// What was read of a partition. `now` is the journal's time.
    pub(crate) fn read(
        &mut self,
        partition: Partition,
        records: Result<Vec<StoredRecord>, ReadError>,
        now: Timestamp,
        steady_ms: u64,
    ) {
        let Some(cursor) = self.cursors.get(partition.index()) else { return };
        let mut records = match records {
            Ok(records) => records,
            Err(error) if error.is_transient() => return self.fails(error),
            Err(error @ ReadError::Trimmed { .. }) => {
                let then = "the next start goes on where the journal begins, and nobody is notified of what lay before";
                return self.halt(partition, format!("{error}: {then}"));
            }
            Err(error) => return self.halt(partition, error.to_string()),
        };
        records.retain(|record| record.offset < self.readable[partition.index()]);
        let due = self.due.remove(&partition);
        match due_records(cursor, &records, self.options.after, due, now, steady_ms) {
            Ok((batch, due)) => {
                self.due.extend(due.map(|due| (partition, due)));
                self.batch = Some(batch);
            }
            Err(error) => self.halt(partition, error.to_string()),
        }
    }

    /// The messages that came of the records of a room.
    pub(crate) fn found(
        &mut self,
        found: Result<Option<(NotifiedRoom, Vec<NotifiedMessage>)>, StoreError>,
        now: Timestamp,
    ) {
        let found = match found {
            Ok(found) => found,
            Err(error) => return self.fails(error),
        };
        let Some(batch) = &mut self.batch else { return };
        batch.unfound.pop_front();
        let Some((room, messages)) = found.filter(|(room, _)| room.kind != RoomKind::Open.number()) else { return };
        let expiry = millis(self.options.expiry);
        let young = messages.into_iter().filter(|message| !message.deleted && now.since(message.at) < expiry);
        batch.messages.extend(young.map(|message| (message.id, (room.clone(), message))));
    }

    /// Whether a device of its own is told by one of the ways out.
    pub(crate) fn has_push(&self) -> bool {
        self.options.channels.iter().any(|channel| channel.is_push())
    }

    /// Those of the members that were asked for who are notified unless a device of theirs has the message.
    pub(crate) fn undecided(&self, members: &[NotifiedMember]) -> Vec<UserId> {
        let batch = self.batch.as_ref();
        let message = batch.and_then(|batch| batch.messages.get(&batch.records.front()?.id));
        let Some((_, message)) = message else { return Vec::new() };
        members.iter().filter(|member| is_notified(message, member, None)).map(|member| member.user.clone()).collect()
    }

    /// The members that were asked for. `acknowledged` says how far a device of a user's has the room, as far as anybody
    /// knows, and `devices` which of theirs can be pushed to.
    pub(crate) fn members(
        &mut self,
        members: Result<(Vec<NotifiedMember>, Vec<PushDevice>), StoreError>,
        acknowledged: &HashMap<UserId, Seq>,
        now: Timestamp,
    ) {
        let (members, devices) = match members {
            Ok(found) => found,
            Err(error) => return self.fails(error),
        };
        let Some(batch) = &mut self.batch else { return };
        let Some(record) = batch.records.front() else { return };
        let Some((about, message)) = batch.messages.get(&record.id) else { return };
        let room = record.room;
        for member in &members {
            if !is_notified(message, member, acknowledged.get(&member.user).copied()) {
                continue;
            }
            let row = decide::row(&member.user, room, about, message);
            for (channel, device) in decide::ways(&self.options.channels, &member.user, &devices) {
                let outgoing = decide::outgoing(channel, device, &row, (room, message), now);
                self.draft.decided.outgoing.push(outgoing);
            }
            self.draft.decided.rows.push(row);
        }
        let (partition, latest, at) = (batch.partition, batch.latest, record.offset);
        // The worker may be killed after any page: the cursor says which member is next.
        let is_last = members.len() < self.options.members;
        batch.after = members.into_iter().last().map(|member| member.user).filter(|_| !is_last);
        if is_last {
            batch.records.pop_front();
        }
        let (next, after) = if is_last { (at.next(), None) } else { (at, batch.after.clone()) };
        self.moves_to(NotificationCursor { partition, next, after, latest });
    }

    /// What became of what was decided.
    pub(crate) fn decided(&mut self, written: Result<bool, StoreError>) {
        match written {
            Ok(true) => {
                self.status.decided += self.draft.writing;
                for (_, to) in std::mem::take(&mut self.draft).moves.into_values() {
                    let at = to.partition.index();
                    self.cursors[at] = to;
                }
                (self.failures, self.status.failing) = (0, None);
            }
            Ok(false) => self.fails("another worker has moved on".to_owned()),
            Err(error) => self.fails(error),
        }
    }

    /// Everything that is not written is read again.
    fn fails(&mut self, why: impl ToString) {
        (self.batch, self.draft, self.stage) = (None, Draft::default(), Stage::Retry);
        self.cursors.clear();
        self.status.failing = Some(why.to_string());
    }

    fn halt(&mut self, partition: Partition, why: String) {
        self.status.halted.push((partition, why));
    }
}
