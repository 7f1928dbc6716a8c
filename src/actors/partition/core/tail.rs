//! What the partition's tail tells, and when it may tell more: one thing, and then it waits for [`Action::Follow`], so that no
//! more than one batch is in memory.

use super::{Action, Core, Heard};
use crate::ids::{Offset, Timestamp};
use crate::limits;
use crate::storage::journal::{ReadError, StoredRecord, Tailed};

impl Core {
    /// The first thing to do: the tail begins to tell.
    pub(crate) fn begin(&mut self, out: &mut Vec<Action>) {
        self.follow(out);
    }

    /// The tail told this, or why it can't. What may be readable later is asked for again by [`Core::tick`]; anything else
    /// is for an operator.
    pub(crate) fn heard(&mut self, told: Result<Tailed, ReadError>, now: Timestamp, out: &mut Vec<Action>) {
        self.tail_rests = true;
        match told {
            Ok(Tailed::Batch { records, end, losses }) => self.told(records, end, losses, now, out),
            Ok(Tailed::Truncated { end, losses }) => self.truncated(end, losses, out),
            Err(error) if error.is_transient() => return,
            Err(error) => self.halt(error.why_halted(), out),
        }
        self.follow(out);
    }

    /// The tail told these records, when the readable end was `end` and the partition had lost records `losses` times.
    pub(crate) fn told(
        &mut self,
        records: Vec<StoredRecord>,
        end: Offset,
        losses: u64,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        if self.halted {
            return;
        }
        let heard = self.reader.told(records, end, losses);
        self.seek(&heard, out);
        self.dispatch(now, out);
        if let Some(reason) = heard.halt {
            self.halt(reason, out);
        }
    }

    /// The tail told that the journal lost records.
    pub(crate) fn truncated(&mut self, end: Offset, losses: u64, out: &mut Vec<Action>) {
        if !self.halted
            && let Some(reason) = self.reader.truncated(end, losses).halt
        {
            self.halt(reason, out);
        }
    }

    /// Has the tail go on where the reader wants it to.
    pub(super) fn seek(&self, heard: &Heard, out: &mut Vec<Action>) {
        out.extend(heard.seek.map(|from| Action::Seek { from }));
    }

    /// Lets the tail tell the next thing. Each record that is folded anew at a start may make a room: while these take too
    /// much memory, or every place in it, the tail rests, the store catches up, and some of them are let go.
    pub(super) fn follow(&mut self, out: &mut Vec<Action>) {
        let replays = self.reader.next() < self.replay_to;
        if self.halted {
            return;
        }
        if self.is_full || (replays && self.memory.excess() > 0) {
            return out.push(Action::WantRows);
        }
        let bytes = if replays { limits::TAIL_REPLAY_BYTES } else { limits::TAIL_BATCH_BYTES };
        self.tail_rests = false;
        out.push(Action::Follow { bytes });
    }
}
