//! Marks of backups, kept in the control topic: whoever runs a node, and whatever becomes of its database, finds them there.

use uuid::Uuid;

use super::control::{ControlRecord, append, held, marks_in};
use super::reader::{Reader, client};
use super::settings::Options;
use super::{ASK, identity, load};
use crate::storage::journal::marks::{BackupMark, CopyRefused, judge, witnesses};
use crate::storage::journal::{Bounds, JournalError};
use crate::storage::same_log::compare;
use crate::storage::sql::copy::DatabaseCopy;

/// Why there is no mark.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// The copy is no backup of this journal's rows.
    #[error("the copy is refused: {0}")]
    Refused(#[from] CopyRefused),
    /// The journal could not be asked.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// All marks, the newest last, and what each partition holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Marked {
    /// In the order in which they came.
    pub marks: Vec<BackupMark>,
    /// By partition number.
    pub bounds: Vec<Bounds>,
}

/// Reads all marks. Blocks.
///
/// # Errors
/// The brokers do not answer, or there are no such topics.
pub fn marked(options: &Options) -> Result<Marked, JournalError> {
    let client = client(options)?;
    let topic = &options.control_topic;
    let held = held(&client, topic)?;
    // Looked at last: whatever is trimmed while the marks are read is known.
    Ok(Marked { marks: marks_in(&client, topic, held)?, bounds: bounds(options)? })
}

/// Judges a copy of the database, and registers it as a backup. From then on the journal may be trimmed behind it. Blocks.
///
/// # Errors
/// See [`MarkError`]. After an error of the journal the mark may be there: `marked` tells.
pub fn register(options: &Options, copy: &DatabaseCopy, id: Uuid, name: &str) -> Result<BackupMark, MarkError> {
    let own = identity::known(options)?;
    let Some(own) = own else {
        let why = format!("the topic {} is empty: no server has ever used it", options.control_topic);
        return Err(JournalError::Incompatible(why).into());
    };
    let held = bounds(options)?;
    let mark = judge(copy, own, &held, id, name)?;
    let witnesses = witnesses(copy, &held);
    let places: Vec<_> = witnesses.iter().map(|one| (one.partition, one.at)).collect();
    compare(&witnesses, &load::records_at(options, &places)?).map_err(CopyRefused::OtherLog)?;
    append(options, &ControlRecord::from(&mark))?;
    let Marked { marks, bounds } = marked(options)?;
    let found = marks.into_iter().find(|mark| mark.id == id);
    let found = found.ok_or_else(|| JournalError::Io("Kafka did not take the mark".to_owned()))?;
    // Behind a newer backup the log may have been trimmed meanwhile.
    found.fits(&bounds)?;
    Ok(found)
}

fn bounds(options: &Options) -> Result<Vec<Bounds>, JournalError> {
    Reader::new(options)?.bounds(ASK)
}
