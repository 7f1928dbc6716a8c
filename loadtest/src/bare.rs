//! The bare group-commit appender: the least that makes an append durable, to compare the journal with in the same run.
//!
//! One plain thread takes all batches that wait, writes them with one write and one `fdatasync`, and answers. No
//! checksum, no index, no partitions, no recovery, no bound.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use tokio::sync::oneshot;

/// What the file is like that is written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// Grows with each write: each sync writes the file's length, too.
    Growing,
    /// So many bytes of written zeros, used from the start again when they are full: the best case of a disk.
    Written(u64),
}

#[derive(Default)]
struct State {
    waiting: Vec<(Bytes, oneshot::Sender<u64>)>,
    closed: bool,
    asleep: bool,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

/// See the module. Dropping it waits for what was appended.
pub struct BareAppender {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl BareAppender {
    /// Writes to a new file at `path`.
    ///
    /// # Errors
    /// I/O while the file is made.
    pub fn create(path: &Path, layout: Layout) -> io::Result<Self> {
        let file = File::create(path)?;
        let room = match layout {
            Layout::Growing => u64::MAX,
            Layout::Written(bytes) => {
                let zeros = vec![0u8; 1 << 20];
                for at in (0..bytes).step_by(zeros.len()) {
                    file.write_all_at(&zeros, at)?;
                }
                bytes
            }
        };
        file.sync_all()?;
        let queue = Arc::new(Queue::default());
        let theirs = queue.clone();
        let thread = std::thread::Builder::new().name("bare".to_owned()).spawn(move || run(&file, room, &theirs))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Appends a record; gives its number when it is durable, `None` if the disk failed.
    pub async fn append(&self, record: Bytes) -> Option<u64> {
        let (answer, outcome) = oneshot::channel();
        self.push(record, answer);
        outcome.await.ok()
    }

    fn push(&self, record: Bytes, answer: oneshot::Sender<u64>) {
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

impl Drop for BareAppender {
    fn drop(&mut self) {
        self.queue.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.filled.notify_one();
        if let Some(Ok(Err(error))) = self.thread.take().map(JoinHandle::join) {
            eprintln!("bare appender: {error}");
        }
    }
}

fn run(file: &File, room: u64, queue: &Queue) -> io::Result<()> {
    let result = write_all(file, room, queue);
    let mut state = queue.state.lock().unwrap_or_else(PoisonError::into_inner);
    state.closed = true;
    state.waiting.clear();
    result
}

fn write_all(file: &File, room: u64, queue: &Queue) -> io::Result<()> {
    let (mut at, mut number) = (0u64, 0u64);
    let (mut taken, mut buffer) = (Vec::new(), Vec::new());
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
        for (record, _) in &taken {
            buffer.extend_from_slice(record);
        }
        if at.saturating_add(buffer.len() as u64) > room {
            at = 0;
        }
        file.write_all_at(&buffer, at)?;
        file.sync_data()?;
        at += buffer.len() as u64;
        buffer.clear();
        for (_, answer) in taken.drain(..) {
            // Nobody listens if the caller left.
            let _ = answer.send(number);
            number += 1;
        }
    }
}
