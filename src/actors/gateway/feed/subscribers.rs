//! The subscribers of a feed: a slab, so that a room of many thousands is walked in a line and left in constant time. Those
//! that join and those that catch up stand in lists of their own, which they enter and leave in constant time, too: a
//! whole room may come back at once.

use super::Position;
use crate::actors::wire::RequestId;
use crate::ids::{Seq, Timestamp, UserId};

/// A subscriber of one feed. Never used again for another one of the same feed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SubscriberId {
    slot: u32,
    tag: u32,
}

/// One subscriber.
pub(super) struct Subscriber<S> {
    pub user: UserId,
    pub to: S,
    pub state: SubscriberState,
}

/// How far a subscriber is. What is rare is boxed.
pub(super) enum SubscriberState {
    /// Gets every event as it is applied.
    Live,
    /// Waits for a grant, or for the feed to reach its place.
    Joining(Box<Joining>),
    /// Gets what it missed first.
    CatchUp(Box<CatchUp>),
}

pub(super) struct Joining {
    /// The question that counts; answers to earlier ones are void.
    pub request: RequestId,
    pub first_asked: Timestamp,
    pub asked: Timestamp,
    pub recover: Option<Position>,
    pub grant: Option<Grant>,
}

#[derive(Clone, Copy)]
pub(super) struct Grant {
    pub head: Seq,
    pub floor: Seq,
}

pub(super) struct CatchUp {
    /// Its user was a member at this seq: only a later removal ends the subscription.
    pub admitted: Seq,
    /// The last seq that it got.
    pub at: Seq,
    /// Whether the reply has gone out.
    pub replied: bool,
    /// Its outbox is full.
    pub paused: bool,
    /// The feed is past an event that removed its user: it gets what is up to that event, and may do nothing more.
    pub dismissed: bool,
    /// When it began to wait for the reply.
    pub since: Timestamp,
}

/// Which list a state belongs to. Who is up to date is only counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum List {
    Live,
    Joining,
    CatchUp,
}

impl List {
    fn of(state: &SubscriberState) -> Self {
        match state {
            SubscriberState::Live => Self::Live,
            SubscriberState::Joining(_) => Self::Joining,
            SubscriberState::CatchUp(_) => Self::CatchUp,
        }
    }
}

struct SubscriberSlot<S> {
    tag: u32,
    /// Where its subscriber stands in the list of that state.
    place: u32,
    subscriber: Option<Subscriber<S>>,
}

/// The subscribers of one feed.
pub(super) struct Subscribers<S> {
    slots: Vec<SubscriberSlot<S>>,
    free: Vec<u32>,
    live: usize,
    joining: Vec<SubscriberId>,
    behind: Vec<SubscriberId>,
}

impl<S> Default for Subscribers<S> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), live: 0, joining: Vec::new(), behind: Vec::new() }
    }
}

impl<S> Subscribers<S> {
    pub(crate) fn insert(&mut self, subscriber: Subscriber<S>) -> SubscriberId {
        let list = List::of(&subscriber.state);
        let id = match self.free.pop() {
            Some(slot) => {
                let entry = &mut self.slots[slot as usize];
                entry.tag = entry.tag.wrapping_add(1);
                entry.subscriber = Some(subscriber);
                SubscriberId { slot, tag: entry.tag }
            }
            None => {
                if self.slots.is_empty() {
                    // Most feeds are personal and have one subscriber for ever.
                    self.slots.reserve_exact(1);
                }
                self.slots.push(SubscriberSlot { tag: 0, place: 0, subscriber: Some(subscriber) });
                SubscriberId { slot: self.slots.len() as u32 - 1, tag: 0 }
            }
        };
        self.enter(id, list);
        id
    }

    pub(crate) fn get(&self, id: SubscriberId) -> Option<&Subscriber<S>> {
        self.slots.get(id.slot as usize).filter(|slot| slot.tag == id.tag)?.subscriber.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: SubscriberId) -> Option<&mut Subscriber<S>> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.tag == id.tag)?.subscriber.as_mut()
    }

    pub(crate) fn remove(&mut self, id: SubscriberId) -> Option<Subscriber<S>> {
        let subscriber = self.slots.get_mut(id.slot as usize).filter(|slot| slot.tag == id.tag)?.subscriber.take()?;
        self.free.push(id.slot);
        self.leave(id, List::of(&subscriber.state));
        Some(subscriber)
    }

    /// Gives a subscriber another state, and returns the old one, if there is such a subscriber.
    pub(crate) fn set(&mut self, id: SubscriberId, state: SubscriberState) -> Option<SubscriberState> {
        let to = List::of(&state);
        let before = std::mem::replace(&mut self.get_mut(id)?.state, state);
        let from = List::of(&before);
        if from != to {
            self.leave(id, from);
            self.enter(id, to);
        }
        Some(before)
    }

    fn enter(&mut self, id: SubscriberId, list: List) {
        let ids = match list {
            List::Live => return self.live += 1,
            List::Joining => &mut self.joining,
            List::CatchUp => &mut self.behind,
        };
        self.slots[id.slot as usize].place = ids.len() as u32;
        ids.push(id);
    }

    fn leave(&mut self, id: SubscriberId, list: List) {
        let ids = match list {
            List::Live => return self.live -= 1,
            List::Joining => &mut self.joining,
            List::CatchUp => &mut self.behind,
        };
        let place = self.slots[id.slot as usize].place;
        ids.swap_remove(place as usize);
        if let Some(moved) = ids.get(place as usize) {
            self.slots[moved.slot as usize].place = place;
        }
    }

    /// Those that wait for a grant, or for the feed to reach their place.
    pub(crate) fn joining(&self) -> &[SubscriberId] {
        &self.joining
    }

    /// Those that catch up.
    pub(crate) fn behind(&self) -> &[SubscriberId] {
        &self.behind
    }

    /// How many are up to date.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// How many there are in all.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everybody.
    pub(crate) fn ids(&self) -> Vec<SubscriberId> {
        self.filtered(|_| true)
    }

    /// Those up to date of `user`.
    pub(crate) fn live_of(&self, user: &UserId) -> Vec<SubscriberId> {
        self.filtered(|subscriber| matches!(subscriber.state, SubscriberState::Live) && subscriber.user == *user)
    }

    /// The event at `seq` removes `user`: notes it of those who catch up and were members before it.
    pub(crate) fn dismiss(&mut self, user: &UserId, seq: Seq) {
        for subscriber in self.slots.iter_mut().filter_map(|slot| slot.subscriber.as_mut()) {
            if let SubscriberState::CatchUp(behind) = &mut subscriber.state
                && behind.admitted < seq
                && subscriber.user == *user
            {
                behind.dismissed = true;
            }
        }
    }

    /// Where a subscriber stands that may listen at the feed's `head`; `None` if it may not, or not yet.
    pub(crate) fn place(&self, id: SubscriberId, head: Seq) -> Option<Seq> {
        match &self.get(id)?.state {
            SubscriberState::Live => Some(head),
            SubscriberState::CatchUp(behind) => (behind.replied && !behind.dismissed).then_some(behind.at),
            SubscriberState::Joining(_) => None,
        }
    }

    /// The first one at or after `slot` that has been granted: also one that waits for what it missed, as the owner has
    /// to know that somebody listens here.
    pub(crate) fn granted_from(&self, slot: u32) -> Option<(u32, &Subscriber<S>)> {
        let rest = self.slots.iter().enumerate().skip(slot as usize);
        rest.filter_map(|(at, slot)| Some((at as u32, slot.subscriber.as_ref()?)))
            .find(|(_, subscriber)| !matches!(subscriber.state, SubscriberState::Joining(_)))
    }

    /// Those up to date.
    pub(crate) fn listeners(&self) -> LiveSubscribers<'_, S> {
        LiveSubscribers { slots: self.slots.iter().enumerate(), all: false }
    }

    /// Those up to date, and those that catch up and may go on.
    pub(crate) fn begun(&self) -> LiveSubscribers<'_, S> {
        LiveSubscribers { slots: self.slots.iter().enumerate(), all: true }
    }

    fn filtered(&self, keep: impl Fn(&Subscriber<S>) -> bool) -> Vec<SubscriberId> {
        let numbered = self.slots.iter().enumerate();
        numbered
            .filter(|(_, slot)| slot.subscriber.as_ref().is_some_and(&keep))
            .map(|(at, slot)| SubscriberId { slot: at as u32, tag: slot.tag })
            .collect()
    }
}

impl SubscriberId {
    /// Before all others, in whatever is ordered by them.
    pub(super) const FIRST: Self = Self { slot: 0, tag: 0 };
    /// Behind all others.
    pub(super) const LAST: Self = Self { slot: u32::MAX, tag: u32::MAX };
}

impl<S> Subscriber<S> {
    fn has_begun(&self) -> bool {
        match &self.state {
            SubscriberState::Live => true,
            SubscriberState::CatchUp(behind) => behind.replied && !behind.dismissed,
            SubscriberState::Joining(_) => false,
        }
    }
}

/// Subscribers of a feed, one after the other.
pub struct LiveSubscribers<'a, S> {
    slots: std::iter::Enumerate<std::slice::Iter<'a, SubscriberSlot<S>>>,
    all: bool,
}

impl<S> Clone for LiveSubscribers<'_, S> {
    fn clone(&self) -> Self {
        Self { slots: self.slots.clone(), all: self.all }
    }
}

impl<'a, S> Iterator for LiveSubscribers<'a, S> {
    type Item = (SubscriberId, &'a S);

    fn next(&mut self) -> Option<(SubscriberId, &'a S)> {
        loop {
            let (at, slot) = self.slots.next()?;
            let Some(subscriber) = &slot.subscriber else { continue };
            if matches!(subscriber.state, SubscriberState::Live) || (self.all && subscriber.has_begun()) {
                return Some((SubscriberId { slot: at as u32, tag: slot.tag }, &subscriber.to));
            }
        }
    }
}
