//! A connection of a gateway in simulated time: the product's session core and its drain, over a socket that takes its time,
//! speaks no protocol, and stays shut for a while.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Waker};
use std::time::Duration;

use super::event::{Down, Link, Up, What};
use super::gateway::{Asker, Bell, Gateway, Sent};
use super::world::World;
use crate::actors::gateway::feed::Ending;
use crate::actors::gateway::hub::{Connection, Hub, Owners as _, Subscription, Wire, Wishes};
use crate::actors::gateway::outbox::{Outbox, OutboxItem, Signal};
use crate::actors::gateway::session::drain::{Drain, Judged};
use crate::actors::gateway::session::subscriptions::{Sub, Told};
use crate::actors::gateway::session::{Dialect, SessionCore, Step};
use crate::actors::wire::{Answer, Entity, Ephemeral, NodeId, ToOwner};
use crate::ids::{Timestamp, UserId, millis};

/// Bytes that wait for an ordinary connection at most.
const OUTBOX: usize = 64 * 1024;
/// Bytes that wait for a slow one.
const SLOW_OUTBOX: usize = 1_000;
/// Without room for so long, a connection's pace is judged.
const SLOW_GRACE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER_BYTES: usize = 60;

/// A client's message.
struct Said {
    /// The channel that it is about.
    about: Option<String>,
    message: Up,
}

/// What the core of a session is about.
enum Simulated {}

impl Dialect for Simulated {
    type Command = Said;
    type Wish = ();
    type Place = Subscription;

    fn about(said: &Said) -> Option<&str> {
        said.about.as_deref()
    }
}

/// A connection.
pub(crate) struct Session {
    /// The client's place in the world.
    client: usize,
    user: UserId,
    connection: Arc<Connection>,
    waker: Waker,
    core: SessionCore<Simulated>,
    drain: Drain,
    /// Its socket is busy: it goes on by itself.
    flushing: bool,
    /// A write takes so many milliseconds at most.
    write_ms: u64,
    /// Its socket takes nothing before.
    blocked_until: u64,
}

impl World<'_> {
    /// A client's message.
    pub(crate) fn gateway_hears(&mut self, link: Link, message: Up) {
        if let Up::Connect { client } = message {
            return self.session_begins(link, client);
        }
        let index = self.index(link.node);
        let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection) else { return };
        let about = match &message {
            Up::Subscribe(_, n, _) | Up::Unsubscribe(n) => Some(n.to_string()),
            Up::Connect { .. } | Up::Command(..) | Up::Typing(_) => None,
        };
        session.core.receive(vec![Said { about, message }]);
        self.work(link);
    }

    fn session_begins(&mut self, link: Link, client: usize) {
        let slow = self.rng.chance(self.plan.slow_readers);
        let user = self.cast.users[self.clients[client].user].clone();
        let connection = Arc::new(Connection {
            client: self.fresh_id(),
            user: user.clone(),
            wire: Wire::Json,
            info: None,
            outbox: Outbox::new(if slow { SLOW_OUTBOX } else { OUTBOX }),
            since: Timestamp::ZERO,
            sign_in: None,
            commands: AtomicU32::new(0),
        });
        let index = self.index(link.node);
        let gateway = &mut self.nodes[index].gateway;
        let waker = Waker::from(Arc::new(Bell { connection: link.connection, lines: Arc::clone(&gateway.lines) }));
        // It waits for the first thing to write.
        connection.outbox.take(0, &mut Context::from_waker(&waker));
        gateway.hub.sessions().add(&connection);
        let session = Session {
            client,
            user,
            connection,
            waker,
            core: SessionCore::new(),
            drain: Drain::default(),
            flushing: false,
            write_ms: if slow { self.plan.slow_write_ms } else { 15 },
            blocked_until: 0,
        };
        gateway.sessions.insert(link.connection, session);
    }

    /// Carries out what a connection's core says. One that is ordered to close does so at once, whatever its socket takes.
    pub(crate) fn work(&mut self, link: Link) {
        let index = self.index(link.node);
        while let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection) {
            match session.core.step(false, Some(&session.connection.outbox)) {
                Some(Step::Command(said)) => self.serve(link, said.message),
                Some(Step::Obey(order)) => self.fail(format!("nobody gives such an order: {order:?}")),
                None if session.core.closing().is_some() => {
                    self.stats.banned += 1;
                    self.hang_up(link);
                }
                None => return,
            }
        }
    }

    /// The gateway closes a connection.
    fn hang_up(&mut self, link: Link) {
        let index = self.index(link.node);
        let Some(session) = self.nodes[index].gateway.sessions.get(&link.connection) else { return };
        let client = session.client;
        if self.clients[client].link == Some(link) {
            self.client_hears(client, Down::Close);
        }
        self.session_gone(link);
    }

    fn serve(&mut self, link: Link, message: Up) {
        let Link { node, connection } = link;
        let index = self.index(node);
        let Some(session) = self.nodes[index].gateway.sessions.get(&connection) else { return };
        let (client, user) = (session.client, session.user.clone());
        let is_subscribed = |n: usize| session.core.subs.find(&n.to_string()).is_some();
        if matches!(message, Up::Subscribe(_, n, _) if is_subscribed(n)) {
            return self.fail(format!("{user} asks for a place anew, and was not told that it is over: {message:?}"));
        }
        if self.banned.contains(&link) {
            self.fail(format!("{user} is banned, and {message:?} is obeyed"));
        }
        match message {
            Up::Connect { .. } => {}
            Up::Subscribe(token, n, recover) => {
                let key = self.key_of(client, n);
                let wishes = Wishes { announced: token % 4 == 0, join_leave: token % 4 == 0, info: None, recover };
                self.with_gateway(node, |gateway| {
                    let Some(session) = gateway.sessions.get_mut(&connection) else { return };
                    let channel = n.to_string();
                    let place = gateway.hub.subscribe(key, &channel, &session.connection, token, wishes);
                    session.core.subs.add(Sub::asked(token, channel.into(), place, ()));
                });
            }
            Up::Unsubscribe(n) => self.with_gateway(node, |gateway| {
                let session = gateway.sessions.get_mut(&connection);
                if let Some(sub) = session.and_then(|session| session.core.subs.remove(&n.to_string())) {
                    sub.place.end(&gateway.hub);
                }
            }),
            Up::Command(token, wish) => {
                if let Some(session) = self.nodes[index].gateway.sessions.get_mut(&connection) {
                    session.core.asked(ANSWER_BYTES);
                }
                self.admit(node, Asker::Client(connection, token), user, *wish);
            }
            Up::Typing(room) => {
                let event = Ephemeral::Typing { user };
                let frame = ToOwner::Ephemeral { stream: Entity::Room(room), event };
                // Lost if nobody takes it.
                self.with_gateway(node, |gateway| _ = gateway.lines.send(frame));
            }
        }
    }

    /// The answer to a client's command.
    pub(crate) fn reply(&mut self, node: NodeId, connection: u32, token: u32, answer: Answer) {
        self.with_gateway(node, |gateway| {
            let Some(session) = gateway.sessions.get_mut(&connection) else { return };
            session.core.answered(ANSWER_BYTES);
            let bytes = gateway.lines.encode(Sent::Answer(token, answer), ANSWER_BYTES);
            session.connection.outbox.push_asked(OutboxItem::Bytes(bytes));
        });
    }

    /// A connection is woken: it writes, once its socket takes something.
    pub(crate) fn rings(&mut self, node: NodeId, connection: u32) {
        let index = self.index(node);
        let Some(session) = self.nodes[index].gateway.sessions.get_mut(&connection) else { return };
        let link = Link { node, connection };
        if !std::mem::replace(&mut session.flushing, true) {
            self.after(10, What::Flush { link });
        } else if session.watch(self.now) {
            self.after_exactly(millis(SLOW_GRACE), What::Judge { link });
        }
    }

    /// A connection's socket takes more.
    pub(crate) fn flush_outbox(&mut self, link: Link) {
        let index = self.index(link.node);
        let sessions = &self.nodes[index].gateway.sessions;
        if let Some(until) = sessions.get(&link.connection).map(|session| session.blocked_until)
            && until > self.now
            && !self.healing
        {
            return self.after_exactly(until - self.now, What::Flush { link });
        }
        if let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection) {
            let written = session.drain.all_written();
            session.drain.wrote(written);
        }
        let mut resumed = 0;
        let items = self.with_gateway(link.node, |gateway| {
            let Gateway { hub, sessions, lines, .. } = gateway;
            let session = sessions.get_mut(&link.connection)?;
            let mut out = Vec::new();
            while let Some(item) = session.next(hub, &mut resumed) {
                out.extend(match item {
                    OutboxItem::Bytes(bytes) => lines.decode(&bytes).map(|sent| match sent {
                        Sent::Events(n, events) => Down::Events(n, events),
                        Sent::Answer(token, answer) => Down::Answer(token, answer),
                    }),
                    OutboxItem::Signal(signal) => session.signal(*signal),
                });
            }
            session.flushing = session.drain.is_writing();
            Some(out)
        });
        self.stats.resumed += resumed;
        let Some(items) = items else { return };
        let index = self.index(link.node);
        let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection) else { return };
        let client = session.client;
        if session.flushing {
            let most = if self.healing { 15 } else { session.write_ms };
            self.after(most, What::Flush { link });
        }
        if self.clients[client].link == Some(link) {
            items.into_iter().for_each(|item| self.client_hears(client, item));
        }
        self.work(link);
    }

    /// A client's socket takes nothing before a time.
    pub(crate) fn block_socket(&mut self, client: usize, until: u64) {
        let Some(link) = self.clients[client].link else { return };
        let index = self.index(link.node);
        if let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection) {
            session.blocked_until = until;
        }
    }

    /// Who takes too little in all that time is too slow: he comes back and recovers.
    pub(crate) fn judge(&mut self, link: Link) {
        let (now, index) = (Duration::from_millis(self.now), self.index(link.node));
        let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection) else { return };
        match session.drain.judge(now, SLOW_GRACE) {
            None => {}
            Some(Judged::Passed) => self.after_exactly(millis(SLOW_GRACE), What::Judge { link }),
            Some(Judged::TooSlow) => {
                self.stats.slow_closed += 1;
                self.hang_up(link);
            }
        }
    }

    /// A gateway notices that a connection is over.
    pub(crate) fn session_gone(&mut self, link: Link) {
        self.with_gateway(link.node, |gateway| {
            let Some(mut session) = gateway.sessions.remove(&link.connection) else { return };
            for sub in session.core.subs.remove_all() {
                sub.place.end(&gateway.hub);
            }
            gateway.hub.sessions().remove(&session.connection);
            session.connection.outbox.close();
        });
    }
}

impl Session {
    /// Whose it is.
    pub(crate) fn is_of(&self, user: &UserId) -> bool {
        self.user == *user
    }

    /// The next thing to write or to tell. Counts who went on because there was room.
    fn next(&mut self, hub: &Hub, resumed: &mut u64) -> Option<OutboxItem> {
        let Self { drain, connection, waker, .. } = self;
        let resume = || {
            let some = hub.resume(connection);
            *resumed += u64::from(some);
            some
        };
        drain.next(&connection.outbox, resume, &mut Context::from_waker(waker))
    }

    /// Whether its pace is to be judged, because something finds no room; the next push rings.
    fn watch(&mut self, now: u64) -> bool {
        let Self { drain, connection, waker, .. } = self;
        drain.watch(&connection.outbox, Duration::from_millis(now), SLOW_GRACE, &mut Context::from_waker(waker))
    }

    /// What a signal says to the client.
    fn signal(&mut self, signal: Signal) -> Option<Down> {
        let (Signal::Subscribed { key, .. } | Signal::Refused { key, .. } | Signal::Ended { key, .. }) = signal;
        Some(match self.core.subs.signal(signal)? {
            Told::Begun(_, reply) => Down::Subscribed(key, reply),
            Told::Refused(_, reason) => Down::Refused(key, reason),
            Told::Removed(_) => Down::Ended(key, Ending::Removed),
            Told::Insufficient(_) | Told::Lost(_) | Told::Unrecovered(_) => Down::Ended(key, Ending::Insufficient),
        })
    }
}
