//! What other partitions must be told, until they have been.

use bytes::Bytes;

use crate::ids::{Offset, Partition, RoomId, UserId};

/// Something that another partition must be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OutboxRow {
    /// Where the fact was made.
    pub source: Partition,
    /// By which record.
    pub offset: Offset,
    /// 0, 1, 2, … within that record.
    pub(crate) ord: u32,
    /// Where it goes. Not used for a fan-out.
    pub target: Partition,
    /// The encoded record, or the pattern of one for a fan-out.
    pub record: Bytes,
    /// Set for a fact that goes to each member of a room: page by page a row for each of them takes its place.
    pub fan_out: Option<FanOut>,
}

/// A row's place in the outbox: the order in which facts of one source came about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OutboxPlace {
    /// See [`OutboxRow::source`].
    pub source: Partition,
    /// See [`OutboxRow::offset`].
    pub offset: Offset,
    /// See [`OutboxRow::ord`].
    pub(crate) ord: u32,
}

impl OutboxPlace {
    /// Where the rows of a source begin.
    #[must_use]
    pub(crate) fn first_of(source: Partition) -> Self {
        Self { source, offset: Offset::ZERO, ord: 0 }
    }

    /// The place right behind this one.
    #[must_use]
    pub(crate) fn next(self) -> Self {
        match self.ord.checked_add(1) {
            Some(ord) => Self { ord, ..self },
            None => Self { offset: self.offset.next(), ord: 0, ..self },
        }
    }
}

impl OutboxRow {
    /// Its place.
    #[must_use]
    pub(crate) fn place(&self) -> OutboxPlace {
        OutboxPlace { source: self.source, offset: self.offset, ord: self.ord }
    }
}

/// See [`OutboxRow::fan_out`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FanOut {
    /// Whose members are told.
    pub room: RoomId,
    /// Members up to and including this one have a row of their own.
    pub after: Option<UserId>,
}

/// Rows of their own for the next members of a fan-out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpandedPage {
    /// The fan-out.
    pub fan_out: OutboxPlace,
    /// Members up to and including this one had rows before.
    pub from: Option<UserId>,
    /// Target and record of each row.
    pub rows: Vec<(Partition, Bytes)>,
    /// The last member who has one now; `None` if all have, and the fan-out's row goes.
    pub after: Option<UserId>,
}
