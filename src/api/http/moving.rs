//! A connection whose answers must move: a client that asks and does not read keeps its answers in memory, and a place.
//!
//! It looks at writes only. A connection that has nothing to write, or whose socket takes it, may stay as it is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes that the other side must take within the time, if an answer waits for it all that time.
const LEAST_BYTES: usize = 16 * 1024;

/// See the module.
pub(crate) struct Moving<S> {
    socket: S,
    timeout: Duration,
    stuck: Option<Stuck>,
}

/// Something waits to be written.
struct Stuck {
    until: Pin<Box<Sleep>>,
    /// Bytes that were taken meanwhile.
    taken: usize,
}

impl<S> Moving<S> {
    /// A connection of which [`LEAST_BYTES`] of an answer must be taken in each `timeout`.
    pub(crate) fn new(socket: S, timeout: Duration) -> Self {
        Self { socket, timeout, stuck: None }
    }

    /// The connection, for code that watches its own writes.
    pub(crate) fn into_inner(self) -> S {
        self.socket
    }

    fn judge(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(Ok(bytes)) => {
                if let Some(stuck) = &mut self.stuck {
                    stuck.taken += bytes;
                    if stuck.taken >= LEAST_BYTES {
                        self.stuck = None;
                    }
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                let timeout = self.timeout;
                let begin = || Stuck { until: Box::pin(tokio::time::sleep(timeout)), taken: 0 };
                let stuck = self.stuck.get_or_insert_with(begin);
                if stuck.until.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the answer is not read")));
                }
                Poll::Pending
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Moving<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Moving<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.judge(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    /// All is handed to the socket.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stuck = None;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_ends_in_time() {
        let (socket, _silent) = duplex(1024);
        let mut moving = Moving::new(socket, TIMEOUT);
        let start = tokio::time::Instant::now();
        let error = moving.write_all(&[0; 5_000]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_trickles_ends_as_well_and_one_that_is_read_does_not() {
        for (pause, ends) in [(Duration::from_secs(5), true), (Duration::from_millis(500), false)] {
            let (socket, mut other) = duplex(1024);
            let mut moving = Moving::new(socket, TIMEOUT);
            let reading = tokio::spawn(async move {
                let mut some = [0; 1024];
                while other.read(&mut some).await.is_ok_and(|read| read > 0) {
                    // Pauses: in a paused time, which is what is tested.
                    tokio::time::sleep(pause).await;
                }
            });
            let written = moving.write_all(&vec![0; 200_000]).await;
            assert_eq!(written.is_err(), ends, "a KiB each {pause:?}");
            drop(moving);
            reading.await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_nothing_to_say_may_stay() {
        let (socket, mut other) = duplex(1024);
        let mut moving = Moving::new(socket, TIMEOUT);
        for _ in 0..3 {
            moving.write_all(&[0; 1024]).await.unwrap();
            moving.flush().await.unwrap();
            // Pauses: in a paused time, which is what is tested.
            tokio::time::sleep(TIMEOUT * 10).await;
            other.read_exact(&mut [0; 1024]).await.unwrap();
        }
    }
}
