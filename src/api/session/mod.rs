//! What one client asks for over its connection, in the Centrifuge client protocol: commands in, replies and pushes out.
//!
//! The session is driven by the connection's one task: it never blocks, spawns nothing, and owns little while it is idle.
//! Which command is next, what waits and how it ends is decided by its core ([`gateway::session`](crate::actors::gateway::session));
//! the session awaits and carries out. What waits (for a commit, a token's keys, a stream's owner) waits as a future or as a
//! signal in the outbox, bounded in number. It decides nothing that a fold decides.
//!
//! | file | holds |
//! |---|---|
//! | here | the session, its futures, its clocks |
//! | `server`, `counters` | what all sessions share |
//! | `dispatch` | from frames to commands, and what others order; what is refused before |
//! | `connect`, `refresh` | tokens, server-side subscriptions, expiry |
//! | `subscribe`, [`channels`] | subscriptions, what a channel's name means |
//! | `publish`, [`history`], `presence` | commands about a channel |
//! | [`deadlines`](Deadlines) | what a connection's task must wake up for |
//! | `server_side` | what a back end does to this connection |
//! | `push` | how the hub's events look on the wire |

pub mod channels;
mod connect;
mod counters;
mod deadlines;
mod dispatch;
pub mod history;
mod presence;
mod publish;
mod push;
mod refresh;
mod server;
mod server_side;
mod subscribe;

use std::collections::VecDeque;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

pub(crate) use deadlines::Deadlines;
pub(crate) use push::{ProtocolEncoder, client_info};
pub use server::{Options, Server};

use self::connect::Connecting;
use self::dispatch::Centrifuge;
use crate::actors::gateway::hub::{Connection, Place};
use crate::actors::gateway::outbox::{Outbox, OutboxItem};
use crate::actors::gateway::session::SessionCore;
use crate::actors::gateway::session::drain::{Drain, Judged};
use crate::api::operations::Caller;
use crate::api::protocol::codes::Disconnect;
use crate::api::protocol::{Format, Reply, ReplyBody, encode_ping, encoded_reply};

/// Bytes of messages in one frame to a client, about; one larger message goes alone.
const FRAME_BYTES: usize = 64 * 1024;
/// Pings and unasked pongs in [`CONTROL_WINDOW`].
const CONTROLS: u32 = 60;
const CONTROL_WINDOW: Duration = Duration::from_secs(10);

/// Something that a command waits for while the commands after it do.
type Gate = Pin<Box<dyn Future<Output = Opened> + Send>>;
/// A reply that will come, beside others.
type Pending = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What came of a gate: the rest of the command.
type Opened = Box<dyn FnOnce(&mut Session) + Send>;

/// A command is done.
struct Done {
    reply: Reply,
    /// Bytes that were kept for its reply.
    reserved: usize,
}

/// What is to be written next.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// These messages, as one frame.
    Messages(Vec<Bytes>),
    /// Nothing; the task will be woken.
    Nothing,
}

/// See the module.
pub(crate) struct Session {
    server: Arc<Server>,
    format: Format,
    /// What its commands come by, if they come in requests of their own: told in the reply to `connect`.
    stream: Option<Box<str>>,
    /// Once the client has authenticated.
    connection: Option<Arc<Connection>>,
    caller: Option<Arc<Caller>>,
    /// Where it comes from, if that is known.
    network: Option<IpAddr>,
    connecting: Option<Box<Connecting>>,
    core: SessionCore<Centrifuge>,
    /// Commands wait until this is through.
    gate: Option<Gate>,
    inflight: Option<Box<FuturesUnordered<Pending>>>,
    /// What is to be written before there is an outbox.
    direct: VecDeque<Bytes>,
    drain: Drain,
    /// What the core's times are counted from.
    since: Instant,
    clocks: Clocks,
}

/// What a session must do at a certain time.
struct Clocks {
    /// Until when the client must have authenticated, or refreshed its token.
    expires: Option<Instant>,
    /// When the next ping goes out; none before the client has authenticated, or if there are none at all.
    ping: Option<Instant>,
    ping_due: bool,
    /// A ping is in what is being written.
    ping_writing: bool,
    /// Until when the pong must have come.
    pong: Option<Instant>,
    controls_since: Instant,
    controls: u32,
}

impl Session {
    /// A session of a client that has not said anything yet.
    #[must_use]
    pub(crate) fn new(server: Arc<Server>, format: Format, now: Instant) -> Self {
        let expires = Some(now + server.options.handshake_timeout);
        Self {
            server,
            format,
            stream: None,
            connection: None,
            caller: None,
            network: None,
            connecting: None,
            core: SessionCore::new(),
            gate: None,
            inflight: None,
            direct: VecDeque::new(),
            drain: Drain::default(),
            since: now,
            clocks: Clocks {
                expires,
                ping: None,
                ping_due: false,
                ping_writing: false,
                pong: None,
                controls_since: now,
                controls: 0,
            },
        }
    }

    /// The same for a client from this network.
    #[must_use]
    pub(crate) fn from(mut self, network: Option<IpAddr>) -> Self {
        self.network = network;
        self
    }

    /// The same over a stream in one direction: its commands come by this name.
    #[must_use]
    pub(crate) fn named(mut self, stream: &str) -> Self {
        self.stream = Some(stream.into());
        self
    }

    /// How the connection shall end, if it shall.
    #[must_use]
    pub(crate) fn closing(&self) -> Option<Disconnect> {
        self.core.closing().map(|close| Disconnect::of(close.code))
    }

    /// What is said of it, if it is more than its code says.
    #[must_use]
    pub(crate) fn farewell(&self) -> Option<&str> {
        self.core.closing()?.reason.as_deref()
    }

    /// Whether the client has authenticated.
    #[must_use]
    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The format it speaks.
    #[must_use]
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// The connection shall end; the first reason counts.
    pub(crate) fn close(&mut self, disconnect: Disconnect) {
        self.core.close(disconnect.code, None);
    }

    /// Whether the next frame may be handed in: else the socket is not read.
    #[must_use]
    pub(crate) fn wants_frames(&self) -> bool {
        self.core.wants_frames(self.is_held(), self.outbox())
    }

    /// Whether commands wait for something that the session awaits.
    fn is_held(&self) -> bool {
        self.gate.is_some() || self.connecting.is_some()
    }

    fn outbox(&self) -> Option<&Outbox<Place>> {
        self.connection.as_ref().map(|connection| &connection.outbox)
    }

    /// Carries on with what waits. Returns whether something was done.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        loop {
            let mut progress = self.work();
            if self.closing().is_some() {
                return true;
            }
            if let Some(gate) = &mut self.gate
                && let Poll::Ready(opened) = gate.as_mut().poll(cx)
            {
                self.gate = None;
                opened(self);
                progress = true;
            }
            progress |= self.poll_inflight(cx);
            if !progress {
                return worked;
            }
            worked = true;
        }
    }

    fn poll_inflight(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while let Some(inflight) = &mut self.inflight {
            match inflight.poll_next_unpin(cx) {
                Poll::Ready(Some(done)) => {
                    self.core.answered(done.reserved);
                    self.reply(done.reply);
                    progress = true;
                }
                Poll::Ready(None) => self.inflight = None,
                Poll::Pending => break,
            }
        }
        progress
    }

    /// What is to be written; what was handed out before is written now.
    pub(crate) fn outgoing(&mut self, now: Instant, cx: &mut Context<'_>) -> Outgoing {
        if std::mem::take(&mut self.clocks.ping_writing) {
            self.clocks.pong.get_or_insert(now + self.server.options.pong_timeout);
        }
        let mut messages = Vec::new();
        let mut bytes = 0;
        self.drain.all_written();
        messages.extend(self.direct.drain(..));
        while bytes < FRAME_BYTES
            && self.closing().is_none()
            && let Some(connection) = &self.connection
            && let Some(item) = self.drain.next(&connection.outbox, || self.server.hub.resume(connection), cx)
        {
            match item {
                OutboxItem::Bytes(message) => {
                    bytes += message.len();
                    if let Some(connecting) = &mut self.connecting {
                        connecting.hold(message);
                    } else {
                        messages.push(message);
                    }
                }
                OutboxItem::Signal(signal) => {
                    let before = messages.len();
                    self.signal(*signal, now, &mut messages);
                    bytes += messages[before..].iter().map(Bytes::len).sum::<usize>();
                }
            }
        }
        if std::mem::take(&mut self.clocks.ping_due) && self.closing().is_none() {
            self.clocks.ping_writing = true;
            messages.push(encode_ping(self.format));
        }
        if messages.is_empty() {
            if self.drain.is_writing() {
                // Signals that nothing was to be said about.
                cx.waker().wake_by_ref();
            }
            return Outgoing::Nothing;
        }
        Outgoing::Messages(messages)
    }

    /// When [`Self::timer`] is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let Clocks { expires, ping, pong, .. } = self.clocks;
        let of_core = [self.drain.judged_at(), self.core.subs.next_expiry()].map(|at| Some(self.since + at?));
        [expires, ping, pong].into_iter().chain(of_core).flatten().min()
    }

    /// Does what is due.
    pub(crate) fn timer(&mut self, now: Instant) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.clocks.expires) {
            let connected = self.is_connected() && self.connecting.is_none();
            self.close(if connected { Disconnect::EXPIRED } else { Disconnect::STALE });
        }
        if due(self.clocks.pong) {
            self.close(Disconnect::NO_PONG);
        }
        if due(self.clocks.ping) {
            if self.clocks.ping_due || self.clocks.ping_writing {
                // The last one is still on its way: a socket that took so little in all that time gives no answer either.
                self.close(Disconnect::NO_PONG);
            }
            self.clocks.ping = Some(now + self.server.options.ping_interval);
            self.clocks.ping_due = true;
        }
        if self.drain.judge(now - self.since, self.server.options.slow_grace) == Some(Judged::TooSlow) {
            self.server.metrics.slow_readers_closed.inc();
            self.close(Disconnect::SLOW);
        }
        self.expire_subs(now);
    }

    /// While the socket takes nothing: notices that the client does not keep up.
    pub(crate) fn watch(&mut self, now: Instant, cx: &mut Context<'_>) {
        if let Some(connection) = &self.connection {
            self.drain.watch(&connection.outbox, now - self.since, self.server.options.slow_grace, cx);
        }
    }

    /// The socket took so many bytes.
    pub(crate) fn wrote(&mut self, bytes: usize) {
        self.drain.wrote(bytes);
    }

    /// The client sent a ping, or a pong that nobody asked for. Too many of them are an attack.
    pub(crate) fn control(&mut self, now: Instant) {
        if now - self.clocks.controls_since > CONTROL_WINDOW {
            self.clocks.controls_since = now;
            self.clocks.controls = 0;
        }
        self.clocks.controls += 1;
        if self.clocks.controls > CONTROLS {
            self.close(Disconnect::TOO_MANY_REQUESTS);
        }
    }

    /// The connection is over.
    pub(crate) fn end(&mut self) {
        for sub in self.core.subs.remove_all() {
            sub.place.end(&self.server.hub);
        }
        if let Some(connection) = self.connection.take() {
            self.server.hub.sessions().remove(&connection);
            connection.outbox.close();
            self.server.metrics.clients.dec();
        }
    }

    /// Answers a command, after everything that waits already.
    fn reply(&mut self, reply: Reply) {
        let message = self.encode(&reply);
        match &self.connection {
            Some(connection) if self.connecting.is_none() => {
                connection.outbox.push_asked(OutboxItem::Bytes(message));
            }
            _ => self.direct.push_back(message),
        }
    }

    fn encode(&self, reply: &Reply) -> Bytes {
        if let Some(ReplyBody::Error(error)) = &reply.body {
            self.server.metrics.reply_errors.inc(error.code);
        }
        encoded_reply(reply, self.format)
    }

    /// Something that the client must be told, after everything that waits already.
    fn tell(&mut self, message: Bytes) {
        match (&mut self.connecting, &self.connection) {
            // SDKs take nothing before the reply to `connect`.
            (Some(connecting), _) => connecting.hold(message),
            (None, Some(connection)) => {
                connection.outbox.push_asked(OutboxItem::Bytes(message));
            }
            (None, None) => {}
        }
    }

    /// A command that is answered once `future` is done, beside others. Its reply takes up to `bytes`: room is kept for
    /// them, so that what a client asks for and does not read is bounded.
    fn later(&mut self, future: impl Future<Output = Reply> + Send + 'static, bytes: usize) {
        self.core.asked(bytes);
        let future = async move { Done { reply: future.await, reserved: bytes } };
        self.inflight.get_or_insert_default().push(Box::pin(future));
    }

    /// A command that the following ones wait for: `then` goes on with what `future` gives.
    fn gate<T: Send + 'static>(
        &mut self,
        future: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(&mut Self, T) + Send + 'static,
    ) {
        self.gate = Some(Box::pin(async move {
            let result = future.await;
            let opened: Opened = Box::new(move |session| then(session, result));
            opened
        }));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end();
    }
}
