//! A line that lets only so much through, until it gets better.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Sleep;

use super::Rig;

/// So many bytes come through, then nothing for [`STEP`]: 1 KB/s.
const STEP_BYTES: usize = 256;
const STEP: Duration = Duration::from_millis(250);

/// How the line is now.
#[derive(Clone, Default)]
pub(crate) struct Pace(Arc<AtomicBool>);

impl Pace {
    /// From now on everything comes through.
    pub(crate) fn lift(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A TCP stream that is read at 1 KB/s, over a socket that keeps little unread.
pub(crate) struct Paced {
    inner: TcpStream,
    pace: Pace,
    sleep: Pin<Box<Sleep>>,
}

impl Paced {
    pub(crate) async fn connect(rig: &Rig, pace: Pace) -> Self {
        // Pauses: a slow reader is slow.
        Self { inner: narrow(rig).await, pace, sleep: Box::pin(tokio::time::sleep(STEP)) }
    }
}

/// A stream whose kernel keeps little unread: its own buffers would hold megabytes more.
pub(crate) async fn narrow(rig: &Rig) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(rig.address).await.unwrap()
}

impl AsyncRead for Paced {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.pace.0.load(Ordering::Relaxed) {
            return Pin::new(&mut self.inner).poll_read(cx, out);
        }
        ready!(self.sleep.as_mut().poll(cx));
        let mut some = [0; STEP_BYTES];
        let most = out.remaining().min(STEP_BYTES);
        let mut some = ReadBuf::new(&mut some[..most]);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut some))?;
        out.put_slice(some.filled());
        // Pauses: as above.
        self.sleep.as_mut().reset(tokio::time::Instant::now() + STEP);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Paced {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
