//! The kinds of journal records, by number, for life. A number is never used again for something else.
//!
//! Room kinds 1–999, user kinds 1000–1999, control kinds 2000 and up. Which verb has which number stands in the tables of
//! `room::commands` and `user::commands`.

use super::room::RoomCommand;
use super::user::UserCommandBody;

/// Closes the verified prefix where others write; no meaning of its own.
pub const CONTROL_BARRIER: u32 = 2000;
/// Begins a version of the fold. A program that does not know that version halts before it.
pub const CONTROL_VERSION: u32 = 2001;

/// Messages and what is done to messages, read marks, barriers: nobody is told of their rows.
const TOLD_TO_NOBODY: [u32; 6] = [2, 3, 4, 20, 1000, CONTROL_BARRIER];

/// Whether somebody may wait for the rows of a record of this kind: others are told of it, or it tells somebody.
#[must_use]
pub(crate) fn is_awaited(kind: u32) -> bool {
    !TOLD_TO_NOBODY.contains(&kind)
}

/// Whether the kind belongs to the room fold.
#[must_use]
pub(crate) fn is_room(kind: u32) -> bool {
    (1..1000).contains(&kind)
}

/// Whether the kind belongs to the user fold.
#[must_use]
pub(crate) fn is_user(kind: u32) -> bool {
    (1000..2000).contains(&kind)
}

/// Its name for operators; `other` of a number without a meaning.
#[must_use]
pub fn name(kind: u32) -> &'static str {
    let verb = RoomCommand::name_of(kind).or_else(|| UserCommandBody::name_of(kind));
    verb.unwrap_or(match kind {
        CONTROL_BARRIER => "barrier",
        CONTROL_VERSION => "version",
        _ => "other",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_messages_read_marks_and_barriers() {
        let names = TOLD_TO_NOBODY.map(name);
        assert_eq!(names, ["room.send", "room.edit", "room.delete", "room.react", "user.read", "barrier"]);
    }
}
