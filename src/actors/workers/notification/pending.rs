//! Which records of a partition are due: pure. A message's devices get their time from its append on, by the journal's clock;
//! a clock that is set back makes nobody wait longer than that once more.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use crate::actors::room;
use crate::actors::room::commands::RoomCommand;
use crate::ids::{Offset, Partition, RoomId, Timestamp, UserId, millis};
use crate::limits;
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::{Envelope, RecordError};
use crate::storage::notifications::facts::{NotifiedMessage, NotifiedRoom};
use crate::storage::notifications::outbox::NotificationCursor;

/// The kind of the records that ask for a message.
const SEND: u32 = 2;

/// The first message of a partition that is not due yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Due {
    /// Its record.
    pub offset: Offset,
    /// When it is due at the latest, by a clock that never jumps.
    pub steady_ms: u64,
}

/// A record that asks for a message.
pub(super) struct SendRecord {
    /// Where it lies.
    pub offset: Offset,
    /// Its id, and that of the message if it made one.
    pub id: Uuid,
    /// The room.
    pub room: RoomId,
}

/// What is decided on of one partition.
pub(super) struct PartitionBatch {
    /// The partition.
    pub partition: Partition,
    /// The records that are due, in their order.
    pub records: VecDeque<SendRecord>,
    /// Of the first one, the member up to whom it is decided on.
    pub after: Option<UserId>,
    /// One past what is due, other records included.
    pub end: Offset,
    /// No record below [`Self::end`] has a later fold time.
    pub latest: Timestamp,
    /// Rooms whose messages are not read yet: the earliest append time, and the records' ids.
    pub unfound: VecDeque<(RoomId, Timestamp, Vec<Uuid>)>,
    /// The messages that are young enough, by id.
    pub messages: HashMap<Uuid, (NotifiedRoom, NotifiedMessage)>,
}

/// Takes the records that are due from the front, and says when the next one is. `waited` is what it said before.
///
/// # Errors
/// A record that can't be read: the partition is not read any further.
pub(super) fn due_records(
    cursor: &NotificationCursor,
    records: &[StoredRecord],
    after: Duration,
    waited: Option<Due>,
    now: Timestamp,
    steady_ms: u64,
) -> Result<(PartitionBatch, Option<Due>), RecordError> {
    let NotificationCursor { partition, next, after: member, latest } = cursor.clone();
    let mut batch = PartitionBatch {
        partition,
        records: VecDeque::new(),
        after: None,
        end: next,
        latest,
        unfound: VecDeque::new(),
        messages: HashMap::new(),
    };
    let (mut due, after_ms, mut now) = (None, millis(after), now);
    for record in records {
        let envelope = Envelope::decode_record(&record.bytes)?;
        if let Some(room) = room_of_send(&envelope) {
            let at = Timestamp(record.time.0.saturating_add(after_ms));
            let has_waited = |due: &Due| due.offset == record.offset && due.steady_ms <= steady_ms;
            if waited.as_ref().is_some_and(has_waited) {
                now = now.max(at);
            }
            if at > now {
                let wait = at.since(now).min(after_ms);
                let known = waited.filter(|due| due.offset == record.offset).map(|due| due.steady_ms);
                let steady_ms = known.unwrap_or(u64::MAX).min(steady_ms.saturating_add(wait));
                due = Some(Due { offset: record.offset, steady_ms });
                break;
            }
            if batch.records.len() == limits::NOTIFY_MESSAGES {
                break;
            }
            batch.take(record, envelope.id(), room);
        }
        (batch.end, batch.latest) = (record.offset.next(), batch.latest.max(record.time));
    }
    if batch.records.front().is_some_and(|first| first.offset == next) {
        batch.after = member;
    }
    Ok((batch, due))
}

impl PartitionBatch {
    fn take(&mut self, record: &StoredRecord, id: Uuid, room: RoomId) {
        self.records.push_back(SendRecord { offset: record.offset, id, room });
        match self.unfound.iter_mut().find(|(known, ..)| *known == room) {
            Some((_, since, ids)) => {
                *since = (*since).min(record.time);
                ids.push(id);
            }
            None => self.unfound.push_back((room, record.time, vec![id])),
        }
    }
}

/// The room of a record that asks for a message in a room with members; what the fold made of it is not its matter.
fn room_of_send(envelope: &Envelope) -> Option<RoomId> {
    if envelope.kind != SEND {
        return None;
    }
    let command = room::payload::decode(envelope).ok()?;
    matches!(command.body, RoomCommand::Send(send) if send.open.is_none()).then_some(command.room)
}
