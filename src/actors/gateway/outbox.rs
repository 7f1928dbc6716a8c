//! What waits for one connection's socket, in order, bounded in bytes.
//!
//! Pushing is one short lock and never waits. Bytes are shared with the other connections. Durable bytes are never
//! dropped silently: what has no room is refused, and its subscription lags behind and is caught up once there is room. A
//! connection that makes no room for long is closed by its own task as slow, comes back and recovers. An empty outbox
//! owns no memory beyond itself. Orders ([`Order`]) stand beside the queue: they wait for nothing that is in it.
//!
//! An outbox knows no hub and no feed: it keeps the places (`P`) of the subscriptions that wait for room, and hands them back.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;

use super::feed::{Ending, Subscribed};
use super::order::Order;
use crate::actors::wire::{Denial, StreamEvent};

/// One thing for the connection's task.
#[derive(Debug)]
pub enum OutboxItem {
    /// To be written as it is.
    Bytes(Bytes),
    /// To be told in the connection's own way, at this place in the order.
    Signal(Box<Signal>),
}

impl OutboxItem {
    /// Bytes that it counts in the outbox until it is written.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Signal(signal) => match &**signal {
                Signal::Subscribed { reply, .. } => reply.events.iter().map(StreamEvent::weight).sum(),
                Signal::Refused { .. } | Signal::Ended { .. } => 0,
            },
        }
    }
}

/// What the gateway tells a connection. `key` is what the connection called its subscription.
#[derive(Debug)]
pub enum Signal {
    /// A subscription begins.
    Subscribed {
        /// Which one.
        key: u32,
        /// Where, and what was missed.
        reply: Subscribed,
    },
    /// A subscription does not begin.
    Refused {
        /// Which one.
        key: u32,
        /// Why.
        reason: Denial,
    },
    /// A subscription ended.
    Ended {
        /// Which one.
        key: u32,
        /// Why.
        why: Ending,
    },
}

/// What [`Outbox::take`] found.
#[derive(Debug)]
pub enum OutboxTake {
    /// Things to write, the oldest first.
    Items(VecDeque<OutboxItem>),
    /// Nothing; the waker given will be woken.
    Nothing,
}

/// A reader that takes less than this part of an outbox in the grace of slow readers does not read what it asked for.
const ASKED_PACE: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Outbox<P> {
    inner: Mutex<Inner<P>>,
    /// Bytes that it holds at most.
    most: u32,
}

#[derive(Debug)]
struct Inner<P> {
    items: VecDeque<OutboxItem>,
    /// Bytes of `items`, and of what was taken and is not written yet.
    bytes: usize,
    waker: Option<Waker>,
    closed: bool,
    /// Something durable was refused, and it has not been empty since.
    refused: bool,
    /// Subscriptions that catch up and wait for room.
    #[expect(clippy::box_collection, reason = "one word instead of three in every idle connection")]
    paused: Option<Box<Vec<P>>>,
    /// What is to be obeyed before anything else.
    #[expect(clippy::box_collection, reason = "as above")]
    orders: Option<Box<Vec<Order>>>,
}

/// What became of a push.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pushed {
    /// It waits for the socket.
    Yes,
    /// There was no room.
    No,
    /// The connection is over.
    Over,
}

impl<P> Inner<P> {
    fn empty(closed: bool) -> Self {
        let (items, bytes, waker, refused) = (VecDeque::new(), 0, None, false);
        Self { items, bytes, waker, closed, refused, paused: None, orders: None }
    }
}

impl<P> Outbox<P> {
    /// An empty one that holds `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { inner: Mutex::new(Inner::empty(false)), most: u32::try_from(most).unwrap_or(u32::MAX) }
    }

    /// Bytes of a channel that must not be lost. Without room for them the subscription lags behind: [`Self::take_paused`]
    /// gives its place back once there is.
    pub(crate) fn push(&self, bytes: Bytes, place: impl FnOnce() -> P) -> Pushed {
        let mut inner = self.lock();
        if inner.closed {
            return Pushed::Over;
        }
        if inner.bytes + bytes.len() > self.most as usize && inner.bytes > 0 {
            inner.refused = true;
            inner.paused.get_or_insert_default().push(place());
            wake(inner);
            return Pushed::No;
        }
        inner.bytes += bytes.len();
        inner.items.push_back(OutboxItem::Bytes(bytes));
        wake(inner);
        Pushed::Yes
    }

    /// Bytes that may be lost: dropped while more than a quarter of the room is taken.
    pub(crate) fn push_ephemeral(&self, bytes: Bytes) -> Pushed {
        let mut inner = self.lock();
        if inner.closed {
            return Pushed::Over;
        }
        if inner.bytes + bytes.len() > self.most as usize / 4 {
            return Pushed::No;
        }
        inner.bytes += bytes.len();
        inner.items.push_back(OutboxItem::Bytes(bytes));
        wake(inner);
        Pushed::Yes
    }

    /// Something that the connection asked for: the asker bounds it (by reading no further commands, by [`Self::room`]), so
    /// it is never refused.
    pub(crate) fn push_asked(&self, item: OutboxItem) {
        let bytes = item.weight();
        let mut inner = self.lock();
        if !inner.closed {
            inner.bytes += bytes;
            inner.items.push_back(item);
            wake(inner);
        }
    }

    /// Something to be obeyed before the next command of the client. The connection's task is woken for it.
    pub(crate) fn order(&self, order: Order) {
        let mut inner = self.lock();
        if !inner.closed {
            inner.orders.get_or_insert_default().push(order);
            wake(inner);
        }
    }

    /// The oldest order that is not obeyed yet.
    pub(crate) fn take_order(&self) -> Option<Order> {
        let mut inner = self.lock();
        let orders = inner.orders.as_mut()?;
        let order = orders.remove(0);
        inner.orders.take_if(|orders| orders.is_empty());
        Some(order)
    }

    /// Something that is told at this place.
    pub fn signal(&self, signal: Signal) {
        self.push_asked(OutboxItem::Signal(Box::new(signal)));
    }

    /// Bytes that a subscription that catches up may add now: half the room is kept for what is live. If there are none,
    /// [`Self::take_paused`] gives the subscription's place back once there are.
    pub fn room(&self, place: impl FnOnce() -> P) -> usize {
        let mut inner = self.lock();
        let room = (self.most as usize / 2).saturating_sub(inner.bytes);
        if room == 0 && !inner.closed {
            inner.paused.get_or_insert_default().push(place());
        }
        room
    }

    /// No time for further commands: more than half of the room is taken.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.is_half_full(&self.lock())
    }

    fn is_half_full(&self, inner: &Inner<P>) -> bool {
        inner.bytes > self.most as usize / 2
    }

    /// Bytes that wait, and that were taken and are not written yet.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Things that wait, and their bytes with those that were taken and are not written yet; for operators.
    #[must_use]
    pub fn waits(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.items.len(), inner.bytes)
    }

    /// Takes all that waits. `written` bytes of what was taken before have left.
    pub fn take(&self, written: usize, cx: &mut Context<'_>) -> OutboxTake {
        let mut inner = self.lock();
        inner.bytes = inner.bytes.saturating_sub(written);
        if inner.items.is_empty() {
            inner.refused = false;
            if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                inner.waker = Some(cx.waker().clone());
            }
            return OutboxTake::Nothing;
        }
        OutboxTake::Items(std::mem::take(&mut inner.items))
    }

    /// Bytes that the reader must take in a while, or it is too slow: a whole outbox once something durable found no room,
    /// because others wait behind it; a small part of it if what the reader itself asked for takes most of the room; else
    /// none. The waker given will be woken by the next push, or order.
    pub fn watch(&self, cx: &mut Context<'_>) -> usize {
        let mut inner = self.lock();
        if !inner.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            inner.waker = Some(cx.waker().clone());
        }
        match (inner.refused, self.is_half_full(&inner)) {
            (true, _) => self.most as usize,
            (false, true) => self.most as usize / ASKED_PACE,
            (false, false) => 0,
        }
    }

    /// The subscriptions that waited for room, if there is room: to be resumed.
    pub(crate) fn take_paused(&self) -> Vec<P> {
        let mut inner = self.lock();
        if inner.paused.is_none() || inner.bytes > self.most as usize / 4 {
            return Vec::new();
        }
        inner.paused.take().map_or_else(Vec::new, |paused| *paused)
    }

    /// The connection is over: drops everything, takes nothing more.
    pub fn close(&self) {
        let mut inner = self.lock();
        let old = std::mem::replace(&mut *inner, Inner::empty(true));
        // What it held is dropped without the lock.
        drop(inner);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<P>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the connection's task, without the lock.
fn wake<P>(mut inner: MutexGuard<'_, Inner<P>>) {
    let waker = inner.waker.take();
    drop(inner);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whose places are numbers.
    type Numbered = Outbox<u32>;

    fn push(outbox: &Numbered, len: usize) -> Pushed {
        outbox.push(bytes(len), || 7)
    }

    fn bytes(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    fn take(outbox: &Numbered, written: usize) -> OutboxTake {
        outbox.take(written, &mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_task_is_woken_once_for_many_pushes() {
        let (outbox, woken) = (Outbox::new(1_000), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        assert!(matches!(outbox.take(0, &mut Context::from_waker(&waker)), OutboxTake::Nothing));
        for _ in 0..3 {
            assert_eq!(push(&outbox, 1), Pushed::Yes);
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(matches!(take(&outbox, 0), OutboxTake::Items(items) if items.len() == 3));
    }

    #[test]
    fn what_was_taken_counts_until_it_is_written() {
        let outbox = Outbox::new(1_000);
        push(&outbox, 600);
        assert!(matches!(take(&outbox, 0), OutboxTake::Items(_)));
        assert!(outbox.is_busy());
        assert!(matches!(take(&outbox, 600), OutboxTake::Nothing));
        assert!(!outbox.is_busy());
        assert_eq!(push(&outbox, 1_000), Pushed::Yes);
    }

    #[test]
    fn what_has_no_room_is_refused_and_named_once_there_is() {
        let (outbox, woken) = (Outbox::new(1_000), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        push(&outbox, 500);
        assert_eq!(outbox.watch(&mut Context::from_waker(&waker)), 0);
        push(&outbox, 400);
        assert_eq!(outbox.watch(&mut Context::from_waker(&waker)), 125, "nobody else waits with him");
        assert_eq!(push(&outbox, 101), Pushed::No);
        assert_eq!(woken.0.load(Ordering::Relaxed), 2, "the task hears of it");
        assert_eq!(outbox.watch(&mut Context::from_waker(&waker)), 1_000);
        assert!(outbox.take_paused().is_empty());
        assert!(matches!(take(&outbox, 0), OutboxTake::Items(_)));
        assert!(matches!(take(&outbox, 900), OutboxTake::Nothing));
        assert_eq!(outbox.take_paused(), [7]);
        assert_eq!(outbox.watch(&mut Context::from_waker(&waker)), 0);
    }

    #[test]
    fn an_order_waits_for_nothing_and_keeps_its_place_among_orders() {
        let (outbox, woken) = (Outbox::new(1_000), Arc::new(Woken::default()));
        let waker = Waker::from(woken.clone());
        push(&outbox, 400);
        outbox.watch(&mut Context::from_waker(&waker));
        outbox.order(Order::close(3503));
        outbox.order(Order::Unsubscribe { channel: "x".into() });
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert!(matches!(outbox.take_order(), Some(Order::Close { code: 3503, .. })));
        assert!(matches!(outbox.take_order(), Some(Order::Unsubscribe { .. })));
        assert!(outbox.take_order().is_none());
        outbox.close();
        outbox.order(Order::close(3503));
        assert!(outbox.take_order().is_none());
    }

    #[test]
    fn one_message_above_the_bound_passes_when_nothing_else_waits() {
        let outbox = Outbox::new(1_000);
        assert_eq!(push(&outbox, 1_500), Pushed::Yes);
        assert_eq!(push(&outbox, 1), Pushed::No);
    }

    #[test]
    fn the_ephemeral_goes_first() {
        let outbox = Outbox::new(1_000);
        assert_eq!(outbox.push_ephemeral(bytes(200)), Pushed::Yes);
        assert_eq!(outbox.push_ephemeral(bytes(51)), Pushed::No);
        assert_eq!(push(&outbox, 700), Pushed::Yes);
        assert!(matches!(take(&outbox, 0), OutboxTake::Items(items) if items.len() == 2));
    }

    #[test]
    fn nothing_reaches_a_connection_that_is_over() {
        let outbox = Outbox::new(1_000);
        push(&outbox, 900);
        push(&outbox, 900);
        outbox.close();
        assert_eq!((push(&outbox, 1), outbox.push_ephemeral(bytes(1))), (Pushed::Over, Pushed::Over));
        assert!(matches!(take(&outbox, 0), OutboxTake::Nothing));
        assert!(outbox.take_paused().is_empty());
    }

    #[test]
    fn an_empty_outbox_is_small() {
        assert!(size_of::<Numbered>() <= 96, "{}", size_of::<Numbered>());
    }
}
