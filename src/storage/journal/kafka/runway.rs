//! How many flights of one producer are under way at a time. Pure: no client, no clock, no lock.
//!
//! A producer sends a broker one request after the other, each with the records of one partition. What is handed to it beyond
//! that waits inside it, where no later record can join it any more; what waits in its lane grows, and one request carries all
//! of it. So only as many flights are under way as keep the connections busy, and the other lanes wait here for their turn.
//!
//! It must never hold a lane up because of a broker that does not answer: a flight is counted for [`PATIENCE_MS`], and when
//! none lands for as long, all may go.

use std::collections::VecDeque;

use crate::ids::{Partition, Timestamp};

/// How long a flight counts: less than a leader's death takes, and more than a flight on machines that are busy.
const PATIENCE_MS: u64 = 1_000;

/// See the module.
pub(super) struct Runway {
    /// Flights at a time.
    most: usize,
    under_way: Vec<(Partition, Timestamp)>,
    waiting: VecDeque<Partition>,
    /// When a flight landed last.
    landed: Timestamp,
}

impl Runway {
    /// One for so many flights at a time.
    pub(super) fn new(most: usize) -> Self {
        Self { most: most.max(1), under_way: Vec::new(), waiting: VecDeque::new(), landed: Timestamp(0) }
    }

    /// A lane has something to send.
    pub(super) fn wants(&mut self, partition: Partition) {
        if !self.waiting.contains(&partition) {
            self.waiting.push_back(partition);
        }
    }

    /// The lane that may launch a flight now. It counts until it has [`Self::landed`].
    pub(super) fn next(&mut self, now: Timestamp) -> Option<Partition> {
        let old = self.under_way.iter().filter(|(_, since)| now.since(*since) >= PATIENCE_MS).count();
        let is_stuck = old > 0 && now.since(self.landed) >= PATIENCE_MS;
        if self.under_way.len() - old >= self.most && !is_stuck {
            return None;
        }
        let partition = self.waiting.pop_front()?;
        self.under_way.push((partition, now));
        Some(partition)
    }

    /// The flight of a lane is over, or there was none.
    pub(super) fn landed(&mut self, partition: Partition, now: Timestamp) {
        self.landed = now;
        if let Some(at) = self.under_way.iter().position(|(of, _)| *of == partition) {
            self.under_way.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: u16) -> Partition {
        Partition::new(number).unwrap()
    }

    fn after(ms: u64) -> Timestamp {
        Timestamp(1_000_000 + ms)
    }

    /// One for two flights at a time, after a long rest, with so many lanes that want to send.
    fn runway(lanes: u16) -> Runway {
        let mut runway = Runway::new(2);
        (0..lanes).for_each(|number| runway.wants(partition(number)));
        runway
    }

    fn all(runway: &mut Runway, ms: u64) -> Vec<u16> {
        std::iter::from_fn(|| runway.next(after(ms))).map(Partition::get).collect()
    }

    #[test]
    fn only_so_many_fly_at_a_time_and_the_others_have_their_turn_in_order() {
        let mut runway = runway(4);
        runway.wants(partition(3));
        assert_eq!(all(&mut runway, 0), [0, 1]);
        runway.landed(partition(1), after(5));
        runway.wants(partition(1));
        assert_eq!(all(&mut runway, 5), [2]);
        runway.landed(partition(0), after(6));
        runway.landed(partition(2), after(6));
        assert_eq!(all(&mut runway, 6), [3, 1], "each once");
        runway.landed(partition(3), after(7));
        assert!(all(&mut runway, 7).is_empty(), "nobody wants to");
    }

    #[test]
    fn flights_that_take_long_hold_up_nobody_for_longer_than_the_patience() {
        let mut runway = runway(6);
        assert_eq!(all(&mut runway, 0), [0, 1]);
        runway.landed(partition(1), after(100));
        assert_eq!(all(&mut runway, 100), [2]);
        assert!(all(&mut runway, PATIENCE_MS - 1).is_empty());
        assert_eq!(all(&mut runway, PATIENCE_MS), [3], "one hangs, the others land as ever");
        assert_eq!(all(&mut runway, 100 + PATIENCE_MS), [4, 5], "none has landed for as long: all may go");
    }
}
