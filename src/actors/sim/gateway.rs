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
use crate::actors::gateway::hub::{Encode, Hub, Overload, Owners, Presence, Wire};
use crate::actors::room::commands::Command;
use crate::actors::user::UserCommand;
use crate::actors::wire::{Answer, Ephemeral, NodeId, RequestId, StreamEvent, ToGateway, ToOwner};
use crate::actors::{room, user};
use crate::env::{Clock, ManualClock};
use crate::ids::{Partition, RoomId, UserId};
use crate::limits;
use crate::metrics::Metrics;
use crate::storage::journal::record::Addressed;
use crate::storage::store::rows::OutboxPlace;

/// Who is told of a command's answer.
#[derive(Clone, Debug)]
pub enum Asker {
    /// A client's command: its connection and its token.
    Client(u32, u32),
    /// The relay: a record of a target's batch.
    Relay(Partition, OutboxPlace),
    /// The expiry scanner.
    Expiry(RoomId),
}

/// What an outbox holds in place of encoded bytes: the bytes are a number, this is what they stand for.
#[derive(Clone, Debug)]
pub enum Sent {
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
pub struct Lines {
    sent: Mutex<Vec<Sent>>,
    frames: Mutex<Vec<ToOwner>>,
    ringing: Mutex<Vec<u32>>,
    /// The queues of all partitions are full.
    full: AtomicBool,
}

impl Lines {
    /// Bytes that stand for this, as many as it would take.
    pub fn encode(&self, sent: Sent, weight: usize) -> Bytes {
        let mut all = lock(&self.sent);
        all.push(sent);
        bytes(all.len() as u64 - 1, weight)
    }

    /// What bytes stand for.
    pub fn decode(&self, bytes: &Bytes) -> Option<Sent> {
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
    fn send(&self, frame: ToOwner) -> Result<(), Overload> {
        if self.full.load(Ordering::Relaxed) {
            return Err(Overload);
        }
        lock(&self.frames).push(frame);
        Ok(())
    }
}

/// The lines of a hub, as its encoder and as its way to the owners.
pub struct Ends(pub Arc<Lines>);

impl Owners for Ends {
    fn send(&self, frame: ToOwner) -> Result<(), Overload> {
        self.0.send(frame)
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
pub struct Bell {
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

type Pending = (Asker, Pin<Box<dyn Future<Output = Answer>>>);

/// A gateway of one life of a node.
pub struct Gateway {
    /// Everything that connections listen to and wait for.
    pub hub: Hub,
    /// What goes in and out of it.
    pub lines: Arc<Lines>,
    /// By number.
    pub sessions: BTreeMap<u32, Session>,
    /// Commands that wait for their answers.
    pending: BTreeMap<RequestId, Pending>,
}

impl Gateway {
    /// Without connections.
    pub fn new(clock: &Arc<ManualClock>, metrics: &Arc<Metrics>) -> Self {
        let lines = Arc::new(Lines::default());
        let clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(clock);
        let ends = || Arc::new(Ends(Arc::clone(&lines)));
        let hub = Hub::new(ends(), ends(), clock, Arc::clone(metrics));
        Self { hub, lines, sessions: BTreeMap::new(), pending: BTreeMap::new() }
    }

    fn answer(&mut self, request: RequestId) -> Option<(Asker, Answer)> {
        let (_, answer) = self.pending.get_mut(&request)?;
        let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { return None };
        self.pending.remove(&request).map(|(asker, _)| (asker, answer))
    }
}

impl World<'_> {
    /// Something happens to a gateway: what it causes goes out.
    pub fn with_gateway<T>(&mut self, node: NodeId, act: impl FnOnce(&mut Gateway) -> T) -> T {
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
    pub fn admit(&mut self, node: NodeId, asker: Asker, user: UserId, wish: Wish) {
        let index = self.index(node);
        let (id, issued_at, ttl_ms) = (self.fresh_id(), self.clock(index), limits::COMMAND_TTL_MS);
        let Addressed { partition, record } = match wish {
            Wish::Room(room, body) => room::payload::address(Command { room, id, issued_at, ttl_ms, body }),
            Wish::User(body) => user::payload::address(UserCommand { user, id, issued_at, ttl_ms, body }),
        };
        self.command(node, asker, partition, record);
    }

    /// Sends a command to its partition's owner.
    pub fn command(&mut self, node: NodeId, asker: Asker, partition: Partition, record: Bytes) {
        let refused = self.with_gateway(node, |gateway| {
            let mut answer = Box::pin(gateway.hub.command(partition, record).get());
            let asked = match lock(&gateway.lines.frames).last() {
                Some(ToOwner::Command { request, .. }) => *request,
                _ => match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(answer) => return Some((asker, answer)),
                    Poll::Pending => return None,
                },
            };
            gateway.pending.insert(asked, (asker, answer));
            None
        });
        if let Some((asker, answer)) = refused {
            self.stats.overloads += 1;
            self.answered(node, asker, answer);
        }
    }

    /// A frame of an owner.
    pub fn gateway_receives(&mut self, node: NodeId, frame: ToGateway) {
        let request = match &frame {
            ToGateway::Answer { request, .. } => Some(*request),
            _ => None,
        };
        let answered = self.with_gateway(node, |gateway| {
            gateway.hub.receive(frame);
            gateway.answer(request?)
        });
        if let Some((asker, answer)) = answered {
            self.answered(node, asker, answer);
        }
    }

    fn answered(&mut self, node: NodeId, asker: Asker, answer: Answer) {
        match asker {
            Asker::Client(connection, token) => self.reply(node, connection, token, answer),
            Asker::Relay(target, place) => self.relay_answered(node, target, place, answer),
            Asker::Expiry(room) => self.expiry_answered(node, room, answer),
        }
    }

    /// Time passes for a gateway.
    pub fn gateway_tick(&mut self, node: NodeId) {
        let given_up = self.with_gateway(node, |gateway| {
            gateway.hub.tick();
            let open: Vec<_> = gateway.pending.keys().copied().collect();
            open.into_iter().filter_map(|request| gateway.answer(request)).collect::<Vec<_>>()
        });
        for (asker, answer) in given_up {
            self.answered(node, asker, answer);
        }
    }

    /// The owner of a partition may be another now.
    pub fn owner_changed(&mut self, node: NodeId, partition: Partition) {
        self.with_gateway(node, |gateway| gateway.hub.owners_changed(|changed| changed == partition));
    }
}
