//! The recent events of a room or user, in memory: for recovery and for what the store does not have yet.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::actors::wire::StreamEvent;
use crate::ids::{Offset, Seq};

/// A dense run of events up to the head. Bounded: what the store has goes first.
#[derive(Debug)]
pub(crate) struct Ring {
    events: VecDeque<(Offset, StreamEvent)>,
    /// The messages whose deletions are among the events, in the order of these: each read of older events asks for them.
    deleted: VecDeque<Seq>,
    bytes: usize,
    /// Bytes kept of what the store has.
    soft: usize,
    /// Bytes kept of what the store does not have yet. Beyond it, a reader waits for the store.
    hard: usize,
}

impl Ring {
    /// An empty ring with its two bounds in bytes.
    #[must_use]
    pub(crate) fn new(soft: usize, hard: usize) -> Self {
        Self { events: VecDeque::new(), deleted: VecDeque::new(), bytes: 0, soft, hard: hard.max(soft) }
    }

    /// Takes the next event, made by the record at `offset`. `stored` is the partition's watermark: what lies below it
    /// can be read from the store.
    pub(crate) fn push(&mut self, offset: Offset, event: StreamEvent, stored: Offset) {
        debug_assert!(self.events.back().is_none_or(|(_, last)| last.seq().next() == event.seq()));
        if let Some(target) = event.redacts() {
            self.redact(target);
            self.deleted.push_back(target);
        }
        self.bytes += event.weight();
        self.events.push_back((offset, event));
        self.shrink(stored);
    }

    fn redact(&mut self, target: Seq) {
        for (_, event) in &mut self.events {
            if let StreamEvent::Room(event) = event
                && event.carries(target)
            {
                self.bytes -= event.weight();
                Arc::make_mut(event).redact();
                self.bytes += event.weight();
            }
        }
    }

    /// Lets go of what is too much.
    pub(crate) fn shrink(&mut self, stored: Offset) {
        while let Some((offset, event)) = self.events.front() {
            let bound = if *offset < stored { self.soft } else { self.hard };
            if self.bytes <= bound {
                break;
            }
            self.bytes -= event.weight();
            if event.redacts().is_some() {
                self.deleted.pop_front();
            }
            self.events.pop_front();
        }
    }

    /// The lowest seq held, if any.
    #[must_use]
    pub(crate) fn first(&self) -> Option<Seq> {
        self.events.front().map(|(_, event)| event.seq())
    }

    /// The end, in the partition, of the records that made what is held; the partition's start if nothing is.
    #[must_use]
    pub(crate) fn end(&self) -> Offset {
        self.events.back().map_or(Offset::ZERO, |(offset, _)| offset.next())
    }

    /// The events from `from` to `to`, both included, if the ring reaches back to `from`. The run ends at the ring's own
    /// end if `to` lies beyond.
    #[must_use]
    pub(crate) fn range(&self, from: Seq, to: Seq) -> Option<Vec<StreamEvent>> {
        let first = self.first()?;
        if from < first {
            return None;
        }
        let skip = usize::try_from(from.0 - first.0).unwrap_or(usize::MAX);
        Some(self.events.iter().skip(skip).map(|(_, event)| event).take_while(|e| e.seq() <= to).cloned().collect())
    }

    /// The messages whose deletion is held.
    #[must_use]
    pub(crate) fn deleted(&self) -> Vec<Seq> {
        self.deleted.iter().copied().collect()
    }

    /// Bytes held, about.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::actors::wire::{Event, EventBody};
    use crate::ids::Timestamp;

    fn event(seq: u64, body: EventBody) -> StreamEvent {
        let (seq, at, id) = (Seq(seq), Timestamp(seq), Uuid::nil());
        StreamEvent::Room(Arc::new(Event { seq, at, id, actor: None, client_id: None, body }))
    }

    #[test]
    fn the_ring_names_the_deletions_that_it_holds_and_forgets_them_with_their_events() {
        let mut ring = Ring::new(0, usize::MAX);
        let deletion = |target| EventBody::Deleted { target: Seq(target) };
        let bodies = [EventBody::Expired, deletion(1), EventBody::Expired, deletion(3)];
        for (at, body) in (1..).zip(bodies) {
            ring.push(Offset(at), event(at, body), Offset::ZERO);
        }
        assert_eq!(ring.deleted(), [Seq(1), Seq(3)]);
        ring.shrink(Offset(2));
        assert_eq!((ring.first(), ring.deleted()), (Some(Seq(2)), vec![Seq(1), Seq(3)]), "the event before is gone");
        ring.shrink(Offset(3));
        assert_eq!((ring.first(), ring.deleted()), (Some(Seq(3)), vec![Seq(3)]));
    }
}
