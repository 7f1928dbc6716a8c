//! What happened, as streams carry it: the events of a room and of a user, and their bytes.

mod room;
mod room_codec;
mod user;
mod user_codec;

use std::sync::Arc;

pub use room::{Event, EventBody};
pub use room_codec::EventError;
pub use user::{UserEvent, UserEventBody};

use crate::ids::{Seq, Timestamp, UserId};

/// An event of either kind of stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StreamEvent {
    /// Of a room.
    Room(Arc<Event>),
    /// Of a personal stream.
    User(Arc<UserEvent>),
}

impl StreamEvent {
    /// Its place in the stream.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match self {
            Self::Room(event) => event.seq,
            Self::User(event) => event.seq,
        }
    }

    /// Its fold time.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Room(event) => event.at,
            Self::User(event) => event.at,
        }
    }

    /// The user whose subscriptions end with this event (P6).
    #[must_use]
    pub fn removes(&self) -> Option<&UserId> {
        match self {
            Self::Room(event) => event.removes(),
            Self::User(_) => None,
        }
    }

    /// Bytes in memory, about.
    #[must_use]
    pub fn weight(&self) -> usize {
        match self {
            Self::Room(event) => event.weight(),
            Self::User(event) => std::mem::size_of_val(event.as_ref()),
        }
    }
}
