//! The subscriptions of one connection: asked for, begun, over. Where each stands in its stream is the feed's to know; here
//! is only what the client was told or waits for. It never gives up a place by itself: it hands it to the driver, which ends
//! it in the hub.

use std::time::Duration;

use super::Dialect;
use crate::actors::gateway::feed::{Ending, Subscribed};
use crate::actors::gateway::outbox::Signal;
use crate::actors::wire::Denial;
use crate::limits;

/// A subscription of this connection.
pub(crate) struct Sub<D: Dialect> {
    key: u32,
    /// The channel's name.
    pub channel: Box<str>,
    /// Its place in the feed.
    pub place: D::Place,
    /// Until it is answered: what it was asked for with.
    pub wish: Option<Box<D::Wish>>,
    server_side: bool,
    must_recover: bool,
    expires: Option<Duration>,
}

impl<D: Dialect> Sub<D> {
    /// One that has just been asked for. `key`: what the gateway calls it.
    pub(crate) fn asked(key: u32, channel: Box<str>, place: D::Place, wish: D::Wish) -> Self {
        let wish = Some(Box::new(wish));
        Self { key, channel, place, wish, server_side: false, must_recover: false, expires: None }
    }

    /// The same, made by the server: without it the client can't live.
    pub(crate) fn server_side(self, server_side: bool) -> Self {
        Self { server_side, ..self }
    }

    /// The same, and it shall not begin without everything that the client missed.
    pub(crate) fn must_recover(self, must_recover: bool) -> Self {
        Self { must_recover, ..self }
    }

    /// What the gateway calls it.
    pub(crate) fn key(&self) -> u32 {
        self.key
    }

    /// It is neither begun nor refused.
    pub(crate) fn is_pending(&self) -> bool {
        self.wish.is_some()
    }
}

/// What the client is to be told of a subscription.
pub(crate) enum Told<D: Dialect> {
    /// It begins here.
    Begun(Box<D::Wish>, Subscribed),
    /// It would begin, but not with everything that was missed, as it must: it is over.
    Unrecovered(Sub<D>),
    /// It does not begin.
    Refused(Sub<D>, Denial),
    /// It is over: the user may not listen any more.
    Removed(Sub<D>),
    /// It is over: the client must ask for it again.
    Insufficient(Sub<D>),
    /// It is over, and the client can't ask for it again without a new connection.
    Lost(Sub<D>),
}

/// See the module.
pub(crate) struct Subscriptions<D: Dialect> {
    all: Vec<Sub<D>>,
    last_key: u32,
    /// The first time at which one expires.
    expires: Option<Duration>,
}

impl<D: Dialect> Subscriptions<D> {
    pub(super) fn new() -> Self {
        Self { all: Vec::new(), last_key: 0, expires: None }
    }

    /// A name for the next subscription; never the same twice.
    pub(crate) fn next_key(&mut self) -> u32 {
        self.last_key += 1;
        self.last_key
    }

    /// As many as a connection may have.
    pub(crate) fn is_full(&self) -> bool {
        self.all.len() >= limits::SESSION_SUBSCRIPTIONS
    }

    /// One was asked for.
    pub(crate) fn add(&mut self, sub: Sub<D>) {
        if self.all.is_empty() {
            // Most clients have their personal channel and little else.
            self.all.reserve_exact(1);
        }
        self.all.push(sub);
    }

    /// The subscription to a channel.
    pub(crate) fn find(&self, channel: &str) -> Option<&Sub<D>> {
        self.all.iter().find(|sub| &*sub.channel == channel)
    }

    /// The subscription that the gateway calls so.
    pub(crate) fn get(&self, key: u32) -> Option<&Sub<D>> {
        self.all.iter().find(|sub| sub.key == key)
    }

    /// The subscription to a channel is over.
    pub(crate) fn remove(&mut self, channel: &str) -> Option<Sub<D>> {
        let at = self.all.iter().position(|sub| &*sub.channel == channel)?;
        Some(self.take(at))
    }

    /// The connection is over, and all of them.
    pub(crate) fn remove_all(&mut self) -> Vec<Sub<D>> {
        self.expires = None;
        std::mem::take(&mut self.all)
    }

    pub(super) fn is_pending(&self, key: u32) -> bool {
        self.get(key).is_some_and(Sub::is_pending)
    }

    pub(super) fn pending(&self) -> usize {
        self.all.iter().filter(|sub| sub.is_pending()).count()
    }

    /// What the gateway says of one. `None` if it is over: the client has been told.
    pub(crate) fn signal(&mut self, signal: Signal) -> Option<Told<D>> {
        let (Signal::Subscribed { key, .. } | Signal::Refused { key, .. } | Signal::Ended { key, .. }) = &signal;
        let at = self.all.iter().position(|sub| sub.key == *key)?;
        Some(match signal {
            Signal::Subscribed { reply, .. } if self.all[at].must_recover && !reply.recovered => {
                Told::Unrecovered(self.take(at))
            }
            Signal::Subscribed { reply, .. } => Told::Begun(self.all[at].wish.take()?, reply),
            Signal::Refused { reason, .. } => Told::Refused(self.take(at), reason),
            Signal::Ended { why: Ending::Removed, .. } => Told::Removed(self.take(at)),
            Signal::Ended { why: Ending::Insufficient, .. } if self.all[at].server_side => Told::Lost(self.take(at)),
            Signal::Ended { why: Ending::Insufficient, .. } => Told::Insufficient(self.take(at)),
        })
    }

    /// Sets or moves the time at which a subscription is over, counted from a moment that the driver chooses once.
    pub(crate) fn set_expiry(&mut self, channel: &str, expires: Option<Duration>) {
        if let Some(sub) = self.all.iter_mut().find(|sub| &*sub.channel == channel) {
            sub.expires = expires;
            self.find_expiry();
        }
    }

    /// The first time at which [`Self::take_expired`] has something.
    pub(crate) fn next_expiry(&self) -> Option<Duration> {
        self.expires
    }

    /// A subscription whose time is over.
    pub(crate) fn take_expired(&mut self, now: Duration) -> Option<Sub<D>> {
        let at = self.all.iter().position(|sub| sub.expires.is_some_and(|at| at <= now))?;
        Some(self.take(at))
    }

    fn take(&mut self, at: usize) -> Sub<D> {
        let sub = self.all.remove(at);
        if sub.expires.is_some() {
            self.find_expiry();
        }
        sub
    }

    fn find_expiry(&mut self) {
        self.expires = self.all.iter().filter_map(|sub| sub.expires).min();
    }
}
