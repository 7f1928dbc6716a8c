//! How a room or user is made: of the store's rows at one snapshot, and of the partition's records on top where it lives on
//! above what the store has. Pure: it says where it wants to read, and is given what was read.

use std::sync::Arc;

use super::entity::EntityCore;
use super::item::Item;
use super::listeners::Listeners;
use super::memory::Share;
use crate::actors::digest::Chain;
use crate::actors::fold::{self, EntityState, FoldClock};
use crate::actors::moment::FoldVersion;
use crate::actors::wire::Entity;
use crate::actors::workers::persistence::rows::{self, RowsError};
use crate::ids::{Offset, RoomId, UserId};
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::{Envelope, RecordError};
use crate::storage::store::rows::{RoomRows, UserRows, WatermarkRow};

/// An entity as the store has it at one moment.
pub(crate) struct StoredEntity {
    state: EntityState,
    watermark: WatermarkRow,
    chain: Option<(Offset, Chain)>,
}

impl StoredEntity {
    /// A room.
    ///
    /// # Errors
    /// The rows hold what can't be.
    pub(crate) fn room(room: RoomId, rows: RoomRows) -> Result<Self, RowsError> {
        let chain = rows.chat.as_ref().and_then(|row| rows::chain_at(row.applied, row.chain));
        let watermark = rows.watermark;
        Ok(Self { state: EntityState::room(rows::room_state(room, rows)?), watermark, chain })
    }

    /// A user.
    ///
    /// # Errors
    /// The rows hold what can't be.
    pub(crate) fn user(user: &UserId, rows: UserRows) -> Result<Self, RowsError> {
        let chain = rows.user.as_ref().and_then(|row| rows::chain_at(row.applied, row.chain));
        let watermark = rows.watermark;
        Ok(Self { state: EntityState::user(rows::user_state(user, rows)?), watermark, chain })
    }

    /// The state that the rows make.
    #[cfg(test)]
    pub(crate) fn into_state(self) -> EntityState {
        self.state
    }
}

/// An entity as it was loaded.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Its state.
    pub core: Box<EntityCore>,
    /// The watermark of the rows that it was made of.
    pub watermark: Offset,
    /// A version of the fold is in force behind it that this program does not know.
    pub is_newer: bool,
    /// Their last record of it, and the chain after that (I10); `None` if they were made of no record.
    pub chain: Option<(Offset, Chain)>,
    /// What it takes of the node's memory.
    pub share: Share,
}

/// See the module.
pub(crate) struct Hydration {
    entity: Entity,
    core: EntityCore,
    watermark: Offset,
    chain: Option<(Offset, Chain)>,
    next: Offset,
    replay_to: Offset,
    clock: FoldClock,
}

impl Hydration {
    /// An entity as the store has it. Its records up to `replay_to` are folded on top, without effects, as far as this
    /// program knows the fold.
    pub(crate) fn new(
        entity: Entity,
        stored: StoredEntity,
        listeners: Arc<Listeners>,
        replay_to: Offset,
        knows: FoldVersion,
    ) -> Self {
        let StoredEntity { state, watermark: row, chain } = stored;
        let (watermark, clock) = (row.next_offset, FoldClock::after(&row, knows));
        let core = EntityCore::new(entity.clone(), state, listeners, watermark);
        Self { entity, core, watermark, chain, next: watermark, replay_to, clock }
    }

    /// From where on it wants the partition's records; `None` if it has all.
    pub(crate) fn wants(&self) -> Option<Offset> {
        (self.next < self.replay_to).then_some(self.next)
    }

    /// Takes what was read there; nothing, if the journal has nothing more. `stored` is what the store has by now.
    ///
    /// # Errors
    /// A record can't be read.
    pub(crate) fn take(&mut self, records: Vec<StoredRecord>, stored: Offset) -> Result<(), RecordError> {
        if records.is_empty() {
            self.next = self.replay_to;
        }
        let replay_to = self.replay_to;
        for record in records.into_iter().take_while(|record| record.offset < replay_to) {
            self.next = record.offset.next();
            let envelope = Envelope::decode_record(&record.bytes)?;
            let now = self.clock.advance(record.offset, record.time, &envelope)?;
            if fold::entity_of(&envelope).as_ref() == Some(&self.entity) {
                self.core.replay(&Item { offset: record.offset, now, envelope, origin: None }, stored);
            }
        }
        Ok(())
    }

    /// The entity, once nothing more is wanted.
    pub(crate) fn finish(self, share: Share) -> Loaded {
        let is_newer = self.clock.check().is_err();
        Loaded { core: Box::new(self.core), watermark: self.watermark, is_newer, chain: self.chain, share }
    }
}
