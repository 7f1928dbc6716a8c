//! Subscribers that catch up: what they missed, in order, as fast as they take it, then they are up to date.

use super::subscribers::CatchUp;
use super::{Ending, Feed, Output, Subscribed, SubscriberId, SubscriberState};
use crate::actors::wire::{Denial, StreamEvent};
use crate::ids::{Generation, Seq, Timestamp, UserId};
use crate::limits;

/// What became of handing events to a subscriber that catches up.
enum Served {
    /// It took some.
    Some,
    /// It takes none now.
    Full,
    /// The last one that it took removed its user.
    Removed,
}

impl<S> Feed<S> {
    /// Hands out what is in the ring, until the subscriber is up to date or full, or needs what is not in it.
    pub(super) fn advance(&mut self, id: SubscriberId, now: Timestamp, out: &mut impl Output<S>) {
        let Some(generation) = self.generation else { return };
        self.wants_no_more(id);
        loop {
            let Some(subscriber) = self.subscribers.get_mut(id) else { return };
            let SubscriberState::CatchUp(behind) = &mut subscriber.state else { return };
            if behind.paused {
                return;
            }
            if behind.at >= self.head {
                if !behind.replied {
                    let reply = Subscribed { generation, offset: behind.at, recovered: true, events: Vec::new() };
                    out.subscribed(&subscriber.to, reply);
                }
                self.set_live(id);
                return;
            }
            let next = behind.at.next();
            let chunk = self.ring.from(next);
            if chunk.is_empty() {
                self.wanting.insert((next, id));
                return;
            }
            match serve(id, &subscriber.user, &subscriber.to, behind, generation, chunk, out) {
                Served::Some => {}
                Served::Full => return,
                Served::Removed => {
                    self.end(id, Ending::Removed, out);
                    self.note_idle(now);
                    return;
                }
            }
        }
    }

    /// Hands a fetched page to everybody whose next event is in it.
    pub(super) fn serve_page(&mut self, page: &[StreamEvent], now: Timestamp, out: &mut impl Output<S>) {
        let (Some(generation), Some(first)) = (self.generation, page.first().map(StreamEvent::seq)) else { return };
        let known = page.iter().zip(first.0..).take_while(|(e, seq)| e.seq().0 == *seq && *seq <= self.head.0).count();
        let page = &page[..known];
        let Some(last) = page.last().map(StreamEvent::seq) else { return };
        for id in self.wanting_within(first, last) {
            self.wants_no_more(id);
            while let Some(subscriber) = self.subscribers.get_mut(id) {
                let SubscriberState::CatchUp(behind) = &mut subscriber.state else { break };
                let next = behind.at.next();
                if behind.paused || next < first || next.0 >= first.0 + page.len() as u64 {
                    break;
                }
                let rest = &page[(next.0 - first.0) as usize..];
                match serve(id, &subscriber.user, &subscriber.to, behind, generation, rest, out) {
                    Served::Some => {}
                    Served::Full => break,
                    Served::Removed => {
                        self.end(id, Ending::Removed, out);
                        self.note_idle(now);
                        break;
                    }
                }
            }
            self.advance(id, now, out);
        }
    }

    fn wants_no_more(&mut self, id: SubscriberId) {
        if let Some(SubscriberState::CatchUp(behind)) = self.subscribers.get(id).map(|subscriber| &subscriber.state) {
            self.wanting.remove(&(behind.at.next(), id));
        }
    }

    /// Those who need an event from `from` to `to`, both included.
    fn wanting_within(&self, from: Seq, to: Seq) -> Vec<SubscriberId> {
        if from > to {
            return Vec::new();
        }
        self.wanting.range((from, SubscriberId::FIRST)..=(to, SubscriberId::LAST)).map(|(_, id)| *id).collect()
    }

    /// Tries again for those who need an event of a page that was asked for and came shorter.
    pub(super) fn advance_within(&mut self, from: Seq, to: Seq, now: Timestamp, out: &mut impl Output<S>) {
        for id in self.wanting_within(from, to) {
            self.advance(id, now, out);
        }
    }

    /// Events from `from` to `to` can't be had. A subscriber that waits for one of them starts at the
    /// head if it was told nothing yet and they are gone for good, is refused if they may come back, and otherwise ends
    /// and has to subscribe again.
    pub(super) fn give_up_behind(&mut self, from: Seq, to: Seq, gone: bool, now: Timestamp, out: &mut impl Output<S>) {
        for id in self.wanting_within(from, to) {
            let Some(SubscriberState::CatchUp(behind)) = self.subscribers.get(id).map(|subscriber| &subscriber.state)
            else {
                continue;
            };
            match (behind.replied, gone) {
                (true, _) => self.end(id, Ending::Insufficient, out),
                (false, true) => self.listen_again(id, now, out),
                (false, false) => self.refuse(id, Denial::Unavailable, out),
            }
        }
        self.note_idle(now);
    }

    /// Refuses those who got no reply for too long, unless it is they who take nothing.
    pub(super) fn tick_behind(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        for id in self.subscribers.behind().to_vec() {
            if let Some(SubscriberState::CatchUp(behind)) = self.subscribers.get(id).map(|subscriber| &subscriber.state)
                && !behind.replied
                && !behind.paused
                && now.since(behind.since) >= limits::GATEWAY_GIVE_UP_MS
            {
                self.refuse(id, Denial::Unavailable, out);
            }
        }
    }
}

/// Hands over the first of `events`, which begin with the subscriber's next one: as the reply if there was none yet.
fn serve<S>(
    id: SubscriberId,
    user: &UserId,
    to: &S,
    behind: &mut CatchUp,
    generation: Generation,
    events: &[StreamEvent],
    out: &mut impl Output<S>,
) -> Served {
    let mut room = out.room(id, to);
    if room == 0 {
        behind.paused = true;
        return Served::Full;
    }
    let mut most = usize::MAX;
    if !behind.replied {
        room = room.min(limits::RECOVERY_REPLY_BYTES);
        most = limits::RECOVERY_REPLY_PUBLICATIONS;
    }
    let mut taken = 0;
    let mut bytes = 0;
    let mut removed = false;
    for event in events.iter().take(most) {
        bytes += event.weight();
        if taken > 0 && bytes > room {
            break;
        }
        taken += 1;
        if event.seq() > behind.admitted && event.removes() == Some(user) {
            removed = true;
            break;
        }
    }
    let events = &events[..taken];
    let Some(last) = events.last() else { return Served::Full };
    let offset = std::mem::replace(&mut behind.at, last.seq());
    if behind.replied {
        out.catch_up(to, events);
    } else {
        behind.replied = true;
        out.subscribed(to, Subscribed { generation, offset, recovered: true, events: events.to_vec() });
    }
    if removed { Served::Removed } else { Served::Some }
}
