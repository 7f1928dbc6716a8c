//! What is done to a journal beside its work: it is trimmed, copied, and asked how it is. What a journal can't do, it says.

use std::path::Path;

use uuid::Uuid;

use super::JournalError;
use super::embedded::{self, BackupReport};
use crate::ids::{Offset, Timestamp};

/// A handle.
#[derive(Clone)]
pub(crate) enum Maintenance {
    /// Of an embedded journal; its folder is locked as long as the handle lives.
    Embedded(embedded::EmbeddedMaintenance),
    /// Of a journal in Kafka with this identity.
    Kafka(Uuid),
}

impl From<embedded::EmbeddedMaintenance> for Maintenance {
    fn from(journal: embedded::EmbeddedMaintenance) -> Self {
        Self::Embedded(journal)
    }
}

impl Maintenance {
    /// The journal's identity: new with a new journal and with each restore of one.
    #[must_use]
    pub(crate) fn id(&self) -> Uuid {
        match self {
            Self::Embedded(journal) => journal.id(),
            Self::Kafka(id) => *id,
        }
    }

    /// Why the journal takes no more appends until the next start, if that is so.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<String> {
        match self {
            Self::Embedded(journal) => journal.failure(),
            // Brokers come back; nothing that they do is for good.
            Self::Kafka(_) => None,
        }
    }

    /// Gives up what is older than `before` and lies below `covered` (by partition number; fewer than all partitions cover
    /// nothing). Returns how many pieces went. Blocks.
    ///
    /// # Errors
    /// I/O. What is still needed is there in any case.
    pub(crate) fn trim_covered(&self, covered: &[Offset], before: Timestamp) -> Result<usize, JournalError> {
        match self {
            Self::Embedded(journal) => journal.trim_covered(covered, before),
            // Nothing is ever covered: see `backup_to`.
            Self::Kafka(_) => Ok(0),
        }
    }

    /// Copies the journal up to its durable end into `to`, which must be empty or not there. Blocks.
    ///
    /// # Errors
    /// I/O; [`JournalError::Incompatible`] if it is not copied this way.
    pub(crate) fn backup_to(&self, to: &Path) -> Result<BackupReport, JournalError> {
        match self {
            Self::Embedded(journal) => journal.backup_to(to),
            Self::Kafka(_) => {
                let why =
                    "the journal is in Kafka, whose brokers keep its copies; `kervan backup` is for a data folder";
                Err(JournalError::Incompatible(why.to_owned()))
            }
        }
    }
}
