//! One stream with listeners on this node, as a pure machine: frames, requests and time in; deliveries and frames out.
//!
//! It turns what may be lost, doubled, delayed or overtaken into exact order for each subscriber (I5): events are applied
//! strictly by seq, duplicates dropped, gaps fetched; a subscriber that comes back with a position gets what it lacks
//! before anything newer; no user gets an event above the one that removed that user (P6). It never reads a clock, never
//! blocks, and never tells a subscriber that it recovered unless every seq will come, or its subscription ends (P4).
//!
//! | file | holds |
//! |---|---|
//! | here | the types, subscribing and unsubscribing, the frames |
//! | `apply` | events in order, the ring, removals |
//! | `admission` | grants: how a subscriber gets its place in the order |
//! | `catch_up` | subscribers that catch up |
//! | `fetch` | questions for events that are missing; time |
//! | `subscribers`, `ring` | the two containers |

mod admission;
mod apply;
mod catch_up;
mod fetch;
mod ring;
mod subscribers;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub(crate) use subscribers::{LiveSubscribers, SubscriberId};

use self::admission::Lease;
use self::fetch::Fetch;
use self::ring::FeedRing;
use self::subscribers::{CatchUp, Joining, Subscriber, SubscriberState, Subscribers};
use crate::actors::wire::{Denial, Entity, Ephemeral, RequestId, StreamEvent, ToGateway, ToOwner};
use crate::epoch::Epoch;
use crate::ids::{Generation, Seq, Timestamp, UserId};

/// Where a client stood when it was cut off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// What it saw it in.
    pub epoch: Epoch,
    /// The last seq it has.
    pub offset: Seq,
}

/// A subscription begins.
#[derive(Clone, PartialEq, Debug)]
pub struct Subscribed {
    /// The stream's generation.
    pub generation: Generation,
    /// The place from which `events` go on, dense: where it stood, if it recovers; where it enters otherwise. A client
    /// moves forward from it with each event that it hands on, so it must not name one that it has not handed on yet.
    pub offset: Seq,
    /// Whether everything since the position that it named is here or comes before anything newer.
    pub recovered: bool,
    /// The first of what it missed; the rest follows through [`Output::catch_up`].
    pub(crate) events: Vec<StreamEvent>,
}

/// Why a subscription ends that its client did not end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The last event that it got removed its user.
    Removed,
    /// The order can't be kept for it: it has to subscribe again from where it is.
    Insufficient,
}

/// What a feed causes. The hub has one; tests and the simulation have another. None of its methods may call the feed.
pub trait Output<S> {
    /// A request id higher than all before.
    fn request(&mut self) -> RequestId;
    /// A frame for the owner. May be lost.
    fn send(&mut self, frame: ToOwner);
    /// The next events for everybody who is up to date. Names those who could not take all of them and how many they
    /// took; each of them is caught up once [`Feed::resume`] is called for it.
    fn live(&mut self, events: &[StreamEvent], to: LiveSubscribers<'_, S>) -> Vec<(SubscriberId, usize)>;
    /// The next events for one who catches up.
    fn catch_up(&mut self, to: &S, events: &[StreamEvent]);
    /// Bytes that one who catches up can take now. If 0, [`Feed::resume`] must be called once there is room.
    fn room(&mut self, id: SubscriberId, to: &S) -> usize;
    /// The subscription begins.
    fn subscribed(&mut self, to: &S, reply: Subscribed);
    /// It does not begin.
    fn refused(&mut self, to: &S, reason: Denial);
    /// It ends. Called before the subscriber is dropped.
    fn ended(&mut self, to: &S, why: Ending);
    /// Something without a place in the stream, for everybody who is up to date.
    fn ephemeral(&mut self, event: &Ephemeral, to: LiveSubscribers<'_, S>);
}

/// See the module. `S` names a subscriber to the outside.
pub(crate) struct Feed<S> {
    stream: Entity,
    /// Whether it is listened to by an open channel's name.
    open: bool,
    /// `None` until the first grant: then `head`, `target` and `floor` mean nothing.
    generation: Option<Generation>,
    /// The last seq applied.
    head: Seq,
    /// The highest seq known to exist.
    target: Seq,
    /// The lowest seq that the owner can still give.
    floor: Seq,
    ring: FeedRing,
    /// Events that came before their turn.
    ahead: BTreeMap<Seq, StreamEvent>,
    subscribers: Subscribers<S>,
    /// Who joins, by the number of the question that counts.
    asked: BTreeMap<RequestId, SubscriberId>,
    /// Who was granted a place that the feed has not looked at yet, or is not at yet, by its seq.
    granted: BTreeSet<(Seq, SubscriberId)>,
    /// Who catches up and needs an event that is not at hand, by its seq.
    wanting: BTreeSet<(Seq, SubscriberId)>,
    fetches: Vec<Fetch>,
    lease: Option<Box<Lease>>,
    /// Since when nobody listens.
    idle_since: Option<Timestamp>,
}

impl<S> Feed<S> {
    /// A feed without listeners.
    #[must_use]
    pub(crate) fn new(stream: Entity, open: bool, now: Timestamp) -> Self {
        Self {
            stream,
            open,
            generation: None,
            head: Seq::ZERO,
            target: Seq::ZERO,
            floor: Seq::ZERO,
            ring: FeedRing::default(),
            ahead: BTreeMap::new(),
            subscribers: Subscribers::default(),
            asked: BTreeMap::new(),
            granted: BTreeSet::new(),
            wanting: BTreeSet::new(),
            fetches: Vec::new(),
            lease: None,
            idle_since: Some(now),
        }
    }

    /// Where a subscriber stands: it may see what is up to there. `None` if its subscription has not begun, is over, or
    /// is at its end by an event that it did not get yet.
    #[must_use]
    pub(crate) fn place(&self, id: SubscriberId) -> Option<(Generation, Seq)> {
        self.generation.zip(self.subscribers.place(id, self.head))
    }

    /// A subscriber, whether or not its subscription has begun.
    #[must_use]
    pub(crate) fn subscriber(&self, id: SubscriberId) -> Option<&S> {
        self.subscribers.get(id).map(|subscriber| &subscriber.to)
    }

    /// Everybody whose subscription has begun and is not at its end.
    #[must_use]
    pub(crate) fn subscribers(&self) -> LiveSubscribers<'_, S> {
        self.subscribers.begun()
    }

    /// Subscribers in all, those included whose subscription has not begun.
    #[must_use]
    pub(crate) fn count(&self) -> usize {
        self.subscribers.len()
    }

    /// Whether [`Self::tick`] has something to wait for.
    #[must_use]
    pub(crate) fn needs_ticks(&self) -> bool {
        !(self.subscribers.joining().is_empty() && self.subscribers.behind().is_empty() && self.fetches.is_empty())
            || self.lease.is_some()
            || self.idle_since.is_some()
    }

    /// Somebody wants to listen, perhaps from a position on. Answered by [`Output::subscribed`] or [`Output::refused`],
    /// the latter within [`crate::limits::GATEWAY_GIVE_UP_MS`].
    pub(crate) fn subscribe(
        &mut self,
        to: S,
        user: UserId,
        recover: Option<Position>,
        now: Timestamp,
        out: &mut impl Output<S>,
    ) -> SubscriberId {
        let request = out.request();
        let joining = Joining { request, first_asked: now, asked: now, recover, grant: None };
        let id = self.subscribers.insert(Subscriber {
            user: user.clone(),
            to,
            state: SubscriberState::Joining(Box::new(joining)),
        });
        self.asked.insert(request, id);
        self.idle_since = None;
        out.send(ToOwner::Listen { request, stream: self.stream.clone(), user, open: self.open });
        id
    }

    /// A client ends its subscription. Returns the subscriber, unless it had gone already.
    pub(crate) fn unsubscribe(&mut self, id: SubscriberId, now: Timestamp) -> Option<S> {
        let subscriber = self.remove(id)?;
        self.note_idle(now);
        Some(subscriber.to)
    }

    /// There is room again for one who catches up.
    pub(crate) fn resume(&mut self, id: SubscriberId, now: Timestamp, out: &mut impl Output<S>) {
        if let Some(Subscriber { state: SubscriberState::CatchUp(behind), .. }) = self.subscribers.get_mut(id) {
            behind.paused = false;
            self.advance(id, now, out);
        }
        self.settle(now, out);
    }

    /// A frame of the owner for this stream. Frames for other streams and answers to commands are not for a feed.
    pub(crate) fn receive(&mut self, frame: &ToGateway, now: Timestamp, out: &mut impl Output<S>) {
        match frame {
            ToGateway::Granted { request, generation, head, floor, .. } => {
                self.granted(*request, *generation, *head, *floor, now, out);
            }
            ToGateway::Denied { request, reason, .. } => self.denied(*request, *reason, now, out),
            ToGateway::Events { generation, events, .. } => {
                if self.is_current(*generation, now, out) {
                    self.ingest(events, out);
                }
            }
            ToGateway::Head { generation, head, .. } => {
                if self.is_current(*generation, now, out) {
                    self.target = self.target.max(*head);
                }
            }
            ToGateway::Fetched { request, generation, events, .. } => {
                if self.is_current(*generation, now, out) {
                    self.fetched(*request, events, now, out);
                }
            }
            ToGateway::Ephemeral { event, .. } => {
                if self.subscribers.live() > 0 {
                    out.ephemeral(event, self.subscribers.listeners());
                }
            }
            ToGateway::Answer { .. } | ToGateway::Queried { .. } => {}
        }
        self.settle(now, out);
    }

    /// The owner may have forgotten that we listen (it moved, or restarted): asks again.
    pub(crate) fn owner_changed(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        self.ask_joining_again(now, out);
        self.keep_listening(0, now, out);
    }

    /// Time has passed. Asks again what was not answered, gives up what took too long. Returns true if the feed is over:
    /// nobody has listened for long, the owner was told, and the feed is to be dropped.
    pub(crate) fn tick(&mut self, now: Timestamp, out: &mut impl Output<S>) -> bool {
        self.tick_joining(now, out);
        self.tick_keeper(now, out);
        self.tick_fetches(now, out);
        self.tick_behind(now, out);
        self.settle(now, out);
        self.note_idle(now);
        let over = self.idle_since.is_some_and(|since| now.since(since) >= crate::limits::FEED_LINGER_MS);
        if over {
            let request = out.request();
            out.send(ToOwner::Unlisten { request, stream: self.stream.clone() });
        }
        over
    }

    /// Whether a frame of this generation is about the present. A higher one ends all subscriptions.
    fn is_current(&mut self, generation: Generation, now: Timestamp, out: &mut impl Output<S>) -> bool {
        match self.generation {
            Some(known) if known == generation => true,
            Some(known) if known < generation => {
                self.reset(now, out);
                false
            }
            _ => false,
        }
    }

    /// The order is lost: subscriptions that have begun end and have to come again; grants are asked for again for the
    /// others.
    fn reset(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        self.generation = None;
        self.head = Seq::ZERO;
        self.target = Seq::ZERO;
        self.floor = Seq::ZERO;
        self.ring = FeedRing::default();
        self.ahead.clear();
        self.fetches.clear();
        self.granted.clear();
        self.wanting.clear();
        self.lease = None;
        for id in self.subscribers.ids() {
            match self.subscribers.get(id).map(|subscriber| &subscriber.state) {
                Some(SubscriberState::Joining(_)) => {}
                Some(SubscriberState::CatchUp(behind)) if !behind.replied => self.listen_again(id, now, out),
                _ => self.end(id, Ending::Insufficient, out),
            }
        }
        self.ask_joining_again(now, out);
        self.note_idle(now);
    }

    /// Does everything that has become possible. Whatever it looks at is looked at because something happened to it, or it
    /// takes constant time: a whole room comes back one by one.
    fn settle(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        if self.generation.is_none() {
            return;
        }
        self.close_gap(now, out);
        self.join_granted(now, out);
        self.ask_for_wanted(now, out);
    }

    fn end(&mut self, id: SubscriberId, why: Ending, out: &mut impl Output<S>) {
        if let Some(subscriber) = self.remove(id) {
            out.ended(&subscriber.to, why);
        }
    }

    fn refuse(&mut self, id: SubscriberId, reason: Denial, out: &mut impl Output<S>) {
        if let Some(subscriber) = self.remove(id) {
            out.refused(&subscriber.to, reason);
        }
    }

    fn remove(&mut self, id: SubscriberId) -> Option<Subscriber<S>> {
        let subscriber = self.subscribers.remove(id)?;
        self.forget(id, &subscriber.state);
        Some(subscriber)
    }

    fn note_idle(&mut self, now: Timestamp) {
        if !self.subscribers.is_empty() {
            self.idle_since = None;
        } else if self.idle_since.is_none() {
            self.idle_since = Some(now);
        }
    }

    /// The subscriber has left this state: nothing that concerns the state waits for it.
    fn forget(&mut self, id: SubscriberId, state: &SubscriberState) {
        match state {
            SubscriberState::Joining(joining) => {
                self.asked.remove(&joining.request);
                if let Some(grant) = joining.grant {
                    self.granted.remove(&(grant.head, id));
                }
            }
            SubscriberState::CatchUp(behind) => _ = self.wanting.remove(&(behind.at.next(), id)),
            SubscriberState::Live => {}
        }
    }

    fn set(&mut self, id: SubscriberId, state: SubscriberState) {
        if let Some(before) = self.subscribers.set(id, state) {
            self.forget(id, &before);
        }
    }

    /// From joining to catching up.
    fn set_behind(&mut self, id: SubscriberId, behind: CatchUp) {
        self.set(id, SubscriberState::CatchUp(Box::new(behind)));
    }

    /// From being up to date to catching up: it takes nothing more at the moment.
    fn set_lagging(&mut self, id: SubscriberId, at: Seq) {
        let (replied, since) = (true, Timestamp::ZERO);
        let behind = CatchUp { admitted: at, at, replied, paused: true, dismissed: false, since };
        self.set_behind(id, behind);
    }

    /// Whether somebody catches up.
    #[must_use]
    pub(crate) fn has_behind(&self) -> bool {
        !self.subscribers.behind().is_empty()
    }

    /// From joining or catching up to being up to date.
    fn set_live(&mut self, id: SubscriberId) {
        self.set(id, SubscriberState::Live);
    }
}
