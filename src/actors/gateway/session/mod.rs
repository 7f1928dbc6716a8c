//! What a session decides, without a protocol, a clock or a task: which command is next and which waits, in which state each
//! subscription is, and how the connection ends. It never awaits, and never says how anything looks on the wire.
//!
//! A driver hands in what happens (commands, answers, signals of the gateway, the time) and carries out what comes back: the
//! api's session over a socket, the simulation's over its own.
//!
//! | file | holds |
//! |---|---|
//! | here | orders and commands, in the order in which they are obeyed |
//! | [`subscriptions`] | what the connection is subscribed to, or has asked for |
//! | [`drain`] | what leaves the outbox, and whether the client takes it fast enough |

pub(crate) mod drain;
pub(crate) mod subscriptions;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use self::subscriptions::Subscriptions;
use super::order::Order;
use super::outbox::Outbox;
use crate::limits;

/// The types of a driver.
pub(crate) trait Dialect {
    /// A command of the client.
    type Command;
    /// What is kept of a wish to subscribe until it is answered.
    type Wish;
    /// The place of a subscription in its feed.
    type Place;

    /// The channel that a command is about: it waits while a subscription to this channel is asked for.
    fn about(command: &Self::Command) -> Option<&str>;
}

/// How a connection ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Close {
    /// By this code.
    pub code: u16,
    /// With this reason instead of the code's own.
    pub reason: Option<Box<str>>,
}

/// What a driver is to do next.
#[derive(Debug)]
pub(crate) enum Step<C> {
    /// Carry out what somebody else wants of the connection. Never [`Order::Close`]: the core has obeyed that itself.
    Obey(Order),
    /// Carry out this command.
    Command(C),
}

/// See the module.
pub(crate) struct SessionCore<D: Dialect> {
    /// What it is subscribed to.
    pub(crate) subs: Subscriptions<D>,
    /// Commands that wait for their turn.
    backlog: VecDeque<D::Command>,
    /// Commands that are carried out beside others and not answered yet.
    unanswered: usize,
    /// Bytes that are kept for their replies.
    reserved: usize,
    /// The subscription that the next command is about and that has not begun: the command waits until it has, or will not.
    awaited: Option<u32>,
    closing: Option<Box<Close>>,
}

impl<D: Dialect> SessionCore<D> {
    /// A session whose client has said nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            subs: Subscriptions::new(),
            backlog: VecDeque::new(),
            unanswered: 0,
            reserved: 0,
            awaited: None,
            closing: None,
        }
    }

    /// The client's next commands. Nothing is taken once the connection shall end.
    pub(crate) fn receive(&mut self, commands: Vec<D::Command>) {
        if self.closing.is_some() {
            return;
        }
        if self.backlog.is_empty() {
            self.backlog = commands.into();
        } else {
            self.backlog.extend(commands);
        }
    }

    /// The next thing to do. What others ordered comes before each command, and behind an order to close comes nothing,
    /// whatever the client has sent already. `held`: the driver waits for something that commands must wait for, too.
    /// `outbox`: the connection's, once the client has authenticated.
    pub(crate) fn step<P>(&mut self, held: bool, outbox: Option<&Outbox<P>>) -> Option<Step<D::Command>> {
        if self.closing.is_some() {
            return None;
        }
        match outbox.and_then(Outbox::take_order) {
            Some(Order::Close { code, reason }) => {
                self.close(code, reason);
                return None;
            }
            Some(order) => return Some(Step::Obey(order)),
            None => {}
        }
        let next = self.backlog.front()?;
        if !self.wants_commands(held, outbox) {
            return None;
        }
        if let Some(channel) = D::about(next)
            && let Some(sub) = self.subs.find(channel).filter(|sub| sub.is_pending())
        {
            // What the command means depends on what comes of the subscription: as if one came after the other.
            self.awaited = Some(sub.key());
            return None;
        }
        let command = self.backlog.pop_front();
        if self.backlog.is_empty() {
            // An idle connection owns no memory for commands.
            self.backlog = VecDeque::new();
        }
        command.map(Step::Command)
    }

    /// Whether the client's next commands may be handed in: else the socket is not read.
    pub(crate) fn wants_frames<P>(&self, held: bool, outbox: Option<&Outbox<P>>) -> bool {
        self.backlog.is_empty() && self.wants_commands(held, outbox)
    }

    fn wants_commands<P>(&self, held: bool, outbox: Option<&Outbox<P>>) -> bool {
        self.closing.is_none()
            && !held
            && self.unanswered + self.subs.pending() < limits::SESSION_INFLIGHT
            && self.reserved < limits::CALLS_BYTES
            && !self.awaited.is_some_and(|key| self.subs.is_pending(key))
            && !outbox.is_some_and(Outbox::is_busy)
    }

    /// A command is carried out beside others. `bytes` are kept for its reply, so that what a client asks for and does not
    /// read is bounded.
    pub(crate) fn asked(&mut self, bytes: usize) {
        self.unanswered += 1;
        self.reserved += bytes;
    }

    /// It is answered.
    pub(crate) fn answered(&mut self, bytes: usize) {
        self.unanswered -= 1;
        self.reserved -= bytes;
    }

    /// The connection shall end; the first reason counts.
    pub(crate) fn close(&mut self, code: u16, reason: Option<Box<str>>) {
        if self.closing.is_none() {
            self.closing = Some(Box::new(Close { code, reason }));
            self.backlog = VecDeque::new();
        }
    }

    /// How the connection shall end, if it shall.
    pub(crate) fn closing(&self) -> Option<&Close> {
        self.closing.as_deref()
    }
}
