//! What leaves an outbox: taken, handed out, written; and whether the client takes it fast enough. What a client does not
//! read is held in memory. Times are counted from a moment that the driver chooses once.

use std::collections::VecDeque;
use std::task::Context;
use std::time::Duration;

use crate::actors::gateway::outbox::{Outbox, OutboxItem, OutboxTake};

/// See the module.
#[derive(Default)]
pub(crate) struct Drain {
    /// What was taken from the outbox and is not handed out yet.
    taken: VecDeque<OutboxItem>,
    /// Bytes that are handed out and not written.
    writing: usize,
    /// Bytes that were written since the outbox was told.
    leaving: usize,
    /// Bytes that the socket took, ever.
    written: u64,
    /// While the client does not keep up.
    pace: Option<Pace>,
}

/// What a client that does not keep up must take.
#[derive(Clone, Copy)]
struct Pace {
    /// Until then.
    at: Duration,
    /// What it had taken before.
    before: u64,
    /// So many bytes.
    owed: usize,
}

/// What became of a client's pace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judged {
    /// It took what it owed, and is judged again.
    Passed,
    /// It took too little: the connection is to be closed.
    TooSlow,
}

impl Drain {
    /// What was handed out is written. Returns the bytes that it counted.
    pub(crate) fn all_written(&mut self) -> usize {
        let written = std::mem::take(&mut self.writing);
        self.leaving += written;
        written
    }

    /// Whether something was handed out that is not written.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing > 0
    }

    /// The next thing to write or to tell. `resume`: lets go on who waits for room; false if nobody does.
    pub(crate) fn next<P>(
        &mut self,
        outbox: &Outbox<P>,
        mut resume: impl FnMut() -> bool,
        cx: &mut Context<'_>,
    ) -> Option<OutboxItem> {
        while self.taken.is_empty() {
            match outbox.take(std::mem::take(&mut self.leaving), cx) {
                OutboxTake::Items(items) => self.taken = items,
                OutboxTake::Nothing => {
                    if !resume() {
                        self.pace = None;
                        return None;
                    }
                }
            }
        }
        let item = self.taken.pop_front()?;
        self.writing += item.weight();
        Some(item)
    }

    /// The socket took so many bytes.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written = self.written.wrapping_add(bytes as u64);
    }

    /// While the socket takes nothing: notices that the outbox is full, or that what the client asked for piles up. `grace`:
    /// how long a client may be slow. Returns whether the pace is judged at a new time.
    pub(crate) fn watch<P>(
        &mut self,
        outbox: &Outbox<P>,
        now: Duration,
        grace: Duration,
        cx: &mut Context<'_>,
    ) -> bool {
        let owed = outbox.watch(cx);
        // A client that owes more now, because others wait behind it, has the whole grace for it.
        let grew = owed > self.pace.map_or(0, |pace| pace.owed);
        if grew {
            self.pace = Some(Pace { at: now + grace, before: self.written, owed });
        }
        grew
    }

    /// When [`Self::judge`] is due.
    pub(crate) fn judged_at(&self) -> Option<Duration> {
        self.pace.map(|pace| pace.at)
    }

    /// The grace may be over: slow is who took too little in it. `None` if nothing is due.
    pub(crate) fn judge(&mut self, now: Duration, grace: Duration) -> Option<Judged> {
        let pace = self.pace.filter(|pace| pace.at <= now)?;
        if self.written.wrapping_sub(pace.before) < pace.owed as u64 {
            return Some(Judged::TooSlow);
        }
        self.pace = Some(Pace { at: now + grace, before: self.written, ..pace });
        Some(Judged::Passed)
    }
}
