//! What a core asks for.

use std::sync::Arc;

use crate::actors::partition::entity::EntityCore;
use crate::actors::partition::item::Batch;
use crate::actors::partition::listeners::Listeners;
use crate::actors::partition::memory::Share;
use crate::actors::partition::question::Question;
use crate::actors::wire::{Answer, Entity, NodeId, Origin, ToGateway};
use crate::ids::Offset;

/// A number that the core gives to an append.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Ticket(pub u64);

/// What the driver of a core carries out, in order.
#[derive(Debug)]
pub(crate) enum Action {
    /// Append what [`super::Core::place`] gives and report with [`super::Core::appended`].
    Append {
        /// Named in the report.
        ticket: Ticket,
    },
    /// The tail goes on here.
    Seek {
        /// Where.
        from: Offset,
    },
    /// The tail may tell the next thing, to be reported with [`super::Core::heard`].
    Follow {
        /// Bytes of records at most, but at least one record.
        bytes: usize,
    },
    /// Make the entity's state from the store ([`Hydration`](crate::actors::partition::hydration::Hydration)) and report with
    /// [`super::Core::loaded`] or [`super::Core::load_failed`].
    Load {
        /// Which.
        entity: Entity,
        /// Fold the journal's records of the entity from the store's watermark up to here on top, without effects: they
        /// had theirs before the entity died. Zero where the store has all.
        replay_to: Offset,
        /// Who listens to it.
        listeners: Arc<Listeners>,
        /// What it takes of the node's memory, from now until it is gone.
        share: Share,
    },
    /// There was no memory for an entity, or no place in it; what is refused for it follows. To be counted.
    NoMemory,
    /// Report with [`super::Core::rested`] after a while: the entity could not be loaded.
    Rest {
        /// Which.
        entity: Entity,
        /// Milliseconds.
        ms: u64,
    },
    /// The entity lives: from now on it takes what it is told, in order.
    Spawn {
        /// Which.
        entity: Entity,
        /// As it was loaded.
        core: Box<EntityCore>,
        /// What it takes of the memory.
        share: Share,
    },
    /// Fold these records.
    Deliver {
        /// Whose they are.
        entity: Entity,
        /// The records.
        batch: Arc<Batch>,
    },
    /// Pass this on to the entity, behind what was delivered before.
    Hand {
        /// To whom.
        entity: Entity,
        /// What.
        question: Question,
    },
    /// The entity tells its listeners where its head is, behind what was delivered before.
    Announce {
        /// Which.
        entity: Entity,
    },
    /// A frame for a gateway.
    Send {
        /// Which.
        to: NodeId,
        /// What.
        frame: ToGateway,
    },
    /// Everything below is folded. (Entities note by themselves what they have folded.)
    Applied {
        /// The end of it.
        to: Offset,
    },
    /// Something waits here until what is folded is stored.
    WantRows,
    /// Report with [`super::Core::cover`] after a while.
    Cover {
        /// Milliseconds; 0: behind what is being done.
        ms: u64,
    },
    /// Answer the asker.
    Answer {
        /// Whom.
        origin: Origin,
        /// What became of the command.
        answer: Answer,
    },
    /// The entity ends behind what it was told before. Report with [`super::Core::ended`] when it has.
    Passivate {
        /// Which.
        entity: Entity,
    },
    /// This core is over, because the store is not where this core needs it: begin a new one at the store's watermark. What
    /// waited is answered. Said once.
    Restart {
        /// Why, for the log.
        reason: &'static str,
    },
    /// Nothing more is folded here. All entities end behind what they were told before. Said once, with the reason.
    Halt {
        /// Why, for the operator.
        reason: String,
    },
}
