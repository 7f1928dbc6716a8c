//! A page of a room's history: what is asked, and the rows that answer it, all of one moment.

use super::SeqRange;
use super::rows::{ChatRow, MessageRow, Reactions};
use crate::ids::{RoomId, Seq, UserId};

/// Which messages of a room are wanted.
#[derive(Clone, Copy, Debug)]
pub struct HistoryQuestion<'a> {
    /// The room.
    pub(crate) room: RoomId,
    /// The messages; none below the room's floor is told.
    pub(crate) range: SeqRange,
    /// At most so many.
    pub(crate) limit: usize,
    /// Whose emoji are marked as his own.
    pub(crate) user: &'a UserId,
    /// Whether the moment may be some time ago: the asker sees by the room's head which one it is, and has what came since
    /// or asks again. Then a replica may answer.
    pub(crate) may_lag: bool,
}

impl HistoryQuestion<'_> {
    /// The range above the floor of the room's row.
    #[must_use]
    pub(super) fn range_in(&self, chat: &ChatRow) -> SeqRange {
        SeqRange { from: self.range.from.max(chat.floor), ..self.range }
    }
}

/// Rows of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryRows {
    /// The room: its head says which moment it is.
    pub(crate) chat: ChatRow,
    /// The messages in their present form, in the direction of the range.
    pub(crate) messages: Vec<MessageRow>,
    /// The reactions to them.
    pub(crate) reactions: Reactions,
}

/// The seqs that `messages` lie between. `None` if there are none.
#[must_use]
pub(super) fn stretch(messages: &[MessageRow]) -> Option<SeqRange> {
    let (first, last): (Seq, Seq) = (messages.first()?.seq, messages.last()?.seq);
    Some(SeqRange::new(first.min(last), first.max(last)))
}
