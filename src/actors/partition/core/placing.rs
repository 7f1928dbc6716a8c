//! Records on their way into the journal: what waits, what goes in one append, and the stamp that each record bears from
//! there on. A record's bytes are never copied here unless somebody else holds them, too.

use bytes::Bytes;
use uuid::Uuid;

use super::action::Ticket;
use super::{Action, Core};
use crate::ids::Timestamp;
use crate::limits;
use crate::storage::journal::record::Envelope;

/// A command's id and whom it concerns: what one record means for several users of a partition has one id.
pub(super) type CommandKey = (Uuid, Bytes);

pub(super) fn command_key(envelope: &Envelope) -> CommandKey {
    (envelope.id(), envelope.key.clone())
}

/// A record on its way into the journal. It holds no part of the record beside the record: then nobody does, and its stamp
/// goes into it without a copy.
pub(super) struct Queued {
    pub(super) record: Bytes,
    pub(super) key: CommandKey,
    has_ttl: bool,
    /// Since when it is under way, by the clock that never jumps.
    since: Timestamp,
}

impl Queued {
    /// `record`, which says `envelope`.
    pub(super) fn new(record: Bytes, envelope: &Envelope, since: Timestamp) -> Self {
        let key = (envelope.id(), Bytes::copy_from_slice(&envelope.key));
        Self { record, key, has_ttl: envelope.ttl_ms != 0, since }
    }
}

impl Core {
    /// Appends what waits, if nothing is under way.
    pub(super) fn pump(&mut self, out: &mut Vec<Action>) {
        if self.halted || self.inflight.is_some() || self.queue.is_empty() {
            return;
        }
        let mut bytes = 0;
        let mut batch = Vec::new();
        while let Some(queued) = self.queue.front() {
            if !batch.is_empty() && bytes + queued.record.len() > limits::APPEND_BYTES {
                break;
            }
            bytes += queued.record.len();
            batch.extend(self.queue.pop_front());
        }
        let ticket = self.ticket();
        out.push(Action::Append { ticket });
        self.inflight = Some((ticket, batch));
    }

    /// The records of an append, to be handed to the journal at once: `journal` is what its clock shows, `now` this node's
    /// that never jumps. From here on they bear when they were placed, how old they were, and what was verified here. Empty
    /// if it is over.
    pub(crate) fn place(&mut self, ticket: Ticket, journal: Timestamp, now: Timestamp) -> Vec<Bytes> {
        let Some((_, batch)) = self.inflight.as_mut().filter(|(expected, _)| *expected == ticket) else {
            return Vec::new();
        };
        self.cover.placed = self.folded.end;
        for queued in batch.iter_mut() {
            let mut stamp = Envelope::default().following(self.folded);
            if queued.has_ttl {
                stamp = stamp.placed(journal, now.since(queued.since));
            }
            queued.record = stamp.stamp(std::mem::take(&mut queued.record));
        }
        batch.iter().map(|queued| queued.record.clone()).collect()
    }
}
