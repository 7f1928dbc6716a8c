//! A stream told again from the journal, for when the store does not give its rows: the partition's records are folded anew
//! from the very first one, by the same code and so to the same events. Only as long as the journal has that first record
//! (nothing is trimmed), and bounded: it reads what belongs to the partition's other rooms and users, too.

use std::time::Duration;

use super::context::Context;
use super::ring::Ring;
use crate::actors::fold::{self, EntityState, FoldClock};
use crate::actors::moment::FoldVersion;
use crate::actors::wire::{Entity, StreamEvent};
use crate::ids::{Offset, Seq};
use crate::limits;
use crate::storage::journal::record::{Envelope, RecordError};
use crate::storage::journal::{ReadError, StoredRecord};
use crate::storage::store::rows::WatermarkRow;

/// How long to wait for one's turn.
const TURN: Duration = Duration::from_secs(2);

/// Why a stream can't be told again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The journal is trimmed: nobody knows what the entity was like at its first record.
    #[error("the journal begins at offset {0}")]
    Trimmed(Offset),
    /// The partition holds more than is read at once.
    #[error("more than {} bytes of records", limits::RETOLD_BYTES)]
    TooLong,
    /// Others are being told.
    #[error("too many at a time")]
    Busy,
    /// The journal does not answer.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// It holds what can't be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Context {
    /// Events of an entity from `from` to `to`, both included, as they are now: deleted messages without content. Up to
    /// what its owner has applied.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub(crate) async fn retold(&self, entity: &Entity, from: Seq, to: Seq) -> Result<Vec<StreamEvent>, ReplayError> {
        let turn = tokio::time::timeout(TURN, self.retelling.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(ReplayError::Busy) };
        let partition = entity.partition();
        let start = self.journal.bounds(partition).start;
        if start > Offset::ZERO {
            return Err(ReplayError::Trimmed(start));
        }
        let mut story = JournalReplay::new(entity.clone(), self.options.knows);
        let (end, mut next) = (self.applied.get(partition), Offset::ZERO);
        while next < end {
            let records = self.journal.read(partition, next, limits::APPEND_BYTES).await?;
            let Some(last) = records.last().map(|record| record.offset) else { break };
            next = last.next();
            records.iter().take_while(|record| record.offset < end).try_for_each(|record| story.take(record))?;
        }
        story.events(from, to)
    }
}

/// The pure part: takes the partition's records from the first one on. Whoever reads them sees to it that all of them are
/// verified.
pub(crate) struct JournalReplay {
    entity: Entity,
    state: EntityState,
    clock: FoldClock,
    ring: Ring,
    bytes: usize,
}

impl JournalReplay {
    /// Before the first record, in a program that knows so much of the fold.
    #[must_use]
    pub(crate) fn new(entity: Entity, knows: FoldVersion) -> Self {
        Self {
            state: EntityState::absent(&entity),
            clock: FoldClock::after(&WatermarkRow::start(entity.partition()), knows),
            ring: Ring::new(limits::RETOLD_BYTES, limits::RETOLD_BYTES),
            bytes: 0,
            entity,
        }
    }

    /// Takes the next record of the partition.
    ///
    /// # Errors
    /// [`ReplayError::TooLong`], [`ReplayError::Record`].
    pub(crate) fn take(&mut self, record: &StoredRecord) -> Result<(), ReplayError> {
        self.bytes += record.bytes.len();
        if self.bytes > limits::RETOLD_BYTES {
            return Err(ReplayError::TooLong);
        }
        let envelope = Envelope::decode_record(&record.bytes)?;
        let now = self.clock.advance(record.offset, record.time, &envelope)?;
        if fold::entity_in(self.entity.partition(), &envelope).as_ref() == Some(&self.entity)
            && let Some(event) = self.state.fold(now, &envelope).event()
        {
            self.ring.push(record.offset, event, Offset::ZERO);
        }
        Ok(())
    }

    /// The events from `from` to `to`, both included, as far as there are any.
    ///
    /// # Errors
    /// [`ReplayError::TooLong`].
    pub(crate) fn events(&self, from: Seq, to: Seq) -> Result<Vec<StreamEvent>, ReplayError> {
        // An entity without events is told in full. One whose first ones the ring let go is not.
        if self.ring.first().is_some_and(|first| first > Seq(1)) {
            return Err(ReplayError::TooLong);
        }
        Ok(self.ring.range(from.max(Seq(1)), to).unwrap_or_default())
    }
}
