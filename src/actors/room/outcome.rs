//! What the fold decided.

use serde::Serialize;
use std::sync::Arc;

use uuid::Uuid;

use crate::actors::wire::{Event, Reject};
use crate::ids::{Seq, Timestamp};

/// The decision on one record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub enum Outcome {
    /// It happened, at the next seq.
    Accepted(Arc<Event>),
    /// It had happened before; the same answer as then. Nothing new happens.
    Duplicate {
        /// The seq that it took then.
        seq: Seq,
        /// The id that it had then; nil for a place in the room (join, invitation, kick) that is older than the window.
        id: Uuid,
        /// The fold time of then; zero where `id` is nil.
        at: Timestamp,
    },
    /// It does not happen. The state is as it was.
    Rejected(Reject),
    /// It changed the room's state and takes no seq (a relayed block): whoever keeps the state must keep this.
    Noted,
    /// A record without any effect (a relayed fact that is already known, an expiry before its time). The state is as it
    /// was.
    Ignored,
}

impl Outcome {
    /// Whether the room is another one now: whoever keeps it must keep this.
    #[must_use]
    pub(crate) fn is_change(&self) -> bool {
        matches!(self, Self::Accepted(_) | Self::Noted)
    }
}
