//! Following a partition: what a [`Tail`] tells, and the place at which it stands.
//!
//! An owner follows its partition for ever, and writes most of it itself. So the [`Place`] is shared: a delivery report of
//! the owner's own moves it ([`Place::reported`]), on the journal's thread and before the tail is woken, and what was
//! written here is neither read back nor told. Reports and tail reach the reader by two ways. Which of them knows of a loss
//! first is told by `losses` in both: whoever learns by a report that records were lost must forget what the tail had told
//! it beyond its verified prefix, and [`Place::seek`] back.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Appended, ReadError, StoredRecord};
use crate::ids::Offset;

/// What a tail tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tailed {
    /// The records that follow on what was told before.
    Batch {
        /// In offset order, without a gap. Empty only where a tail begins at the end.
        records: Vec<StoredRecord>,
        /// One past the last record that was readable then. If the batch does not reach it, there is more.
        end: Offset,
        /// How often the partition had lost records then.
        losses: u64,
    },
    /// The partition lost records that no report had covered. The tail goes on at `end`.
    Truncated {
        /// What lay here and beyond is gone.
        end: Offset,
        /// How often it has lost records, this time included.
        losses: u64,
    },
}

/// Follows one partition.
#[async_trait]
pub trait Tail: Send {
    /// What comes next, as soon as there is something. The first call answers at once. A batch has at most `max_bytes` of
    /// records, but at least one record. May be dropped while it waits, without a loss.
    ///
    /// # Errors
    /// See [`ReadError`]. The same is told again by the next call.
    async fn next(&mut self, max_bytes: usize) -> Result<Tailed, ReadError>;

    /// Where it stands.
    fn place(&self) -> &Arc<Place>;
}

/// Where a tail stands: everything below has been told to its reader.
#[derive(Debug)]
pub struct Place {
    state: Mutex<State>,
    /// Rung if there may be something to tell.
    bell: Notify,
}

#[derive(Debug)]
struct State {
    next: Offset,
    losses: u64,
    /// A truncation that is not told yet.
    cut: Option<Offset>,
    /// Where the last report ended: no later loss reaches below.
    confirmed: Offset,
    /// The end has been told at least once.
    begun: bool,
}

/// What a tail has to do next.
pub(super) enum Step {
    Tell(Tailed),
    /// Read from here, whatever is there if it is the first time.
    Read {
        from: Offset,
        first: bool,
    },
}

impl Place {
    pub(super) fn new(next: Offset, losses: u64) -> Arc<Self> {
        let state = State { next, losses, cut: None, confirmed: Offset::ZERO, begun: false };
        Arc::new(Self { state: Mutex::new(state), bell: Notify::new() })
    }

    /// The next offset to tell.
    #[must_use]
    pub fn next(&self) -> Offset {
        self.state().next
    }

    /// The reader hears of these records by this report. They are passed over if they lie right where the tail stands, so
    /// that each record is told in one of the two ways.
    pub(crate) fn reported(&self, report: &Appended) {
        let mut state = self.state();
        state.confirmed = state.confirmed.max(report.end);
        let is_current = state.cut.is_none() && state.losses == report.losses;
        if report.is_dense && is_current && state.next == report.first {
            state.next = report.end;
        }
    }

    /// Goes on here, forwards or backwards.
    pub(crate) fn seek(&self, to: Offset) {
        self.state().next = to;
        self.bell.notify_one();
    }

    pub(super) fn step(&self) -> Step {
        let mut state = self.state();
        match state.cut.take() {
            Some(end) => Step::Tell(Tailed::Truncated { end, losses: state.losses }),
            None => Step::Read { from: state.next, first: !state.begun },
        }
    }

    /// These are to be told, read from `from` on when the readable end was `end`. `None` if the place is another one by now.
    pub(super) fn told(&self, from: Offset, mut records: Vec<StoredRecord>, end: Offset) -> Option<Tailed> {
        let mut state = self.state();
        if state.cut.is_some() || state.next < from {
            return None;
        }
        records.retain(|record| record.offset >= state.next);
        if records.is_empty() && state.begun {
            return None;
        }
        state.next = records.last().map_or(state.next, |record| record.offset.next());
        state.begun = true;
        Some(Tailed::Batch { records, end, losses: state.losses })
    }

    /// Waits until there may be something to tell.
    pub(super) async fn moved(&self) {
        self.bell.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tails of one partition, as a journal keeps them.
#[derive(Default)]
pub(super) struct Places(Mutex<Vec<Weak<Place>>>);

impl Places {
    pub(crate) fn add(&self, place: &Arc<Place>) {
        let mut places = self.lock();
        places.retain(|place| place.strong_count() > 0);
        places.push(Arc::downgrade(place));
    }

    /// The readable end is here now. Wakes the tails that have not told it; to be called behind the reports on what moved it.
    pub(crate) fn ends(&self, end: Offset) {
        for place in self.lock().iter().filter_map(Weak::upgrade) {
            if place.next() < end {
                place.bell.notify_one();
            }
        }
    }

    /// What lay at `end` and beyond is gone; to be called before any report on what takes its place.
    pub(crate) fn truncated(&self, end: Offset, losses: u64) {
        for place in self.lock().iter().filter_map(Weak::upgrade) {
            let mut state = place.state();
            // One that is not told yet may lie before a report, and this one behind it: what that confirmed is not lost.
            let kept = if end < state.confirmed { Offset::ZERO } else { state.confirmed };
            state.cut = Some(state.cut.map_or(end, |cut| cut.min(end).max(kept)));
            (state.next, state.losses) = (state.next.min(end), losses);
            drop(state);
            place.bell.notify_one();
        }
    }

    /// Where the last of them stands. `None` if nobody follows.
    pub(crate) fn lowest(&self) -> Option<Offset> {
        self.lock().iter().filter_map(Weak::upgrade).map(|place| place.next()).min()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Place>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
