//! A command is answered as it was decided, and decided once, however often it stands in the log.

use super::event::CommandKey;
use super::oracle::Truth;
use crate::actors::fold::{self, EntityOutcome, EntityState};
use crate::actors::room::Outcome;
use crate::actors::user::UserOutcome;
use crate::actors::wire::Answer;
use crate::ids::{Partition, Seq, Timestamp};
use crate::limits;
use crate::storage::journal::record::Envelope;

/// Whether the answer is what the outcome means.
pub(super) fn fits(outcome: &EntityOutcome, answer: &Answer) -> bool {
    match (outcome, answer) {
        (EntityOutcome::Room(Outcome::Accepted(event)), Answer::Accepted { seq, id, duplicate: false, .. }) => {
            event.seq == *seq && event.id == *id
        }
        (
            EntityOutcome::Room(Outcome::Duplicate { seq, id, .. }),
            Answer::Accepted { seq: at, id: of, duplicate, .. },
        ) => *duplicate && seq == at && id == of,
        (EntityOutcome::User(UserOutcome::Event(event)), Answer::Accepted { seq, duplicate: false, .. }) => {
            event.seq == *seq
        }
        (
            EntityOutcome::User(UserOutcome::Duplicate { seq, .. }),
            Answer::Accepted { seq: at, duplicate: true, .. },
        ) => seq == at,
        (
            EntityOutcome::Room(Outcome::Rejected(reject)) | EntityOutcome::User(UserOutcome::Rejected(reject)),
            Answer::Rejected(told),
        ) => reject == told,
        (
            EntityOutcome::Room(Outcome::Noted | Outcome::Ignored)
            | EntityOutcome::User(UserOutcome::Unchanged | UserOutcome::Quiet(_)),
            Answer::Accepted { seq: Seq::ZERO, .. },
        ) => true,
        _ => false,
    }
}

/// Kinds of records whose repeats change nothing by themselves: expiries, relayed blocks, read marks, relayed rooms.
const BEAR_REPETITION: [u32; 4] = [11, 12, 1000, 1006];

/// Whether a command whose first decision was `first` may be decided as `again` when it comes again.
fn is_repeat_of(again: &EntityOutcome, first: &EntityOutcome) -> bool {
    match (again, first) {
        (EntityOutcome::Room(Outcome::Duplicate { seq, id, at }), EntityOutcome::Room(Outcome::Accepted(event))) => {
            (*seq, *id, *at) == (event.seq, event.id, event.at)
        }
        (EntityOutcome::User(UserOutcome::Duplicate { seq, at }), EntityOutcome::User(UserOutcome::Event(event))) => {
            (*seq, *at) == (event.seq, event.at)
        }
        (
            EntityOutcome::User(UserOutcome::Duplicate { seq, .. }),
            EntityOutcome::User(UserOutcome::Quiet(_) | UserOutcome::Unchanged),
        ) => *seq == Seq::ZERO,
        (again, first) => again == first && again.event().is_none(),
    }
}

impl Truth {
    /// A command that stands in the log again is answered as it was, and changes nothing.
    pub(super) fn check_repeat(
        &mut self,
        partition: Partition,
        envelope: &Envelope,
        command: &CommandKey,
        now: Timestamp,
        outcome: &EntityOutcome,
    ) -> Result<(), String> {
        if let Some((at, first)) = self.first.get(command) {
            let remembered = now.since(*at) < limits::DEDUPE_WINDOW_MS;
            return match remembered && !is_repeat_of(outcome, first) {
                true => Err(format!("command {} was decided as {first:?}, and again as {outcome:?}", command.0)),
                false => Ok(()),
            };
        }
        let exists = fold::entity_in(partition, envelope).is_some_and(|entity| match &self.stream(&entity).state {
            EntityState::Room(room) => room.exists(),
            EntityState::User(_) => true,
        });
        if exists && !BEAR_REPETITION.contains(&envelope.kind) {
            self.first.insert(command.clone(), (now, outcome.clone()));
        }
        Ok(())
    }
}
