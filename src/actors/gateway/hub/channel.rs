//! One feed under its lock, with its channel's name; and the subscriptions in it as connections hold them.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use uuid::Uuid;

use super::fanout::{Fanout, Listener, Pieces};
use super::{Connection, Hub, StreamKey, Wishes, lock};
use crate::actors::gateway::feed::{Feed, SubscriberId};
use crate::actors::wire::ToGateway;
use crate::ids::{Generation, Seq, Timestamp, UserId};
use crate::limits;

/// Milliseconds that the numbers of a large channel are good for.
const COUNTED_MS: u64 = 1_000;

/// A feed of this node.
pub struct Channel {
    key: StreamKey,
    channel: Box<str>,
    inner: Mutex<Inner>,
}

struct Inner {
    feed: Feed<Listener>,
    /// Encoded events, while somebody lags behind.
    pieces: Option<Box<Pieces>>,
    /// It has left the map: nobody may come any more.
    closed: bool,
    /// What was counted last, and when, if it takes long to count.
    counted: Option<(Timestamp, Numbers)>,
    /// It stands in the list of those that wait for time to pass.
    waiting: bool,
}

/// Who is subscribed to a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Presence {
    /// The connection.
    pub client: Uuid,
    /// Its user.
    pub user: UserId,
    /// What others see of the user, JSON text.
    pub connection_info: Option<Bytes>,
    /// What other subscribers see of this one in this channel, JSON text.
    pub channel_info: Option<Bytes>,
}

/// How many are subscribed to a channel on this node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// Connections.
    pub clients: usize,
    /// Users that they belong to.
    pub users: usize,
}

/// A subscriber in a feed, as an outbox keeps it that has no room for the next event.
pub(crate) type Place = (Arc<Channel>, SubscriberId);

/// A place in a feed. Dropping it does not end it: [`Subscription::end`] does.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub(super) cell: Arc<Channel>,
    pub(super) id: SubscriberId,
}

impl Subscription {
    /// Ends it: the client asked for it, or its connection is over.
    pub fn end(&self, hub: &Hub) {
        self.cell.with(hub, |feed, fanout| {
            if let Some(listener) = feed.unsubscribe(self.id, hub.now()) {
                fanout.left(&listener);
            }
        });
    }

    /// What is listened to.
    #[must_use]
    pub fn key(&self) -> &StreamKey {
        &self.cell.key
    }

    /// Where the subscriber stands: it may see what is up to here. `None` once it is subscribed no more, even if it was not
    /// told yet: what the subscription allows is allowed only while there is a place.
    #[must_use]
    pub fn place(&self) -> Option<(Generation, Seq)> {
        lock(&self.cell.inner).feed.place(self.id)
    }

    /// The subscriber as others see it, while it has a place.
    #[must_use]
    pub(crate) fn own_presence(&self) -> Option<Presence> {
        let inner = lock(&self.cell.inner);
        inner.feed.place(self.id)?;
        inner.feed.subscriber(self.id).map(Listener::presence)
    }

    /// Connections of this node that are subscribed, `most` of them at most, for one of them.
    #[must_use]
    pub(crate) fn presence(&self, most: usize) -> Option<Vec<Presence>> {
        let inner = lock(&self.cell.inner);
        inner.feed.place(self.id)?;
        Some(inner.feed.subscribers().take(most).map(|(_, listener)| listener.presence()).collect())
    }

    /// How many are subscribed, for one of them.
    #[must_use]
    pub fn numbers(&self, hub: &Hub) -> Option<Numbers> {
        self.place()?;
        Some(self.cell.numbers(hub.now()))
    }
}

impl Channel {
    pub(super) fn new(key: &StreamKey, channel: &str, now: Timestamp) -> Self {
        let feed = Feed::new(key.stream.clone(), key.open, now);
        let inner = Mutex::new(Inner { feed, pieces: None, closed: false, counted: None, waiting: false });
        Self { key: key.clone(), channel: Box::from(channel), inner }
    }

    pub(super) fn key(&self) -> &StreamKey {
        &self.key
    }

    pub(super) fn channel(&self) -> &str {
        &self.channel
    }

    pub(super) fn presence(&self) -> Vec<Presence> {
        lock(&self.inner).feed.subscribers().map(|(_, listener)| listener.presence()).collect()
    }

    /// In a large channel they may be a second old: to count takes as long as to hand on a message.
    pub(super) fn numbers(&self, now: Timestamp) -> Numbers {
        let mut inner = lock(&self.inner);
        if let Some((at, numbers)) = inner.counted
            && now.since(at) < COUNTED_MS
            && at <= now
        {
            return numbers;
        }
        let listeners = || inner.feed.subscribers().map(|(_, listener)| listener.user());
        let users: HashSet<_> = listeners().collect();
        let numbers = Numbers { clients: listeners().count(), users: users.len() };
        inner.counted = (numbers.clients > limits::PRESENCE_NAMED).then_some((now, numbers));
        numbers
    }

    pub(super) fn subscribers(&self) -> usize {
        lock(&self.inner).feed.subscribers().count()
    }

    /// None if the cell is closed.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        hub: &Hub,
        connection: &Arc<Connection>,
        key: u32,
        wishes: &Wishes,
    ) -> Option<SubscriberId> {
        self.with(hub, |feed, fanout| {
            let listener = Listener::new(connection.clone(), key, wishes);
            feed.subscribe(listener, connection.user.clone(), wishes.recover, hub.now(), fanout)
        })
    }

    pub(super) fn receive(self: &Arc<Self>, hub: &Hub, frame: &ToGateway) {
        self.with(hub, |feed, fanout| feed.receive(frame, hub.now(), fanout));
    }

    pub(super) fn owner_changed(self: &Arc<Self>, hub: &Hub) {
        self.with(hub, |feed, fanout| feed.owner_changed(hub.now(), fanout));
    }

    pub(super) fn resume(self: &Arc<Self>, hub: &Hub, id: SubscriberId) {
        self.with(hub, |feed, fanout| feed.resume(id, hub.now(), fanout));
    }

    /// Returns whether it still waits for time to pass.
    pub(super) fn tick(self: &Arc<Self>, hub: &Hub, now: Timestamp) -> bool {
        let mut inner = lock(&self.inner);
        let Inner { feed, pieces, .. } = &mut *inner;
        let mut fanout = Fanout::new(hub, self, pieces);
        let over = feed.tick(now, &mut fanout);
        fanout.finish(feed);
        if over {
            // Under the feed's lock: a subscriber that finds it closed finds another one in the map, or none.
            inner.closed = true;
            hub.channels.remove(&self.key);
        }
        inner.waiting = !over && inner.feed.needs_ticks();
        let waiting = inner.waiting;
        drop(inner);
        if over && let Some(twin) = hub.cell(&StreamKey { open: !self.key.open, ..self.key.clone() }) {
            // A room may be known by its uuid and by an open channel's name. The owner counts nodes, not names: who went by
            // one of them has taken the other off its list as well.
            twin.owner_changed(hub);
        }
        waiting
    }

    /// Does something to the feed, with everything that follows. None if it is closed.
    fn with<T>(
        self: &Arc<Self>,
        hub: &Hub,
        change: impl FnOnce(&mut Feed<Listener>, &mut Fanout<'_>) -> T,
    ) -> Option<T> {
        let mut inner = lock(&self.inner);
        if inner.closed {
            return None;
        }
        let Inner { feed, pieces, .. } = &mut *inner;
        let mut fanout = Fanout::new(hub, self, pieces);
        let result = change(feed, &mut fanout);
        fanout.finish(feed);
        let waits = inner.feed.needs_ticks() && !inner.waiting;
        inner.waiting |= waits;
        drop(inner);
        if waits {
            lock(&hub.waiting).push(self.clone());
        }
        Some(result)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cell").field("key", &self.key).finish_non_exhaustive()
    }
}
