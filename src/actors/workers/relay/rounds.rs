//! The pure core of the relay's rounds: what is read of the outbox, what is removed from it, and which batches are given. It
//! never waits for one target while others are free, and it is never far ahead of the store: what it appends is the
//! projector's work, and everybody's facts go through that.
//!
//! A driver, the worker or the simulation, begins a round, carries out each [`RelayStep`] and says what came of it, takes the
//! batches, and reports on each when it is appended or not. A step that fails ends the round; the next one begins anew.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::turns::{self, TargetBatch, Turns};
use crate::actors::router::owned::Owned;
use crate::actors::watermarks::Watermarks;
use crate::ids::{Offset, Partition, UserId, millis};
use crate::limits;
use crate::storage::journal::record::RecordError;
use crate::storage::store::rows::{ExpandedPage, MemberRow, OutboxPlace, OutboxRow};

/// Bounds of the relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How long a target rests after a first failure (longer after each further one), and at most between two removals of
    /// rows that were told.
    pub retry: Duration,
    /// Members of a fan-out that get rows of their own at a time.
    pub members: usize,
}

/// What a round asks for next.
#[derive(Debug)]
pub(crate) enum RelayStep {
    /// Remove these rows, which were told; then [`RelayRounds::removed`].
    Remove(Vec<OutboxPlace>),
    /// Read the first row of this source or of those behind it; then [`RelayRounds::first`].
    First(Partition),
    /// Read the next members of this fan-out, [`Options::members`] at most; [`RelayRounds::expand`] makes rows of them, to be
    /// stored; then [`RelayRounds::expanded`].
    Members(OutboxRow),
    /// Read rows from here on; then [`RelayRounds::rows`].
    Rows {
        /// The first one.
        from: OutboxPlace,
        /// So many at most.
        limit: usize,
    },
}

/// What a target has that the store has not.
struct Ahead {
    end: Offset,
    records: usize,
    since_ms: u64,
}

enum Stage {
    Remove,
    Look(Partition),
    Plan,
    Expand(VecDeque<OutboxRow>),
    Read(VecDeque<(OutboxPlace, usize)>),
}

/// See the module. Times are milliseconds of a clock that never jumps.
pub(crate) struct RelayRounds {
    options: Options,
    /// The sources whose facts it tells.
    owned: Arc<Owned>,
    turns: Turns,
    stage: Stage,
    /// Batches that were given and not reported.
    under_way: usize,
    ahead: BTreeMap<Partition, Ahead>,
    /// Told, and not removed yet.
    told: Vec<OutboxPlace>,
    /// How far the outbox of each source was looked at.
    seen: Watermarks,
    /// Whose fan-out got a page last.
    expanded: Partition,
    /// When the last look at all of the outbox was finished, and when one was begun.
    looked_ms: Option<u64>,
    looking_ms: u64,
    removed_ms: u64,
}

impl RelayRounds {
    pub(crate) fn new(options: Options, owned: Arc<Owned>) -> Self {
        Self {
            options,
            owned,
            turns: Turns::default(),
            stage: Stage::Remove,
            under_way: 0,
            ahead: BTreeMap::new(),
            told: Vec::new(),
            seen: Watermarks::new(),
            expanded: Partition::FIRST,
            looked_ms: None,
            looking_ms: 0,
            removed_ms: 0,
        }
    }

    /// A round begins. `outbox` says how far each source is stored whose facts were stored with it.
    pub(crate) fn begin(&mut self, outbox: &Watermarks) {
        self.stage = Stage::Remove;
        for source in self.owned.iter() {
            let to = outbox.get(source);
            if to > self.seen.get(source) {
                self.seen.raise(source, to);
                self.turns.has_news(source);
            }
        }
    }

    /// What is to be done next; `None` if the batches may be given.
    pub(crate) fn step(&mut self, now_ms: u64) -> Option<RelayStep> {
        loop {
            match &mut self.stage {
                Stage::Remove => {
                    // The outbox may have rows that no projector of this process has told of.
                    let looks = self.looked_ms.is_none_or(|at| now_ms.saturating_sub(at) >= limits::RELAY_LOOK_MS);
                    self.stage = if looks { Stage::Look(Partition::FIRST) } else { Stage::Plan };
                    let late = now_ms.saturating_sub(self.removed_ms) >= millis(self.options.retry);
                    if self.told.len() >= limits::RELAY_REMOVE || self.under_way == 0 || late {
                        self.removed_ms = now_ms;
                        if !self.told.is_empty() {
                            return Some(RelayStep::Remove(self.told.clone()));
                        }
                    }
                }
                Stage::Look(source) => {
                    self.looking_ms = now_ms;
                    return Some(RelayStep::First(*source));
                }
                Stage::Plan => {
                    let mut fan_outs = self.turns.fan_outs();
                    let from = fan_outs.iter().position(|row| row.source > self.expanded).unwrap_or(0);
                    fan_outs.rotate_left(from);
                    fan_outs.truncate(limits::RELAY_EXPANSIONS);
                    self.stage = Stage::Expand(fan_outs.into());
                }
                Stage::Expand(fan_outs) => match fan_outs.pop_front() {
                    Some(row) => {
                        self.expanded = row.source;
                        return Some(RelayStep::Members(row));
                    }
                    None => self.stage = Stage::Read(self.turns.wanted().into()),
                },
                Stage::Read(places) => {
                    let (from, limit) = places.pop_front()?;
                    return Some(RelayStep::Rows { from, limit });
                }
            }
        }
    }

    /// Rows that were told are gone from the outbox.
    pub(crate) fn removed(&mut self) {
        self.turns.removed(&std::mem::take(&mut self.told));
    }

    /// All that was told and is not removed yet, for the end.
    pub(crate) fn told(&self) -> &[OutboxPlace] {
        &self.told
    }

    /// The first row of the outbox behind where [`RelayStep::First`] asked, if there is one.
    pub(crate) fn first(&mut self, first: Option<OutboxPlace>) {
        let next = first.and_then(|first| {
            if self.owned.has(first.source) {
                self.turns.begins_at(first);
            }
            Partition::new(first.source.get() + 1)
        });
        match next {
            Some(next) => self.stage = Stage::Look(next),
            None => (self.stage, self.looked_ms) = (Stage::Plan, Some(self.looking_ms)),
        }
    }

    /// Rows of their own for these members, the next ones of the fan-out.
    ///
    /// # Errors
    /// The row's pattern is no record.
    pub(crate) fn expand(&self, fan_out: &OutboxRow, page: &[MemberRow]) -> Result<ExpandedPage, RecordError> {
        let after = page.last().filter(|_| page.len() == self.options.members).map(|last| last.user.clone());
        let from = fan_out.fan_out.as_ref().and_then(|fan_out| fan_out.after.clone());
        Ok(ExpandedPage { fan_out: fan_out.place(), from, rows: turns::expand(fan_out, page)?, after })
    }

    /// The rows up to behind `after` are stored, or all; or they are not, because another relay came before: then `after` is
    /// `None` as well, and what takes the fan-out's place is read next.
    pub(crate) fn expanded(&mut self, source: Partition, after: Option<UserId>) {
        self.turns.expanded(source, after);
    }

    /// The rows that [`RelayStep::Rows`] asked for.
    pub(crate) fn rows(&mut self, from: OutboxPlace, limit: usize, rows: Vec<OutboxRow>) {
        let whole = rows.len() < limit || rows.last().is_some_and(|row| row.source != from.source);
        self.turns.load(from.source, rows, whole);
    }

    /// What is told now, by target: to be reported with [`Self::settle`]. `stored` says how far a target is stored. A
    /// target has one batch under way, and none while the store lacks the last one; if the store takes too long for that,
    /// the target counts as one that takes nothing, and nobody else waits for it.
    pub(crate) fn give(
        &mut self,
        now_ms: u64,
        stored: impl Fn(Partition) -> Offset,
    ) -> BTreeMap<Partition, TargetBatch> {
        self.ahead.retain(|target, ahead| stored(*target) < ahead.end);
        let mut ahead_of_store = 0;
        for (target, ahead) in &self.ahead {
            if now_ms.saturating_sub(ahead.since_ms) < limits::RELAY_STUCK_MS {
                ahead_of_store += ahead.records;
            } else {
                self.turns.rests(*target, now_ms, self.options.retry);
            }
        }
        let most = limits::RELAY_AHEAD.saturating_sub(ahead_of_store);
        let ahead = &self.ahead;
        let batches = self.turns.next(now_ms, most, |target| !ahead.contains_key(&target));
        for (target, batch) in &batches {
            // Counted from now on: many batches are under way at the same time.
            let count = Ahead { end: Offset(u64::MAX), records: batch.len(), since_ms: now_ms };
            self.ahead.insert(*target, count);
        }
        self.under_way += batches.len();
        batches
    }

    /// What came of a target's batch: these were `told`, and the partition ends at `end`; those that `failed` were not
    /// appended, or it is unknown whether, and are given again.
    pub(crate) fn settle(
        &mut self,
        target: Partition,
        told: Vec<OutboxPlace>,
        failed: &[OutboxPlace],
        end: Offset,
        now_ms: u64,
    ) {
        self.under_way -= 1;
        self.turns.settle(target, &told, failed, now_ms, self.options.retry);
        if told.is_empty() {
            self.ahead.remove(&target);
        } else if let Some(ahead) = self.ahead.get_mut(&target) {
            *ahead = Ahead { end, records: told.len(), since_ms: now_ms };
        }
        self.told.extend(told);
    }

    /// Whether some target has what the store has not.
    pub(crate) fn is_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// For each source with something that is not told, as far as the outbox was read: the offset of the first.
    pub(crate) fn untold(&self) -> BTreeMap<Partition, Offset> {
        self.turns.untold().collect()
    }

    /// The users of whom many facts wait.
    pub(crate) fn owed(&self) -> HashMap<UserId, usize> {
        self.turns.owed()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::actors::router::owned::OwnerEpoch;
    use crate::storage::journal::record::Envelope;

    const TARGET: Partition = Partition::FIRST;

    fn row(offset: u64) -> OutboxRow {
        addressed(offset, "")
    }

    fn addressed(offset: u64, to: &str) -> OutboxRow {
        let key = Bytes::copy_from_slice(to.as_bytes());
        let record = Envelope { issued_at_ms: offset, key, ..Envelope::default() }.encode_record();
        OutboxRow { source: Partition::FIRST, offset: Offset(offset), ord: 0, target: TARGET, record, fan_out: None }
    }

    /// Goes through the steps of a round over an outbox with these rows. Says what was removed.
    fn round(rounds: &mut RelayRounds, rows: &[OutboxRow], now_ms: u64) -> Vec<OutboxPlace> {
        let mut removed = Vec::new();
        rounds.begin(&Watermarks::new());
        while let Some(step) = rounds.step(now_ms) {
            match step {
                RelayStep::Remove(told) => {
                    removed = told;
                    rounds.removed();
                }
                RelayStep::First(source) => {
                    rounds.first(rows.first().map(OutboxRow::place).filter(|first| first.source >= source));
                }
                RelayStep::Members(row) => panic!("no fan-out: {row:?}"),
                RelayStep::Rows { from, limit } => {
                    let found = rows.iter().filter(|row| row.place() >= from).take(limit).cloned().collect();
                    rounds.rows(from, limit, found);
                }
            }
        }
        removed
    }

    fn given(rounds: &mut RelayRounds, now_ms: u64, stored: u64) -> Vec<OutboxPlace> {
        let batches = rounds.give(now_ms, |_| Offset(stored));
        batches.into_values().flatten().map(|(place, _)| place).collect()
    }

    fn rounds() -> RelayRounds {
        let owned = Owned::new(Partition::all(), OwnerEpoch(1));
        RelayRounds::new(Options { retry: Duration::from_millis(100), members: 3 }, Arc::new(owned))
    }

    #[test]
    fn what_was_told_is_removed_and_the_next_batch_waits_until_the_store_has_the_last() {
        let mut rounds = rounds();
        let (first, second) = (row(1), row(2));
        round(&mut rounds, std::slice::from_ref(&first), 0);
        let places = given(&mut rounds, 0, 0);
        assert_eq!(places, [first.place()]);
        rounds.settle(TARGET, places, &[], Offset(7), 10);
        // It is removed before the outbox is read.
        let removed = round(&mut rounds, std::slice::from_ref(&second), limits::RELAY_LOOK_MS);
        assert_eq!(removed, [first.place()]);
        assert!(given(&mut rounds, 20, 6).is_empty(), "the store lacks a record of it");
        assert_eq!(given(&mut rounds, 20, 7), [second.place()]);
    }

    #[test]
    fn a_batch_that_was_not_appended_is_given_again_when_its_target_has_rested() {
        let mut rounds = rounds();
        round(&mut rounds, &[row(1)], 0);
        let places = given(&mut rounds, 0, 0);
        rounds.settle(TARGET, Vec::new(), &places, Offset(7), 0);
        assert!(given(&mut rounds, 99, 0).is_empty() && !rounds.is_ahead());
        assert_eq!(given(&mut rounds, 100, 0), places);
    }

    #[test]
    fn a_target_that_takes_one_record_of_a_batch_at_a_time_gets_each_once() {
        let mut rounds = rounds();
        let rows: Vec<_> = (1..=5).map(|n| addressed(n, &n.to_string())).collect();
        round(&mut rounds, &rows, 0);
        let mut told = Vec::new();
        for (time, end) in (0..5).map(|n| (200 * n, n)) {
            let places = given(&mut rounds, time, end);
            assert_eq!(places.len() as u64, 5 - end, "what it took is not given again");
            told.push(places[0]);
            rounds.settle(TARGET, vec![places[0]], &places[1..], Offset(end + 1), time);
            assert!(given(&mut rounds, time + 99, end + 1).is_empty(), "the target rests, as after a first failure");
        }
        assert_eq!(told, rows.iter().map(OutboxRow::place).collect::<Vec<_>>());
        assert!(given(&mut rounds, 2_000, 5).is_empty() && !rounds.is_ahead());
    }

    #[test]
    fn a_look_that_failed_is_begun_again_in_the_next_round() {
        let mut rounds = rounds();
        rounds.begin(&Watermarks::new());
        assert!(matches!(rounds.step(0), Some(RelayStep::First(_))), "and the store does not answer");
        round(&mut rounds, &[row(1)], 1);
        assert_eq!(given(&mut rounds, 1, 0), [row(1).place()]);
    }
}
