//! Grants: how a subscriber gets its place in the order.
//!
//! A grant says that the user may listen as of the owner's head `h`. If the feed is not there yet, the subscriber waits. If
//! it has passed `h`, the events above `h` are looked through for one that removes the user; if they are not at hand, or
//! there is one, the owner is asked again, and decides at a later head.

use super::subscribers::{CatchUp, Grant, Joining};
use super::{Feed, Output, Position, Subscribed, SubscriberId, SubscriberState};
use crate::actors::wire::{Denial, RequestId, ToOwner};
use crate::ids::{Generation, Seq, Timestamp};
use crate::limits;

/// A question on behalf of somebody who listens already, so that the owner knows this gateway again.
pub(super) struct Lease {
    request: RequestId,
    asked: Timestamp,
    slot: u32,
}

impl<S> Feed<S> {
    pub(super) fn granted(
        &mut self,
        request: RequestId,
        generation: Generation,
        head: Seq,
        floor: Seq,
        now: Timestamp,
        out: &mut impl Output<S>,
    ) {
        if self.generation.is_some_and(|known| known > generation) {
            // An answer from before the reset; the question was asked again since, or will be by time.
            return;
        }
        if self.generation.is_some_and(|known| known < generation) {
            self.reset(now, out);
            return;
        }
        let asker = self.asked.get(&request).copied();
        if self.generation.is_none() {
            if asker.is_none() {
                return;
            }
            self.generation = Some(generation);
            self.head = head;
        }
        self.target = self.target.max(head);
        self.floor = self.floor.max(floor);
        if self.lease.as_ref().is_some_and(|lease| lease.request == request) {
            self.lease = None;
        }
        if let Some(id) = asker
            && let Some(joining) = self.joining_mut(id)
        {
            let before = joining.grant.replace(Grant { head, floor });
            if let Some(before) = before {
                self.granted.remove(&(before.head, id));
            }
            self.granted.insert((head, id));
        }
    }

    pub(super) fn denied(&mut self, request: RequestId, reason: Denial, now: Timestamp, out: &mut impl Output<S>) {
        if let Some(lease) = self.lease.as_ref().filter(|lease| lease.request == request) {
            if reason != Denial::Unavailable {
                let next = lease.slot + 1;
                self.keep_listening(next, now, out);
            }
            return;
        }
        // What is unavailable is asked for again by time, until it takes too long.
        if reason != Denial::Unavailable
            && let Some(id) = self.asked.get(&request).copied()
        {
            self.refuse(id, reason, out);
            self.note_idle(now);
        }
    }

    /// Gives a place to each subscriber whose grant the feed has reached.
    pub(super) fn join_granted(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        while let Some((head, id)) = self.granted.first().copied().filter(|(head, _)| *head <= self.head) {
            self.granted.pop_first();
            let Some(subscriber) = self.subscribers.get(id) else { continue };
            let SubscriberState::Joining(joining) = &subscriber.state else { continue };
            let Some(grant) = joining.grant.filter(|grant| grant.head == head) else { continue };
            let still_member = self
                .ring
                .above(grant.head, self.head)
                .is_some_and(|mut passed| !passed.any(|event| event.removes() == Some(&subscriber.user)));
            if still_member {
                self.join(id, grant, now, out);
            } else {
                self.listen_again(id, now, out);
            }
        }
    }

    fn join(&mut self, id: SubscriberId, grant: Grant, now: Timestamp, out: &mut impl Output<S>) {
        let Some(joining) = self.joining_mut(id) else { return };
        let (recover, since) = (joining.recover, joining.first_asked);
        if let Some(position) = recover.filter(|position| self.can_recover(*position, grant)) {
            let (admitted, at) = (grant.head, position.offset);
            let behind = CatchUp { admitted, at, replied: false, paused: false, dismissed: false, since };
            self.set_behind(id, behind);
            self.advance(id, now, out);
            return;
        }
        let Some(generation) = self.generation else { return };
        self.set_live(id);
        if let Some(subscriber) = self.subscribers.get(id) {
            let reply = Subscribed { generation, offset: self.head, recovered: false, events: Vec::new() };
            out.subscribed(&subscriber.to, reply);
        }
    }

    fn can_recover(&self, position: Position, grant: Grant) -> bool {
        self.generation.is_some_and(|generation| position.epoch.fits(generation))
            && position.offset <= self.head
            && position.offset.next() >= grant.floor.max(self.floor)
    }

    /// Asks anew for a place, under a new number: older answers do not count any more.
    pub(super) fn listen_again(&mut self, id: SubscriberId, now: Timestamp, out: &mut impl Output<S>) {
        let Some(subscriber) = self.subscribers.get(id) else { return };
        let request = out.request();
        let joining = match &subscriber.state {
            SubscriberState::Joining(joining) => {
                Joining { request, first_asked: joining.first_asked, asked: now, recover: joining.recover, grant: None }
            }
            SubscriberState::CatchUp(behind) => {
                // Only before the reply: its position can't be had, it starts at the head.
                debug_assert!(!behind.replied);
                Joining { request, first_asked: behind.since, asked: now, recover: None, grant: None }
            }
            SubscriberState::Live => return,
        };
        let user = subscriber.user.clone();
        self.set(id, SubscriberState::Joining(Box::new(joining)));
        self.asked.insert(request, id);
        out.send(ToOwner::Listen { request, stream: self.stream.clone(), user, open: self.open });
    }

    pub(super) fn ask_joining_again(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        for id in self.subscribers.joining().to_vec() {
            self.listen_again(id, now, out);
        }
    }

    /// Asks on behalf of the first one that was granted, from `slot` on; one who is no member any more can't keep the
    /// stream for the others.
    pub(super) fn keep_listening(&mut self, slot: u32, now: Timestamp, out: &mut impl Output<S>) {
        let Some((slot, subscriber)) = self.subscribers.granted_from(slot) else {
            if self.lease.take().is_some() {
                // The owner says of each of these users that they may not listen: the events that say so are lost.
                self.reset(now, out);
            }
            return;
        };
        let request = out.request();
        let user = subscriber.user.clone();
        self.lease = Some(Box::new(Lease { request, asked: now, slot }));
        out.send(ToOwner::Listen { request, stream: self.stream.clone(), user, open: self.open });
    }

    pub(super) fn tick_keeper(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        if let Some(lease) = &self.lease
            && now.since(lease.asked) >= limits::GATEWAY_RETRY_MS
        {
            let slot = lease.slot;
            self.keep_listening(slot, now, out);
        }
    }

    pub(super) fn tick_joining(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        for id in self.subscribers.joining().to_vec() {
            let Some(subscriber) = self.subscribers.get_mut(id) else { continue };
            let SubscriberState::Joining(joining) = &mut subscriber.state else { continue };
            if now.since(joining.first_asked) >= limits::GATEWAY_GIVE_UP_MS {
                self.refuse(id, Denial::Unavailable, out);
            } else if joining.grant.is_none() && now.since(joining.asked) >= limits::GATEWAY_RETRY_MS {
                // Under the same number: the answer to either will do.
                joining.asked = now;
                let (request, user) = (joining.request, subscriber.user.clone());
                out.send(ToOwner::Listen { request, stream: self.stream.clone(), user, open: self.open });
            }
        }
    }

    fn joining_mut(&mut self, id: SubscriberId) -> Option<&mut Joining> {
        match &mut self.subscribers.get_mut(id)?.state {
            SubscriberState::Joining(joining) => Some(joining),
            _ => None,
        }
    }
}
