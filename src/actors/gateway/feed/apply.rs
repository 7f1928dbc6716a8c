//! Events in order: an old one is dropped, an early one waits, and the one that removes a user is the last that this user
//! gets.

use super::{Ending, Feed, Output};
use crate::actors::wire::StreamEvent;
use crate::limits;

impl<S> Feed<S> {
    /// Takes events of the present generation, whatever their order.
    pub(super) fn ingest(&mut self, events: &[StreamEvent], out: &mut impl Output<S>) {
        let mut rest = events;
        while let Some(event) = rest.first() {
            let seq = event.seq();
            if seq == self.head.next() {
                let run = run_length(rest);
                self.apply(&rest[..run], out);
                rest = &rest[run..];
                continue;
            }
            if seq > self.head {
                self.target = self.target.max(seq);
                if self.ahead.len() < limits::HUB_RING_EVENTS {
                    self.ahead.insert(seq, event.clone());
                }
            }
            rest = &rest[1..];
        }
        while let Some(entry) = self.ahead.first_entry() {
            if *entry.key() > self.head.next() {
                break;
            }
            let event = entry.remove();
            if event.seq() > self.head {
                self.apply(std::slice::from_ref(&event), out);
            }
        }
    }

    /// Applies the next events: a dense run in which only the last one may remove somebody.
    fn apply(&mut self, run: &[StreamEvent], out: &mut impl Output<S>) {
        let Some(last) = run.last() else { return };
        let before = self.head;
        self.head = last.seq();
        self.target = self.target.max(self.head);
        for event in run {
            self.ring.push(event);
        }
        if self.subscribers.live() > 0 {
            for (id, taken) in out.live(run, self.subscribers.listeners()) {
                self.set_lagging(id, before.plus(taken as u64));
            }
        }
        if let Some(user) = last.removes() {
            for id in self.subscribers.live_of(user) {
                self.end(id, Ending::Removed, out);
            }
            self.subscribers.dismiss(user, last.seq());
        }
    }
}

/// How many events from the first one on are dense, up to and including the first one that removes somebody.
fn run_length(events: &[StreamEvent]) -> usize {
    let mut run = 0;
    let mut expected = events[0].seq();
    for event in events {
        if event.seq() != expected {
            break;
        }
        run += 1;
        expected = expected.next();
        if event.removes().is_some() {
            break;
        }
    }
    run
}
