//! Questions for events that are missing: by the feed itself (a gap), or by subscribers that catch up. One question
//! serves all that wait for the same events.

use std::sync::Arc;

use super::{Feed, Output, SubscriberId};
use crate::actors::wire::{FetchError, RequestId, StreamEvent, ToOwner};
use crate::ids::{Seq, Timestamp};
use crate::limits;

/// A question that is not answered yet.
pub(super) struct Fetch {
    request: RequestId,
    from: Seq,
    to: Seq,
    first_asked: Timestamp,
    asked: Timestamp,
}

impl Fetch {
    fn covers(&self, seq: Seq) -> bool {
        self.from <= seq && seq <= self.to
    }
}

impl<S> Feed<S> {
    /// Asks for the events between the head and what is known to exist.
    pub(super) fn close_gap(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        if self.head >= self.target {
            return;
        }
        let from = self.head.next();
        let before_next_known = self.ahead.keys().next().map_or(self.target.0, |next| next.0 - 1);
        let to = before_next_known.min(self.head.0 + limits::HISTORY_PAGE as u64);
        self.want(from, Seq(to), now, out);
    }

    /// Asks for what those need who catch up, the oldest first, a few pages at a time: whatever their number, and wherever
    /// they stand. When a page has come the next one is asked for.
    pub(super) fn ask_for_wanted(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        let mut from = Seq::ZERO;
        while self.fetches.len() < limits::FEED_FETCHES
            && let Some((next, _)) = self.wanting.range((from, SubscriberId::FIRST)..).next().copied()
        {
            from = match self.fetches.iter().find(|fetch| fetch.covers(next)) {
                Some(asked) => asked.to.next(),
                None => {
                    let last = Seq((next.0 - 1 + limits::HISTORY_PAGE as u64).min(self.head.0));
                    self.want(next, last, now, out);
                    last.next()
                }
            };
        }
    }

    /// Asks for events unless the first of them is on its way.
    pub(super) fn want(&mut self, from: Seq, to: Seq, now: Timestamp, out: &mut impl Output<S>) {
        if self.fetches.iter().any(|fetch| fetch.covers(from)) {
            return;
        }
        let request = out.request();
        self.fetches.push(Fetch { request, from, to, first_asked: now, asked: now });
        out.send(ToOwner::Fetch { request, stream: self.stream.clone(), from, to });
    }

    pub(super) fn fetched(
        &mut self,
        request: RequestId,
        events: &Result<Arc<[StreamEvent]>, FetchError>,
        now: Timestamp,
        out: &mut impl Output<S>,
    ) {
        let asked = self.fetches.iter().position(|fetch| fetch.request == request);
        match events {
            Ok(page) if !page.is_empty() => {
                let asked = asked.map(|asked| self.fetches.swap_remove(asked));
                self.ingest(page, out);
                self.serve_page(page, now, out);
                if let Some(asked) = asked {
                    self.advance_within(asked.from, asked.to, now, out);
                }
            }
            // Not now: asked again by time.
            Ok(_) | Err(FetchError::Unavailable) => {}
            Err(FetchError::Gone { floor }) => {
                self.floor = self.floor.max(*floor);
                if let Some(asked) = asked {
                    let fetch = self.fetches.swap_remove(asked);
                    self.give_up(&fetch, true, now, out);
                }
            }
        }
    }

    pub(super) fn tick_fetches(&mut self, now: Timestamp, out: &mut impl Output<S>) {
        let mut at = 0;
        while let Some(fetch) = self.fetches.get(at) {
            if !self.is_wanted(fetch) {
                self.fetches.swap_remove(at);
            } else if now.since(fetch.first_asked) >= limits::GATEWAY_GIVE_UP_MS {
                let fetch = self.fetches.swap_remove(at);
                self.give_up(&fetch, false, now, out);
                // Everything may have changed.
                at = 0;
            } else {
                if now.since(fetch.asked) >= limits::GATEWAY_RETRY_MS {
                    let (from, to) = (fetch.from, fetch.to);
                    let request = out.request();
                    let fetch = &mut self.fetches[at];
                    fetch.request = request;
                    fetch.asked = now;
                    out.send(ToOwner::Fetch { request, stream: self.stream.clone(), from, to });
                }
                at += 1;
            }
        }
    }

    fn is_wanted(&self, fetch: &Fetch) -> bool {
        let gap = self.head < self.target && fetch.covers(self.head.next());
        let needed = (fetch.from, SubscriberId::FIRST)..=(fetch.to, SubscriberId::LAST);
        gap || self.wanting.range(needed).next().is_some()
    }

    fn give_up(&mut self, fetch: &Fetch, gone: bool, now: Timestamp, out: &mut impl Output<S>) {
        if self.head < self.target && fetch.covers(self.head.next()) {
            self.reset(now, out);
        } else {
            self.give_up_behind(fetch.from, fetch.to, gone, now, out);
        }
    }
}
