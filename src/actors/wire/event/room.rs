//! What happened in a room: the dense stream that members see, that recovery reads, and that the store keeps.

use uuid::Uuid;

use crate::actors::wire::{Content, HistoryBound, MaySend, RoomKind};
use crate::ids::{ClientId, MessageNo, Seq, Timestamp, UserId};

/// One event of a room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its place in the room.
    pub seq: Seq,
    /// Fold time of the record that made it.
    pub at: Timestamp,
    /// The id of the command that made it.
    pub id: Uuid,
    /// Who did it. Nobody for expiry.
    pub actor: Option<UserId>,
    /// The client's id of the command, for the dedupe window.
    pub client_id: Option<ClientId>,
    /// What happened.
    pub body: EventBody,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EventBody {
    /// The room was made: seq 1. Open channels have none, they start with their first message.
    Created {
        /// The kind.
        kind: RoomKind,
        /// The title.
        title: String,
        /// The first members, sorted, the creator among them.
        members: Vec<UserId>,
        /// When it expires.
        expires_at: Option<Timestamp>,
        /// Who may send.
        may_send: MaySend,
        /// Whether users may join by themselves.
        public: bool,
        /// How much history is kept.
        history: HistoryBound,
    },
    /// A message.
    Message {
        /// Its number among the room's messages.
        no: MessageNo,
        /// What it says; empty once it is redacted.
        content: Content,
        /// Set on what is read back after a deletion; never by the fold.
        redacted: bool,
    },
    /// A message has a new body.
    Edited {
        /// The message's seq.
        target: Seq,
        /// The new text; empty once the message is redacted.
        body: String,
        /// The new metadata.
        metadata: Option<String>,
    },
    /// A message was redacted.
    Deleted {
        /// The message's seq.
        target: Seq,
    },
    /// The actor entered.
    Joined,
    /// The actor left.
    Left,
    /// The actor asked `user` in.
    Invited {
        /// Who was asked.
        user: UserId,
    },
    /// The actor removed `user` (a member, or an invitation).
    Kicked {
        /// Who was removed.
        user: UserId,
    },
    /// The actor took the invitation of `user` back.
    Uninvited {
        /// Who was asked in.
        user: UserId,
    },
    /// Settings changed; all are given as they are now.
    Updated {
        /// Title.
        title: String,
        /// Expiry.
        expires_at: Option<Timestamp>,
        /// Who may send.
        may_send: MaySend,
        /// Whether users may join by themselves.
        public: bool,
    },
    /// An ended or expired direct chat was opened again.
    Reopened {
        /// When it expires now.
        expires_at: Option<Timestamp>,
    },
    /// The actor ended the room.
    Ended,
    /// The room's time was over.
    Expired,
}

impl EventBody {
    /// The number of what happened, in rows, on links and in hashes: fixed for life.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self {
            Self::Created { .. } => 1,
            Self::Message { .. } => 2,
            Self::Edited { .. } => 3,
            Self::Deleted { .. } => 4,
            Self::Joined => 5,
            Self::Left => 6,
            Self::Invited { .. } => 7,
            Self::Kicked { .. } => 8,
            Self::Updated { .. } => 9,
            Self::Reopened { .. } => 10,
            Self::Ended => 11,
            Self::Expired => 12,
            Self::Uninvited { .. } => 13,
        }
    }
}

impl Event {
    /// The user who is no member any more from this seq on, if any (P6).
    #[must_use]
    pub fn removes(&self) -> Option<&UserId> {
        match &self.body {
            EventBody::Left => self.actor.as_ref(),
            EventBody::Kicked { user } => Some(user),
            _ => None,
        }
    }

    /// The earlier message whose content this event takes away, if any.
    #[must_use]
    pub fn redacts(&self) -> Option<Seq> {
        match self.body {
            EventBody::Deleted { target } => Some(target),
            _ => None,
        }
    }

    /// Whether a deletion of `target` takes this event's content away: the message itself, or an edit of it.
    #[must_use]
    pub fn carries(&self, target: Seq) -> bool {
        match self.body {
            EventBody::Message { .. } => self.seq == target,
            EventBody::Edited { target: edited, .. } => edited == target,
            _ => false,
        }
    }

    /// Takes the content away; seq, number and message type stay.
    pub fn redact(&mut self) {
        match &mut self.body {
            EventBody::Message { content, redacted, .. } => {
                *content = Content { message_type: std::mem::take(&mut content.message_type), ..Content::default() };
                *redacted = true;
            }
            EventBody::Edited { body, metadata, .. } => {
                body.clear();
                *metadata = None;
            }
            _ => {}
        }
    }

    /// Bytes that the event takes in memory, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        let body = match &self.body {
            EventBody::Message { content, .. } => content.body.len() + content.metadata.len() + content.data.len(),
            EventBody::Edited { body, metadata, .. } => body.len() + metadata.as_ref().map_or(0, String::len),
            EventBody::Created { members, .. } => members.len() * 32,
            _ => 0,
        };
        std::mem::size_of::<Self>() + body
    }
}
