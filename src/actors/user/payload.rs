//! User commands as journal records. What a payload holds is said by each verb ([`super::commands`]); this is the envelope
//! around it. Decoding is total, as in `room::payload`.

use bytes::Bytes;

use super::commands::{UserCommand, UserCommandBody};
use crate::actors::wire::{Reject, fields};
use crate::storage::journal::record::{Addressed, Envelope};

/// The record that carries a command.
#[must_use]
pub fn encode(command: UserCommand) -> Bytes {
    let UserCommand { user, id, issued_at, ttl_ms, body } = command;
    body.encode(Envelope {
        key: fields::bytes(user.as_str()),
        command_id: fields::uuid_bytes(id),
        issued_at_ms: issued_at.0,
        ttl_ms,
        ..Envelope::default()
    })
}

/// The record that carries a command, and the partition where it belongs.
#[must_use]
pub(crate) fn address(command: UserCommand) -> Addressed {
    Addressed { partition: command.user.partition(), room: None, record: encode(command) }
}

/// The command in a record.
///
/// # Errors
/// [`Reject::Invalid`] if the kind is none of a user, or key, command id or payload are not what they should be.
pub fn decode(envelope: &Envelope) -> Result<UserCommand, Reject> {
    Ok(UserCommand {
        user: fields::user(&envelope.key)?,
        id: fields::uuid(&envelope.command_id)?,
        issued_at: envelope.issued_at(),
        ttl_ms: envelope.ttl_ms,
        body: UserCommandBody::decode(envelope.kind, &envelope.payload)?,
    })
}

/// A command as whoever reads its record has it.
#[cfg(test)]
pub(in crate::actors) fn envelope(command: UserCommand) -> Envelope {
    Envelope::decode_record(&encode(command)).unwrap()
}
