//! When a connection's task must wake up although nothing came: for its session, for a socket that takes nothing, for the
//! drain.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::{Server, Session};
use crate::api::protocol::codes::Disconnect;

/// See the module.
pub(crate) struct Deadlines {
    timer: Pin<Box<Sleep>>,
    timer_at: Instant,
    /// Since when the socket takes nothing.
    stalled: Option<Instant>,
    /// Until the client has authenticated: hears of the drain. Afterwards the gateway tells.
    drain: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Deadlines {
    /// Of a session that has just begun.
    #[must_use]
    pub(crate) fn new(session: &Session, server: &Server, now: Instant) -> Self {
        let timer_at = session.deadline().unwrap_or(now);
        let shutdown = server.shutdown().clone();
        Self {
            timer: Box::pin(tokio::time::sleep_until(timer_at)),
            timer_at,
            stalled: None,
            drain: Some(Box::pin(async move { shutdown.draining().await })),
        }
    }

    /// The socket took something.
    pub(crate) fn moving(&mut self) {
        self.stalled = None;
    }

    /// The socket takes nothing now.
    pub(crate) fn stalled(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    /// Does what is due. Returns whether something was. To be called last: what was done before may have set a nearer
    /// deadline, and nothing else would wake the task for it.
    pub(crate) fn poll(&mut self, session: &mut Session, server: &Server, now: Instant, cx: &mut Context<'_>) -> bool {
        if session.is_connected() {
            self.drain = None;
        } else if self.drain.as_mut().is_some_and(|drain| drain.as_mut().poll(cx).is_ready()) {
            self.drain = None;
            session.close(Disconnect::SHUTDOWN);
            return true;
        }
        let stalled = self.stalled.map(|since| since + server.stall_timeout());
        let Some(at) = session.deadline().into_iter().chain(stalled).min() else { return false };
        // A timer that fires too early costs less than one that is set anew each time.
        if at < self.timer_at || self.timer.is_elapsed() {
            self.timer_at = at;
            self.timer.as_mut().reset(at);
        }
        if self.timer.as_mut().poll(cx) == Poll::Pending {
            return false;
        }
        if stalled.is_some_and(|at| at <= now) {
            session.close(Disconnect::NO_PONG);
        }
        session.timer(now);
        true
    }
}
