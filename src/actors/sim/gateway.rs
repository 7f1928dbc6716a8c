//! A node's gateway in simulated time: the production hub with its feeds and outboxes; its clock, its wire and the way to
//! the owners are simulated.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;

use super::event::Wish;
use super::session::Session;
use super::world::World;
use crate::actors::gateway::hub::{Encode, Hub, NotTaken, Owners, Presence, Wire};
use crate::actors::room::commands::Command;
use crate::actors::router::PendingAnswer;
use crate::actors::router::pending::{OpenQuestion, Pending};
use crate::actors::user::UserCommand;
use crate::actors::wire::{
    Answer, Entity, Ephemeral, FrameError, NodeId, Query, RequestId, StreamEvent, ToGateway, ToOwner,
};
use crate::actors::{room, user};
use crate::env::{Clock, ManualClock};
use crate::ids::{Partition, RoomId, Seq, UserId};
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::record::Addressed;
use crate::storage::store::rows::OutboxPlace;

/// Who is told of a command's answer.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// A client's command: its connection and its token.
    Client(u32, u32),
    /// The relay: a record of a target's batch.
    Relay(Partition, OutboxPlace),
    /// The expiry scanner.
    Expiry(RoomId),
}

/// What an outbox holds in place of encoded bytes: the bytes are a number, this is what they stand for.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    /// Publications of the channel in the client's `n`th place.
    Events(usize, Arc<[StreamEvent]>),
    /// The answer to the command with this token.
    Answer(u32, Answer),
}

/// Stands for bytes that the client makes nothing of.
const NOTHING: u64 = u64::MAX;
/// Bytes of what is small.
const SMALL: usize = 48;

/// The wire, and the ways out of a hub.
#[derive(Default)]
pub(crate) struct Lines {
    sent: Mutex<Vec<Sent>>,
    frames: Mutex<Vec<ToOwner>>,
    ringing: Mutex<Vec<u32>>,
    /// The queues of all partitions are full.
    full: AtomicBool,
    pending: Arc<Pending>,
}

impl Lines {
    /// Bytes that stand for this, as many as it would take.
    pub(crate) fn encode(&self, sent: Sent, weight: usize) -> Bytes {
        let mut all = lock(&self.sent);
        all.push(sent);
        bytes(all.len() as u64 - 1, weight)
    }

    /// Opens a question and sends it, if it is taken.
    fn ask(&self, frame: impl FnOnce(RequestId) -> ToOwner) -> Option<OpenQuestion> {
        self.pending.send(self, frame)
    }

    /// What bytes stand for.
    pub(crate) fn decode(&self, bytes: &Bytes) -> Option<Sent> {
        let number = bytes.first_chunk().map_or(NOTHING, |number| u64::from_le_bytes(*number));
        lock(&self.sent).get(usize::try_from(number).ok()?).cloned()
    }
}

fn bytes(number: u64, weight: usize) -> Bytes {
    let mut bytes = vec![0; weight.max(SMALL)];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes.into()
}

impl Owners for Lines {
    fn send(&self, frame: ToOwner) -> Result<(), NotTaken> {
        if self.full.load(Ordering::Relaxed) {
            return Err(NotTaken);
        }
        lock(&self.frames).push(frame);
        Ok(())
    }

    fn next_request(&self) -> RequestId {
        self.pending.next_request()
    }
}

/// The lines of a hub, as its encoder and as its way to the owners.
pub(crate) struct Ends(pub Arc<Lines>);

impl Owners for Ends {
    fn send(&self, frame: ToOwner) -> Result<(), NotTaken> {
        self.0.send(frame)
    }

    fn next_request(&self) -> RequestId {
        self.0.next_request()
    }
}

impl Encode for Ends {
    fn events(&self, _: Wire, channel: &str, _: bool, events: &[StreamEvent]) -> Bytes {
        let place = channel.parse().unwrap_or(usize::MAX);
        self.0.encode(Sent::Events(place, events.into()), events.iter().map(StreamEvent::weight).sum())
    }

    fn ephemeral(&self, _: Wire, _: &str, _: &Ephemeral) -> Bytes {
        bytes(NOTHING, SMALL)
    }

    fn join(&self, _: Wire, _: &str, _: &Presence) -> Bytes {
        bytes(NOTHING, SMALL)
    }

    fn leave(&self, _: Wire, _: &str, _: &Presence) -> Bytes {
        bytes(NOTHING, SMALL)
    }
}

/// Wakes a connection's task.
pub(crate) struct Bell {
    /// Whose.
    pub connection: u32,
    /// Where it rings.
    pub lines: Arc<Lines>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        lock(&self.lines.ringing).push(self.connection);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Later<T> = Pin<Box<dyn Future<Output = T>>>;

/// What a question has come to by now.
fn come<T>(later: &mut Later<T>) -> Option<T> {
    match later.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(come) => Some(come),
        Poll::Pending => None,
    }
}

/// A gateway of one life of a node.
pub(crate) struct Gateway {
    /// Everything that connections listen to.
    pub hub: Hub,
    /// What goes in and out of it.
    pub lines: Arc<Lines>,
    /// By number.
    pub sessions: BTreeMap<u32, Session>,
    /// Commands that wait for their answers.
    commands: BTreeMap<RequestId, (Asker, Later<Answer>)>,
    /// Queries that do.
    queries: BTreeMap<RequestId, Later<Option<ToGateway>>>,
}

impl Gateway {
    /// Without connections.
    pub(crate) fn new(clock: &Arc<ManualClock>, metrics: &Arc<Metrics>) -> Self {
        let lines = Arc::new(Lines::default());
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
        let ends = || Arc::new(Ends(Arc::clone(&lines)));
        let hub = Hub::new(ends(), ends(), clock, Arc::clone(metrics));
        Self { hub, lines, sessions: BTreeMap::new(), commands: BTreeMap::new(), queries: BTreeMap::new() }
    }

    fn answer(&mut self, request: RequestId) -> Option<(Asker, Answer)> {
        let (_, answer) = self.commands.get_mut(&request)?;
        let answer = come(answer)?;
        self.commands.remove(&request).map(|(asker, _)| (asker, answer))
    }
}

impl World<'_> {
    /// Something happens to a gateway: what it causes goes out.
    pub(crate) fn with_gateway<T>(&mut self, node: NodeId, act: impl FnOnce(&mut Gateway) -> T) -> T {
        let full = self.rng.chance(self.plan.overload);
        let index = self.index(node);
        let gateway = &mut self.nodes[index].gateway;
        gateway.lines.full.store(full, Ordering::Relaxed);
        let result = act(gateway);
        let frames = std::mem::take(&mut *lock(&gateway.lines.frames));
        let ringing = std::mem::take(&mut *lock(&gateway.lines.ringing));
        for frame in frames {
            self.send_to_owner(node, frame);
        }
        for connection in ringing {
            self.rings(node, connection);
        }
        result
    }

    /// A wish becomes a record.
    pub(crate) fn admit(&mut self, node: NodeId, asker: Asker, user: UserId, wish: Wish) {
        let index = self.index(node);
        let (id, issued_at, ttl_ms) = (self.fresh_id(), self.clock(index), limits::COMMAND_TTL_MS);
        let Addressed { partition, record, .. } = match wish {
            Wish::Room(room, body) => room::payload::address(Command { room, id, issued_at, ttl_ms, body }),
            Wish::User(body) => user::payload::address(UserCommand { user, id, issued_at, ttl_ms, body }),
        };
        self.command(node, asker, partition, record);
    }

    /// Sends a command to its partition's owner.
    pub(crate) fn command(&mut self, node: NodeId, asker: Asker, partition: Partition, record: Bytes) {
        let refused = self.with_gateway(node, |gateway| {
            let asked = gateway.lines.ask(|request| ToOwner::Command { request, partition, record });
            let request = asked.as_ref().map(OpenQuestion::request);
            let mut answer: Later<Answer> = Box::pin(PendingAnswer(asked).get());
            match request {
                Some(request) => _ = gateway.commands.insert(request, (asker, answer)),
                None => return come(&mut answer).map(|answer| (asker, answer)),
            }
            None
        });
        if let Some((asker, answer)) = refused {
            self.stats.overloads += 1;
            self.answered(node, asker, answer);
        }
    }

    /// Asks a room or user, of a node's own accord, in turn.
    fn query(&mut self, node: NodeId) {
        let streams: Vec<Entity> = self.cast.entities().collect();
        let stream = streams[self.now as usize / 250 % streams.len()].clone();
        let user = self.cast.users[self.now as usize / 1_000 % self.cast.users.len()].clone();
        let query = match &stream {
            Entity::Room(_) => Query::Recent { user, from: Seq(1) },
            Entity::User(_) => Query::Position,
        };
        self.with_gateway(node, |gateway| {
            if let Some(asked) = gateway.lines.ask(|request| ToOwner::Query { request, stream, query }) {
                gateway.queries.insert(asked.request(), Box::pin(asked.answer()));
            }
        });
    }

    /// A frame of an owner.
    pub(crate) fn gateway_receives(&mut self, node: NodeId, bytes: &Bytes) {
        let frame = match ToGateway::decode(bytes, node) {
            Ok(frame) => frame,
            Err(FrameError::NotHere(_)) => {
                self.stats.outlived += 1;
                return;
            }
            Err(error) => return self.fail(format!("{error}: a frame to {node:?}")),
        };
        let request = match &frame {
            ToGateway::Answer { request, .. } | ToGateway::Queried { request, .. } => Some(*request),
            _ => None,
        };
        let (answered, queried) = self.with_gateway(node, |gateway| {
            if let Some(frame) = gateway.lines.pending.take(frame) {
                gateway.hub.receive(frame);
            }
            let Some(request) = request else { return (None, false) };
            let queried = gateway.queries.get_mut(&request).and_then(come).is_some();
            gateway.queries.retain(|open, _| !queried || *open != request);
            (gateway.answer(request), queried)
        });
        self.stats.queried += u64::from(queried);
        if let Some((asker, answer)) = answered {
            self.answered(node, asker, answer);
        }
    }

    fn answered(&mut self, node: NodeId, asker: Asker, answer: Answer) {
        match asker {
            Asker::Client(connection, token) => self.reply(node, connection, token, answer),
            Asker::Relay(target, place) => self.relay_answered(node, target, place, answer),
            Asker::Expiry(room) => self.expiry_answered(node, room, &answer),
        }
    }

    /// Time passes for a gateway.
    pub(crate) fn gateway_tick(&mut self, node: NodeId) {
        self.query(node);
        let now = self.shared.steady.now();
        let given_up = self.with_gateway(node, |gateway| {
            gateway.hub.tick();
            gateway.lines.pending.tick(now);
            gateway.queries.retain(|_, answer| come(answer).is_none());
            let open: Vec<_> = gateway.commands.keys().copied().collect();
            open.into_iter().filter_map(|request| gateway.answer(request)).collect::<Vec<_>>()
        });
        for (asker, answer) in given_up {
            self.answered(node, asker, answer);
        }
    }

    /// The owner of a partition may be another now.
    pub(crate) fn owner_changed(&mut self, node: NodeId, partition: Partition) {
        self.with_gateway(node, |gateway| gateway.hub.owners_changed(|changed| changed == partition));
    }
}
