//! What is done to a journal beside its work: it is trimmed, copied, and asked how it is. What a journal can't do, it says.

use std::path::Path;

use uuid::Uuid;

use super::JournalError;
use super::embedded::{self, BackupReport};
use super::kafka::KafkaMaintenance;
use super::marks::BackupMark;
use crate::ids::{Offset, Timestamp};

/// A handle.
#[derive(Clone)]
pub(crate) enum Maintenance {
    /// Of an embedded journal; its folder is locked as long as the handle lives.
    Embedded(embedded::EmbeddedMaintenance),
    /// Of a journal in Kafka.
    Kafka(KafkaMaintenance),
}

/// Where it stands which backups there are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Marks {
    /// In a note of the store.
    Noted,
    /// In the journal: the newest one.
    Marked(Option<BackupMark>),
}

impl From<embedded::EmbeddedMaintenance> for Maintenance {
    fn from(journal: embedded::EmbeddedMaintenance) -> Self {
        Self::Embedded(journal)
    }
}

impl From<KafkaMaintenance> for Maintenance {
    fn from(journal: KafkaMaintenance) -> Self {
        Self::Kafka(journal)
    }
}

impl Maintenance {
    /// The journal's identity: new with a new journal and with each restore of one.
    #[must_use]
    pub(crate) fn id(&self) -> Uuid {
        match self {
            Self::Embedded(journal) => journal.id(),
            Self::Kafka(journal) => journal.id(),
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
            Self::Kafka(journal) => journal.trim_covered(covered, before),
        }
    }

    /// Whether what backups have is marked in the journal itself, and not noted by the store: the one that was marked last.
    /// Blocks.
    ///
    /// # Errors
    /// The journal does not answer.
    pub(crate) fn newest_mark(&self) -> Result<Marks, JournalError> {
        match self {
            Self::Embedded(_) => Ok(Marks::Noted),
            Self::Kafka(journal) => journal.newest_mark().map(Marks::Marked),
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
                let why = "the journal is in Kafka, whose brokers keep its copies: dump the database, restore the dump \
                           somewhere, and register that by `kervan backup mark`";
                Err(JournalError::Incompatible(why.to_owned()))
            }
        }
    }
}
