//! What the owner appends for those who read the log without owning it.
//!
//! They take for verified what the records themselves say of their writers ([`LogReader`](crate::actors::partition::log_reader)),
//! so the last record of a partition that is quiet is never verified to them. If somebody reads like this, the owner appends a
//! barrier a little behind the last record that no later one covers; at once, if somebody may wait for the rows of it. A
//! barrier needs no cover: it means nothing, and two owners would answer each other for ever.
//!
//! Who appends here without owning the partition (a relay by itself) reports to nobody: its records are verified when the owner
//! has appended behind them. If nothing else is about to be, a barrier is; at once if somebody listens to whom they are for.

use bytes::Bytes;

use super::placing::Queued;
use super::{Action, Core};
use crate::actors::{fold, kinds};
use crate::ids::{Offset, Timestamp};
use crate::limits;
use crate::storage::journal::record::Envelope;

/// How far the partition is covered.
#[derive(Clone, Copy)]
pub(super) struct Cover {
    /// The highest end that a record says its writer had verified.
    said: Offset,
    /// What the records under way say.
    pub(super) placed: Offset,
    /// One past the last record that is no barrier, and when it was handed out.
    wanted: Offset,
    at: Timestamp,
    /// [`Action::Cover`] was said.
    is_due: bool,
    /// Somebody may wait for the rows of what is not covered.
    is_awaited: bool,
}

impl Cover {
    /// What lies below was covered before.
    pub(super) fn new(start: Offset) -> Self {
        Self { said: start, placed: start, wanted: start, at: Timestamp::ZERO, is_due: false, is_awaited: false }
    }
}

impl Core {
    /// A verified record was handed out.
    pub(super) fn note_cover(&mut self, offset: Offset, envelope: &Envelope, now: Timestamp) {
        let cover = &mut self.cover;
        cover.said = cover.said.max(envelope.prefix().end);
        if envelope.kind != kinds::CONTROL_BARRIER {
            (cover.wanted, cover.at) = (offset.next(), now);
            cover.is_awaited |= kinds::is_awaited(envelope.kind);
        }
    }

    /// The records under way are in the log. The tail may bring them much later, and nothing more is to be appended for its sake.
    pub(super) fn cover_is_in(&mut self) {
        self.cover.said = self.cover.said.max(self.cover.placed);
    }

    /// One past the last record that was handed out and is no barrier.
    pub(crate) fn meant(&self) -> Offset {
        self.cover.wanted
    }

    /// Asks for [`Core::cover`] in a while, if something is not covered, or records of others are not verified.
    pub(super) fn cover_later(&mut self, out: &mut Vec<Action>) {
        let cover = &mut self.cover;
        let own = self.options.cover_after_ms.filter(|_| cover.said < cover.wanted);
        cover.is_awaited &= own.is_some();
        if cover.is_due || self.halted {
            return;
        }
        let own = own.map(|ms| if cover.is_awaited { 0 } else { ms });
        let others = self.is_behind_others().then(|| if self.is_listened_to() { 0 } else { limits::COVER_AFTER_MS });
        if let Some(ms) = own.into_iter().chain(others).min() {
            self.cover.is_due = true;
            out.push(Action::Cover { ms });
        }
    }

    /// Whether records of others stay unverified until a barrier is appended: nothing else is about to be.
    fn is_behind_others(&self) -> bool {
        self.reader.wants_cover() && self.inflight.is_none() && self.queue.is_empty()
    }

    /// Whether somebody listens to one of those whom the last unverified records are for.
    fn is_listened_to(&self) -> bool {
        let last = self.reader.pending().iter().rev().take(limits::RELAY_BATCH);
        let mut entities = last.filter_map(|last| fold::entity_in(self.partition, last.envelope.as_ref()?));
        entities.any(|entity| self.listeners.has_any(&entity))
    }

    /// [`Action::Cover`] is due. `barrier` makes a barrier record, which is appended if nothing else is about to be: that
    /// covers as well.
    pub(crate) fn cover(&mut self, now: Timestamp, barrier: impl FnOnce() -> Bytes, out: &mut Vec<Action>) {
        self.cover.is_due = false;
        let is_quiet = self.inflight.is_none() && self.queue.is_empty();
        let is_late = |ms| self.cover.is_awaited || now.since(self.cover.at) >= ms;
        let own = self.cover.said < self.cover.wanted && self.options.cover_after_ms.is_some_and(is_late);
        if !self.halted && is_quiet && (own || self.is_behind_others()) {
            let record = barrier();
            if let Ok(envelope) = Envelope::decode_record(&record) {
                self.queue.push_back(Queued::new(record, &envelope, now));
                self.cover.is_awaited = false;
                // What is appended says how far this core has folded, and what comes of it, if it is lost, too.
                return self.pump(out);
            }
        }
        self.cover.is_awaited = false;
        self.cover_later(out);
    }
}
