//! What the fold decided on a record of a user.

use std::sync::Arc;

use super::command::UserCommandBody;
use crate::actors::wire::{ReadPoint, Reject, UserEvent};
use crate::ids::RoomId;

/// The decision on one record of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UserOutcome {
    /// It happened and takes a seq of the personal stream.
    Event(Arc<UserEvent>),
    /// It happened without a place in the stream.
    Quiet(Quiet),
    /// Nothing changed: known already.
    Unchanged,
    /// It does not happen.
    Rejected(Reject),
}

/// Changes that take no seq.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Quiet {
    /// A read mark moved to here.
    Read {
        /// The room.
        room: RoomId,
        /// Where it stands now.
        to: ReadPoint,
    },
    /// A device was made known, changed or forgotten.
    Device(UserCommandBody),
}
