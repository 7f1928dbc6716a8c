//! A rolling upgrade: nodes are replaced by a newer program one after another, and once one runs it begins its own version of
//! the fold, here and there, while old nodes own, follow and project the same partitions. That is earlier than anybody may:
//! a version is begun when all know it. What must hold holds all the same: an old program stops before the barrier, comes
//! back as the newer one, and nothing acknowledged is lost.

use super::event::What;
use super::world::World;
use crate::actors::fold;
use crate::actors::moment::FoldVersion;
use crate::actors::wire::NodeId;
use crate::ids::Partition;

/// Milliseconds that an old program stays halted before somebody comes: nothing wrong may come of it.
const NOTICED_MS: u64 = 700;

impl World<'_> {
    /// A node of the old program is replaced; one of the newer program begins its version in a partition that it owns.
    pub(crate) fn upgrade(&mut self, node: usize) {
        if self.nodes[node].knows < FoldVersion::SECOND {
            let node = self.nodes[node].id;
            return self.replace(node);
        }
        let owned: Vec<_> = self.nodes[node].owners.values().map(|owner| owner.id).collect();
        let Some(id) = (!owned.is_empty()).then(|| self.rng.pick(&owned)) else { return };
        let (record, wall) = (self.fresh_id(), self.clock(node));
        let barrier = fold::version_barrier(record, wall, FoldVersion::SECOND);
        self.with_owner(id, |owner, now, out| owner.core.begin_version(barrier, now, out));
        self.stats.versions += 1;
    }

    /// A node ends and begins again as the newer program, unless nobody else is there.
    pub(crate) fn replace(&mut self, node: NodeId) {
        let index = self.index(node);
        if self.nodes[index].knows == FoldVersion::SECOND {
            return;
        }
        self.crash(index);
        if self.nodes[index].up {
            self.after(NOTICED_MS, What::Replace { node });
        } else {
            self.nodes[index].knows = FoldVersion::SECOND;
            self.stats.replaced += 1;
        }
    }

    /// Whether a version is in force that the node's program does not know.
    pub(crate) fn is_outdated(&self, node: NodeId, partition: Partition) -> bool {
        self.truth.version(partition) > self.nodes[self.index(node)].knows
    }

    /// An owner or a projector of the old program has halted before a version barrier.
    pub(crate) fn stops_before_a_version(&mut self, node: NodeId) {
        self.stats.outdated += 1;
        self.after(NOTICED_MS, What::Replace { node });
    }
}
