//! Emoji on messages.

use crate::ids::{RoomId, Seq, UserId};

/// An emoji that a user put on a message.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ReactionRow {
    /// The room.
    pub room: RoomId,
    /// The message.
    pub seq: Seq,
    /// The emoji.
    pub emoji: String,
    /// The user.
    pub user: UserId,
}

/// How many users put an emoji on a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReactionCount {
    /// The message.
    pub seq: Seq,
    /// The emoji.
    pub emoji: String,
    /// How many users; at least one.
    pub count: u64,
    /// Whether the asking user is one of them.
    pub own: bool,
}

/// The reactions to a stretch of messages, at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reactions {
    /// The room's head at that moment: its events up to there are counted, and no later one.
    pub head: Seq,
    /// By message, then by emoji.
    pub counts: Vec<ReactionCount>,
}
