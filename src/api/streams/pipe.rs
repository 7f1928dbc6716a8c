//! From a connection's task to the body of its response: one piece at a time, so that what waits stays in the outbox, where
//! it is bounded.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::Stream;

#[derive(Default)]
struct Slot {
    piece: Option<Bytes>,
    /// Nothing more comes.
    done: bool,
    /// Nobody reads any more.
    gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Where the task puts pieces. Dropping it ends the body after the last one.
pub(super) struct Writer(Arc<Mutex<Slot>>);

/// The body.
pub(super) struct Reader(Arc<Mutex<Slot>>);

/// Nobody reads any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Gone;

/// Both ends.
pub(super) fn pipe() -> (Writer, Reader) {
    let slot = Arc::default();
    (Writer(Arc::clone(&slot)), Reader(slot))
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    /// Whether the next piece may be put: the last one is taken.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut slot = lock(&self.0);
        // Also when it is ready: the task hears of a reader who goes.
        slot.writer = Some(cx.waker().clone());
        match (slot.gone, &slot.piece) {
            (true, _) => Poll::Ready(Err(Gone)),
            (false, None) => Poll::Ready(Ok(())),
            (false, Some(_)) => Poll::Pending,
        }
    }

    /// Puts a piece, once ready for it.
    pub(crate) fn put(&self, piece: Bytes) {
        let mut slot = lock(&self.0);
        slot.piece = Some(piece);
        if let Some(waker) = slot.reader.take() {
            waker.wake();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.done = true;
        if let Some(waker) = slot.reader.take() {
            waker.wake();
        }
    }
}

impl Stream for Reader {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut slot = lock(&self.0);
        match slot.piece.take() {
            Some(piece) => {
                if let Some(waker) = slot.writer.take() {
                    waker.wake();
                }
                Poll::Ready(Some(Ok(piece)))
            }
            None if slot.done => Poll::Ready(None),
            None => {
                slot.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.gone = true;
        if let Some(waker) = slot.writer.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_come_in_order_one_at_a_time_and_then_the_end() {
        let (writer, reader) = pipe();
        let read = tokio::spawn(reader.map(Result::unwrap).collect::<Vec<_>>());
        for piece in ["a", "b", "c"] {
            poll_fn(|cx| writer.poll_ready(cx)).await.unwrap();
            writer.put(Bytes::from_static(piece.as_bytes()));
        }
        drop(writer);
        assert_eq!(read.await.unwrap(), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn a_writer_waits_for_the_reader_and_hears_that_he_is_gone() {
        let (writer, reader) = pipe();
        writer.put(Bytes::from_static(b"a"));
        assert!(poll_fn(|cx| Poll::Ready(writer.poll_ready(cx))).await.is_pending());
        let waits = tokio::spawn(async move { poll_fn(|cx| writer.poll_ready(cx)).await });
        drop(reader);
        assert_eq!(waits.await.unwrap(), Err(Gone));
    }
}
