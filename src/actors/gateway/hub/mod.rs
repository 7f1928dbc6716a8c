//! The hub of a node: everything that connections of this node listen to.
//!
//! A shell around the pure [`super::feed`]: locks, encoding, outboxes. One event is encoded once for each wire
//! format in use and its bytes are shared. The hub never decides what a fold decides, and never waits: whatever cannot
//! be taken is refused or asked again.
//!
//! Locks: a feed's lock may be held while the lock of an outbox or of a map is taken, never the other way round.

mod channel;
mod fanout;
mod limiter;
mod sessions;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;

pub(crate) use channel::{Channel, Place, Presence};
pub use channel::{Numbers, Subscription};
pub(crate) use limiter::Limiter;
pub use limiter::Rate;
pub use sessions::{Connection, Sessions, Wire};

use super::feed::Position;
use crate::actors::wire::{Entity, Ephemeral, RequestId, StreamEvent, ToGateway, ToOwner};
use crate::env::Clock;
use crate::ids::{Partition, Timestamp};
use crate::metrics::Metrics;

/// How often [`Hub::tick`] is due.
pub(crate) const TICK: Duration = Duration::from_millis(250);

/// The way to the owners of partitions.
pub(crate) trait Owners: Send + Sync + 'static {
    /// Hands a frame on. Frames of one caller reach one partition in the order in which they were sent. Must not wait,
    /// and must not call the hub: answers come later, from elsewhere, through [`Hub::receive`].
    ///
    /// # Errors
    /// Nobody takes it now; nothing has happened.
    fn send(&self, frame: ToOwner) -> Result<(), NotTaken>;

    /// A number for the next question: higher than all before it.
    fn next_request(&self) -> RequestId;
}

/// A frame was not taken: the queue of its partition is full, or no owner of it can be reached now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the partition takes nothing now")]
pub(crate) struct NotTaken;

/// How pushes stand on the wire. Messages in one result stand as they would stand in one frame.
pub(crate) trait Encode: Send + Sync + 'static {
    /// Events of a channel, as publications in their order.
    fn events(&self, wire: Wire, channel: &str, open: bool, events: &[StreamEvent]) -> Bytes;
    /// Something without a place in the stream.
    fn ephemeral(&self, wire: Wire, channel: &str, event: &Ephemeral) -> Bytes;
    /// Somebody subscribed to the channel.
    fn join(&self, wire: Wire, channel: &str, who: &Presence) -> Bytes;
    /// Somebody left it.
    fn leave(&self, wire: Wire, channel: &str, who: &Presence) -> Bytes;
}

/// What is listened to, and by which kind of name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StreamKey {
    /// The stream.
    pub stream: Entity,
    /// By an open channel's name.
    pub open: bool,
}

/// What a subscriber wants beside the events.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wishes {
    /// Others hear of this subscriber coming and going.
    pub announced: bool,
    /// It hears of others coming and going.
    pub join_leave: bool,
    /// What others see of it in this channel, JSON text.
    pub info: Option<Box<Bytes>>,
    /// Where it stood when it was cut off.
    pub recover: Option<Position>,
}

/// See the module.
pub struct Hub {
    /// Those that are listened to, or linger. A channel leaves it under its own lock: so no guard of this map is held while
    /// a channel is locked.
    channels: DashMap<StreamKey, Arc<Channel>>,
    /// Feeds that wait for time to pass.
    waiting: Mutex<Vec<Arc<Channel>>>,
    sessions: Sessions,
    metrics: Arc<Metrics>,
    owners: Arc<dyn Owners>,
    encoder: Arc<dyn Encode>,
    clock: Arc<dyn Clock>,
}

impl Hub {
    /// A hub without connections.
    #[must_use]
    pub(crate) fn new(
        owners: Arc<dyn Owners>,
        encoder: Arc<dyn Encode>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            channels: DashMap::new(),
            waiting: Mutex::default(),
            sessions: Sessions::default(),
            metrics,
            owners,
            encoder,
            clock,
        }
    }

    /// The connections.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Feeds with listeners, or lingering.
    #[must_use]
    pub(crate) fn feeds(&self) -> usize {
        self.channels.len()
    }

    /// The channels that connections of this node are subscribed to, by name, and how many are.
    #[must_use]
    pub fn channels(&self) -> Vec<(Box<str>, usize)> {
        let all: Vec<Arc<Channel>> = self.channels.iter().map(|channel| Arc::clone(&channel)).collect();
        let counted = all.iter().map(|channel| (channel.channel().into(), channel.subscribers()));
        counted.filter(|(_, subscribers)| *subscribers > 0).collect()
    }

    /// Connections of this node that are subscribed.
    #[must_use]
    pub(crate) fn presence(&self, key: &StreamKey) -> Vec<Presence> {
        self.cell(key).map(|cell| cell.presence()).unwrap_or_default()
    }

    /// How many connections of this node are subscribed.
    #[must_use]
    pub fn numbers(&self, key: &StreamKey) -> Numbers {
        self.cell(key).map(|cell| cell.numbers(self.now())).unwrap_or_default()
    }

    /// A frame of an owner. Answers to what others asked than feeds are for the router's table, and nothing to the hub.
    pub(crate) fn receive(&self, frame: ToGateway) {
        let Some(stream) = stream_of(&frame) else { return };
        // The number is taken before the search for subscribers: one that comes meanwhile listens with a higher number, and
        // the owner ignores an Unlisten whose number is below that of the last Listen.
        let unlisten = self.next_request();
        let mut known = false;
        for open in [false, true] {
            // Only rooms have open channels.
            if open && matches!(stream, Entity::User(_)) {
                continue;
            }
            let key = StreamKey { stream: stream.clone(), open };
            if let Some(cell) = self.cell(&key) {
                known = true;
                cell.receive(self, &frame);
            }
        }
        if !known && matches!(frame, ToGateway::Events { .. } | ToGateway::Head { .. }) {
            // The owner did not hear that nobody listens any more.
            let _ = self.owners.send(ToOwner::Unlisten { request: unlisten, stream });
        }
    }

    /// A connection wants to listen. The answer is a [`super::outbox::Signal`] in its outbox, named by `key`, before any of
    /// the channel's events.
    pub fn subscribe(
        &self,
        stream: StreamKey,
        channel: &str,
        connection: &Arc<Connection>,
        key: u32,
        wishes: Wishes,
    ) -> Subscription {
        loop {
            let new = || Arc::new(Channel::new(&stream, channel, self.now()));
            let cell = Arc::clone(&self.channels.entry(stream.clone()).or_insert_with(new));
            if let Some(id) = cell.subscribe(self, connection, key, &wishes) {
                return Subscription { cell, id };
            }
            // It closed just now and has left the map: the next one is new.
        }
    }

    /// A connection's outbox has room again: its subscribers that waited for room go on catching up. False if nobody did.
    pub(crate) fn resume(&self, connection: &Connection) -> bool {
        let paused = connection.outbox.take_paused();
        for (cell, id) in &paused {
            cell.resume(self, *id);
        }
        !paused.is_empty()
    }

    /// The owners of these partitions may have forgotten that this node listens (they moved or restarted).
    pub(crate) fn owners_changed(&self, changed: impl Fn(Partition) -> bool) {
        let meant = self.channels.iter().filter(|channel| changed(channel.key().stream.partition()));
        let mut meant: Vec<Arc<Channel>> = meant.map(|channel| Arc::clone(&channel)).collect();
        // What is asked for goes out in one order, whatever the map's is: a run of the simulation replays.
        meant.sort_unstable_by(|one, other| one.key().cmp(other.key()));
        for channel in meant {
            channel.owner_changed(self);
        }
    }

    /// Time has passed; due every [`TICK`].
    pub fn tick(&self) {
        let now = self.now();
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        let mut still = Vec::new();
        for cell in waiting {
            if cell.tick(self, now) {
                still.push(cell);
            }
        }
        lock(&self.waiting).append(&mut still);
    }

    /// Ticks until the hub is dropped elsewhere or the future is.
    pub async fn run(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    /// For waiting: a clock that is set back must not stop what is asked again by time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.steady()
    }

    fn next_request(&self) -> RequestId {
        self.owners.next_request()
    }

    fn cell(&self, key: &StreamKey) -> Option<Arc<Channel>> {
        self.channels.get(key).map(|channel| Arc::clone(&channel))
    }
}

fn stream_of(frame: &ToGateway) -> Option<Entity> {
    match frame {
        ToGateway::Answer { .. } | ToGateway::Queried { .. } => None,
        ToGateway::Granted { stream, .. }
        | ToGateway::Denied { stream, .. }
        | ToGateway::Events { stream, .. }
        | ToGateway::Head { stream, .. }
        | ToGateway::Fetched { stream, .. }
        | ToGateway::Ephemeral { stream, .. } => Some(stream.clone()),
    }
}

/// A lock whose holder panicked still holds what it held: nothing here is left half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
