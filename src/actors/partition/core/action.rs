//! What a core asks its shell to do.

use std::sync::Arc;

use crate::actors::digest::Chain;
use crate::actors::partition::item::Batch;
use crate::actors::wire::{Answer, Entity, Origin};
use crate::ids::Offset;

/// A number that the core gives to an append.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What the shell is asked to do.
#[derive(Debug)]
pub enum Action<H> {
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
    /// Make the entity's state from the store and report with [`super::Core::loaded`].
    Load {
        /// Which.
        entity: Entity,
        /// Fold the journal's records of the entity from the store's watermark up to here on top, without effects: they
        /// had theirs before the entity died. Zero where the store has all.
        replay_to: Offset,
        /// It has records to fold: it can't be refused.
        must: bool,
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
        held: H,
    },
    /// The entity can't be had now: refuse this.
    Refuse {
        /// Which.
        entity: Entity,
        /// What.
        held: H,
    },
    /// Records that no entity folds (control records, records without a meaning) were decided.
    Decided {
        /// Their offset.
        offset: Offset,
        /// The chain of nobody.
        chain: Chain,
    },
    /// Answer the asker.
    Answer {
        /// Whom.
        origin: Origin,
        /// What became of the command.
        answer: Answer,
    },
    /// The entity has been idle: let it go.
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
    /// Nothing more is folded here. Said once, with the reason.
    Halt {
        /// Why, for the operator.
        reason: String,
    },
}
