//! Names and numbers of the domain: slots, partitions, offsets, seqs, room and user ids.
//!
//! Newtypes only, so that a seq is never taken for an offset. Nothing here does I/O.

mod slot;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::slot::{SLOTS, Slot};
use crate::limits;

/// Number of journal partitions, fixed for life.
pub const PARTITIONS: u16 = 256;
/// Contiguous slots in a partition.
pub(crate) const SLOTS_PER_PARTITION: u16 = SLOTS / PARTITIONS;

/// A partition of the journal, `0..256`: 64 contiguous slots. The unit of ownership, of journaling and of replay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Partition(u16);

impl Partition {
    /// The lowest one.
    pub const FIRST: Self = Self(0);

    /// The partition with this number, if it is below [`PARTITIONS`].
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (number < PARTITIONS).then_some(Self(number))
    }

    /// The partition that holds `slot`.
    #[must_use]
    pub(crate) fn of_slot(slot: Slot) -> Self {
        Self(slot.get() / SLOTS_PER_PARTITION)
    }

    /// The partition of a key: see [`Slot::of`].
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self::of_slot(Slot::of(key))
    }

    /// The partition's number, `0..256`.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }

    /// The partition's number as an index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// All partitions in order.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        (0..PARTITIONS).map(Self)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// Zero.
            pub const ZERO: Self = Self(0);

            /// The next number.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// This number plus `n`.
            #[must_use]
            pub const fn plus(self, n: u64) -> Self {
                Self(self.0 + n)
            }

            /// As SQL keeps it. Saturates at `i64::MAX`, which no journal of this world reaches.
            #[must_use]
            pub(crate) fn as_i64(self) -> i64 {
                i64::try_from(self.0).unwrap_or(i64::MAX)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A record's place in its partition: 0, 1, 2, … without holes.
    Offset
}
number! {
    /// A room event's place in its room: 1, 2, 3, … without holes, never reused. 0 means "before the first".
    /// Also the place of an event in a user's personal stream. Given only by a fold.
    Seq
}
number! {
    /// A message's number among the messages of its room, 1, 2, 3, …; other events take none. For unread counts.
    MessageNo
}
number! {
    /// Milliseconds since the Unix epoch.
    Timestamp
}

impl Timestamp {
    /// Milliseconds from `earlier` to this time; 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The generation of a room's log, a part of the protocol's `epoch` (see [`crate::epoch`]). Starts at 1; only
/// `history_remove` changes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u32);

impl Generation {
    /// What a room is made with.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Namespaces of the uuid5 ids that Kervan derives. Fixed for life.
mod namespace {
    use uuid::Uuid;
    pub(crate) const DIRECT: Uuid = Uuid::from_u128(0x6b65_7276_616e_5000_8000_0000_0000_0001);
    pub(crate) const GROUP: Uuid = Uuid::from_u128(0x6b65_7276_616e_5000_8000_0000_0000_0002);
    pub(crate) const OPEN: Uuid = Uuid::from_u128(0x6b65_7276_616e_5000_8000_0000_0000_0003);
}

/// A room's uuid; also its slot key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct RoomId(pub Uuid);

/// From its uuid, in one form only, or from its channel, `room:<uuid>`.
impl<'de> Deserialize<'de> for RoomId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(d)?;
        let uuid = text.strip_prefix(limits::ROOM_CHANNEL_PREFIX).unwrap_or(&text);
        match Uuid::try_parse(uuid) {
            Ok(id) if uuid.len() == 36 => Ok(Self(id)),
            _ => Err(de::Error::custom("a room is a uuid or \"room:<uuid>\"")),
        }
    }
}

impl RoomId {
    /// The direct chat of two users, the same whatever their order: uuid5 of the length-prefixed sorted pair.
    #[must_use]
    pub fn direct(one: &UserId, other: &UserId) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        Self(Uuid::new_v5(&namespace::DIRECT, &length_prefixed(&[low.as_str(), high.as_str()])))
    }

    /// The group that `creator` asks for under `client_id`: a retry names the same room.
    #[must_use]
    pub fn group(creator: &UserId, client_id: &ClientId) -> Self {
        Self(Uuid::new_v5(&namespace::GROUP, &length_prefixed(&[creator.as_str(), client_id.as_str()])))
    }

    /// The room behind an open channel's name.
    #[must_use]
    pub fn open(channel: &str) -> Self {
        Self(Uuid::new_v5(&namespace::OPEN, channel.as_bytes()))
    }

    /// The room's partition: that of the uuid as text.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition::of_slot(Slot::of_uuid(self.0))
    }

    /// The room's channel name, `room:<uuid>`. An open channel has a name of its own instead.
    #[must_use]
    pub fn channel(&self) -> String {
        format!("{}{}", limits::ROOM_CHANNEL_PREFIX, self.0)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn length_prefixed(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u32).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

/// Why a text is no id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// Empty, or longer than the bound.
    #[error("an id has 1 to {max} bytes, this one has {len}")]
    Length {
        /// Its length in bytes.
        len: usize,
        /// The bound in bytes.
        max: usize,
    },
    /// A control character.
    #[error("an id has no control characters")]
    Control,
}

fn check_id(text: &str, max: usize) -> Result<(), IdError> {
    if text.is_empty() || text.len() > max {
        return Err(IdError::Length { len: text.len(), max });
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::Control);
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a text.
            ///
            /// # Errors
            /// Empty, too long, or with a control character.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check_id(text, $max)?;
                Ok(Self(Arc::from(text)))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id! {
    /// A user's id, the token's `sub`: 1 to [`limits::USER_ID_BYTES`] bytes. An anonymous one is `anon:<client uuid>`.
    UserId, limits::USER_ID_BYTES
}
text_id! {
    /// The id that a client gave to its message or room: 1 to [`limits::CLIENT_ID_BYTES`] bytes. If it is a UUIDv7, the
    /// time in it tells a retry that is older than the dedupe window.
    ClientId, limits::CLIENT_ID_BYTES
}
text_id! {
    /// A device of a user: 1 to [`limits::DEVICE_ID_BYTES`] bytes.
    DeviceId, limits::DEVICE_ID_BYTES
}

impl UserId {
    /// The user behind a connection without a `sub`.
    #[must_use]
    pub fn anonymous(client: Uuid) -> Self {
        Self(Arc::from(format!("{}{client}", limits::ANONYMOUS_PREFIX)))
    }

    /// Who publishes over the server API without naming a user: nobody who can connect.
    #[must_use]
    pub fn server() -> Self {
        Self(Arc::from(limits::SERVER_USER))
    }

    /// Whether this is [`Self::server`].
    #[must_use]
    pub(crate) fn is_server(&self) -> bool {
        &*self.0 == limits::SERVER_USER
    }

    /// Whether this is an anonymous user.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.starts_with(limits::ANONYMOUS_PREFIX)
    }

    /// The user's partition.
    #[must_use]
    pub fn partition(&self) -> Partition {
        Partition::of(self.0.as_bytes())
    }

    /// The user's personal channel, `#<user id>`.
    #[must_use]
    pub fn channel(&self) -> String {
        format!("#{}", self.0)
    }
}

impl ClientId {
    /// The time inside, if the id is a UUIDv7.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        time_in(Uuid::try_parse(&self.0).ok()?)
    }
}

fn time_in(id: Uuid) -> Option<Timestamp> {
    (id.get_version_num() == 7).then(|| Timestamp((id.as_u128() >> 80) as u64))
}

/// A client id for keeping by the thousands: what most of them are takes 16 bytes and no memory elsewhere.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub(crate) enum PackedClientId {
    /// It is this UUID, written in lower case with hyphens.
    Uuid(Uuid),
    /// It is any other text, a UUID in another form included.
    Text(ClientId),
}

impl From<&ClientId> for PackedClientId {
    fn from(client_id: &ClientId) -> Self {
        let uuid = Uuid::try_parse(client_id.as_str()).ok();
        let usual =
            uuid.filter(|id| *id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == *client_id.as_str());
        usual.map_or_else(|| Self::Text(client_id.clone()), Self::Uuid)
    }
}

impl From<&PackedClientId> for ClientId {
    fn from(packed: &PackedClientId) -> Self {
        match packed {
            PackedClientId::Uuid(id) => Self(Arc::from(id.to_string())),
            PackedClientId::Text(text) => text.clone(),
        }
    }
}

impl PackedClientId {
    /// The time inside, if the id is a UUIDv7.
    #[must_use]
    pub(crate) fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Uuid(id) => time_in(*id),
            Self::Text(text) => text.time(),
        }
    }
}

/// A span of time as everything here counts it: in whole milliseconds. Saturates.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_direct_chat_is_one_room_whatever_the_order() {
        let (a, b) = (UserId::new("alice").unwrap(), UserId::new("bob").unwrap());
        assert_eq!(RoomId::direct(&a, &b), RoomId::direct(&b, &a));
        let (c, d) = (UserId::new("alic").unwrap(), UserId::new("ebob").unwrap());
        assert_ne!(RoomId::direct(&a, &b), RoomId::direct(&c, &d));
    }

    #[test]
    fn a_uuid7_client_id_tells_its_time() {
        let id = ClientId::new("018f0000-0000-7000-8000-000000000000").unwrap();
        assert_eq!(id.time(), Some(Timestamp(0x018f_0000_0000)));
        assert_eq!(ClientId::new("m-1").unwrap().time(), None);
        assert_eq!(ClientId::new("018f0000-0000-4000-8000-000000000000").unwrap().time(), None);
    }

    #[test]
    fn a_packed_client_id_is_another_one_for_each_text() {
        let usual = "018f0000-0000-7000-8000-00000000000a";
        let texts = [usual, &usual.to_uppercase(), &usual.replace('-', ""), &format!("{{{usual}}}"), "m-1"];
        let ids: Vec<ClientId> = texts.iter().map(|text| ClientId::new(text).unwrap()).collect();
        let packed: HashSet<PackedClientId> = ids.iter().map(PackedClientId::from).collect();
        assert_eq!(packed.len(), texts.len());
        assert!(matches!(PackedClientId::from(&ids[0]), PackedClientId::Uuid(_)));
        for id in &ids {
            assert_eq!(PackedClientId::from(id).time(), id.time());
            assert_eq!(ClientId::from(&PackedClientId::from(id)), *id);
        }
    }
}
