//! Looks at the clocks for the node. Decides nothing: see [`crate::actors::clocks`].

use crate::actors::partition::context::Context;
use crate::ids::Partition;

impl Context {
    /// Looks at the clocks, and tells the operator what is new about them.
    pub(crate) fn look_at_clocks(&self) {
        self.clocks.watch(self.journal.now(Partition::FIRST), self.env.steady(), &self.metrics);
    }
}
