//! A connection of a gateway in simulated time, as the session of the api and its socket treat an outbox: take all that
//! waits, count it until it is written, resume who waited for room, close who takes too little for too long.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Waker};

use super::event::{Down, Link, Up, What};
use super::gateway::{Asker, Bell, Gateway, Sent};
use super::world::World;
use crate::actors::gateway::hub::{Connection, Owners as _, Subscription, Wire, Wishes};
use crate::actors::gateway::order::Order;
use crate::actors::gateway::outbox::{Outbox, OutboxItem, OutboxTake, Signal};
use crate::actors::wire::{Answer, Entity, Ephemeral, NodeId, StreamEvent, ToOwner};
use crate::ids::{Timestamp, UserId};

/// Bytes that wait for an ordinary connection at most.
const OUTBOX: usize = 64 * 1024;
/// Bytes that wait for a slow one.
const SLOW_OUTBOX: usize = 1_000;
/// Milliseconds without room after which a connection's pace is judged.
const SLOW_GRACE_MS: u64 = 5_000;
/// Bytes of an answer.
const ANSWER_BYTES: usize = 60;

/// A connection.
pub(crate) struct Session {
    /// The client's place in the world.
    client: usize,
    user: UserId,
    connection: Arc<Connection>,
    waker: Waker,
    subs: BTreeMap<u32, Subscription>,
    /// What came while the outbox was too full for answers.
    backlog: VecDeque<Up>,
    /// Its socket is busy: it goes on by itself.
    flushing: bool,
    /// Bytes on the socket that are not written yet.
    leaving: usize,
    /// A write takes so many milliseconds at most.
    write_ms: u64,
    written: u64,
    /// Its socket takes nothing before.
    blocked_until: u64,
    /// When its pace is judged, and what was written before.
    slow: Option<(u64, u64)>,
}

impl World<'_> {
    /// A client's message.
    pub(crate) fn gateway_hears(&mut self, link: Link, message: Up) {
        if let Up::Connect { client } = message {
            return self.session_begins(link, client);
        }
        let index = self.index(link.node);
        let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection) else { return };
        session.backlog.push_back(message);
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
            subs: BTreeMap::new(),
            backlog: VecDeque::new(),
            flushing: false,
            leaving: 0,
            write_ms: if slow { self.plan.slow_write_ms } else { 15 },
            written: 0,
            blocked_until: 0,
            slow: None,
        };
        gateway.sessions.insert(link.connection, session);
    }

    /// Takes a connection's messages, unless too much waits for it.
    fn work(&mut self, link: Link) {
        let index = self.index(link.node);
        while let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection)
            && !session.connection.outbox.is_busy()
            && let Some(message) = session.backlog.pop_front()
        {
            self.serve(link, message);
        }
    }

    fn serve(&mut self, link: Link, message: Up) {
        let Link { node, connection } = link;
        let Some(session) = self.nodes[self.index(node)].gateway.sessions.get(&connection) else { return };
        let (client, user) = (session.client, session.user.clone());
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
                    session.subs.insert(token, place);
                });
            }
            Up::Unsubscribe(token) => self.with_gateway(node, |gateway| {
                let session = gateway.sessions.get_mut(&connection);
                if let Some(place) = session.and_then(|session| session.subs.remove(&token)) {
                    place.end(&gateway.hub);
                }
            }),
            Up::Command(token, wish) => self.admit(node, Asker::Client(connection, token), user, *wish),
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
            let Some(session) = gateway.sessions.get(&connection) else { return };
            let bytes = gateway.lines.encode(Sent::Answer(token, answer), ANSWER_BYTES);
            let len = bytes.len();
            session.connection.outbox.push_asked(OutboxItem::Bytes(bytes), len);
        });
    }

    /// A connection is woken: it writes, once its socket takes something.
    pub(crate) fn rings(&mut self, node: NodeId, connection: u32) {
        let index = self.index(node);
        let Some(session) = self.nodes[index].gateway.sessions.get_mut(&connection) else { return };
        let link = Link { node, connection };
        if !std::mem::replace(&mut session.flushing, true) {
            self.after(10, What::Flush { link });
        } else if session.watch() && session.slow.is_none() {
            session.slow = Some((self.now + SLOW_GRACE_MS, session.written));
            self.after_exactly(SLOW_GRACE_MS, What::Judge { link });
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
        let mut resumed = 0;
        let items = self.with_gateway(link.node, |gateway| {
            let Gateway { hub, sessions, lines, .. } = gateway;
            let session = sessions.get_mut(&link.connection)?;
            let mut cx = Context::from_waker(&session.waker);
            let mut written = std::mem::take(&mut session.leaving);
            session.written += written as u64;
            loop {
                match session.connection.outbox.take(std::mem::take(&mut written), &mut cx) {
                    OutboxTake::Items(items) => {
                        let mut out = Vec::with_capacity(items.len());
                        for item in items {
                            session.leaving += match item {
                                OutboxItem::Bytes(bytes) => {
                                    out.extend(lines.decode(&bytes).map(|sent| match sent {
                                        Sent::Events(n, events) => Down::Events(n, events),
                                        Sent::Answer(token, answer) => Down::Answer(token, answer),
                                    }));
                                    bytes.len()
                                }
                                OutboxItem::Signal(signal) => session.signal(*signal, &mut out),
                            };
                        }
                        // While the socket is busy, each push wakes it to look whether there was room.
                        session.watch();
                        return Some(out);
                    }
                    OutboxTake::Nothing => {
                        if !hub.resume(&session.connection) {
                            session.slow = None;
                            session.flushing = false;
                            return Some(Vec::new());
                        }
                        resumed += 1;
                    }
                }
            }
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

    /// Who took less than an outbox in all that time is too slow: he comes back and recovers.
    pub(crate) fn judge(&mut self, link: Link) {
        let (now, index) = (self.now, self.index(link.node));
        let Some(session) = self.nodes[index].gateway.sessions.get_mut(&link.connection) else { return };
        let Some((_, before)) = session.slow.filter(|(at, _)| *at <= now) else { return };
        if session.written - before >= SLOW_OUTBOX as u64 {
            session.slow = Some((now + SLOW_GRACE_MS, session.written));
            self.after_exactly(SLOW_GRACE_MS, What::Judge { link });
            return;
        }
        self.stats.slow_closed += 1;
        let client = session.client;
        if self.clients[client].link == Some(link) {
            self.client_hears(client, Down::Close);
        }
        self.session_gone(link);
    }

    /// A gateway notices that a connection is over.
    pub(crate) fn session_gone(&mut self, link: Link) {
        self.with_gateway(link.node, |gateway| {
            let Some(session) = gateway.sessions.remove(&link.connection) else { return };
            for place in session.subs.into_values() {
                place.end(&gateway.hub);
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

    /// The client's place in the world.
    pub(crate) fn client(&self) -> usize {
        self.client
    }

    /// Takes what others want of it. Says whether it is to be closed.
    pub(crate) fn is_ordered_to_close(&self) -> bool {
        self.connection.outbox.take_orders().iter().any(|order| matches!(order, Order::Close { .. }))
    }

    /// Whether something found no room; the next push rings.
    fn watch(&self) -> bool {
        self.connection.outbox.watch(&mut Context::from_waker(&self.waker)) >= SLOW_OUTBOX
    }

    /// What a signal says to the client, and the bytes that it counted.
    fn signal(&mut self, signal: Signal, out: &mut Vec<Down>) -> usize {
        match signal {
            Signal::Subscribed { key, reply } => {
                let weight = reply.events.iter().map(StreamEvent::weight).sum();
                out.push(Down::Subscribed(key, reply));
                weight
            }
            Signal::Refused { key, reason } => {
                self.subs.remove(&key);
                out.push(Down::Refused(key, reason));
                0
            }
            Signal::Ended { key, why } => {
                self.subs.remove(&key);
                out.push(Down::Ended(key, why));
                0
            }
        }
    }
}
