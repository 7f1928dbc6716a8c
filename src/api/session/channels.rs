//! Which channel a name means, and what its namespace allows.

use std::collections::HashMap;

use uuid::Uuid;

use crate::actors::gateway::hub::StreamKey;
use crate::actors::wire::{Entity, HistoryBound};
use crate::api::protocol::Error;
use crate::api::protocol::codes::ErrorCode;
use crate::config::{self, Publish};
use crate::ids::{RoomId, UserId, millis};
use crate::limits;

/// What the name of an open channel begins with that takes a token whatever its namespace says. It is no part of the
/// namespace's name.
const PRIVATE: char = '$';

/// The rules of a kind of channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Subscribing takes a token.
    pub(crate) token_required: bool,
    /// A name that ends in `#` and users is for them, and for who has a token.
    pub(crate) user_limited: bool,
    /// Who may publish.
    pub publish: Publish,
    /// Who is subscribed may be asked for.
    pub(crate) presence: bool,
    /// Comings and goings are told to those who ask.
    pub(crate) join_leave: bool,
    /// There is history, and it may be asked for.
    pub history: bool,
    /// Subscribers recover.
    pub recover: bool,
    /// How much history an open channel keeps.
    pub bound: HistoryBound,
}

/// Rooms: who may do what is decided in the fold.
const ROOM: Rules = Rules {
    token_required: false,
    user_limited: false,
    publish: Publish::Anyone,
    presence: true,
    join_leave: true,
    history: true,
    recover: true,
    bound: HistoryBound { events: 0, age_ms: 0 },
};

/// The user's own stream.
const PERSONAL: Rules = Rules { publish: Publish::Nobody, join_leave: false, ..ROOM };

/// What a name means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Channel {
    /// The stream behind it.
    pub key: StreamKey,
    /// What is allowed.
    pub rules: Rules,
}

impl Channel {
    /// The room, if it is one (an open channel is none here).
    #[must_use]
    pub(crate) fn room(&self) -> Option<RoomId> {
        match self.key {
            StreamKey { stream: Entity::Room(room), open: false } => Some(room),
            _ => None,
        }
    }

    /// Whether it is a personal stream.
    #[must_use]
    pub(crate) fn is_personal(&self) -> bool {
        matches!(self.key.stream, Entity::User(_))
    }
}

/// The channels of a server.
#[derive(Clone, Debug, Default)]
pub struct Channels {
    open: HashMap<String, Rules>,
}

impl Channels {
    /// With these namespaces.
    #[must_use]
    pub(crate) fn new(namespaces: &[config::Namespace]) -> Self {
        let open = namespaces.iter().filter(|namespace| namespace.open);
        Self { open: open.map(|namespace| (namespace.namespace.clone(), rules(namespace))).collect() }
    }

    /// What `name` means to `user`.
    ///
    /// # Errors
    /// 107 for what can't be a name, 102 for what is none here, 103 for the personal stream of somebody else.
    pub(crate) fn find(&self, name: &str, user: &UserId) -> Result<Channel, Error> {
        let mut channel = self.named(name)?;
        match &channel.key.stream {
            Entity::User(owner) if owner != user || user.is_anonymous() => Err(ErrorCode::PERMISSION_DENIED.into()),
            Entity::Room(_) if channel.key.open => {
                let rules = &mut channel.rules;
                rules.token_required |= name.starts_with(PRIVATE) || (rules.user_limited && !names_user(name, user));
                Ok(channel)
            }
            _ => Ok(channel),
        }
    }

    /// The channel that `name` means, for back ends, which may see all of them.
    ///
    /// # Errors
    /// 107 for what can't be a name, 102 for what is none here.
    pub(crate) fn named(&self, name: &str) -> Result<Channel, Error> {
        if name.is_empty() || name.len() > limits::CHANNEL_BYTES || name.contains(char::is_control) {
            return Err(ErrorCode::BAD_REQUEST.because("channel name"));
        }
        if let Some(owner) = name.strip_prefix('#') {
            // Nobody's: no user has such an id.
            let owner = UserId::new(owner).map_err(|_| ErrorCode::PERMISSION_DENIED)?;
            return Ok(Channel { key: StreamKey { stream: Entity::User(owner), open: false }, rules: PERSONAL });
        }
        if let Some(uuid) = name.strip_prefix(limits::ROOM_CHANNEL_PREFIX) {
            // One room has one name: what it is called in pushes.
            let room = Uuid::try_parse(uuid).map(RoomId).ok().filter(|room| room.channel() == name);
            let room = room.ok_or(ErrorCode::UNKNOWN_CHANNEL)?;
            return Ok(Channel { key: StreamKey { stream: Entity::Room(room), open: false }, rules: ROOM });
        }
        let bare = name.strip_prefix(PRIVATE).unwrap_or(name);
        let namespace = bare.split_once(':').map_or("", |(namespace, _)| namespace);
        let rules = self.open.get(namespace).ok_or(ErrorCode::UNKNOWN_CHANNEL)?.clone();
        Ok(Channel { key: StreamKey { stream: Entity::Room(RoomId::open(name)), open: true }, rules })
    }
}

/// Whether a name ends in users of whom this is one, as `dialog#42,43`, or in none at all. The id of an anonymous user is new
/// each time: no name can mean it.
fn names_user(name: &str, user: &UserId) -> bool {
    let Some((_, users)) = name.rsplit_once('#') else { return true };
    !user.is_anonymous() && users.split(',').any(|one| one == user.as_str())
}

fn rules(namespace: &config::Namespace) -> Rules {
    let age_ms = millis(namespace.history_ttl);
    Rules {
        token_required: namespace.token_required,
        user_limited: namespace.user_limited,
        publish: namespace.publish,
        presence: namespace.presence,
        join_leave: namespace.join_leave,
        history: namespace.history_size > 0,
        recover: namespace.recover && namespace.history_size > 0,
        // In a record, 0 events means all: a namespace without history keeps the last one, and never shows it.
        bound: HistoryBound { events: u64::from(namespace.history_size.max(1)), age_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels() -> Channels {
        let namespace = |name: &str, open, history_size| config::Namespace {
            namespace: name.to_owned(),
            open,
            history_size,
            ..config::Namespace::default()
        };
        let free = config::Namespace { user_limited: false, ..namespace("free", true, 0) };
        Channels::new(&[namespace("", true, 100), namespace("news", true, 0), namespace("off", false, 100), free])
    }

    fn find(name: &str) -> Result<Channel, u32> {
        channels().find(name, &UserId::new("ann").unwrap()).map_err(|error| error.code)
    }

    #[test]
    fn each_name_means_one_kind_of_channel() {
        let room = find("room:6ba7b810-9dad-51d1-80b4-00c04fd430c8").unwrap();
        assert!(room.room().is_some() && !room.rules.token_required);
        assert!(find("#ann").unwrap().is_personal());
        let open = find("lobby").unwrap();
        assert_eq!(open.key, StreamKey { stream: Entity::Room(RoomId::open("lobby")), open: true });
        assert_eq!(open.room(), None);
        assert!(find("lobby").unwrap().rules.recover);
        assert!(!find("news:today").unwrap().rules.recover);
    }

    #[test]
    fn other_names_are_refused_with_their_codes() {
        for (name, code) in [
            ("", 107),
            ("a\nb", 107),
            (&"x".repeat(256)[..], 107),
            ("#bob", 103),
            ("#", 103),
            ("room:nonsense", 102),
            ("room:6BA7B810-9DAD-51D1-80B4-00C04FD430C8", 102),
            ("room:6ba7b8109dad51d180b400c04fd430c8", 102),
            ("off:x", 102),
            ("unknown:x", 102),
        ] {
            assert_eq!(find(name), Err(code), "{name}");
        }
    }

    #[test]
    fn a_private_channel_and_one_of_named_users_take_a_token_of_everybody_else() {
        let takes_token = |name: &str, user: &str| {
            channels().find(name, &UserId::new(user).unwrap()).map(|channel| channel.rules.token_required)
        };
        for (name, user, token) in [
            ("lobby", "ann", false),
            ("$lobby", "ann", true),
            ("$news:today", "ann", true),
            ("dialog#ann,bob", "ann", false),
            ("news:dialog#ann,bob", "bob", false),
            ("dialog#ann,bob", "mallory", true),
            ("dialog#ann", "an", true),
            ("dialog#", "ann", true),
            ("a#ann#bob", "ann", true),
            ("$dialog#ann", "ann", true),
            ("free:c#", "ann", false),
        ] {
            assert_eq!(takes_token(name, user), Ok(token), "{name} {user}");
        }
        assert_eq!(find("$off:x"), Err(102));
        let nobody = UserId::anonymous(Uuid::from_u128(1));
        assert!(channels().find(&format!("news:x#{nobody}"), &nobody).unwrap().rules.token_required);
    }

    #[test]
    fn an_anonymous_user_has_no_personal_stream() {
        let user = UserId::anonymous(Uuid::from_u128(1));
        assert!(channels().find(&user.channel(), &user).is_err());
    }
}
