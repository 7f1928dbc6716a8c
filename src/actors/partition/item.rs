//! What a partition hands to a room or user: batches of verified records with whom to answer.

use std::sync::atomic::{AtomicBool, Ordering};

use super::verified::Verified;
use crate::actors::moment::Moment;
use crate::actors::wire::Origin;
use crate::ids::Offset;
use crate::storage::journal::record::Envelope;

/// A verified record on its way to its entity.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its times.
    pub(crate) now: Moment,
    /// The record.
    pub envelope: Envelope,
    /// Who waits for the decision, if somebody asked through this owner.
    pub origin: Option<Origin>,
}

/// Records of one entity that are folded in one go. Kept by the partition until the entity is done with it, so that an
/// entity that dies in the middle is rebuilt and gets it again; all effects bear repetition.
#[derive(Debug)]
pub struct Batch {
    items: Vec<Verified<Item>>,
    done: AtomicBool,
}

impl Batch {
    /// A batch, in offset order.
    #[must_use]
    pub(crate) fn new(items: Vec<Verified<Item>>) -> Self {
        debug_assert!(items.windows(2).all(|pair| pair[0].get().offset < pair[1].get().offset));
        Self { items, done: AtomicBool::new(false) }
    }

    /// The records.
    #[must_use]
    pub(crate) fn items(&self) -> &[Verified<Item>] {
        &self.items
    }

    /// The first record's offset.
    #[must_use]
    pub(crate) fn first(&self) -> Offset {
        self.items.first().map_or(Offset(u64::MAX), |item| item.get().offset)
    }

    /// Bytes that its commands took from the partition's budget.
    pub(crate) fn weight(&self) -> u32 {
        self.items.iter().filter_map(|item| item.get().origin).map(|origin| origin.weight).sum()
    }

    /// Marks the batch as folded and its effects as sent.
    pub(crate) fn finish(&self) {
        self.done.store(true, Ordering::Release);
    }

    /// Whether it is.
    #[must_use]
    pub(crate) fn is_finished(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}
