//! What one client asks for over its connection, in the Centrifuge client protocol: commands in, replies and pushes out.
//!
//! The session is driven by the connection's one task: it never blocks, spawns nothing, and owns little while it is idle.
//! Commands are carried out in their order; what waits (for a commit, a token's keys, a stream's owner) waits as a
//! future or as a signal in the outbox, bounded in number. It decides nothing that a fold decides.
//!
//! | file | holds |
//! |---|---|
//! | here | the session, its futures, its clocks |
//! | `server`, `counters` | what all sessions share |
//! | `dispatch` | from frames to commands; what is refused before |
//! | `connect`, `refresh` | tokens, server-side subscriptions, expiry |
//! | `subscribe`, [`channels`] | subscriptions, what a channel's name means |
//! | `publish`, [`history`], `presence` | commands about a channel |
//! | [`deadlines`](Deadlines) | what a connection's task must wake up for |
//! | `server_side` | what a back end does to this connection |
//! | `pace` | clients that do not read what is sent to them |
//! | `push` | how the hub's events look on the wire |

pub mod channels;
mod connect;
mod counters;
mod deadlines;
mod dispatch;
pub mod history;
mod pace;
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
use self::pace::Pace;
use self::subscribe::Sub;
use crate::actors::gateway::feed::Subscribed;
use crate::actors::gateway::hub::Connection;
use crate::actors::gateway::outbox::{OutboxItem, OutboxTake, Signal};
use crate::actors::wire::StreamEvent;
use crate::api::operations::Caller;
use crate::api::protocol::codes::Disconnect;
use crate::api::protocol::{Command, Format, FrameError, Reply, ReplyBody, encode_ping, encoded_reply};
use crate::limits;

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
    subs: Vec<Sub>,
    next_key: u32,
    /// Commands wait until this is through.
    gate: Option<Gate>,
    inflight: Option<Box<FuturesUnordered<Pending>>>,
    /// Bytes that the replies of methods under way may take.
    reserved: usize,
    /// The subscription that the next command is about and that has not begun: it waits until it has, or will not.
    awaited: Option<u32>,
    /// Commands that wait for their turn.
    backlog: VecDeque<Result<Command, FrameError>>,
    /// What is to be written before there is an outbox.
    direct: VecDeque<Bytes>,
    /// What was taken from the outbox and is not written yet.
    taken: VecDeque<OutboxItem>,
    /// Bytes of it that are being written.
    writing: usize,
    /// Bytes that were written since the outbox was told.
    leaving: usize,
    /// Bytes that the socket took, ever.
    written: u64,
    closing: Option<Disconnect>,
    /// A reason of its own for it.
    farewell: Option<Box<str>>,
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
    /// When the pace of a client that does not keep up is judged.
    slow: Option<Pace>,
    /// The first time at which a subscription expires.
    sub_expires: Option<Instant>,
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
            subs: Vec::new(),
            next_key: 0,
            gate: None,
            inflight: None,
            reserved: 0,
            awaited: None,
            backlog: VecDeque::new(),
            direct: VecDeque::new(),
            taken: VecDeque::new(),
            writing: 0,
            leaving: 0,
            written: 0,
            closing: None,
            farewell: None,
            clocks: Clocks {
                expires,
                ping: None,
                ping_due: false,
                ping_writing: false,
                pong: None,
                slow: None,
                sub_expires: None,
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
        self.closing
    }

    /// What is said of it, if it is more than its code says.
    #[must_use]
    pub(crate) fn farewell(&self) -> Option<&str> {
        self.farewell.as_deref()
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
        if self.closing.is_none() {
            self.closing = Some(disconnect);
            self.backlog.clear();
        }
    }

    /// Whether the next frame may be handed in: else the socket is not read.
    #[must_use]
    pub(crate) fn wants_frames(&self) -> bool {
        self.backlog.is_empty() && self.wants_commands()
    }

    fn wants_commands(&self) -> bool {
        self.closing.is_none()
            && self.gate.is_none()
            && self.connecting.is_none()
            && self.waiting() < limits::SESSION_INFLIGHT
            && self.reserved < limits::CALLS_BYTES
            && !self.awaited.is_some_and(|key| self.subs.iter().any(|sub| sub.key() == key && sub.is_pending()))
            && !self.connection.as_ref().is_some_and(|connection| connection.outbox.is_busy())
    }

    /// Commands that are not answered yet.
    fn waiting(&self) -> usize {
        self.inflight.as_ref().map_or(0, |inflight| inflight.len())
            + self.subs.iter().filter(|sub| sub.is_pending()).count()
    }

    /// Carries on with what waits. Returns whether something was done. Orders of others come first: a connection that is
    /// sent away does nothing more, whatever its client has sent already.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let mut worked = false;
        loop {
            let mut progress = self.obey();
            if self.closing.is_some() {
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
            while self.wants_commands()
                && let Some(command) = self.backlog.pop_front()
            {
                self.decoded(command);
                progress = true;
            }
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
                    self.reserved -= done.reserved;
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
        self.leaving += std::mem::take(&mut self.writing);
        messages.extend(self.direct.drain(..));
        while bytes < FRAME_BYTES && self.closing.is_none() {
            if self.taken.is_empty() && !self.refill(cx) {
                break;
            }
            let Some(item) = self.taken.pop_front() else { break };
            match item {
                OutboxItem::Bytes(message) => {
                    bytes += message.len();
                    self.writing += message.len();
                    if let Some(connecting) = &mut self.connecting {
                        connecting.hold(message);
                    } else {
                        messages.push(message);
                    }
                }
                OutboxItem::Signal(signal) => {
                    self.writing += weight(&signal);
                    let before = messages.len();
                    self.signal(*signal, now, &mut messages);
                    bytes += messages[before..].iter().map(Bytes::len).sum::<usize>();
                }
            }
        }
        if std::mem::take(&mut self.clocks.ping_due) && self.closing.is_none() {
            self.clocks.ping_writing = true;
            messages.push(encode_ping(self.format));
        }
        if messages.is_empty() {
            if self.writing > 0 {
                // Signals that nothing was to be said about.
                cx.waker().wake_by_ref();
            }
            return Outgoing::Nothing;
        }
        Outgoing::Messages(messages)
    }

    /// Takes what waits in the outbox. False if there is nothing.
    fn refill(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(connection) = &self.connection else { return false };
        loop {
            match connection.outbox.take(std::mem::take(&mut self.leaving), cx) {
                OutboxTake::Items(items) => {
                    self.taken = items;
                    return true;
                }
                OutboxTake::Nothing => {
                    if !self.server.hub.resume(connection) {
                        self.clocks.slow = None;
                        return false;
                    }
                }
            }
        }
    }

    /// When [`Self::timer`] is due.
    #[must_use]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let Clocks { expires, ping, pong, slow, sub_expires, .. } = &self.clocks;
        [*expires, *ping, *pong, slow.map(|pace| pace.at), *sub_expires].into_iter().flatten().min()
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
        if due(self.clocks.slow.map(|pace| pace.at)) {
            self.judge_pace(now);
        }
        if due(self.clocks.sub_expires) {
            self.expire_subs(now);
        }
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
        for sub in self.subs.drain(..) {
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
                let len = message.len();
                connection.outbox.push_asked(OutboxItem::Bytes(message), len);
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
                let len = message.len();
                connection.outbox.push_asked(OutboxItem::Bytes(message), len);
            }
            (None, None) => {}
        }
    }

    /// A command that is answered once `future` is done, beside others. Its reply takes up to `bytes`: room is kept for
    /// them, so that what a client asks for and does not read is bounded.
    fn later(&mut self, future: impl Future<Output = Reply> + Send + 'static, bytes: usize) {
        self.reserved += bytes;
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

/// What a signal counted in the outbox.
fn weight(signal: &Signal) -> usize {
    match signal {
        Signal::Subscribed { reply: Subscribed { events, .. }, .. } => events.iter().map(StreamEvent::weight).sum(),
        _ => 0,
    }
}
