//! What a partition is told: by gateways, by its supervisor, by operators, and by itself when something is done.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::core::Ticket;
use super::hydration::Loaded;
use super::question::Question;
use crate::actors::digest::Chain;
use crate::actors::wire::{Entity, Ephemeral, NodeId, Origin, RequestId};
use crate::ids::{Offset, Timestamp};
use crate::storage::journal::{AppendError, Appended, ReadError, Tailed};

/// What a partition is told.
pub(crate) enum PartitionMessage {
    /// A command from a gateway. Its weight has been taken from the budget.
    Submit {
        /// Whom to answer.
        origin: Origin,
        /// The encoded envelope.
        record: Bytes,
        /// From when its age counts, by the clock that never jumps.
        since: Timestamp,
    },
    /// Something for an entity beside records.
    Ask {
        /// The entity.
        entity: Entity,
        /// What.
        question: Question,
    },
    /// Something without a place in the stream, for whoever listens. Wakes no entity.
    Ephemeral {
        /// The stream.
        stream: Entity,
        /// What.
        event: Ephemeral,
    },
    /// A node listens no more.
    Unlisten {
        /// To what.
        entity: Entity,
        /// Which node.
        node: NodeId,
        /// An older request than one of a later listen does nothing.
        request: RequestId,
    },
    /// The report on an append.
    Appended(Ticket, Result<Appended, AppendError>),
    /// What the partition's tail told. It tells nothing more before it is let.
    Told(Result<Tailed, ReadError>),
    /// What a load brought; nothing, if it failed.
    Loaded(Entity, Option<Loaded>),
    /// An entity that could not be loaded has rested.
    Rested(Entity),
    /// What is not covered by a later record may be due to be.
    Cover,
    /// Once a second.
    Tick,
    /// The projector has stored everything below this, with these chains of some entities, each after the record at its
    /// offset, for comparison (I10).
    Stored(Offset, Vec<(Offset, Chain)>),
    /// For tests: let this resident die.
    #[cfg(test)]
    Kill(Entity),
    /// Let every idle entity go now that the store has; for tests and operators.
    Passivate,
    /// Let this one go, if it has nothing to do and the store has all of it; says whether it went.
    LetGo(Entity, oneshot::Sender<bool>),
    /// An operator wants this partition, or this resident of it, made anew.
    Restart(Option<Entity>),
    /// How many entities are resident?
    Residents(oneshot::Sender<usize>),
}

/// Why an actor ends that an operator wants made anew. It ends as if it had failed, and is no failure: nothing is to be
/// reported, and no alarm is due.
#[derive(Debug, thiserror::Error)]
#[error("an operator wants it made anew")]
pub(crate) struct WantedAnew;
