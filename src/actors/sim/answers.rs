//! A command is answered as it was decided, and decided once, however often it stands in the log.

use super::event::CommandKey;
use super::oracle::Truth;
use crate::actors::fold::{self, EntityOutcome, EntityState};
use crate::actors::room::Outcome;
use crate::actors::user::UserOutcome;
use crate::actors::wire::{Answer, Reject};
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

/// How old a command was when it was appended, in milliseconds, and whether that is too old: measured on its way, by the
/// journal's clock on the last stretch.
pub(super) fn age(now: Timestamp, envelope: &Envelope) -> (u64, bool) {
    let age_ms = now.since(Timestamp(envelope.placed_at_ms)) + envelope.age_ms;
    (age_ms, envelope.ttl_ms != 0 && age_ms > envelope.ttl_ms)
}

fn is_stale(outcome: &EntityOutcome) -> bool {
    matches!(
        outcome,
        EntityOutcome::Room(Outcome::Rejected(Reject::Stale))
            | EntityOutcome::User(UserOutcome::Rejected(Reject::Stale))
    )
}

impl Truth {
    /// A command that stands in the log again is answered as it was, and changes nothing; one that is refused as too old
    /// was too old when it was decided first, whatever the clock shows when it comes again.
    pub(super) fn check_repeat(
        &mut self,
        partition: Partition,
        envelope: &Envelope,
        command: &CommandKey,
        now: Timestamp,
        outcome: &EntityOutcome,
    ) -> Result<(), String> {
        if let Some((at, first)) = self.first.get(command) {
            // Whoever remembers it for longer than is promised, as after a leap of the journal's clock, does no harm.
            if is_repeat_of(outcome, first) {
                return Ok(());
            }
            if now.since(*at) < limits::DEDUPE_WINDOW_MS {
                return Err(format!("command {} was decided as {first:?}, and again as {outcome:?}", command.0));
            }
        }
        if let (age_ms, false) = age(now, envelope)
            && is_stale(outcome)
        {
            return Err(format!("muted: a command that was {age_ms} ms old is refused as too old"));
        }
        let exists = fold::entity_in(partition, envelope).is_some_and(|entity| match &self.stream(&entity).state {
            EntityState::Room(room) => room.exists(),
            EntityState::User(_) => true,
        });
        if exists && !BEAR_REPETITION.contains(&envelope.kind) {
            self.first.entry(command.clone()).or_insert_with(|| (now, outcome.clone()));
        }
        Ok(())
    }
}
