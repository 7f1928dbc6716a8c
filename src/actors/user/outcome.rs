//! What the fold decided on a record of a user.

use serde::Serialize;
use std::sync::Arc;

use super::commands::Device;
use crate::actors::wire::{ReadPoint, Reject, UserEvent};
use crate::ids::{DeviceId, RoomId, Seq, Timestamp};

/// The decision on one record of a user.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum UserOutcome {
    /// It happened and takes a seq of the personal stream.
    Event(Arc<UserEvent>),
    /// It happened without a place in the stream.
    Quiet(Quiet),
    /// Nothing changed: known already.
    Unchanged,
    /// The same command was decided before, and so it is answered as then. Nothing new happens.
    Duplicate {
        /// The seq of what it made then; 0 if that took none.
        seq: Seq,
        /// The fold time of then; 0 if it took no seq.
        at: Timestamp,
    },
    /// It does not happen.
    Rejected(Reject),
}

impl UserOutcome {
    /// Whether the user is another one now, read marks aside: those are kept by themselves, and are many.
    #[must_use]
    pub(crate) fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Event(_)
                | Self::Quiet(
                    Quiet::Device(_) | Quiet::DeviceRemoved(_) | Quiet::DevicesForgotten(_) | Quiet::Muted { .. }
                )
        )
    }
}

/// Changes that take no seq.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Quiet {
    /// A read mark moved to here.
    Read {
        /// The room.
        room: RoomId,
        /// Where it stands now.
        to: ReadPoint,
    },
    /// A device was made known or changed.
    Device(Device),
    /// A device was forgotten.
    DeviceRemoved(DeviceId),
    /// All of these were forgotten, and there are no others.
    DevicesForgotten(Vec<DeviceId>),
    /// A room is muted, or no more.
    Muted {
        /// The room.
        room: RoomId,
        /// Until when; zero if it is not.
        until: Timestamp,
    },
}
