//! Room commands as journal records. What a payload holds is said by each verb ([`super::commands`]); this is the envelope
//! around it.
//!
//! Decoding is total: a valid envelope with an invalid payload is [`Reject::Invalid`], the same way by everyone.

use bytes::Bytes;

use super::commands::{Command, RoomCommand};
use crate::actors::wire::{Reject, fields};
use crate::storage::journal::record::{Addressed, Envelope};

/// The record that carries a command.
#[must_use]
pub fn encode(command: Command) -> Bytes {
    let Command { room, id, issued_at, ttl_ms, body } = command;
    body.encode(Envelope {
        key: fields::uuid_bytes(room.0),
        command_id: fields::uuid_bytes(id),
        issued_at_ms: issued_at.0,
        ttl_ms,
        ..Envelope::default()
    })
}

/// The record that carries a command, and the partition where it belongs.
#[must_use]
pub fn address(command: Command) -> Addressed {
    Addressed { partition: command.room.partition(), room: Some(command.room), record: encode(command) }
}

/// The command in a record.
///
/// # Errors
/// [`Reject::Invalid`] if the kind is none of a room, or key, command id or payload are not what they should be.
pub fn decode(envelope: &Envelope) -> Result<Command, Reject> {
    Ok(Command {
        room: fields::room(&envelope.key)?,
        id: fields::uuid(&envelope.command_id)?,
        issued_at: envelope.issued_at(),
        ttl_ms: envelope.ttl_ms,
        body: RoomCommand::decode(envelope.kind, &envelope.payload)?,
    })
}

/// A command as whoever reads its record has it.
#[cfg(test)]
pub(in crate::actors) fn envelope(command: Command) -> Envelope {
    Envelope::decode_record(&encode(command)).unwrap()
}
