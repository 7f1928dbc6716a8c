//! From frames to commands, in their order.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Connection, Session};
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

impl Session {
    /// A frame of the client. Only if [`Session::wants_frames`].
    pub(crate) fn frame(&mut self, payload: &[u8], now: Instant) {
        let commands = match decode_frame(payload, self.format, &self.server.options.frame) {
            Ok(commands) => commands,
            Err(error) => return self.bad_frame(&error),
        };
        for command in commands {
            if command.as_ref().is_ok_and(Command::is_pong) {
                self.pong(now);
            } else if self.closing.is_some() {
                return;
            } else if self.backlog.is_empty() && self.wants_commands() {
                self.decoded(command);
            } else {
                self.backlog.push_back(command);
            }
        }
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

    pub(super) fn decoded(&mut self, command: Result<Command, FrameError>) {
        match command {
            Ok(command) => self.command(command),
            Err(error) => self.bad_frame(&error),
        }
    }

    fn command(&mut self, command: Command) {
        let Command { id, request } = command;
        let Some(request) = request else { return self.close(Disconnect::BAD_REQUEST) };
        let about = channel(&request).and_then(|channel| self.sub(channel)).filter(|sub| sub.is_pending());
        if let Some(sub) = about {
            // What it means depends on what comes of the subscription: as if one came after the other.
            self.awaited = Some(sub.key());
            self.backlog.push_front(Ok(Command { id, request: Some(request) }));
            return;
        }
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
