//! Looks at the clocks for the node, and tells the operator what it finds. Decides nothing: see [`crate::actors::clocks`].

use tracing::{info, warn};

use crate::actors::clocks::ClockTrouble;
use crate::actors::partition::context::Context;
use crate::ids::Partition;

impl Context {
    /// Looks at the clocks, and tells the operator what is new about them.
    pub(crate) fn look_at_clocks(&self) {
        let (trouble, is_news) = self.clocks.look(self.journal.now(Partition::FIRST), self.env.steady());
        let error_ms = match trouble {
            None => 0,
            Some(ClockTrouble::Jumped { by_ms }) => by_ms,
            Some(ClockTrouble::Behind { by_ms }) => i64::try_from(by_ms).map_or(i64::MIN, |by_ms| -by_ms),
        };
        self.metrics.clock_error_seconds.set(error_ms / 1_000);
        match trouble {
            Some(trouble) if is_news => warn!(error_ms, "{trouble}"),
            None if is_news => info!("the clock is right again"),
            _ => {}
        }
    }
}
