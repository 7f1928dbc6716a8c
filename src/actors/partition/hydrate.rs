//! Reads what a room or user is made of, and older events of its stream, from the store and, where it is needed, from the
//! journal.

use std::sync::Arc;

use super::context::Context;
use super::hydration::{Hydration, Loaded, StoredEntity};
use super::listeners::Listeners;
use super::memory::Share;
use crate::actors::wire::{Entity, FetchError, StreamEvent};
use crate::actors::workers::persistence::rows::{self, RowsError};
use crate::ids::{Offset, Partition, Seq};
use crate::limits;
use crate::storage::journal::ReadError;
use crate::storage::journal::record::RecordError;
use crate::storage::store::{SeqRange, StoreError};

/// Bytes of one read of the tail.
const READ_BYTES: usize = 1024 * 1024;

/// Why an entity can't be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
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

/// Loads an entity and folds its records from the snapshot's watermark up to `replay_to` on top, without effects.
///
/// # Errors
/// The store or the journal do not answer.
pub(super) async fn load(
    context: &Context,
    partition: Partition,
    entity: &Entity,
    listeners: Arc<Listeners>,
    replay_to: Offset,
    share: Share,
) -> Result<Loaded, LoadError> {
    let stored = match entity {
        Entity::Room(room) => StoredEntity::room(*room, context.store.room(*room).await?)?,
        Entity::User(user) => StoredEntity::user(user, context.store.user(user).await?)?,
    };
    let mut hydration = Hydration::new(entity.clone(), stored, listeners, replay_to, context.options.knows);
    while let Some(from) = hydration.wants() {
        let records = context.journal.read(partition, from, READ_BYTES).await?;
        hydration.take(records, context.stored.get(partition))?;
    }
    Ok(hydration.finish(share))
}

impl Context {
    /// Events of an entity from the store, `from` to `to`, both included, a page at most (in bytes, too). If the store does not give them
    /// they are told from the journal.
    ///
    /// # Errors
    /// The store does not answer, and the journal does not reach back to the first record.
    pub(crate) async fn stored_events(
        &self,
        entity: &Entity,
        from: Seq,
        to: Seq,
    ) -> Result<Vec<StreamEvent>, FetchError> {
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
