//! Batches on their way to the writer thread: bounded in bytes, first in, first out.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::layout::RECORD_HEADER;
use crate::ids::Partition;
use crate::storage::journal::{AppendError, Appended, Done};

/// A batch that waits, and where its outcome goes.
pub(crate) struct Request {
    pub partition: Partition,
    pub batch: Vec<Bytes>,
    /// Bytes that it takes in the queue and in the segment.
    pub bytes: usize,
    /// Taken by the answer.
    done: Option<Done>,
}

impl Request {
    pub(crate) fn new(partition: Partition, batch: Vec<Bytes>, done: Done) -> Self {
        let bytes = batch.iter().map(|record| RECORD_HEADER + record.len()).sum();
        Self { partition, batch, bytes, done: Some(done) }
    }

    /// Gives the report.
    pub(crate) fn answer(mut self, report: Result<Appended, AppendError>) {
        if let Some(done) = self.done.take() {
            done(report);
        }
    }
}

impl Drop for Request {
    /// The writer panicked while it held the batch: its caller must not wait for ever.
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(Err(AppendError::Unknown("the journal's writer ended".to_owned())));
        }
    }
}

/// Why the queue takes nothing more.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// It was closed in order: what waits is still written.
    Closed,
    /// The writer gave up.
    Failed(String),
}

#[derive(Default)]
struct State {
    waiting: Vec<Request>,
    /// Bytes of what waits and of what the writer holds.
    bytes: usize,
    stop: Option<Stop>,
    writer_sleeps: bool,
}

/// See the module.
pub(crate) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    limit: usize,
}

impl Queue {
    /// A queue for at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), limit }
    }

    /// Adds a batch at the end; if it can't be taken, gives it back with the reason.
    pub(crate) fn push(&self, request: Request) -> Result<(), (Request, AppendError)> {
        let mut state = self.state();
        match &state.stop {
            Some(Stop::Closed) => return Err((request, AppendError::Closed("it was closed".to_owned()))),
            Some(Stop::Failed(why)) => return Err((request, AppendError::Closed(why.clone()))),
            None => {}
        }
        if state.bytes + request.bytes > self.limit {
            let why = format!("{} bytes are waiting, {} more are beyond the bound", state.bytes, request.bytes);
            return Err((request, AppendError::Refused(why)));
        }
        state.bytes += request.bytes;
        state.waiting.push(request);
        if std::mem::take(&mut state.writer_sleeps) {
            drop(state);
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Waits for batches and takes all that are there; `into` must be empty. False when nothing will come any more.
    pub(crate) fn take(&self, into: &mut Vec<Request>) -> bool {
        let mut state = self.state();
        loop {
            if !state.waiting.is_empty() {
                std::mem::swap(&mut state.waiting, into);
                return true;
            }
            if state.stop.is_some() {
                return false;
            }
            state.writer_sleeps = true;
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives back the bytes of answered batches.
    pub(crate) fn release(&self, bytes: usize) {
        self.state().bytes -= bytes;
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Takes nothing more; what waits is still written.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.stop.get_or_insert(Stop::Closed);
        state.writer_sleeps = false;
        drop(state);
        self.filled.notify_one();
    }

    /// Takes nothing more, and answers what waits: it was not written.
    pub(crate) fn fail(&self, why: &str) {
        let mut state = self.state();
        if !matches!(state.stop, Some(Stop::Failed(_))) {
            state.stop = Some(Stop::Failed(why.to_owned()));
        }
        let waiting = std::mem::take(&mut state.waiting);
        state.bytes -= waiting.iter().map(|request| request.bytes).sum::<usize>();
        drop(state);
        for request in waiting {
            request.answer(Err(AppendError::Closed(why.to_owned())));
        }
    }

    /// Why nothing more is taken.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        self.state().stop.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
