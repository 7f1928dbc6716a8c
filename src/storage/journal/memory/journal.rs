//! The async [`Journal`] over a [`MemoryLog`], with faults that a test asks for.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::log::{Fate, MemoryLog, Node, Ticket};
use crate::env::Clock;
use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::journal::{Bounds, Done, Journal, JournalError, Place, ReadError, StoredRecord, Tail, Tailed};

struct State {
    log: MemoryLog,
    fates: VecDeque<Fate>,
    reads: BTreeMap<Partition, VecDeque<ReadError>>,
    holding: bool,
    held: VecDeque<(Ticket, Fate, Done)>,
}

struct Shared {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
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
        let (fates, reads, held) = (VecDeque::new(), BTreeMap::new(), VecDeque::new());
        let state = State { log, fates, reads, holding: false, held };
        let shared = Shared { state: Mutex::new(state), clock };
        Self { shared: Arc::new(shared), node }
    }

    /// What another node finds when all that wrote here are gone at this moment: nothing of what they write later.
    #[must_use]
    pub(crate) fn after_crash(&self, node: Node) -> Self {
        Self::over(self.state().log.after_crash(), Arc::clone(&self.shared.clock), node)
    }

    /// Another node's handle on the same log.
    #[must_use]
    pub(crate) fn for_node(&self, node: Node) -> Self {
        Self { shared: self.shared.clone(), node }
    }

    /// The next appends, of whatever node, get these fates; those after them are delivered again.
    pub(crate) fn next_fates(&self, fates: impl IntoIterator<Item = Fate>) {
        self.state().fates.extend(fates);
    }

    /// The next reads of the partition, by whatever node, fail like this; those after them succeed again.
    pub(crate) fn fail_reads(&self, partition: Partition, errors: impl IntoIterator<Item = ReadError>) {
        self.state().reads.entry(partition).or_default().extend(errors);
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
        while let Some((ticket, fate, done)) = state.held.pop_front() {
            state.settle(ticket, self.shared.clock.now(), fate, done);
        }
        state.wake();
    }

    /// Works on the log itself: leader loss, durable ends, appends that are settled by hand.
    pub(crate) fn with_log<T>(&self, work: impl FnOnce(&mut MemoryLog) -> T) -> T {
        let mut state = self.state();
        let result = work(&mut state.log);
        state.wake();
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Decides an append. Under the lock: what a report says and what tails are told must not overtake each other.
    fn settle(&mut self, ticket: Ticket, now: Timestamp, fate: Fate, done: Done) {
        done(self.log.settle(ticket, now, fate));
    }

    fn failure(&mut self, partition: Partition) -> Option<ReadError> {
        self.reads.get_mut(&partition)?.pop_front()
    }

    fn read(&mut self, partition: Partition, from: Offset, max_bytes: usize) -> Result<Vec<StoredRecord>, ReadError> {
        self.failure(partition).map_or_else(|| self.log.read(partition, from, max_bytes), Err)
    }

    fn tell(&mut self, partition: Partition, place: &Place, max_bytes: usize) -> Result<Option<Tailed>, ReadError> {
        let reads = place.next() < self.log.bounds(partition).end;
        match if reads { self.failure(partition) } else { None } {
            Some(error) => Err(error),
            None => self.log.tell(partition, place, max_bytes),
        }
    }

    fn wake(&self) {
        Partition::all().for_each(|partition| self.log.wake(partition));
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn enqueue(&self, partition: Partition, batch: Vec<Bytes>, done: Done) {
        let mut state = self.state();
        let ticket = state.log.start(self.node, partition, batch);
        let fate = state.fates.pop_front().unwrap_or(Fate::Deliver);
        if state.holding {
            state.held.push_back((ticket, fate, done));
        } else {
            state.settle(ticket, self.shared.clock.now(), fate, done);
            state.log.wake(partition);
        }
    }

    fn tail(&self, partition: Partition, from: Offset) -> Box<dyn Tail> {
        let place = self.state().log.follow(partition, from);
        Box::new(Follower { journal: self.clone(), partition, place })
    }

    async fn read(&self, partition: Partition, from: Offset, max_bytes: usize) -> Result<Vec<StoredRecord>, ReadError> {
        self.state().read(partition, from, max_bytes)
    }

    fn bounds(&self, partition: Partition) -> Bounds {
        self.state().log.bounds(partition)
    }

    fn now(&self, _: Partition) -> Timestamp {
        self.shared.clock.now()
    }

    async fn close(&self) -> Result<(), JournalError> {
        self.release();
        self.state().log.close();
        Ok(())
    }
}

/// Follows one partition of a memory journal.
struct Follower {
    journal: MemoryJournal,
    partition: Partition,
    place: Arc<Place>,
}

#[async_trait]
impl Tail for Follower {
    async fn next(&mut self, max_bytes: usize) -> Result<Tailed, ReadError> {
        loop {
            if let Some(told) = self.journal.state().tell(self.partition, &self.place, max_bytes)? {
                return Ok(told);
            }
            self.place.moved().await;
        }
    }

    fn place(&self) -> &Arc<Place> {
        &self.place
    }
}
