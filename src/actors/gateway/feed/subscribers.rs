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
pub(super) struct Member<S> {
    pub user: UserId,
    pub to: S,
    pub state: State,
}

/// How far a subscriber is. What is rare is boxed.
pub(super) enum State {
    /// Gets every event as it is applied.
    Live,
    /// Waits for a grant, or for the feed to reach its place.
    Joining(Box<Joining>),
    /// Gets what it missed first.
    Behind(Box<Behind>),
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

pub(super) struct Behind {
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
    Behind,
}

impl List {
    fn of(state: &State) -> Self {
        match state {
            State::Live => Self::Live,
            State::Joining(_) => Self::Joining,
            State::Behind(_) => Self::Behind,
        }
    }
}

struct Slot<S> {
    tag: u32,
    /// Where its subscriber stands in the list of that state.
    place: u32,
    member: Option<Member<S>>,
}

/// The subscribers of one feed.
pub(super) struct Members<S> {
    slots: Vec<Slot<S>>,
    free: Vec<u32>,
    live: usize,
    joining: Vec<SubscriberId>,
    behind: Vec<SubscriberId>,
}

impl<S> Default for Members<S> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), live: 0, joining: Vec::new(), behind: Vec::new() }
    }
}

impl<S> Members<S> {
    pub fn insert(&mut self, member: Member<S>) -> SubscriberId {
        let list = List::of(&member.state);
        let id = match self.free.pop() {
            Some(slot) => {
                let entry = &mut self.slots[slot as usize];
                entry.tag = entry.tag.wrapping_add(1);
                entry.member = Some(member);
                SubscriberId { slot, tag: entry.tag }
            }
            None => {
                if self.slots.is_empty() {
                    // Most feeds are personal and have one subscriber for ever.
                    self.slots.reserve_exact(1);
                }
                self.slots.push(Slot { tag: 0, place: 0, member: Some(member) });
                SubscriberId { slot: self.slots.len() as u32 - 1, tag: 0 }
            }
        };
        self.enter(id, list);
        id
    }

    pub fn get(&self, id: SubscriberId) -> Option<&Member<S>> {
        self.slots.get(id.slot as usize).filter(|slot| slot.tag == id.tag)?.member.as_ref()
    }

    pub fn get_mut(&mut self, id: SubscriberId) -> Option<&mut Member<S>> {
        self.slots.get_mut(id.slot as usize).filter(|slot| slot.tag == id.tag)?.member.as_mut()
    }

    pub fn remove(&mut self, id: SubscriberId) -> Option<Member<S>> {
        let member = self.slots.get_mut(id.slot as usize).filter(|slot| slot.tag == id.tag)?.member.take()?;
        self.free.push(id.slot);
        self.leave(id, List::of(&member.state));
        Some(member)
    }

    /// Gives a subscriber another state, and returns the old one, if there is such a subscriber.
    pub fn set(&mut self, id: SubscriberId, state: State) -> Option<State> {
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
            List::Behind => &mut self.behind,
        };
        self.slots[id.slot as usize].place = ids.len() as u32;
        ids.push(id);
    }

    fn leave(&mut self, id: SubscriberId, list: List) {
        let ids = match list {
            List::Live => return self.live -= 1,
            List::Joining => &mut self.joining,
            List::Behind => &mut self.behind,
        };
        let place = self.slots[id.slot as usize].place;
        ids.swap_remove(place as usize);
        if let Some(moved) = ids.get(place as usize) {
            self.slots[moved.slot as usize].place = place;
        }
    }

    /// Those that wait for a grant, or for the feed to reach their place.
    pub fn joining(&self) -> &[SubscriberId] {
        &self.joining
    }

    /// Those that catch up.
    pub fn behind(&self) -> &[SubscriberId] {
        &self.behind
    }

    /// How many are up to date.
    pub fn live(&self) -> usize {
        self.live
    }

    /// How many there are in all.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everybody.
    pub fn ids(&self) -> Vec<SubscriberId> {
        self.filtered(|_| true)
    }

    /// Those up to date of `user`.
    pub fn live_of(&self, user: &UserId) -> Vec<SubscriberId> {
        self.filtered(|member| matches!(member.state, State::Live) && member.user == *user)
    }

    /// The event at `seq` removes `user`: notes it of those who catch up and were members before it.
    pub fn dismiss(&mut self, user: &UserId, seq: Seq) {
        for member in self.slots.iter_mut().filter_map(|slot| slot.member.as_mut()) {
            if let State::Behind(behind) = &mut member.state
                && behind.admitted < seq
                && member.user == *user
            {
                behind.dismissed = true;
            }
        }
    }

    /// Where a subscriber stands that may listen at the feed's `head`; `None` if it may not, or not yet.
    pub fn place(&self, id: SubscriberId, head: Seq) -> Option<Seq> {
        match &self.get(id)?.state {
            State::Live => Some(head),
            State::Behind(behind) => (behind.replied && !behind.dismissed).then_some(behind.at),
            State::Joining(_) => None,
        }
    }

    /// The first one at or after `slot` that has been granted: also one that waits for what it missed, as the owner has
    /// to know that somebody listens here.
    pub fn granted_from(&self, slot: u32) -> Option<(u32, &Member<S>)> {
        let rest = self.slots.iter().enumerate().skip(slot as usize);
        rest.filter_map(|(at, slot)| Some((at as u32, slot.member.as_ref()?)))
            .find(|(_, member)| !matches!(member.state, State::Joining(_)))
    }

    /// Those up to date.
    pub fn listeners(&self) -> Listeners<'_, S> {
        Listeners { slots: self.slots.iter().enumerate(), all: false }
    }

    /// Those up to date, and those that catch up and may go on.
    pub fn begun(&self) -> Listeners<'_, S> {
        Listeners { slots: self.slots.iter().enumerate(), all: true }
    }

    fn filtered(&self, keep: impl Fn(&Member<S>) -> bool) -> Vec<SubscriberId> {
        let numbered = self.slots.iter().enumerate();
        numbered
            .filter(|(_, slot)| slot.member.as_ref().is_some_and(&keep))
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

impl<S> Member<S> {
    fn has_begun(&self) -> bool {
        match &self.state {
            State::Live => true,
            State::Behind(behind) => behind.replied && !behind.dismissed,
            State::Joining(_) => false,
        }
    }
}

/// Subscribers of a feed, one after the other.
pub struct Listeners<'a, S> {
    slots: std::iter::Enumerate<std::slice::Iter<'a, Slot<S>>>,
    all: bool,
}

impl<S> Clone for Listeners<'_, S> {
    fn clone(&self) -> Self {
        Self { slots: self.slots.clone(), all: self.all }
    }
}

impl<'a, S> Iterator for Listeners<'a, S> {
    type Item = (SubscriberId, &'a S);

    fn next(&mut self) -> Option<(SubscriberId, &'a S)> {
        loop {
            let (at, slot) = self.slots.next()?;
            let Some(member) = &slot.member else { continue };
            if matches!(member.state, State::Live) || (self.all && member.has_begun()) {
                return Some((SubscriberId { slot: at as u32, tag: slot.tag }, &member.to));
            }
        }
    }
}
