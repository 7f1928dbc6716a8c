//! Makes a room or user resident: the store's rows at one snapshot, and the partition's tail on top where it is needed.

use std::sync::Arc;

use super::context::Context;
use super::entity::EntityCore;
use super::item::Item;
use super::listeners::Listeners;
use crate::actors::fold::{self, EntityState, FoldClock};
use crate::actors::wire::{Entity, FetchError, StreamEvent};
use crate::actors::workers::persistence::rows::{self, RowsError};
use crate::ids::{Offset, Partition, Seq};
use crate::limits;
use crate::storage::journal::ReadError;
use crate::storage::journal::record::{Envelope, RecordError};
use crate::storage::store::{SeqRange, StoreError};

/// Bytes of one read of the tail.
const READ_BYTES: usize = 1024 * 1024;

/// Why an entity can't be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds what can't be.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The journal does not answer.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// The tail holds what can't be read.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// An entity as it was loaded.
pub struct Hydrated {
    /// Its state.
    pub core: EntityCore,
    /// The watermark of the rows that it was made of.
    pub watermark: Offset,
}

/// Loads an entity and folds its records from the snapshot's watermark up to `replay_to` on top, without effects.
///
/// # Errors
/// The store or the journal do not answer.
pub async fn load(
    context: &Context,
    partition: Partition,
    entity: &Entity,
    listeners: Arc<Listeners>,
    replay_to: Offset,
) -> Result<Hydrated, LoadError> {
    let (state, watermark) = match entity {
        Entity::Room(room) => {
            let snapshot = context.store.room(*room).await?;
            let watermark = snapshot.watermark;
            (EntityState::room(rows::room_state(*room, snapshot)?), watermark)
        }
        Entity::User(user) => {
            let snapshot = context.store.user(user).await?;
            let watermark = snapshot.watermark;
            (EntityState::user(rows::user_state(user, snapshot)?), watermark)
        }
    };
    let mut core = EntityCore::new(entity.clone(), state, listeners);
    let mut next = watermark.next_offset;
    let mut clock = FoldClock::after(&watermark, context.options.knows);
    while next < replay_to {
        let records = context.journal.read(partition, next, READ_BYTES).await?;
        if records.is_empty() {
            break;
        }
        for record in records.into_iter().take_while(|record| record.offset < replay_to) {
            next = record.offset.next();
            let envelope = Envelope::decode_record(&record.bytes)?;
            let now = clock.advance(record.offset, record.time, &envelope)?;
            if fold::entity_of(&envelope).as_ref() == Some(entity) {
                core.replay(
                    &Item { offset: record.offset, now, envelope, origin: None },
                    context.stored.get(partition),
                );
            }
        }
    }
    Ok(Hydrated { core, watermark: watermark.next_offset })
}

impl Context {
    /// Events of an entity from the store, `from` to `to`, both included, a page at most (in bytes, too). If the store does not give them
    /// they are told from the journal.
    ///
    /// # Errors
    /// The store does not answer, and the journal does not reach back to the first record.
    pub async fn stored_events(&self, entity: &Entity, from: Seq, to: Seq) -> Result<Vec<StreamEvent>, FetchError> {
        if from > to {
            return Ok(Vec::new());
        }
        let error = match self.events_of_rows(entity, SeqRange::new(from, to).within(limits::FETCH_BYTES)).await {
            Ok(Ok(events)) => return Ok(events),
            Ok(Err(error)) => {
                tracing::error!(%error, "the store holds events that can't be");
                return Err(FetchError::Unavailable);
            }
            Err(error) => error,
        };
        match self.retold(entity, from, to).await {
            Ok(mut events) => {
                tracing::warn!(%error, "reading events from the store failed: they are told from the journal");
                events.truncate(limits::HISTORY_PAGE);
                Ok(events)
            }
            Err(untold) => {
                tracing::warn!(%error, %untold, "reading events from the store failed");
                Err(FetchError::Unavailable)
            }
        }
    }

    async fn events_of_rows(
        &self,
        entity: &Entity,
        range: SeqRange,
    ) -> Result<Result<Vec<StreamEvent>, RowsError>, StoreError> {
        Ok(match entity {
            Entity::Room(room) => {
                let rows = self.store.events(*room, range, limits::HISTORY_PAGE).await?;
                rows.into_iter().map(|row| rows::event(row).map(|e| StreamEvent::Room(Arc::new(e)))).collect()
            }
            Entity::User(user) => {
                let rows = self.store.user_events(user, range, limits::HISTORY_PAGE).await?;
                rows.into_iter().map(|row| rows::user_event(row).map(|e| StreamEvent::User(Arc::new(e)))).collect()
            }
        })
    }
}
