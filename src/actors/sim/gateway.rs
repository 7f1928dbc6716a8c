//! A node's gateway in simulated time: the production feeds, with sessions and outboxes around them as the hub has them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use uuid::Uuid;

use super::event::{Asked, Down, FeedKey, Link, Up, What, Wish};
use super::world::World;
use crate::actors::gateway::feed::{Ending, Feed, Listeners, Output, Subscribed, SubscriberId};
use crate::actors::gateway::frames::{Answer, Denial, Ephemeral, RequestId, StreamEvent, StreamId, ToGateway, ToOwner};
use crate::actors::partition::item::NodeId;
use crate::actors::room::command::Command;
use crate::actors::user::UserCommand;
use crate::actors::workers::relay::step::Place;
use crate::actors::{room, user};
use crate::ids::{Partition, Timestamp, UserId};
use crate::limits;
use crate::storage::journal::record::Addressed;

/// Milliseconds after which a gateway does not wait for an owner's answer any more.
const ANSWER_MS: u64 = 10_000;
/// Bytes that wait for an ordinary connection at most.
const OUTBOX: usize = 64 * 1024;
/// Bytes that wait for a slow one.
const SLOW_OUTBOX: usize = 1_200;

/// Who is told of a command's answer.
#[derive(Clone, Debug)]
pub enum Asker {
    /// A client's command, by its token.
    Client(u32, u32),
    /// The relay: a record of its step.
    Relay(Partition, Place),
    /// The expiry scanner.
    Expiry(crate::ids::RoomId),
}

/// A subscriber of a feed: connection and token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sub {
    connection: u32,
    token: u32,
}

/// A connection.
pub struct Session {
    /// The client's place in the world.
    pub client: usize,
    user: UserId,
    outbox: VecDeque<Down>,
    bytes: usize,
    room: usize,
    subs: BTreeMap<u32, (FeedKey, SubscriberId)>,
    paused: Vec<(FeedKey, SubscriberId)>,
    flushing: bool,
    over: bool,
}

/// A gateway of one life of a node.
pub struct Gateway {
    /// Streams with listeners.
    pub feeds: BTreeMap<FeedKey, Feed<Sub>>,
    /// All else.
    pub side: Side,
}

/// What feeds cause goes here.
pub struct Side {
    next_request: u64,
    /// By number.
    pub sessions: BTreeMap<u32, Session>,
    frames: Vec<ToOwner>,
    /// Commands that wait for their answers, and until when.
    pub pending: BTreeMap<RequestId, (Asker, u64)>,
}

impl Gateway {
    /// Without connections.
    pub fn new() -> Self {
        let side = Side { next_request: 1, sessions: BTreeMap::new(), frames: Vec::new(), pending: BTreeMap::new() };
        Self { feeds: BTreeMap::new(), side }
    }
}

impl Side {
    fn push(&mut self, to: Sub, weight: usize, down: Down) {
        let Some(session) = self.sessions.get_mut(&to.connection) else { return };
        if session.over {
            return;
        }
        session.bytes += weight;
        if session.bytes > 4 * session.room {
            // A slow reader: it comes back and recovers.
            session.outbox.clear();
            session.outbox.push_back(Down::Close);
            session.over = true;
            return;
        }
        session.outbox.push_back(down);
    }

    fn next_request(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }
}

fn weight(events: &[StreamEvent]) -> usize {
    events.iter().map(StreamEvent::weight).sum()
}

impl Output<Sub> for Side {
    fn request(&mut self) -> RequestId {
        self.next_request()
    }

    fn send(&mut self, frame: ToOwner) {
        self.frames.push(frame);
    }

    fn live(&mut self, events: &[StreamEvent], to: Listeners<'_, Sub>) -> Vec<(SubscriberId, usize)> {
        let shared: Arc<[StreamEvent]> = events.into();
        for (_, sub) in to {
            self.push(*sub, weight(events), Down::Events(sub.token, Arc::clone(&shared)));
        }
        Vec::new()
    }

    fn catch_up(&mut self, to: &Sub, events: &[StreamEvent]) {
        self.push(*to, weight(events), Down::Events(to.token, events.into()));
    }

    fn room(&mut self, id: SubscriberId, to: &Sub) -> usize {
        let Some(session) = self.sessions.get_mut(&to.connection) else { return usize::MAX };
        let room = session.room.saturating_sub(session.bytes);
        if room == 0
            && let Some((key, _)) = session.subs.get(&to.token)
        {
            session.paused.push((key.clone(), id));
        }
        room
    }

    fn subscribed(&mut self, to: &Sub, reply: Subscribed) {
        self.push(*to, weight(&reply.events), Down::Subscribed(to.token, reply));
    }

    fn refused(&mut self, to: &Sub, reason: Denial) {
        self.push(*to, 0, Down::Refused(to.token, reason));
        self.forget(to);
    }

    fn ended(&mut self, to: &Sub, why: Ending) {
        self.push(*to, 0, Down::Ended(to.token, why));
        self.forget(to);
    }

    fn ephemeral(&mut self, _: &Ephemeral, _: Listeners<'_, Sub>) {}
}

impl Side {
    fn forget(&mut self, sub: &Sub) {
        if let Some(session) = self.sessions.get_mut(&sub.connection) {
            session.subs.remove(&sub.token);
        }
    }
}

impl World<'_> {
    /// Something happens to a gateway: what it causes goes out.
    pub fn with_gateway<T>(&mut self, node: NodeId, act: impl FnOnce(&mut Gateway, Timestamp) -> T) -> T {
        let index = self.index(node);
        let now = self.ticks(index);
        let gateway = &mut self.nodes[index].gateway;
        let result = act(gateway, now);
        let frames = std::mem::take(&mut gateway.side.frames);
        let waiting = gateway.side.sessions.iter_mut().filter(|(_, s)| !s.flushing && !s.outbox.is_empty());
        let flush: Vec<u32> = waiting
            .map(|(connection, session)| {
                session.flushing = true;
                *connection
            })
            .collect();
        for frame in frames {
            self.send_to_owner(node, frame);
        }
        for connection in flush {
            let slow = self.nodes[index].gateway.side.sessions[&connection].room == SLOW_OUTBOX;
            self.after(if slow { 400 } else { 15 }, What::Flush { link: Link { node, connection } });
        }
        result
    }

    /// A client's message.
    pub fn gateway_hears(&mut self, link: Link, message: Up) {
        let node = link.node;
        let known = self.nodes[self.index(node)].gateway.side.sessions.get(&link.connection);
        if let Up::Connect { client } = message {
            let slow = self.rng.chance(self.plan.slow_readers);
            let session = Session {
                client,
                user: self.cast.users[self.clients[client].user].clone(),
                outbox: VecDeque::new(),
                bytes: 0,
                room: if slow && !self.healing { SLOW_OUTBOX } else { OUTBOX },
                subs: BTreeMap::new(),
                paused: Vec::new(),
                flushing: false,
                over: false,
            };
            let index = self.index(node);
            self.nodes[index].gateway.side.sessions.insert(link.connection, session);
            return;
        }
        let Some(user) = known.filter(|session| !session.over).map(|session| session.user.clone()) else { return };
        match message {
            Up::Connect { .. } => {}
            Up::Subscribe(token, key, recover) => self.with_gateway(node, |gateway, now| {
                let Gateway { feeds, side } = gateway;
                let feed = feeds.entry(key.clone()).or_insert_with(|| Feed::new(key.0.clone(), key.1, now));
                let id = feed.subscribe(Sub { connection: link.connection, token }, user, recover, now, side);
                if let Some(session) = side.sessions.get_mut(&link.connection) {
                    session.subs.insert(token, (key, id));
                }
            }),
            Up::Unsubscribe(token) => self.with_gateway(node, |gateway, now| {
                let session = gateway.side.sessions.get_mut(&link.connection);
                if let Some((key, id)) = session.and_then(|session| session.subs.remove(&token))
                    && let Some(feed) = gateway.feeds.get_mut(&key)
                {
                    feed.unsubscribe(id, now);
                }
            }),
            Up::Command(token, wish) => self.admit(link, token, user, wish),
            Up::Typing(room) => {
                self.send_to_owner(
                    node,
                    ToOwner::Ephemeral { stream: StreamId::Room(room), event: Ephemeral::Typing { user } },
                );
            }
        }
    }

    /// A wish becomes a record.
    fn admit(&mut self, link: Link, token: u32, user: UserId, wish: Wish) {
        let index = self.index(link.node);
        let (id, issued_at, ttl_ms) = (self.fresh_id(), self.clock(index), limits::COMMAND_TTL_MS);
        let Addressed { partition, record } = match wish {
            Wish::Room(room, body) => room::payload::address(&Command { room, id, issued_at, ttl_ms, body }),
            Wish::User(body) => user::payload::address(&UserCommand { user, id, issued_at, ttl_ms, body }),
        };
        self.command(link.node, Asker::Client(link.connection, token), id, partition, record);
    }

    /// Sends a command to its partition's owner.
    pub fn command(&mut self, node: NodeId, asker: Asker, command: Uuid, partition: Partition, record: bytes::Bytes) {
        let index = self.index(node);
        let until = self.now + ANSWER_MS;
        let side = &mut self.nodes[index].gateway.side;
        let request = side.next_request();
        side.pending.insert(request, (asker, until));
        self.asked.insert((node, request), Asked { command, doubled: false });
        self.send_to_owner(node, ToOwner::Command { request, partition, record });
    }

    /// A frame of an owner.
    pub fn gateway_receives(&mut self, node: NodeId, frame: ToGateway) {
        let stream = match &frame {
            ToGateway::Answer { request, answer } => {
                let index = self.index(node);
                if let Some((asker, _)) = self.nodes[index].gateway.side.pending.remove(request) {
                    self.answered(node, asker, *answer);
                }
                return;
            }
            ToGateway::Granted { stream, .. }
            | ToGateway::Denied { stream, .. }
            | ToGateway::Events { stream, .. }
            | ToGateway::Head { stream, .. }
            | ToGateway::Fetched { stream, .. }
            | ToGateway::Ephemeral { stream, .. } => stream.clone(),
        };
        self.with_gateway(node, |gateway, now| {
            let Gateway { feeds, side } = gateway;
            let mut known = false;
            for open in [false, true] {
                if let Some(feed) = feeds.get_mut(&(stream.clone(), open)) {
                    known = true;
                    feed.receive(&frame, now, side);
                }
            }
            if !known && matches!(frame, ToGateway::Events { .. } | ToGateway::Head { .. }) {
                let request = side.next_request();
                side.frames.push(ToOwner::Unlisten { request, stream });
            }
        });
    }

    fn answered(&mut self, node: NodeId, asker: Asker, answer: Answer) {
        match asker {
            Asker::Client(connection, token) => self.with_gateway(node, |gateway, _| {
                gateway.side.push(Sub { connection, token }, 0, Down::Answer(token, answer));
            }),
            Asker::Relay(source, place) => self.relay_answered(node, source, place, answer),
            Asker::Expiry(room) => self.expiry_answered(node, room, answer),
        }
    }

    /// Time passes for a gateway.
    pub fn gateway_tick(&mut self, node: NodeId) {
        let index = self.index(node);
        let now = self.now;
        let pending = &mut self.nodes[index].gateway.side.pending;
        let late: Vec<RequestId> = pending.iter().filter(|(_, (_, until))| *until <= now).map(|(id, _)| *id).collect();
        let late: Vec<Asker> = late.iter().filter_map(|id| pending.remove(id)).map(|(asker, _)| asker).collect();
        for asker in late {
            self.answered(node, asker, Answer::Unknown);
        }
        self.with_gateway(node, |gateway, now| {
            let Gateway { feeds, side } = gateway;
            feeds.retain(|_, feed| !feed.needs_ticks() || !feed.tick(now, side));
        });
    }

    /// The owner of a partition may be another now.
    pub fn owner_changed(&mut self, node: NodeId, partition: Partition) {
        self.with_gateway(node, |gateway, now| {
            let Gateway { feeds, side } = gateway;
            for (_, feed) in feeds.iter_mut().filter(|((stream, _), _)| stream.partition() == partition) {
                feed.owner_changed(now, side);
            }
        });
    }

    /// An outbox is emptied into its client; whoever waited for room goes on.
    pub fn flush_outbox(&mut self, link: Link) {
        let index = self.index(link.node);
        let Some(session) = self.nodes[index].gateway.side.sessions.get_mut(&link.connection) else { return };
        session.flushing = false;
        session.bytes = 0;
        let (client, messages) = (session.client, std::mem::take(&mut session.outbox));
        let (paused, over) = (std::mem::take(&mut session.paused), session.over);
        if self.clients[client].link == Some(link) {
            for message in messages {
                self.client_hears(client, message);
            }
        }
        if over {
            self.session_gone(link);
            return;
        }
        self.with_gateway(link.node, |gateway, now| {
            let Gateway { feeds, side } = gateway;
            for (key, id) in paused {
                if let Some(feed) = feeds.get_mut(&key) {
                    feed.resume(id, now, side);
                }
            }
        });
    }

    /// A gateway notices that a connection is over.
    pub fn session_gone(&mut self, link: Link) {
        self.with_gateway(link.node, |gateway, now| {
            let Some(session) = gateway.side.sessions.remove(&link.connection) else { return };
            for (key, id) in session.subs.into_values() {
                if let Some(feed) = gateway.feeds.get_mut(&key) {
                    feed.unsubscribe(id, now);
                }
            }
        });
    }
}
