//! The values that commands, events and answers share.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::{MessageNo, Seq, Timestamp};

/// What kind of room it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Two users; either may end it; it may expire.
    Direct,
    /// Members by invitation, or by themselves if the room is public.
    Group,
    /// Like a group, but only the creator sends.
    Broadcast,
    /// A channel without membership, made by its first publish; bounded history, no membership events.
    Open,
}

impl RoomKind {
    /// Its number in records and rows: fixed for life.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Direct => 1,
            Self::Group => 2,
            Self::Broadcast => 3,
            Self::Open => 4,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Direct, Self::Group, Self::Broadcast, Self::Open].into_iter().find(|kind| kind.number() == number)
    }
}

/// Who may send in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaySend {
    /// Every member (in an open channel: everybody whom the gateway lets through).
    Members,
    /// The creator only.
    Creator,
}

impl MaySend {
    /// Its number in records and rows: fixed for life.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Members => 1,
            Self::Creator => 2,
        }
    }

    /// The value with this number.
    #[must_use]
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Members, Self::Creator].into_iter().find(|may| may.number() == number)
    }
}

/// How much history a room keeps. Resolved at admission from configuration into the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HistoryBound {
    /// Events kept, 0 for all.
    pub events: u64,
    /// Milliseconds that an event is kept, 0 for ever. More than `limits::DEDUPE_WINDOW_MS` counts as for ever: the fold
    /// knows the times of newer events only.
    pub age_ms: u64,
}

/// What a message says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Content {
    /// Text, at most `limits::BODY_BYTES`. Empty in an open channel.
    pub body: String,
    /// `text` unless said otherwise; at most `limits::MESSAGE_TYPE_BYTES`.
    pub message_type: String,
    /// JSON text, at most `limits::METADATA_BYTES`; empty if there is none. In an open channel: which connection published.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// The seq of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// In an open channel: the published data as it is, at most `limits::BODY_BYTES`. Empty otherwise.
    #[serde(default, skip_serializing_if = "Bytes::is_empty", with = "published")]
    pub data: Bytes,
}

impl Content {
    /// The type of a message that names none.
    pub(crate) const TEXT: &'static str = "text";
}

/// How far a user has read, resolved at admission from the room below the verified prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct ReadPoint {
    /// The last seq read.
    pub seq: Seq,
    /// The number of the last message at or below `seq`.
    pub no: MessageNo,
}

/// Whether a room lives, by what was recorded. Time passes without records: see [`Self::at`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub enum RoomStatus {
    /// It does.
    #[default]
    Active,
    /// Somebody ended it, or the last member of a room that nobody else may enter left.
    Ended,
    /// Its time is over.
    Expired,
}

impl RoomStatus {
    /// Its number in rows and hashes: fixed for life.
    #[must_use]
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Ended => 1,
            Self::Expired => 2,
        }
    }

    /// The status with this number.
    #[must_use]
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Active, Self::Ended, Self::Expired].into_iter().find(|status| status.number() == number)
    }

    /// The status at a time: expired once the room's time is over, even if no record said so yet.
    #[must_use]
    pub(crate) fn at(self, expires_at: Option<Timestamp>, now: Timestamp) -> Self {
        match self {
            Self::Active if expires_at.is_some_and(|at| at <= now) => Self::Expired,
            status => status,
        }
    }
}

/// A member of a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The seq of the event that made the user a member.
    pub joined: Seq,
    /// The number of the last message that the member sent here, 0 for none: one's own send moves one's own read mark.
    pub sent_no: MessageNo,
}

/// Where a user stands in a room, with the seq of the event that led there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum RoomStanding {
    /// A member.
    Member(Member),
    /// Asked in.
    Invited(Seq),
    /// Thrown out: needs an invitation, in a public room too.
    Kicked(Seq),
}

/// What changed for a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RoomChange {
    /// Is a member now.
    Joined = 1,
    /// Left by himself.
    Left = 2,
    /// Is asked in.
    Invited = 3,
    /// Was removed, or the invitation was taken back.
    Kicked = 4,
    /// The room has ended or expired.
    Ended = 5,
    /// The direct chat is open again.
    Reopened = 6,
}

impl RoomChange {
    /// Its number in records and rows: fixed for life.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The change with this number.
    #[must_use]
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Joined, Self::Left, Self::Invited, Self::Kicked, Self::Ended, Self::Reopened]
            .into_iter()
            .find(|change| change.number() == number)
    }

    /// Whether the user is told to have the room after it: not once he is gone or it is over, or what is known of a user
    /// would grow for life.
    #[must_use]
    pub(crate) fn is_listed(self) -> bool {
        !matches!(self, Self::Left | Self::Kicked | Self::Ended)
    }
}

/// Published data in an event's text: as the text that it is, if it is one.
mod published {
    use bytes::Bytes;
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(untagged)]
    enum Data {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(data: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(data) {
            Ok(text) => to.serialize_str(text),
            Err(_) => data[..].serialize(to),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        Ok(match Data::deserialize(from)? {
            Data::Text(text) => text.into(),
            Data::Bytes(bytes) => bytes.into(),
        })
    }
}
