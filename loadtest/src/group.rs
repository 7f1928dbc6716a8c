//! Group commit around whatever makes a batch durable: one plain thread takes all records that wait, commits them
//! together, and answers each.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Result;
use bytes::Bytes;
use tokio::sync::oneshot;

/// Makes records durable, in order, all of them or none.
pub trait Sink: Send + 'static {
    /// Returns when the batch survives a power cut.
    ///
    /// # Errors
    /// It could not be written: nothing more is.
    fn commit(&mut self, batch: &[Bytes]) -> Result<()>;
}

#[derive(Default)]
struct State {
    waiting: Vec<(Bytes, oneshot::Sender<()>)>,
    closed: bool,
    asleep: bool,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

/// See the module. Dropping it waits for what was appended.
pub struct GroupAppender {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl GroupAppender {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system has no thread to give.
    pub fn start(sink: impl Sink) -> Result<Self> {
        let queue = Arc::new(Queue::default());
        let theirs = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("group".to_owned()).spawn(move || run(sink, &theirs))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Appends a record: true when it is durable, false if the sink failed.
    pub async fn append(&self, record: Bytes) -> bool {
        let (answer, outcome) = oneshot::channel();
        self.push(record, answer);
        outcome.await.is_ok()
    }

    fn push(&self, record: Bytes, answer: oneshot::Sender<()>) {
        let mut state = self.queue.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return;
        }
        state.waiting.push((record, answer));
        if std::mem::take(&mut state.asleep) {
            drop(state);
            self.queue.filled.notify_one();
        }
    }
}

impl Drop for GroupAppender {
    fn drop(&mut self) {
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.filled.notify_one();
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("group commit: {error:#}");
        }
    }
}

fn run(sink: impl Sink, queue: &Queue) -> Result<()> {
    let result = commit_all(sink, queue);
    let mut state = queue.state.lock().unwrap_or_else(PoisonError::into_inner);
    state.closed = true;
    state.waiting.clear();
    result
}

fn commit_all(mut sink: impl Sink, queue: &Queue) -> Result<()> {
    let (mut taken, mut batch) = (Vec::new(), Vec::new());
    loop {
        let mut state = queue.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.waiting.is_empty() {
            if state.closed {
                return Ok(());
            }
            state.asleep = true;
            state = queue.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::swap(&mut state.waiting, &mut taken);
        drop(state);
        batch.extend(taken.iter().map(|(record, _)| record.clone()));
        sink.commit(&batch)?;
        batch.clear();
        for (_, answer) in taken.drain(..) {
            // Nobody listens if the caller left.
            let _ = answer.send(());
        }
    }
}
