//! The task that follows a partition's tail for its owner: it waits where there is nothing to tell, and ends with the owner.
//!
//! It tells one thing at a time and waits for its [`Turn`], so that a mailbox never holds more than one batch. On a journal
//! that nobody else writes to it sleeps: delivery reports move the tail's place over what the owner has appended.

use std::sync::Arc;

use ractor::ActorRef;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use super::message::{PartitionMessage, Turn};
use crate::ids::{Offset, Partition};
use crate::storage::journal::{Journal, Place, Tail};

/// Bytes of one batch.
const BATCH_BYTES: usize = 1024 * 1024;
/// The same of what is folded anew, which may make a room of each record: it is looked often how much memory is left.
const REPLAY_BYTES: usize = 128 * 1024;

/// See the module. It ends when this is dropped.
pub(super) struct Following {
    place: Arc<Place>,
    /// What lies below was there at the start, and is folded anew.
    replay_to: Offset,
    /// Kept for a while: the tail waits.
    kept: Option<Turn>,
    task: AbortHandle,
}

impl Following {
    pub fn start(journal: &dyn Journal, partition: Partition, from: Offset, owner: ActorRef<PartitionMessage>) -> Self {
        let tail = journal.tail(partition, from);
        let (place, replay_to) = (Arc::clone(tail.place()), journal.bounds(partition).end);
        let task = tokio::spawn(follow(tail, replay_to, owner)).abort_handle();
        Self { place, replay_to, kept: None, task }
    }

    /// Where the tail stands.
    pub fn place(&self) -> &Arc<Place> {
        &self.place
    }

    /// Whether the record at `next` was there at the start.
    pub fn replays(&self, next: Offset) -> bool {
        next < self.replay_to
    }

    /// The tail tells nothing until [`Self::go_on`].
    pub fn keep(&mut self, turn: Turn) {
        self.kept = Some(turn);
    }

    /// The tail may go on, if it was kept from it.
    pub fn go_on(&mut self) {
        self.kept = None;
    }

    /// The owner takes nothing any more.
    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn follow(mut tail: Box<dyn Tail>, replay_to: Offset, owner: ActorRef<PartitionMessage>) {
    let turns = Arc::new(Semaphore::new(1));
    // Nobody closes it.
    while let Ok(turn) = Arc::clone(&turns).acquire_owned().await {
        let bytes = if tail.place().next() < replay_to { REPLAY_BYTES } else { BATCH_BYTES };
        let told = tail.next(bytes).await;
        if owner.cast(PartitionMessage::Told(told, turn)).is_err() {
            return;
        }
    }
}
