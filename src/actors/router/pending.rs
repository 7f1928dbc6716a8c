//! Questions to owners that are not answered yet: the number of each, and who waits for its answer.
//!
//! Two generations: what is still open after one whole period in the older one is given up. So no question needs a timer of
//! its own. An answered one leaves nothing behind, nor does one whose asker has gone.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::actors::gateway::hub::Owners;
use crate::actors::wire::{RequestId, ToGateway, ToOwner};
use crate::ids::Timestamp;
use crate::limits;

/// More than there are cores.
const SHARDS: usize = 16;

/// A question that is open. Dropping it withdraws it: an answer that comes later is nobody's.
#[derive(Debug)]
pub(crate) struct OpenQuestion {
    request: RequestId,
    answer: oneshot::Receiver<ToGateway>,
    /// Where it stands, as long as it may stand there.
    table: Option<Arc<Pending>>,
}

impl OpenQuestion {
    /// Its number.
    pub(crate) fn request(&self) -> RequestId {
        self.request
    }

    /// Waits for the answer. `None` once the question is given up.
    pub(crate) async fn answer(mut self) -> Option<ToGateway> {
        let answer = (&mut self.answer).await;
        // Answered or given up: it has left the table.
        self.table = None;
        answer.ok()
    }
}

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        if let Some(table) = &self.table {
            drop(table.remove(self.request));
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Pending {
    shards: [Mutex<Shard>; SHARDS],
    next: AtomicU64,
    turned_at: Mutex<Timestamp>,
}

#[derive(Debug, Default)]
struct Shard {
    young: HashMap<RequestId, oneshot::Sender<ToGateway>>,
    old: HashMap<RequestId, oneshot::Sender<ToGateway>>,
}

impl Default for Pending {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, next: AtomicU64::new(1), turned_at: Mutex::default() }
    }
}

impl Pending {
    /// A number that no other frame of this node to an owner has.
    pub(crate) fn next_request(&self) -> RequestId {
        RequestId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Opens a question. `None` if [`limits::QUESTIONS`] are open.
    fn ask(self: &Arc<Self>) -> Option<OpenQuestion> {
        let request = self.next_request();
        let mut shard = self.shard(request);
        // Numbers go round the shards, so each holds its part of them.
        if shard.young.len() + shard.old.len() >= limits::QUESTIONS / SHARDS {
            return None;
        }
        let (asker, answer) = oneshot::channel();
        shard.young.insert(request, asker);
        drop(shard);
        Some(OpenQuestion { request, answer, table: Some(Arc::clone(self)) })
    }

    /// Opens a question and sends it. `None` if it was not taken: nothing has happened.
    pub(crate) fn send(
        self: &Arc<Self>,
        owners: &impl Owners,
        frame: impl FnOnce(RequestId) -> ToOwner,
    ) -> Option<OpenQuestion> {
        let asked = self.ask()?;
        owners.send(frame(asked.request())).ok()?;
        Some(asked)
    }

    /// Gives an answer to whoever waits for it; gives back what nobody of this table waits for.
    pub(crate) fn take(&self, frame: ToGateway) -> Option<ToGateway> {
        let (ToGateway::Answer { request, .. }
        | ToGateway::Fetched { request, .. }
        | ToGateway::Queried { request, .. }) = &frame
        else {
            return Some(frame);
        };
        let Some(asker) = self.remove(*request) else { return Some(frame) };
        // An asker that has just gone needs no answer.
        let _ = asker.send(frame);
        None
    }

    /// The answer to a query is worth nothing: who asked learns that at once.
    pub(crate) fn withdraw(&self, frame: &ToGateway) {
        if let ToGateway::Queried { request, .. } = frame {
            drop(self.remove(*request));
        }
    }

    /// Time has passed, by a clock that never jumps.
    pub(crate) fn tick(&self, now: Timestamp) {
        let mut turned_at = self.turned_at.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock of tests may go back; questions must not stay for ever by it.
        if now.since(*turned_at) >= limits::QUESTION_MS || now < *turned_at {
            *turned_at = now;
            drop(turned_at);
            self.turn();
        }
    }

    /// The young ones are the old ones from now on; those are given up.
    fn turn(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let young = std::mem::take(&mut shard.young);
            let given_up = std::mem::replace(&mut shard.old, young);
            drop(shard);
            // Outside the lock: dropping a sender wakes its asker.
            drop(given_up);
        }
    }

    /// Nothing will be answered any more: all questions are given up.
    pub(crate) fn give_up(&self) {
        self.turn();
        self.turn();
    }

    /// How many questions are open.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        let open = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap();
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(open).sum()
    }

    fn remove(&self, request: RequestId) -> Option<oneshot::Sender<ToGateway>> {
        let mut shard = self.shard(request);
        shard.young.remove(&request).or_else(|| shard.old.remove(&request))
    }

    fn shard(&self, request: RequestId) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[(request.0 % SHARDS as u64) as usize];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::wire::{Answer, QueryAnswer};

    fn unknown(request: RequestId) -> ToGateway {
        ToGateway::Answer { request, answer: Answer::Unknown }
    }

    #[tokio::test]
    async fn an_answer_reaches_its_asker_once_and_leaves_nothing() {
        let pending = Arc::new(Pending::default());
        let (one, other) = (pending.ask().unwrap(), pending.ask().unwrap());
        let (first, second) = (one.request(), other.request());
        assert!(first < second);
        let answer = ToGateway::Queried { request: second, answer: QueryAnswer::Blocks(true) };
        assert_eq!(pending.take(answer.clone()), None);
        assert_eq!(pending.take(answer.clone()), Some(answer.clone()), "nobody waits for a second one");
        assert_eq!(other.answer().await, Some(answer));
        assert_eq!(pending.take(unknown(first)), None);
        assert_eq!(one.answer().await, Some(unknown(first)));
        assert_eq!(pending.open(), 0);
    }

    #[tokio::test]
    async fn a_question_without_an_answer_is_given_up_after_one_to_two_periods() {
        let pending = Arc::new(Pending::default());
        let at = |periods: u64| Timestamp(limits::QUESTION_MS * periods);
        pending.tick(at(10));
        let asked = pending.ask().unwrap();
        pending.tick(Timestamp(at(11).0 - 1));
        pending.tick(at(11));
        assert_eq!(pending.open(), 1);
        pending.tick(at(12));
        assert_eq!((pending.open(), asked.answer().await), (0, None));
    }

    #[test]
    fn an_asker_that_goes_leaves_no_entry() {
        let pending = Arc::new(Pending::default());
        let (asked, waiting) = (pending.ask().unwrap(), pending.ask().unwrap());
        let request = asked.request();
        drop(asked);
        assert_eq!(pending.open(), 1);
        assert_eq!(pending.take(unknown(request)), Some(unknown(request)));
        drop(waiting.answer());
        assert_eq!(pending.open(), 0, "in the middle of waiting, too");
    }

    #[test]
    fn there_is_a_most_of_open_questions_and_one_that_ends_makes_room() {
        let pending = Arc::new(Pending::default());
        let mut asked: Vec<_> = std::iter::from_fn(|| pending.ask()).collect();
        assert_eq!(asked.len(), limits::QUESTIONS);
        let gone = asked.swap_remove(0);
        let request = gone.request();
        drop(gone);
        let again = (0..SHARDS).find_map(|_| pending.ask()).expect("there is room in its shard");
        assert_eq!(again.request().0 % SHARDS as u64, request.0 % SHARDS as u64);
        pending.give_up();
        assert_eq!(pending.open(), 0);
    }
}
