//! Subscribers that catch up: what they missed, in order, as fast as they take it, then they are up to date.

use super::members::Behind;
use super::{Ending, Feed, Output, State, Subscribed, SubscriberId};
use crate::actors::gateway::frames::{Denial, StreamEvent};
use crate::ids::{Generation, Seq, Timestamp, UserId};
use crate::limits;

/// What became of handing events to one who catches up.
enum Served {
    /// He took some.
    Some,
    /// He takes none now.
    Full,
    /// The last one that he took removed him.
    Removed,
}

impl<S> Feed<S> {
    pub(super) fn advance_behind(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        let mut at = 0;
        while let Some(id) = self.behind.get(at).copied() {
            self.advance(id, now, out);
            // He may have left the list.
            if self.behind.get(at) == Some(&id) {
                at += 1;
            }
        }
    }

    /// Hands out what is in the ring, asks for what is not, until he is up to date, full, or waits for an answer.
    pub(super) fn advance(&mut self, id: SubscriberId, now: Timestamp, out: &mut impl Output<S>) {
        let Some(generation) = self.generation else { return };
        loop {
            let Some(member) = self.members.get_mut(id) else { return };
            let State::Behind(behind) = &mut member.state else { return };
            if behind.paused {
                return;
            }
            if behind.at >= self.head {
                if !behind.replied {
                    let reply = Subscribed { generation, offset: behind.at, recovered: true, events: Vec::new() };
                    out.subscribed(&member.to, reply);
                }
                self.set_live(id);
                return;
            }
            let next = behind.at.next();
            let chunk = self.ring.from(next);
            if chunk.is_empty() {
                let last = Seq((behind.at.0 + limits::HISTORY_PAGE as u64).min(self.head.0));
                self.want(next, last, now, out);
                return;
            }
            match serve(id, &member.user, &member.to, behind, generation, chunk, out) {
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
        for id in self.behind.clone() {
            while let Some(member) = self.members.get_mut(id) {
                let State::Behind(behind) = &mut member.state else { break };
                let next = behind.at.next();
                if behind.paused || next < first || next.0 >= first.0 + page.len() as u64 {
                    break;
                }
                let rest = &page[(next.0 - first.0) as usize..];
                match serve(id, &member.user, &member.to, behind, generation, rest, out) {
                    Served::Some => {}
                    Served::Full => break,
                    Served::Removed => {
                        self.end(id, Ending::Removed, out);
                        self.note_idle(now);
                        break;
                    }
                }
            }
        }
    }

    /// Events from `from` to `to` can't be had. Whoever waits for one of them starts at the head if he was told nothing
    /// yet and they are gone for good, is refused if they may come back, and shall come again otherwise.
    pub(super) fn give_up_behind(&mut self, from: Seq, to: Seq, gone: bool, now: Timestamp, out: &mut impl Output<S>) {
        for id in self.behind.clone() {
            let Some(State::Behind(behind)) = self.members.get(id).map(|member| &member.state) else { continue };
            let next = behind.at.next();
            if behind.paused || next < from || next > to {
                continue;
            }
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
        for id in self.behind.clone() {
            if let Some(State::Behind(behind)) = self.members.get(id).map(|member| &member.state)
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
    behind: &mut Behind,
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
