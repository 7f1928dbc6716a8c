//! Slow readers: how much a client must take, and until when. What it does not read is held in memory.

use std::task::Context;

use tokio::time::Instant;

use super::Session;
use crate::api::protocol::codes::Disconnect;

/// What a client that does not keep up must take.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    /// Until then.
    pub at: Instant,
    /// What it had taken before.
    before: u64,
    /// So many bytes.
    owed: usize,
}

impl Session {
    /// While the socket takes nothing: notices that the outbox is full, or that what the client asked for piles up.
    pub(crate) fn watch(&mut self, now: Instant, cx: &mut Context<'_>) {
        let Some(connection) = &self.connection else { return };
        let owed = connection.outbox.watch(cx);
        // A client that owes more now, because others wait behind it, has the whole grace for it.
        if owed > self.clocks.slow.map_or(0, |pace| pace.owed) {
            self.clocks.slow = Some(self.pace(owed, now));
        }
    }

    fn pace(&self, owed: usize, now: Instant) -> Pace {
        Pace { at: now + self.server.options.slow_grace, before: self.written, owed }
    }

    /// The socket took so many bytes.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.written = self.written.wrapping_add(bytes as u64);
    }

    /// It has been full for a while: slow is who took too little in this time.
    pub(super) fn judge_pace(&mut self, now: Instant) {
        let Some(pace) = self.clocks.slow else { return };
        if self.written.wrapping_sub(pace.before) < pace.owed as u64 {
            self.server.metrics.slow_readers_closed.inc();
            self.close(Disconnect::SLOW);
        } else {
            self.clocks.slow = Some(self.pace(pace.owed, now));
        }
    }
}
