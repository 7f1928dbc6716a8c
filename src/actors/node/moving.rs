//! A partition goes, or comes, while the node runs. No acknowledged message is lost, doubled or reordered by it: the log says
//! what happened, and what is not in it was refused or is answered as unknown.
//!
//! The node's own gateway is told: its feeds ask again for what they listen to, until an owner takes it.

use std::time::Duration;

use super::Node;
use crate::actors::partition::context::Context;
use crate::actors::router::owned::{Owner, OwnerEpoch, Tenure};
use crate::actors::watermarks::Watermarks;
use crate::ids::{Offset, Partition};
use crate::limits;

/// Why a partition does not come or go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MoveError {
    /// It stands otherwise: it is not here, it is here already, or it is moving.
    #[error("the partition can't move now: {0:?}")]
    Tenure(Tenure),
    /// The node is going down.
    #[error("the node is going down")]
    Down,
}

impl Node {
    /// Takes a partition: goes on at the store's watermark, folds what the journal holds by now, whoever wrote it, and
    /// serves it from then on. Returns when it is served, or halted.
    ///
    /// # Errors
    /// See [`MoveError`].
    pub async fn acquire(&self, partition: Partition, epoch: OwnerEpoch) -> Result<(), MoveError> {
        let owned = self.router.owned();
        let comes = |tenure| matches!(tenure, Tenure::Elsewhere { .. }).then_some(Tenure::Coming(epoch));
        owned.change(partition, comes).map_err(MoveError::Tenure)?;
        if let Err(down) = self.tree.begin(Owner { partition, epoch }).await {
            owned.set(partition, Tenure::Elsewhere { folded: Offset::ZERO });
            return Err(down);
        }
        self.comes_to_the_end(partition, &self.context.applied).await;
        owned.set(partition, Tenure::Here(epoch));
        self.gateway.owner_changed(partition);
        Ok(())
    }

    /// Gives a partition up: takes no more commands of it, answers those that it has taken, and forgets its rooms, users and
    /// listeners. Returns where it had come to.
    ///
    /// # Errors
    /// See [`MoveError`].
    pub async fn release(&self, partition: Partition) -> Result<Offset, MoveError> {
        let owned = self.router.owned();
        let leaves = |tenure| match tenure {
            Tenure::Here(epoch) => Some(Tenure::Leaving(epoch)),
            _ => None,
        };
        owned.change(partition, leaves).map_err(MoveError::Tenure)?;
        let settled = async {
            self.router.answered(partition).await;
            self.comes_to(partition, &self.context.applied, self.context.journal.bounds(partition).end).await;
        };
        let grace = Duration::from_millis(limits::RELEASE_MS);
        if tokio::time::timeout(grace, settled).await.is_err() {
            tracing::warn!(%partition, "it goes before all was answered: the outcome of what is left is unknown");
        }
        let ended = self.tree.end(partition).await;
        let folded = self.context.applied.get(partition);
        owned.set(partition, Tenure::Elsewhere { folded });
        self.gateway.owner_changed(partition);
        ended.map(|()| folded)
    }

    /// Waits until a partition has come by these marks to where the journal ends now, but for barriers there that nothing covers,
    /// or is halted.
    pub(super) async fn comes_to_the_end(&self, partition: Partition, marks: &Watermarks) {
        let Context { journal, meant, barriers, .. } = &*self.context;
        let end = journal.bounds(partition).end;
        let all_but_barriers = async {
            barriers.reach(partition, end).await;
            marks.reach(partition, meant.get(partition).min(end)).await;
        };
        tokio::select! {
            () = self.comes_to(partition, marks, end) => {}
            () = all_but_barriers => {}
        }
    }

    /// Waits until a partition has come by these marks to `end`, or is halted.
    pub(super) async fn comes_to(&self, partition: Partition, marks: &Watermarks, end: Offset) {
        tokio::select! {
            biased;
            () = self.context.halted.until(partition) => {}
            () = marks.reach(partition, end) => {}
        }
    }
}
