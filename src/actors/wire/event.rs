//! What happened, as streams carry it: the events of a room and of a user, and their bytes.

mod room;
mod user;

use std::sync::Arc;

pub use room::Event;
pub(crate) use room::{EventBody, ListChange};
pub(crate) use user::{UserEvent, UserEventBody};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::ids::Timestamp;
use crate::ids::{Seq, UserId};

/// Bytes are no event that this program knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an event that this program knows")]
pub(crate) struct EventError;

/// An event, what happened in one, or an answer about it, as JSON text: the form that the types derive, on links and in rows. Fields are only
/// ever added, with a default. Digests go over the same derived form ([`crate::actors::digest`]).
pub(in crate::actors) fn text_of(event: &impl Serialize) -> String {
    serde_json::to_string(event).expect("texts, numbers and lists of them are always JSON")
}

/// What [`text_of`] made.
///
/// # Errors
/// It is no event, or one of a newer program.
pub(in crate::actors) fn from_text<E: DeserializeOwned>(text: impl AsRef<[u8]>) -> Result<E, EventError> {
    serde_json::from_slice(text.as_ref()).map_err(|_| EventError)
}

/// An event of either kind of stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamEvent {
    /// Of a room.
    Room(Arc<Event>),
    /// Of a personal stream.
    User(Arc<UserEvent>),
}

impl StreamEvent {
    /// Its place in the stream.
    #[must_use]
    pub(crate) fn seq(&self) -> Seq {
        match self {
            Self::Room(event) => event.seq,
            Self::User(event) => event.seq,
        }
    }

    /// Its fold time.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn at(&self) -> Timestamp {
        match self {
            Self::Room(event) => event.at,
            Self::User(event) => event.at,
        }
    }

    /// The user whose subscriptions end with this event (P6).
    #[must_use]
    pub(crate) fn removes(&self) -> Option<&UserId> {
        match self {
            Self::Room(event) => event.removes(),
            Self::User(_) => None,
        }
    }

    /// The message whose content this event takes away.
    #[must_use]
    pub(crate) fn redacts(&self) -> Option<Seq> {
        match self {
            Self::Room(event) => event.redacts(),
            Self::User(_) => None,
        }
    }

    /// Bytes in memory, about.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Room(event) => event.weight(),
            Self::User(event) => std::mem::size_of_val(event.as_ref()) + event.body.weight(),
        }
    }
}
