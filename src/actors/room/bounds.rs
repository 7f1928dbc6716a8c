//! How large a command may be. Part of the fold: the same for everyone who reads the record.

use super::command::{Content, Create, RoomCommand};
use super::outcome::Reject;
use crate::limits;

fn within(len: usize, max: usize) -> Result<(), Reject> {
    if len <= max { Ok(()) } else { Err(Reject::TooLarge) }
}

/// Judges the lengths in a command.
///
/// # Errors
/// [`Reject::TooLarge`].
pub(super) fn check(command: &RoomCommand) -> Result<(), Reject> {
    match command {
        RoomCommand::Create(create) => check_create(create),
        RoomCommand::Send(send) => {
            check_content(&send.content)?;
            send.open.as_ref().map_or(Ok(()), |open| within(open.channel.len(), limits::CHANNEL_BYTES))
        }
        RoomCommand::Edit(edit) => {
            within(edit.body.len(), limits::BODY_BYTES)?;
            within(edit.metadata.as_ref().map_or(0, String::len), limits::METADATA_BYTES)
        }
        RoomCommand::Update(update) => within(update.title.as_ref().map_or(0, String::len), limits::TITLE_BYTES),
        RoomCommand::Delete(_)
        | RoomCommand::Join { .. }
        | RoomCommand::Leave { .. }
        | RoomCommand::Invite { .. }
        | RoomCommand::Kick { .. }
        | RoomCommand::End { .. }
        | RoomCommand::Expire
        | RoomCommand::Block(_) => Ok(()),
    }
}

fn check_create(create: &Create) -> Result<(), Reject> {
    within(create.title.len(), limits::TITLE_BYTES)?;
    within(create.channel.len(), limits::CHANNEL_BYTES)?;
    within(create.members.len(), limits::CREATE_MEMBERS)
}

fn check_content(content: &Content) -> Result<(), Reject> {
    within(content.body.len(), limits::BODY_BYTES)?;
    within(content.data.len(), limits::BODY_BYTES)?;
    within(content.message_type.len(), limits::MESSAGE_TYPE_BYTES)?;
    within(content.metadata.len(), limits::METADATA_BYTES)
}
