//! How large a command may be, and which texts no row can hold. Part of the fold: the same for everyone who reads the
//! record.

use super::command::{Create, RoomCommand};
use crate::actors::wire::{Content, Reject};
use crate::limits;

fn within(len: usize, max: usize) -> Result<(), Reject> {
    if len <= max { Ok(()) } else { Err(Reject::TooLarge) }
}

/// Judges a text that becomes a column. PostgreSQL's texts hold everything but NUL: accepted, it would stop the partition's
/// projection for good. Gateways refuse it before.
///
/// # Errors
/// [`Reject::TooLarge`]; [`Reject::Invalid`] for a NUL.
pub(in crate::actors) fn text(text: &str, max: usize) -> Result<(), Reject> {
    within(text.len(), max)?;
    if text.contains('\0') { Err(Reject::Invalid) } else { Ok(()) }
}

/// Judges the texts and counts in a command. Ids are judged where they are decoded.
///
/// # Errors
/// As [`text`].
pub(super) fn check(command: &RoomCommand) -> Result<(), Reject> {
    match command {
        RoomCommand::Create(create) => check_create(create),
        RoomCommand::Send(send) => {
            check_content(&send.content)?;
            send.open.as_ref().map_or(Ok(()), |open| text(&open.channel, limits::CHANNEL_BYTES))
        }
        RoomCommand::Edit(edit) => {
            text(&edit.body, limits::BODY_BYTES)?;
            text(edit.metadata.as_deref().unwrap_or_default(), limits::METADATA_BYTES)
        }
        RoomCommand::Update(update) => text(update.title.as_deref().unwrap_or_default(), limits::TITLE_BYTES),
        RoomCommand::Delete(_)
        | RoomCommand::Join { .. }
        | RoomCommand::Leave { .. }
        | RoomCommand::Invite { .. }
        | RoomCommand::Kick { .. }
        | RoomCommand::Uninvite(_)
        | RoomCommand::End { .. }
        | RoomCommand::Expire
        | RoomCommand::Block(_) => Ok(()),
    }
}

fn check_create(create: &Create) -> Result<(), Reject> {
    text(&create.title, limits::TITLE_BYTES)?;
    text(&create.channel, limits::CHANNEL_BYTES)?;
    within(create.members.len(), limits::CREATE_MEMBERS)
}

fn check_content(content: &Content) -> Result<(), Reject> {
    text(&content.body, limits::BODY_BYTES)?;
    within(content.data.len(), limits::BODY_BYTES)?;
    text(&content.message_type, limits::MESSAGE_TYPE_BYTES)?;
    text(&content.metadata, limits::METADATA_BYTES)
}
