//! What comes in: one struct for each request, read from JSON, and the checks of size and shape.
//!
//! Unknown fields are ignored, wrong types are 107. Nothing here knows a room: whether a wish is allowed is the fold's to
//! say.

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, Unexpected, Visitor};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use super::error::Error;
use crate::actors::room::commands::Reaction;
use crate::api::protocol::payload::depth_within;
use crate::api::protocol::shape::read_object;
use crate::config::parse_duration;
use crate::ids::{ClientId, DeviceId, RoomId, UserId};
use crate::limits;

/// The longest explanation of a malformed input, in bytes: it may quote the input.
const WHY_BYTES: usize = 200;
/// The longest time to live, in milliseconds: a hundred years. Longer ones are a mistake in the unit.
const TTL_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// Reads a request: an object. No data at all counts as an empty one.
///
/// # Errors
/// 107 with what is wrong.
pub fn parse<T: DeserializeOwned>(data: &[u8]) -> Result<T, Error> {
    let data = if data.is_empty() || data == b"null" { b"{}" } else { data };
    if !depth_within(data, limits::JSON_DEPTH) {
        return Err(Error::bad(format!("JSON is nested deeper than {}", limits::JSON_DEPTH)));
    }
    read_object(data).map_err(|why| {
        let mut why = why.to_string();
        let end = why.floor_char_boundary(WHY_BYTES);
        why.truncate(end);
        Error::BadRequest(why)
    })
}

/// A room by its uuid or by its channel, `room:<uuid>`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ToSchema)]
#[schema(value_type = String)]
pub struct RoomRef(pub RoomId);

impl<'de> Deserialize<'de> for RoomRef {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        let uuid = text.strip_prefix(limits::ROOM_CHANNEL_PREFIX).unwrap_or(&text);
        match Uuid::try_parse(uuid) {
            Ok(id) if uuid.len() == 36 => Ok(Self(RoomId(id))),
            _ => Err(de::Error::custom("a room is a uuid or \"room:<uuid>\"")),
        }
    }
}

/// A time to live in milliseconds, 0 for ever: a number, or a text such as "24h".
#[derive(Clone, Copy, PartialEq, Eq, Debug, ToSchema)]
#[schema(value_type = u64)]
pub struct Ttl(pub u64);

impl<'de> Deserialize<'de> for Ttl {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Ttl;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("milliseconds, or a duration such as \"24h\"; 0 for ever")
            }
            fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Ttl, E> {
                if ms <= TTL_MS { Ok(Ttl(ms)) } else { Err(E::invalid_value(Unexpected::Unsigned(ms), &self)) }
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ttl, E> {
                let duration = parse_duration(text).map_err(E::custom)?;
                self.visit_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
            }
        }
        d.deserialize_any(Reader)
    }
}

/// A room and nothing else: `room.get`, `room.join`, `room.leave`, `room.end`, `typing`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct InRoom {
    /// Which.
    pub room: RoomRef,
}

/// A user in a room: `room.invite`, `room.kick`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct UserInRoom {
    /// Which.
    pub room: RoomRef,
    /// Who.
    pub user: UserId,
}

/// `room.uninvite`: which unanswered invitations are taken back; all of the caller's if nothing is said.
#[derive(Deserialize, Debug, Default, ToSchema)]
pub struct Uninvite {
    /// Only those into this room.
    pub room: Option<RoomRef>,
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Whose they are, if not the caller's: `room` is then one of the caller's making.
    pub inviter: Option<UserId>,
}

/// A user: `user.block`, `user.unblock`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct Whom {
    /// Who.
    pub user: UserId,
}

/// A message: `message.delete`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct Delete {
    /// Which room.
    pub room: RoomRef,
    /// The message's seq.
    pub target: u64,
}

/// `message.react`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct React {
    /// Which room.
    pub room: RoomRef,
    /// The message's seq.
    pub target: u64,
    /// The client's own id of the command: makes a retry harmless.
    pub client_id: Option<ClientId>,
    /// The emoji, and whether it comes or goes.
    #[serde(flatten)]
    pub reaction: Reaction,
}

/// Up to an event of a room: `message.delivered`, `read.mark`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct AtSeq {
    /// Which room.
    pub room: RoomRef,
    /// Up to which one.
    pub seq: u64,
}

/// `message.send`.
#[derive(Deserialize, ToSchema)]
pub struct Message {
    /// Where.
    pub room: RoomRef,
    /// The client's id.
    pub client_id: Option<ClientId>,
    /// The sending device.
    pub device: Option<DeviceId>,
    /// The client id that the same device sent before.
    pub prev: Option<ClientId>,
    /// Text.
    #[serde(default)]
    pub body: String,
    /// Type, `text` if there is none.
    #[serde(rename = "type", alias = "message_type")]
    pub message_type: Option<String>,
    /// Any JSON.
    #[schema(value_type = Option<serde_json::Value>)]
    pub metadata: Option<Box<RawValue>>,
    /// The seq of the message that this one answers.
    pub reply_to: Option<u64>,
}

/// `message.edit`.
#[derive(Deserialize, ToSchema)]
pub struct Edit {
    /// Where.
    pub room: RoomRef,
    /// The message's seq.
    pub target: u64,
    /// The new text.
    pub body: String,
    /// The new metadata; without it the old one stays.
    #[schema(value_type = Option<serde_json::Value>)]
    pub metadata: Option<Box<RawValue>>,
}

/// `message.history`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct History {
    /// Where.
    pub room: RoomRef,
    /// Messages below this seq, the newest of them.
    pub before: Option<u64>,
    /// Messages above this seq, the oldest of them.
    pub after: Option<u64>,
    /// How many.
    pub limit: Option<u64>,
}

/// `room.create`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct Create {
    /// `direct`, `group` or `broadcast`.
    #[serde(default)]
    pub kind: Kind,
    /// The other one in a direct chat.
    pub user: Option<UserId>,
    /// Who is in, beside the caller.
    #[serde(default)]
    pub members: Vec<UserId>,
    /// Title.
    #[serde(default)]
    pub title: String,
    /// Whether users may join without an invitation.
    #[serde(default)]
    pub public: bool,
    /// Who may send in a group.
    pub may_send: Option<Senders>,
    /// Names the group: a retry with it means the same room.
    pub client_id: Option<ClientId>,
    /// Time to live.
    pub ttl: Option<Ttl>,
}

/// The kinds of room that can be asked for.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, Default, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Two users.
    Direct,
    /// Many.
    #[default]
    Group,
    /// Many, one sends.
    Broadcast,
}

/// Who may send.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Senders {
    /// Every member.
    Members,
    /// The creator.
    Creator,
}

/// `room.update`: what is not named stays.
#[derive(Deserialize, Debug, ToSchema)]
pub struct Update {
    /// Which.
    pub room: RoomRef,
    /// Title.
    pub title: Option<String>,
    /// Time to live, from now on.
    pub ttl: Option<Ttl>,
    /// Who may send.
    pub may_send: Option<Senders>,
    /// Whether users may join by themselves.
    pub public: Option<bool>,
}

/// `room.list`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct List {
    /// How many.
    pub limit: Option<u64>,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// The rooms that have ended or expired instead of those that live.
    #[serde(default)]
    pub ended: bool,
}

/// `room.members`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct Members {
    /// Which.
    pub room: RoomRef,
    /// How many.
    pub limit: Option<u64>,
    /// The last user of the last page.
    pub after: Option<UserId>,
    /// Whether the members' read marks are wanted too.
    #[serde(default)]
    pub marks: bool,
}

/// `presence.get`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct Presence {
    /// Of whom.
    pub users: Vec<UserId>,
}

/// `user.device`.
#[derive(Deserialize, Debug, ToSchema)]
pub struct Device {
    /// Which.
    pub device: DeviceId,
    /// `web`, `ios`, `android`, …
    #[serde(default)]
    pub platform: String,
    /// Where pushes go.
    #[serde(default)]
    pub push_token: String,
    /// Forget it instead.
    #[serde(default)]
    pub remove: bool,
}

/// `user.preferences`.
#[derive(Deserialize, ToSchema)]
pub struct Preferences {
    /// What they shall be; without it they are only asked for.
    #[schema(value_type = Option<serde_json::Value>)]
    pub preferences: Option<Box<RawValue>>,
}

/// A text inside its bound. No NUL: databases can't hold one in a text.
pub(in crate::api) fn text(what: &'static str, text: &str, max: usize) -> Result<(), Error> {
    if text.len() > max {
        return Err(Error::TooLarge { what, max });
    }
    if text.contains('\0') {
        return Err(Error::bad(format!("{what} must not contain NUL")));
    }
    Ok(())
}

/// The page size that was asked for.
pub(super) fn page(limit: Option<u64>, default: usize, max: usize) -> Result<usize, Error> {
    match limit {
        None => Ok(default),
        Some(0) => Err(Error::bad("limit must be at least 1")),
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit <= max)
            .ok_or(Error::TooMany { what: "items in a page", max }),
    }
}

/// A list with at most `max` items.
pub(super) fn count(what: &'static str, len: usize, max: usize) -> Result<(), Error> {
    if len <= max { Ok(()) } else { Err(Error::TooMany { what, max }) }
}
