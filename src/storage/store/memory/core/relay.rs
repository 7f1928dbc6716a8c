//! The outbox of the memory store: what the relay reads, removes, and writes of its own.

use super::Core;
use crate::storage::store::rows::{ExpandedPage, OutboxPlace, OutboxRow};

impl Core {
    /// The outbox.
    #[must_use]
    pub(crate) fn relay_next(&self, from: OutboxPlace, limit: usize) -> Vec<OutboxRow> {
        self.outbox.range(from..).take(limit).map(|(_, row)| row.clone()).collect()
    }

    /// Removes what was delivered.
    pub(crate) fn relay_done(&mut self, place: OutboxPlace) {
        self.outbox.remove(&place);
    }

    /// Gives members of a fan-out rows of their own, if it is where the page begins.
    pub(crate) fn relay_expand(&mut self, page: ExpandedPage) -> bool {
        let ExpandedPage { fan_out, from, rows, after } = page;
        let is_there = |row: &OutboxRow| row.fan_out.as_ref().is_some_and(|fan_out| fan_out.after == from);
        if !self.outbox.get(&fan_out).is_some_and(is_there) {
            return false;
        }
        let OutboxPlace { source, offset, .. } = fan_out;
        let of_record = OutboxPlace { ord: 0, ..fan_out }..=OutboxPlace { ord: u32::MAX, ..fan_out };
        let last = self.outbox.range(of_record).next_back().map_or(0, |(place, _)| place.ord);
        for ((target, record), ord) in rows.into_iter().zip(last + 1..) {
            let row = OutboxRow { source, offset, ord, target, record, fan_out: None };
            self.outbox.insert(row.place(), row);
        }
        match after {
            None => _ = self.outbox.remove(&fan_out),
            Some(user) => {
                if let Some(fan_out) = self.outbox.get_mut(&fan_out).and_then(|row| row.fan_out.as_mut()) {
                    fan_out.after = Some(user);
                }
            }
        }
        true
    }
}
