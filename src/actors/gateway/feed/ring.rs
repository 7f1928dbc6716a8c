//! The last events of a stream, dense, bounded in number and bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::actors::wire::StreamEvent;
use crate::ids::Seq;
use crate::limits;

#[derive(Default)]
pub(super) struct FeedRing {
    events: VecDeque<StreamEvent>,
    bytes: usize,
}

impl FeedRing {
    /// Adds the next event. Bodies that it takes away go here, too.
    pub(crate) fn push(&mut self, event: &StreamEvent) {
        debug_assert!(self.events.back().is_none_or(|last| last.seq().next() == event.seq()));
        if let Some(target) = event.redacts() {
            self.redact(target);
        }
        self.bytes += event.weight();
        self.events.push_back(event.clone());
        while self.events.len() > limits::HUB_RING_EVENTS || self.bytes > limits::HUB_RING_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.weight();
        }
    }

    /// Events from `seq` on, as many as lie in one piece; none if `seq` is not here.
    pub(crate) fn from(&self, seq: Seq) -> &[StreamEvent] {
        let Some(first) = self.events.front().map(StreamEvent::seq) else { return &[] };
        if seq < first || seq.0 - first.0 >= self.events.len() as u64 {
            return &[];
        }
        let at = (seq.0 - first.0) as usize;
        let (front, back) = self.events.as_slices();
        if at < front.len() { &front[at..] } else { &back[at - front.len()..] }
    }

    /// The events above `seq`, if none of them is missing.
    pub(crate) fn above(&self, seq: Seq, head: Seq) -> Option<impl Iterator<Item = &StreamEvent>> {
        let wanted = usize::try_from(head.0.saturating_sub(seq.0)).ok()?;
        let skip = self.events.len().checked_sub(wanted)?;
        Some(self.events.iter().skip(skip))
    }

    fn redact(&mut self, target: Seq) {
        for event in &mut self.events {
            let StreamEvent::Room(room) = event else { continue };
            if room.carries(target) {
                self.bytes -= room.weight();
                Arc::make_mut(room).redact();
                self.bytes += room.weight();
            }
        }
    }
}
