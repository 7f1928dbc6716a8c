//! The one task of a stream: hears, lets the session work, writes, and says goodbye in the stream itself.

use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::Style;
use super::pipe::{Gone, Writer};
use super::registry::Entry;
use crate::api::protocol::codes::Disconnect;
use crate::api::protocol::{DisconnectPush, Push, PushBody, encode_push};
use crate::api::session::{Deadlines, Outgoing, Server, Session};

/// For the last piece to be taken.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct StreamDriver {
    style: Style,
    session: Session,
    server: Arc<Server>,
    entry: Entry,
    writer: Writer,
    /// Bytes that are put and not taken.
    putting: usize,
    deadlines: Deadlines,
}

impl StreamDriver {
    /// A stream that begins with this frame of the client.
    pub(crate) fn new(
        style: Style,
        server: Arc<Server>,
        entry: Entry,
        writer: Writer,
        begun: &[u8],
        network: Option<IpAddr>,
    ) -> Self {
        let now = Instant::now();
        let mut session = Session::new(Arc::clone(&server), style.format(), now).named(&entry.name).from(network);
        let deadlines = Deadlines::new(&session, &server, now);
        session.frame(begun, now);
        Self { style, session, server, entry, writer, putting: 0, deadlines }
    }

    /// Serves until the stream is over.
    pub(crate) async fn run(mut self) {
        let end = poll_fn(|cx| self.poll(cx)).await;
        let Self { style, mut session, entry, writer, .. } = self;
        let said = session.farewell().map(ToOwned::to_owned);
        // Others learn of it now, and no more commands are taken.
        session.end();
        drop(entry);
        let Ok(disconnect) = end else { return };
        tracing::debug!(code = disconnect.code, reason = disconnect.reason, "disconnect");
        session.count_close(disconnect);
        if disconnect == Disconnect::CONNECTION_CLOSED {
            // What this code says is nothing: as if the network had gone.
            return;
        }
        let reason = said.unwrap_or_else(|| disconnect.reason.to_owned());
        let push = DisconnectPush { code: disconnect.code.into(), reason, reconnect: disconnect.reconnects() };
        let last = encode_push(&Push::new("", PushBody::Disconnect(push)), style.format());
        let ready = poll_fn(|cx| writer.poll_ready(cx));
        if let Ok(Ok(())) = tokio::time::timeout(CLOSE_GRACE, ready).await {
            writer.put(style.piece(&[last]));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Disconnect, Gone>> {
        loop {
            let now = Instant::now();
            let mut progress = self.session.poll(cx);
            match self.write(now, cx) {
                Ok(wrote) => progress |= wrote,
                Err(gone) => return Poll::Ready(Err(gone)),
            }
            if let Some(disconnect) = self.session.closing() {
                return Poll::Ready(Ok(disconnect));
            }
            while self.session.wants_frames()
                && let Poll::Ready(Some(frame)) = self.entry.inbox.poll_recv(cx)
            {
                self.session.frame(&frame, now);
                progress = true;
            }
            progress |= self.deadlines.poll(&mut self.session, &self.server, now, cx);
            if !progress {
                return Poll::Pending;
            }
        }
    }

    fn write(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, Gone> {
        let mut progress = false;
        loop {
            match self.writer.poll_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => {
                    self.deadlines.stalled(now);
                    self.session.watch(now, cx);
                    return Ok(progress);
                }
            }
            self.deadlines.moving();
            self.session.wrote(std::mem::take(&mut self.putting));
            let Outgoing::Messages(messages) = self.session.outgoing(now, cx) else { return Ok(progress) };
            let piece: Bytes = self.style.piece(&messages);
            self.putting = piece.len();
            self.writer.put(piece);
            progress = true;
        }
    }
}
