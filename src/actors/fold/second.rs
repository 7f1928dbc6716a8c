//! A second version of the fold, for tests only: a rolling upgrade needs two programs that decide differently. It accepts
//! and refuses what the first one does, and says another thing of every message.

use crate::actors::room::Command;
use crate::actors::room::commands::RoomCommand;

/// The command as the second version understands it.
pub(super) fn understood(mut command: Command) -> Command {
    if let RoomCommand::Send(send) = &mut command.body {
        send.content.message_type.push('2');
    }
    command
}
