//! The async [`Journal`] over a [`MemoryLog`], with faults that a test asks for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::log::{Fate, MemoryLog, Node, Ticket};
use crate::env::Clock;
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::{AppendError, Appended, Bounds, Journal, JournalError, ReadError, StoredRecord};

type Answer = oneshot::Sender<Result<Appended, AppendError>>;

struct State {
    log: MemoryLog,
    fates: VecDeque<Fate>,
    reads: VecDeque<ReadError>,
    holding: bool,
    held: VecDeque<(Ticket, Fate, Answer)>,
}

struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    changes: watch::Sender<u64>,
}

/// A handle on a memory journal. Each node of a test has its own (see [`MemoryJournal::for_node`]); all see one log.
#[derive(Clone)]
pub struct MemoryJournal {
    shared: Arc<Shared>,
    node: Node,
}

impl MemoryJournal {
    /// An empty journal whose append times come from `clock`; the handle is node 0's.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::over(MemoryLog::new(), clock, 0)
    }

    fn over(log: MemoryLog, clock: Arc<dyn Clock>, node: Node) -> Self {
        let (fates, reads, held) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let state = State { log, fates, reads, holding: false, held };
        let shared = Shared { state: Mutex::new(state), clock, changes: watch::Sender::new(0) };
        Self { shared: Arc::new(shared), node }
    }

    /// What another node finds when all that wrote here are gone at this moment: nothing of what they write later.
    #[must_use]
    pub fn after_crash(&self, node: Node) -> Self {
        Self::over(self.state().log.after_crash(), Arc::clone(&self.shared.clock), node)
    }

    /// Another node's handle on the same log.
    #[must_use]
    pub fn for_node(&self, node: Node) -> Self {
        Self { shared: self.shared.clone(), node }
    }

    /// The next appends, of whatever node, get these fates; those after them are delivered again.
    pub fn next_fates(&self, fates: impl IntoIterator<Item = Fate>) {
        self.state().fates.extend(fates);
    }

    /// The next reads, of whatever node, fail like this; those after them succeed again.
    pub fn fail_reads(&self, errors: impl IntoIterator<Item = ReadError>) {
        self.state().reads.extend(errors);
    }

    /// From now on appends stay in flight, in order, until [`MemoryJournal::release`].
    pub fn hold(&self) {
        self.state().holding = true;
    }

    /// How many appends are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.state().held.len()
    }

    /// Ends [`MemoryJournal::hold`]: what was held gets its fate, in order.
    pub fn release(&self) {
        let mut state = self.state();
        state.holding = false;
        while let Some((ticket, fate, answer)) = state.held.pop_front() {
            let outcome = state.log.settle(ticket, self.shared.clock.now(), fate);
            drop(answer.send(outcome)); // nobody listens if the append's future was dropped
        }
        self.publish(state);
    }

    /// Works on the log itself: leader loss, durable ends, appends that are settled by hand.
    pub fn with_log<T>(&self, work: impl FnOnce(&mut MemoryLog) -> T) -> T {
        let mut state = self.state();
        let result = work(&mut state.log);
        self.publish(state);
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, state: MutexGuard<'_, State>) {
        let changes = state.log.changes();
        drop(state);
        self.shared.changes.send_if_modified(|seen| std::mem::replace(seen, changes.max(*seen)) < changes);
    }

    /// The append's outcome, or where it will come.
    fn submit(
        &self,
        partition: Partition,
        batch: Vec<Bytes>,
    ) -> Result<Result<Appended, AppendError>, oneshot::Receiver<Result<Appended, AppendError>>> {
        let mut state = self.state();
        let ticket = state.log.start(self.node, partition, batch);
        let fate = state.fates.pop_front().unwrap_or(Fate::Deliver);
        if state.holding {
            let (answer, outcome) = oneshot::channel();
            state.held.push_back((ticket, fate, answer));
            return Err(outcome);
        }
        let outcome = state.log.settle(ticket, self.shared.clock.now(), fate);
        self.publish(state);
        Ok(outcome)
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, partition: Partition, batch: Vec<Bytes>) -> Result<Appended, AppendError> {
        match self.submit(partition, batch) {
            Ok(outcome) => outcome,
            Err(later) => later.await.unwrap_or_else(|_| Err(AppendError::Unknown("the journal is gone".to_owned()))),
        }
    }

    async fn read(&self, partition: Partition, from: Offset, max_bytes: usize) -> Result<Vec<StoredRecord>, ReadError> {
        let mut state = self.state();
        match state.reads.pop_front() {
            Some(error) => Err(error),
            None => state.log.read(partition, from, max_bytes),
        }
    }

    fn bounds(&self, partition: Partition) -> Bounds {
        self.state().log.bounds(partition)
    }

    fn now(&self, _: Partition) -> Timestamp {
        self.shared.clock.now()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    async fn trim(&self, up_to: &[(Partition, Offset)]) -> Result<(), JournalError> {
        self.state().log.trim(up_to)
    }

    async fn close(&self) -> Result<(), JournalError> {
        self.release();
        self.state().log.close();
        Ok(())
    }
}
