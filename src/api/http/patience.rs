//! How long a connection may wait for a request: a short time for a head that has begun, a long one for a connection that
//! is kept between two requests. hyper has one time for both, and asks a timer of ours for it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Sleep, Timer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The times of one connection.
#[derive(Clone, Debug)]
pub(super) struct Patience(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    head: Duration,
    keep_alive: Duration,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// No request has come yet: who connects has something to say.
    is_first: bool,
    /// Since when the head is under way.
    begun: Option<Instant>,
}

impl Patience {
    /// `head` for the first head from now on, and for a later one from its first byte on; `keep_alive` until that one.
    pub(super) fn new(head: Duration, keep_alive: Duration) -> Self {
        Self(Arc::new(Shared { head, keep_alive, waiting: Mutex::new(Waiting { is_first: true, begun: None }) }))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) {
        self.waiting().begun.get_or_insert_with(Instant::now);
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until((Instant::now() + duration).into_std())
    }

    /// The wait for a request begins.
    fn sleep_until(&self, _: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        let now = Instant::now();
        let mut waiting = self.waiting();
        waiting.begun = std::mem::take(&mut waiting.is_first).then_some(now);
        let (patience, sleep) = (self.clone(), Box::pin(tokio::time::sleep_until(now + self.0.keep_alive)));
        Box::pin(Wait { patience, kept_until: now + self.0.keep_alive, sleep })
    }
}

/// Over when the patience is.
struct Wait {
    patience: Patience,
    kept_until: Instant,
    sleep: Pin<Box<tokio::time::Sleep>>,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    /// hyper asks after each read: what has come since counts.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let begun = self.patience.waiting().begun;
        let deadline = begun.map_or(self.kept_until, |begun| begun + self.patience.0.head);
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// A socket that tells when something comes.
#[derive(Debug)]
pub(crate) struct Heard<S> {
    io: S,
    patience: Patience,
}

impl<S> Heard<S> {
    pub(super) fn new(io: S, patience: Patience) -> Self {
        Self { io, patience }
    }

    /// The socket itself.
    pub(crate) fn into_inner(self) -> S {
        self.io
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.patience.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const KEPT: Duration = Duration::from_secs(75);

    /// How long the next wait takes if something comes after so long.
    async fn wait(patience: &Patience, heard_after: Option<Duration>) -> Duration {
        let start = Instant::now();
        // Pauses: in a paused time, which is what is tested.
        let mut wait = patience.sleep(Duration::ZERO);
        if let Some(after) = heard_after {
            tokio::select! {
                () = &mut wait => return start.elapsed(),
                // Pauses: in a paused time, which is what is tested.
                () = tokio::time::sleep(after) => patience.heard(),
            }
        }
        wait.await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_is_waited_for_shortly_and_later_ones_long_until_they_begin() {
        let patience = Patience::new(HEAD, KEPT);
        assert_eq!(wait(&patience, None).await, HEAD);
        assert_eq!(wait(&patience, None).await, KEPT);
        assert_eq!(wait(&patience, Some(Duration::from_secs(1))).await, HEAD + Duration::from_secs(1));
        assert_eq!(wait(&patience, Some(KEPT - Duration::from_secs(1))).await, KEPT + HEAD - Duration::from_secs(1));
        assert_eq!(wait(&Patience::new(HEAD, KEPT), Some(Duration::from_secs(3))).await, HEAD, "bytes prolong no head");
    }
}
