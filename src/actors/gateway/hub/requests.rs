//! Questions to owners that are not answered yet.
//!
//! Two generations of each table: what is still open after one whole period in the older one is given up. So no question
//! needs a timer of its own, and an answered one leaves nothing behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use super::lock;
use crate::actors::wire::{Answer, FetchError, RequestId, StreamEvent};
use crate::ids::{Generation, Timestamp};

/// Milliseconds after which an open question may be given up; it is by twice that. Longer than the longest stall that is
/// promised (P7), shorter than the time to live of a command.
pub const TIMEOUT_MS: u64 = 10_000;

const SHARDS: usize = 16;

/// Events that were fetched, and their generation.
pub type Fetched = Result<(Generation, Arc<[StreamEvent]>), FetchError>;

/// The answer to a command, when it comes.
#[derive(Debug)]
pub struct PendingAnswer(pub(super) oneshot::Receiver<Answer>);

impl PendingAnswer {
    /// Waits for it.
    pub async fn get(self) -> Answer {
        // Given up: it may be written.
        self.0.await.unwrap_or(Answer::Unknown)
    }
}

/// Fetched events, when they come.
#[derive(Debug)]
pub struct PendingEvents(pub(super) oneshot::Receiver<Fetched>);

impl PendingEvents {
    /// Waits for them.
    ///
    /// # Errors
    /// They are gone, or can't be had now.
    pub async fn get(self) -> Fetched {
        self.0.await.unwrap_or(Err(FetchError::Unavailable))
    }
}

#[derive(Default)]
pub(super) struct Requests {
    pub answers: Table<oneshot::Sender<Answer>>,
    pub events: Table<oneshot::Sender<Fetched>>,
    rotated_at: Mutex<Timestamp>,
}

impl Requests {
    pub fn answer(&self, request: RequestId, answer: Answer) {
        if let Some(asker) = self.answers.take(request) {
            // Nobody waits any more: the connection is over.
            let _ = asker.send(answer);
        }
    }

    /// The frame was not taken.
    pub fn overload(&self, request: RequestId) {
        self.answer(request, Answer::Unavailable { retry_after_ms: 1_000 });
    }

    /// Whether the answer was for a question of this table.
    pub fn fetched(
        &self,
        request: RequestId,
        generation: Generation,
        events: &Result<Arc<[StreamEvent]>, FetchError>,
    ) -> bool {
        let Some(asker) = self.events.take(request) else { return false };
        let _ = asker.send(events.clone().map(|events| (generation, events)));
        true
    }

    pub fn tick(&self, now: Timestamp) {
        let mut rotated_at = lock(&self.rotated_at);
        // A clock that went back must not keep questions for ever.
        if now.since(*rotated_at) >= TIMEOUT_MS || now < *rotated_at {
            *rotated_at = now;
            self.answers.rotate();
            self.events.rotate();
        }
    }
}

/// Who asked, by question.
pub(super) struct Table<T> {
    shards: [Mutex<Ages<T>>; SHARDS],
}

struct Ages<T> {
    young: HashMap<RequestId, T>,
    old: HashMap<RequestId, T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::new(Ages { young: HashMap::new(), old: HashMap::new() })) }
    }
}

impl<T> Table<T> {
    pub fn ask(&self, request: RequestId, asker: T) {
        lock(self.shard(request)).young.insert(request, asker);
    }

    pub fn take(&self, request: RequestId) -> Option<T> {
        let mut ages = lock(self.shard(request));
        ages.young.remove(&request).or_else(|| ages.old.remove(&request))
    }

    pub fn forget(&self, request: RequestId) {
        drop(self.take(request));
    }

    fn rotate(&self) {
        for shard in &self.shards {
            let mut ages = lock(shard);
            let young = std::mem::take(&mut ages.young);
            // Dropping a sender tells the asker.
            let given_up = std::mem::replace(&mut ages.old, young);
            drop(ages);
            drop(given_up);
        }
    }

    fn shard(&self, request: RequestId) -> &Mutex<Ages<T>> {
        &self.shards[(request.0 % SHARDS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_without_an_answer_is_given_up_after_one_to_two_periods() {
        let requests = Requests::default();
        requests.tick(Timestamp(TIMEOUT_MS * 10));
        let (sender, receiver) = oneshot::channel();
        requests.answers.ask(RequestId(1), sender);
        let mut pending = PendingAnswer(receiver);
        requests.tick(Timestamp(TIMEOUT_MS * 11 - 1));
        requests.tick(Timestamp(TIMEOUT_MS * 11));
        // Pauses: nothing is on its way: the clock is the test's own.
        assert!(pending.0.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Empty));
        requests.tick(Timestamp(TIMEOUT_MS * 12));
        assert_eq!(pending.get().await, Answer::Unknown);
    }

    #[tokio::test]
    async fn an_answer_reaches_its_asker_once() {
        let requests = Requests::default();
        let (sender, receiver) = oneshot::channel();
        requests.answers.ask(RequestId(7), sender);
        requests.answer(RequestId(8), Answer::Unknown);
        requests.overload(RequestId(7));
        requests.answer(RequestId(7), Answer::Unknown);
        assert_eq!(PendingAnswer(receiver).get().await, Answer::Unavailable { retry_after_ms: 1_000 });
    }
}
