//! Which journal it is: the first record of the control topic. Whoever comes first writes one; the log decides who that was.

use uuid::Uuid;

use super::control::{ControlRecord, append, held, read};
use super::reader::{Client, client};
use super::settings::Options;
use crate::ids::Offset;
use crate::storage::journal::JournalError;

/// Reads it; `fresh` is what an empty control topic gets. Blocks.
///
/// # Errors
/// The brokers do not answer; there is no such topic, or its first record is something else.
pub(super) fn identity(options: &Options, fresh: Uuid) -> Result<Uuid, JournalError> {
    let client = client(options)?;
    let topic = &options.control_topic;
    let (start, end) = held(&client, topic)?;
    if start > Offset::ZERO {
        return Err(JournalError::Damaged(format!("the topic {topic} has lost its first record")));
    }
    if end == Offset::ZERO {
        append(options, &ControlRecord { journal: fresh.as_bytes().to_vec(), mark: None })?;
    }
    first(&client, topic)
}

/// Reads it, if there is one. Blocks.
///
/// # Errors
/// As [`identity`].
pub(super) fn known(options: &Options) -> Result<Option<Uuid>, JournalError> {
    let client = client(options)?;
    let topic = &options.control_topic;
    let (_, end) = held(&client, topic)?;
    if end == Offset::ZERO { Ok(None) } else { first(&client, topic).map(Some) }
}

fn first(client: &Client, topic: &str) -> Result<Uuid, JournalError> {
    let mut found = None;
    let all = (Offset::ZERO, Offset::ZERO.next());
    let done = read(client, topic, all, |_, record| found = Uuid::from_slice(&record.journal).ok());
    match done {
        Ok(()) | Err(JournalError::Incompatible(_)) => found.ok_or_else(|| {
            JournalError::Incompatible(format!("the topic {topic} does not begin with a journal's identity"))
        }),
        Err(why) => Err(why),
    }
}
