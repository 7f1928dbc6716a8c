//! What the owner appends for those who read the log without owning it.
//!
//! They take for verified what the records themselves say of their writers ([`LogReader`](crate::actors::partition::log_reader)),
//! so the last record of a partition that is quiet is never verified to them. If somebody reads like this, the owner appends a
//! barrier a little behind the last record that no later one covers; at once, if somebody may wait for the rows of it. A
//! barrier needs no cover: it means nothing, and two owners would answer each other for ever.

use bytes::Bytes;

use super::placing::Queued;
use super::{Action, Core};
use crate::actors::kinds;
use crate::ids::{Offset, Timestamp};
use crate::storage::journal::record::Envelope;

/// How far the partition is covered.
#[derive(Clone, Copy)]
pub(super) struct Cover {
    /// The highest end that a record says its writer had verified.
    said: Offset,
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
        Self { said: start, wanted: start, at: Timestamp::ZERO, is_due: false, is_awaited: false }
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

    /// One past the last record that was handed out and is no barrier.
    pub(crate) fn meant(&self) -> Offset {
        self.cover.wanted
    }

    /// Asks for [`Core::cover`] in a while, if something is not covered.
    pub(super) fn cover_later(&mut self, out: &mut Vec<Action>) {
        let Some(ms) = self.options.cover_after_ms else { return };
        let cover = &mut self.cover;
        if cover.said >= cover.wanted {
            cover.is_awaited = false;
        } else if !cover.is_due && !self.halted {
            cover.is_due = true;
            out.push(Action::Cover { ms: if cover.is_awaited { 0 } else { ms } });
        }
    }

    /// [`Action::Cover`] is due. `barrier` makes a barrier record, which is appended if nothing else is about to be: that
    /// covers as well.
    pub(crate) fn cover(&mut self, now: Timestamp, barrier: impl FnOnce() -> Bytes, out: &mut Vec<Action>) {
        self.cover.is_due = false;
        let Some(ms) = self.options.cover_after_ms else { return };
        let is_quiet = self.inflight.is_none() && self.queue.is_empty();
        let is_late = self.cover.is_awaited || now.since(self.cover.at) >= ms;
        if !self.halted && self.cover.said < self.cover.wanted && is_quiet && is_late {
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
