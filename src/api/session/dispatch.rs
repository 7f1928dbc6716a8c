//! From frames to commands, in the order that the session's core gives them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::subscribe::Requested;
use super::{Connection, Session};
use crate::actors::gateway::hub::Subscription;
use crate::actors::gateway::session::{Dialect, Step};
use crate::api::operations::Caller;
use crate::api::protocol::codes::Disconnect;
use crate::api::protocol::{Command, Error, FrameError, PingResult, Reply, ReplyBody, Request, decode_frame};

/// The channel that a command is about. An rpc method is about rooms, never about a subscription: it takes its place in
/// the room's order behind what was asked of the room before.
fn channel(request: &Request) -> Option<&str> {
    match request {
        Request::Subscribe(request) => Some(&request.channel),
        Request::Unsubscribe(request) => Some(&request.channel),
        Request::Publish(request) => Some(&request.channel),
        Request::Presence(request) => Some(&request.channel),
        Request::PresenceStats(request) => Some(&request.channel),
        Request::History(request) => Some(&request.channel),
        Request::SubRefresh(request) => Some(&request.channel),
        Request::Connect(_) | Request::Ping(_) | Request::Send(_) | Request::Rpc(_) | Request::Refresh(_) => None,
    }
}

/// What the core of a session is about.
pub(super) enum Centrifuge {}

impl Dialect for Centrifuge {
    type Command = Result<Command, FrameError>;
    type Wish = Requested;
    type Place = Subscription;

    fn about(command: &Self::Command) -> Option<&str> {
        channel(command.as_ref().ok()?.request.as_ref()?)
    }
}

impl Session {
    /// A frame of the client. Only if [`Session::wants_frames`].
    pub(crate) fn frame(&mut self, payload: &[u8], now: Instant) {
        let commands = match decode_frame(payload, self.format, &self.server.options.frame) {
            Ok(commands) => commands,
            Err(error) => return self.bad_frame(&error),
        };
        let mut asked = Vec::new();
        for command in commands {
            if command.as_ref().is_ok_and(Command::is_pong) {
                self.pong(now);
            } else {
                asked.push(command);
            }
        }
        self.core.receive(asked);
        self.work();
    }

    /// Carries out what the core says, until something must be awaited. Returns whether something was done.
    pub(super) fn work(&mut self) -> bool {
        let mut worked = false;
        while let Some(step) = self.core.step(self.is_held(), self.connection.as_ref().map(|one| &one.outbox)) {
            match step {
                Step::Obey(order) => self.obey(order),
                Step::Command(Ok(command)) => self.command(command),
                Step::Command(Err(error)) => self.bad_frame(&error),
            }
            worked = true;
        }
        worked
    }

    /// A message above the bound.
    pub(crate) fn too_big(&mut self) {
        self.close(Disconnect::MESSAGE_TOO_BIG);
    }

    fn pong(&mut self, now: Instant) {
        if self.clocks.pong.take().is_none() {
            // Nobody asked, or the ping is still on its way out.
            self.control(now);
        }
    }

    fn bad_frame(&mut self, error: &FrameError) {
        tracing::debug!(%error, "bad frame");
        self.close(error.disconnect());
    }

    fn command(&mut self, command: Command) {
        let Command { id, request } = command;
        let Some(request) = request else { return self.close(Disconnect::BAD_REQUEST) };
        self.count(&request);
        if id == 0 && !matches!(request, Request::Send(_)) {
            return self.close(Disconnect::BAD_REQUEST);
        }
        let (connection, caller) = match (request, self.connection.clone(), self.caller.clone()) {
            (Request::Connect(request), None, _) => return self.connect(id, request),
            (request, Some(connection), Some(caller)) => {
                return self.connected_command(id, request, connection, caller);
            }
            (_, connection, caller) => (connection, caller),
        };
        tracing::debug!(connected = connection.is_some() && caller.is_some(), "a command where it must not be");
        self.close(Disconnect::BAD_REQUEST);
    }

    fn connected_command(&mut self, id: u32, request: Request, connection: Arc<Connection>, caller: Arc<Caller>) {
        match request {
            Request::Connect(_) => self.close(Disconnect::BAD_REQUEST),
            Request::Subscribe(request) => self.subscribe(id, request, &connection),
            Request::Unsubscribe(request) => self.unsubscribe(id, &request.channel),
            Request::Publish(request) => self.publish(id, request, caller),
            Request::Presence(request) => self.presence(id, &request.channel),
            Request::PresenceStats(request) => self.presence_stats(id, &request.channel),
            Request::History(request) => self.history(id, request),
            Request::Ping(_) => {
                self.control(Instant::now());
                self.reply(Reply::new(id, ReplyBody::Ping(PingResult {})));
            }
            Request::Send(_) => self.close(Disconnect::NOT_AVAILABLE),
            Request::Rpc(request) => self.rpc(id, request, caller),
            Request::Refresh(request) => self.refresh(id, request.token),
            Request::SubRefresh(request) => self.sub_refresh(id, request),
        }
    }

    /// An error in place of a result.
    pub(super) fn refuse(&mut self, id: u32, error: impl Into<Error>) {
        self.reply(Reply::error(id, error));
    }

    fn count(&self, request: &Request) {
        if let Some(connection) = &self.connection {
            connection.commands.fetch_add(1, Ordering::Relaxed);
        }
        self.server.commands.of(request).inc();
    }
}
