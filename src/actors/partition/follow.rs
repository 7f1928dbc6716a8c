//! The task that follows a partition's tail for its owner: it waits where there is nothing to tell, and ends with the owner.
//!
//! It tells one thing and then waits to be let, so that a mailbox never holds more than one batch. On a journal that nobody
//! else writes to it sleeps: delivery reports move the tail's place over what the owner has appended.

use std::sync::Arc;

use ractor::ActorRef;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::message::PartitionMessage;
use crate::ids::{Offset, Partition};
use crate::storage::journal::{Journal, Place, Tail};

/// See the module. It ends when this is dropped.
pub(super) struct Following {
    place: Arc<Place>,
    turns: mpsc::Sender<usize>,
    task: AbortHandle,
}

impl Following {
    pub(super) fn start(
        journal: &dyn Journal,
        partition: Partition,
        from: Offset,
        owner: ActorRef<PartitionMessage>,
    ) -> Self {
        let tail = journal.tail(partition, from);
        let place = Arc::clone(tail.place());
        let (turns, bytes) = mpsc::channel(1);
        let task = tokio::spawn(follow(tail, bytes, owner)).abort_handle();
        Self { place, turns, task }
    }

    /// Where the tail stands.
    pub(super) fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// The tail may tell the next thing, of so many bytes at most. Once for each thing that it told.
    pub(super) fn go_on(&self, bytes: usize) {
        if self.turns.try_send(bytes).is_err() {
            tracing::debug!("a tail is let go on that has ended");
        }
    }

    /// The owner takes nothing any more.
    pub(super) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn follow(mut tail: Box<dyn Tail>, mut turns: mpsc::Receiver<usize>, owner: ActorRef<PartitionMessage>) {
    while let Some(bytes) = turns.recv().await {
        if owner.cast(PartitionMessage::Told(tail.next(bytes).await)).is_err() {
            return;
        }
    }
}
