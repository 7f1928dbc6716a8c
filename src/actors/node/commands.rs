//! Commands that this node gives itself: REST, the relay, the expiry scanner. Answered like those of a gateway.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::partitions::Partitions;
use crate::actors::wire::{Answer, NodeId, Origin, RequestId};
use crate::ids::Partition;

/// Stands for this node itself where an origin names a gateway.
pub const OWN_COMMANDS: NodeId = NodeId(u32::MAX);

/// After this time the outcome counts as unknown.
const DEADLINE: Duration = Duration::from_secs(15);
/// What a refused caller is told to wait, in milliseconds.
const RETRY_AFTER_MS: u32 = 100;

/// Commands under way.
pub struct Commands {
    partitions: Arc<Partitions>,
    next: AtomicU64,
    waiting: Mutex<HashMap<RequestId, oneshot::Sender<Answer>>>,
}

impl Commands {
    pub(super) fn new(partitions: Arc<Partitions>) -> Self {
        Self { partitions, next: AtomicU64::new(1), waiting: Mutex::default() }
    }

    /// Gives a command and waits for the fold's decision. If nothing is heard in time the answer is
    /// [`Answer::Unknown`]: it may have happened.
    pub async fn call(&self, partition: Partition, record: Bytes) -> Answer {
        let request = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let Ok(weight) = u32::try_from(record.len()) else {
            return Answer::Rejected(crate::actors::wire::Reject::TooLarge);
        };
        let (answer, answered) = oneshot::channel();
        self.lock().insert(request, answer);
        let _place = Place { commands: self, request };
        let origin = Origin { node: OWN_COMMANDS, request, weight };
        if self.partitions.submit(partition, origin, record).is_err() {
            return Answer::Unavailable { retry_after_ms: RETRY_AFTER_MS };
        }
        match tokio::time::timeout(DEADLINE, answered).await {
            Ok(Ok(answer)) => answer,
            _ => Answer::Unknown,
        }
    }

    pub(super) fn answer(&self, request: RequestId, answer: Answer) {
        if let Some(waiting) = self.lock().remove(&request) {
            // The caller gave up: nobody is left to tell.
            let _ = waiting.send(answer);
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RequestId, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller's place among those that wait: given up with the caller's future, also in the middle of waiting.
struct Place<'a> {
    commands: &'a Commands,
    request: RequestId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.commands.lock().remove(&self.request);
    }
}
