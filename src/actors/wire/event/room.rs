//! What happened in a room: the dense stream that members see, that recovery reads, and that the store keeps.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::actors::wire::{Content, HistoryBound, MaySend, RoomChange, RoomKind};
use crate::ids::{ClientId, MessageNo, Seq, Timestamp, UserId};

/// One event of a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// The actor put an emoji on a message, or took it back. Once more what is so already changes nothing.
    Reacted {
        /// The message's seq.
        target: Seq,
        /// The emoji; empty once the message is redacted.
        emoji: String,
        /// Taken back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        removed: bool,
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
    /// What clients call the events, by [`Self::number`] from 1 on.
    pub(crate) const NAMES: [&'static str; 14] = [
        "room.created",
        "message",
        "message.edited",
        "message.deleted",
        "member.joined",
        "member.left",
        "member.invited",
        "member.kicked",
        "room.updated",
        "room.reopened",
        "room.ended",
        "room.expired",
        "member.uninvited",
        "message.reacted",
    ];

    /// The one place that says of each event what everybody must know who handles events without telling them apart.
    fn facts(&self) -> Facts<'_> {
        match self {
            Self::Created { members, .. } => {
                let lists = ListChange::Users(members, RoomChange::Joined);
                Facts { lists, bytes: members.len() * 32, ..Facts::of(1) }
            }
            Self::Message { content, .. } => {
                Facts { bytes: content.body.len() + content.metadata.len() + content.data.len(), ..Facts::of(2) }
            }
            Self::Edited { target, body, metadata } => {
                let bytes = body.len() + metadata.as_ref().map_or(0, String::len);
                Facts { target: Some(*target), bytes, ..Facts::of(3) }
            }
            Self::Deleted { target } => Facts { target: Some(*target), ..Facts::of(4) },
            Self::Reacted { target, emoji, .. } => Facts { target: Some(*target), bytes: emoji.len(), ..Facts::of(14) },
            Self::Joined => Facts { lists: ListChange::Actor(RoomChange::Joined), ..Facts::of(5) },
            Self::Left => Facts { removes: Removed::Actor, lists: ListChange::Actor(RoomChange::Left), ..Facts::of(6) },
            Self::Invited { user } => Facts { lists: ListChange::user(user, RoomChange::Invited), ..Facts::of(7) },
            Self::Kicked { user } => {
                let lists = ListChange::user(user, RoomChange::Kicked);
                Facts { removes: Removed::User(user), lists, ..Facts::of(8) }
            }
            Self::Updated { .. } => Facts::of(9),
            Self::Reopened { .. } => Facts { lists: ListChange::Everybody(RoomChange::Reopened), ..Facts::of(10) },
            Self::Ended => Facts { lists: ListChange::Everybody(RoomChange::Ended), ..Facts::of(11) },
            Self::Expired => Facts { lists: ListChange::Everybody(RoomChange::Ended), ..Facts::of(12) },
            Self::Uninvited { user } => Facts { lists: ListChange::user(user, RoomChange::Kicked), ..Facts::of(13) },
        }
    }

    /// The number of what happened in rows: fixed for life.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.facts().number
    }

    /// What clients call it, as the `type` of its publication.
    #[must_use]
    pub(crate) fn name(&self) -> &'static str {
        Self::NAMES[usize::from(self.number()) - 1]
    }

    /// The earlier message that it concerns, if it concerns one.
    #[must_use]
    pub(crate) fn target(&self) -> Option<Seq> {
        self.facts().target
    }

    /// Whose list of rooms it changes.
    pub(crate) fn lists(&self) -> ListChange<'_> {
        self.facts().lists
    }

    /// What is left of an event that concerned the message `target`, once that was deleted. `None` if no event of this
    /// number does.
    #[must_use]
    pub(crate) fn redacted(number: u8, target: Seq) -> Option<Self> {
        let all = [
            Self::Edited { target, body: String::new(), metadata: None },
            Self::Deleted { target },
            Self::Reacted { target, emoji: String::new(), removed: false },
        ];
        all.into_iter().find(|body| body.number() == number)
    }
}

/// See [`EventBody::facts`].
struct Facts<'a> {
    number: u8,
    /// The earlier message that it concerns.
    target: Option<Seq>,
    removes: Removed<'a>,
    lists: ListChange<'a>,
    /// Bytes of texts and lists, about.
    bytes: usize,
}

/// Who is no member any more (P6).
enum Removed<'a> {
    Nobody,
    Actor,
    User(&'a UserId),
}

/// Whose list of rooms an event changes, and how: what other partitions must be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ListChange<'a> {
    /// Nobody's.
    Nobody,
    /// That of the user who did it.
    Actor(RoomChange),
    /// Those of the users that it names.
    Users(&'a [UserId], RoomChange),
    /// Those of all who are in or asked in.
    Everybody(RoomChange),
}

impl<'a> ListChange<'a> {
    fn user(user: &'a UserId, change: RoomChange) -> Self {
        Self::Users(std::slice::from_ref(user), change)
    }
}

impl Facts<'_> {
    fn of(number: u8) -> Self {
        Self { number, target: None, removes: Removed::Nobody, lists: ListChange::Nobody, bytes: 0 }
    }
}

impl Event {
    /// The user who is no member any more from this seq on, if any (P6).
    #[must_use]
    pub(crate) fn removes(&self) -> Option<&UserId> {
        match self.body.facts().removes {
            Removed::Nobody => None,
            Removed::Actor => self.actor.as_ref(),
            Removed::User(user) => Some(user),
        }
    }

    /// The earlier message whose content this event takes away, if any.
    #[must_use]
    pub(crate) fn redacts(&self) -> Option<Seq> {
        matches!(self.body, EventBody::Deleted { .. }).then(|| self.body.target()).flatten()
    }

    /// Whether a deletion of `target` takes this event's content away: the message itself, or what was said of it since.
    #[must_use]
    pub fn carries(&self, target: Seq) -> bool {
        match self.body {
            EventBody::Message { .. } => self.seq == target,
            EventBody::Deleted { .. } => false,
            _ => self.body.target() == Some(target),
        }
    }

    /// Takes the content away; seq, number and message type stay.
    pub(crate) fn redact(&mut self) {
        if let EventBody::Message { content, redacted, .. } = &mut self.body {
            *content = Content { message_type: std::mem::take(&mut content.message_type), ..Content::default() };
            *redacted = true;
        } else if let Some(left) = self.body.target().and_then(|target| EventBody::redacted(self.body.number(), target))
        {
            self.body = left;
        }
    }

    /// Bytes that the event takes in memory, about.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        std::mem::size_of::<Self>() + self.body.facts().bytes
    }
}
