//! What was decided on commands that left no event, by their ids.
//!
//! A producer may put the same record into the log again: after an outage it can't tell what is written, and a gateway asks
//! the next owner with the same command. Such a repeat changes nothing and is answered as the command was, also by another
//! owner and after a restart. Of a command that made an event of a room the window knows that (`room::window`); what was
//! refused, or had happened before, or takes no place in a room's stream, is kept here.
//!
//! A decision leaves when it is [`limits::DEDUPE_WINDOW_MS`] old in append time, or when [`limits::DECISIONS`] newer ones came.
//! What is repeated later than that is refused by its own time to live. Nothing goes because a clock was ahead for one
//! record: that takes two, one after the other, that agree on its age. Commands that bear repetition by themselves
//! (`verbs::Verb::BEARS_REPETITION`) must not be kept: there are many of them.

use std::collections::VecDeque;

use serde::Serialize;
use uuid::Uuid;

use crate::actors::wire::Reject;
use crate::ids::{Seq, Timestamp};
use crate::limits;

/// What had happened, as the sender of a command that was not refused was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub(crate) struct Earlier {
    /// The seq of what happened; 0 if it takes none.
    pub seq: Seq,
    /// The id of the command that made it; nil if it is not told.
    pub id: Uuid,
    /// Its fold time; 0 if it takes no seq.
    pub at: Timestamp,
}

/// What is known of a command by whoever has its decision and did not make it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Known {
    /// What had happened.
    pub earlier: Earlier,
    /// Another record than the one in question made it.
    pub is_repeat: bool,
}

/// The decision on one command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Decision {
    /// The command's id.
    pub command: Uuid,
    /// The append time of its record.
    pub at: Timestamp,
    /// What its sender was told.
    pub answer: Result<Earlier, Reject>,
}

/// The decisions of one room or user, oldest first.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(transparent)]
pub(in crate::actors) struct Decisions(VecDeque<Decision>);

impl Decisions {
    /// Of decisions that were kept, oldest first.
    pub(in crate::actors) fn restore(kept: Vec<Decision>) -> Self {
        Self(kept.into())
    }

    pub(in crate::actors) fn iter(&self) -> impl ExactSizeIterator<Item = &Decision> {
        self.0.iter()
    }

    /// The decision on this command, as long as it is held. Goes through all of them: there are few, mostly none.
    pub(in crate::actors) fn find(&self, command: Uuid) -> Option<&Decision> {
        self.0.iter().rev().find(|decision| decision.command == command)
    }

    /// What the sender of a record with this append time was told, if it is the one that this command was decided by.
    pub(in crate::actors) fn answered(&self, command: Uuid, append: Timestamp) -> Option<Result<Known, Reject>> {
        let decision = self.find(command).filter(|decision| decision.at == append)?;
        Some(decision.answer.map(|earlier| Known { earlier, is_repeat: true }))
    }

    /// The command that was decided last, and when: another pair after each decision that is kept.
    pub(in crate::actors) fn last(&self) -> Option<(Uuid, Timestamp)> {
        self.0.back().map(|decision| (decision.command, decision.at))
    }

    /// Keeps a decision; what is too old or too much goes.
    pub(in crate::actors) fn keep(&mut self, decision: Decision) {
        let now = decision.at;
        let before = self.0.back().map_or(now, |last| last.at);
        let is_old = |at: Timestamp| [now, before].iter().all(|time| time.since(at) > limits::DEDUPE_WINDOW_MS);
        while self.0.front().is_some_and(|oldest| self.0.len() >= limits::DECISIONS || is_old(oldest.at)) {
            self.0.pop_front();
        }
        self.0.push_back(decision);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(n: u128, at: u64) -> Decision {
        Decision { command: Uuid::from_u128(n), at: Timestamp(at), answer: Err(Reject::Full) }
    }

    #[test]
    fn the_last_ones_are_kept_and_the_oldest_leave() {
        let mut decisions = Decisions::default();
        let most = limits::DECISIONS as u128;
        for n in 0..most + 5 {
            decisions.keep(refused(n, 1));
        }
        assert_eq!(decisions.iter().len(), limits::DECISIONS);
        assert_eq!(decisions.find(Uuid::from_u128(4)), None);
        assert_eq!(decisions.find(Uuid::from_u128(5)), Some(&refused(5, 1)));
        assert_eq!(decisions.last(), Some((Uuid::from_u128(most + 4), Timestamp(1))));
    }

    #[test]
    fn one_record_from_a_clock_that_is_ahead_makes_none_leave() {
        let later = 1 + limits::DEDUPE_WINDOW_MS + 1;
        let mut decisions = Decisions::default();
        decisions.keep(refused(1, 1));
        decisions.keep(refused(2, later));
        decisions.keep(refused(3, 5));
        assert!(decisions.find(Uuid::from_u128(1)).is_some());
        decisions.keep(refused(4, later));
        decisions.keep(refused(5, later));
        assert_eq!(decisions.find(Uuid::from_u128(1)), None);
        assert!(decisions.find(Uuid::from_u128(2)).is_some());
    }
}
