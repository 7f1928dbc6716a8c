//! The pure core of the relay: which facts are told next. No tokio, no store, no clock.
//!
//! *Turns.* Facts wait in lanes, one for each user who caused them, and the lanes take turns: a user who names thousands
//! waits for that user's own facts only.
//!
//! *Order.* The target drops what is not above the highest offset that it knows of the source. So facts of one source for the
//! same room or user are told in their order, and never two of them at the same time: the first could get lost and the
//! second not. Everything else may overtake.
//!
//! *Targets.* Each has one batch under way. One that fails rests, longer each time; one that does not come back is held
//! for with a few rows of each source, and the others are read again when it does. Nobody else waits for it.
//!
//! A fan-out stops the reading of its source until each of its members has a row ([`Turns::fan_outs`]).

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

use bytes::Bytes;

use crate::actors::workers::back_off;
use crate::actors::workers::persistence::outbox;
use crate::ids::{Offset, Partition, UserId, millis};
use crate::limits;
use crate::storage::journal::record::{Envelope, RecordError};
use crate::storage::store::rows::{INVITED, MEMBER, MemberRow, OutboxPlace, OutboxRow};

/// Whose facts they are: of a user, or of nobody, where time was the cause.
type Lane = Option<UserId>;

/// Rows that a lane gives before it is the next one's turn.
const QUANTUM: usize = 4;
/// Lanes that are asked for one answer: one that has nothing to give now costs time, too.
const LANES: usize = 8 * limits::RELAY_AHEAD;
/// How many times the first rest a target rests at most.
const LONGEST_REST: u32 = 32;

/// What is to be told to one target, in order.
pub(crate) type TargetBatch = Vec<(OutboxPlace, Bytes)>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waits,
    UnderWay,
    /// Its row is still there.
    Told,
}

struct Held {
    target: Partition,
    record: Bytes,
    lane: Lane,
    chain: Bytes,
    state: State,
}

/// What is known of a source.
struct Source {
    /// Where the rows begin that were not read yet.
    next: OutboxPlace,
    /// Whether there may be any.
    more: bool,
    held: usize,
    fan_out: Option<OutboxRow>,
    /// For targets that take nothing: from where on their rows were passed over.
    parked: BTreeMap<Partition, OutboxPlace>,
}

#[derive(Default)]
struct Target {
    under_way: bool,
    failures: u32,
    rests_until_ms: u64,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Turns {
    held: BTreeMap<OutboxPlace, Held>,
    /// What waits, by lane and target.
    lanes: BTreeMap<Lane, BTreeMap<Partition, BTreeSet<OutboxPlace>>>,
    /// What waits or is under way, by source and the key of whom it is for.
    chains: BTreeMap<(Partition, Bytes), BTreeSet<OutboxPlace>>,
    /// What waits, by target and source.
    waiting: BTreeMap<(Partition, Partition), BTreeSet<OutboxPlace>>,
    sources: BTreeMap<Partition, Source>,
    targets: BTreeMap<Partition, Target>,
    /// Rows held of each user.
    owed: HashMap<UserId, usize>,
    /// Whose turn it was last.
    last: Option<Lane>,
    /// Where a lane begins among its targets: each time elsewhere.
    spin: u16,
}

impl Turns {
    fn source(&mut self, source: Partition) -> &mut Source {
        let next = OutboxPlace::first_of(source);
        let new = || Source { next, more: false, held: 0, fan_out: None, parked: BTreeMap::new() };
        self.sources.entry(source).or_insert_with(new)
    }

    /// The source has new rows behind those that it had.
    pub(crate) fn has_news(&mut self, source: Partition) {
        self.source(source).more = true;
    }

    /// The first row of a source, as the outbox has it. If it is not known here, the outbox fell back, or another relay left
    /// it: the source is read from its beginning.
    pub(crate) fn begins_at(&mut self, first: OutboxPlace) {
        let is_held = self.held.contains_key(&first);
        let source = self.source(first.source);
        let is_fan_out = source.fan_out.as_ref().is_some_and(|row| row.place() == first);
        if !is_held && !is_fan_out && !source.parked.values().any(|place| *place == first) && first < source.next {
            source.next = OutboxPlace::first_of(first.source);
        }
        source.more = true;
    }

    /// What is to be read: from which place on, and how many rows of that source.
    #[must_use]
    pub(crate) fn wanted(&self) -> Vec<(OutboxPlace, usize)> {
        let sources = self.sources.values().filter(|source| source.more && source.fan_out.is_none());
        let room = sources.map(|source| (source.next, limits::RELAY_ROWS.saturating_sub(source.held)));
        room.filter(|(_, room)| *room > 0).collect()
    }

    /// Takes the next rows of a source, in order. `whole` says that there are no more.
    pub(crate) fn load(&mut self, source: Partition, rows: Vec<OutboxRow>, whole: bool) {
        self.source(source).more = !whole;
        for row in rows.into_iter().filter(|row| row.source == source) {
            if row.fan_out.is_some() {
                let place = row.place();
                let of = self.source(source);
                (of.next, of.more, of.fan_out) = (place, true, Some(row));
                return;
            }
            self.source(source).next = row.place().next();
            self.hold(row);
        }
    }

    fn hold(&mut self, row: OutboxRow) {
        let place = row.place();
        if self.held.contains_key(&place) || self.source(place.source).parked.contains_key(&row.target) {
            return;
        }
        let waits = self.waiting.get(&(row.target, row.source)).map_or(0, BTreeSet::len);
        if waits >= limits::RELAY_PARKED && self.targets.get(&row.target).is_some_and(|target| target.failures > 0) {
            self.source(place.source).parked.insert(row.target, place);
            return;
        }
        let envelope = Envelope::decode_record(&row.record).ok();
        // What can't be read concerns nobody: its partition's owner refuses it.
        let chain = envelope.as_ref().map_or_else(Bytes::new, |envelope| envelope.key.clone());
        let lane = envelope.as_ref().and_then(outbox::caused_by);
        let held = Held { target: row.target, record: row.record, lane, chain, state: State::Waits };
        self.chains.entry((place.source, held.chain.clone())).or_default().insert(place);
        self.source(place.source).held += 1;
        if let Some(user) = &held.lane {
            *self.owed.entry(user.clone()).or_default() += 1;
        }
        self.held.insert(place, held);
        self.waits(place);
    }

    fn waits(&mut self, place: OutboxPlace) {
        let Some(held) = self.held.get_mut(&place) else { return };
        held.state = State::Waits;
        self.lanes.entry(held.lane.clone()).or_default().entry(held.target).or_default().insert(place);
        self.waiting.entry((held.target, place.source)).or_default().insert(place);
    }

    /// Takes a row out of those that wait.
    fn leaves(&mut self, place: OutboxPlace) {
        let Some(held) = self.held.get(&place) else { return };
        if let Some(lane) = self.lanes.get_mut(&held.lane) {
            remove(lane, held.target, place);
            if lane.is_empty() {
                self.lanes.remove(&held.lane);
            }
        }
        remove(&mut self.waiting, (held.target, place.source), place);
    }

    /// The fan-outs at which the reading of their sources stands.
    #[must_use]
    pub(crate) fn fan_outs(&self) -> Vec<OutboxRow> {
        self.sources.values().filter_map(|source| source.fan_out.clone()).collect()
    }

    /// Members of a fan-out up to `after` have rows of their own; `None`: all of them, and it is gone.
    pub(crate) fn expanded(&mut self, source: Partition, after: Option<UserId>) {
        let of = self.source(source);
        match after {
            None => of.fan_out = None,
            Some(user) => {
                if let Some(fan_out) = of.fan_out.as_mut().and_then(|row| row.fan_out.as_mut()) {
                    fan_out.after = Some(user);
                }
            }
        }
    }

    /// What is told next: about `most` rows, to targets that are free, each lane in its turn. `takes` says whether a target
    /// takes more now.
    pub(crate) fn next(
        &mut self,
        now_ms: u64,
        most: usize,
        takes: impl Fn(Partition) -> bool,
    ) -> BTreeMap<Partition, TargetBatch> {
        let (mut batches, mut left) = (BTreeMap::new(), most);
        let free = |turns: &Self, target: Partition| {
            let known = turns.targets.get(&target);
            known.is_none_or(|known| !known.under_way && known.rests_until_ms <= now_ms) && takes(target)
        };
        let lanes = self.in_turn();
        let mut any = true;
        while any && left > 0 {
            any = false;
            for lane in &lanes {
                let taken = self.take(lane, left.min(QUANTUM), &free, &mut batches);
                left -= taken;
                any |= taken > 0;
                if taken > 0 {
                    self.last = Some(lane.clone());
                }
                if left == 0 {
                    break;
                }
            }
        }
        if batches.is_empty() {
            // None of these had anything to give: others are asked next.
            self.last = lanes.into_iter().next_back().or(self.last.take());
        }
        for target in batches.keys() {
            self.targets.entry(*target).or_default().under_way = true;
        }
        batches
    }

    fn in_turn(&self) -> Vec<Lane> {
        let (behind, before) = match &self.last {
            Some(last) => (Bound::Excluded(last), Bound::Included(last)),
            None => (Bound::Unbounded, Bound::Included(&None)),
        };
        let rest = self.lanes.range((behind, Bound::Unbounded)).map(|(lane, _)| lane);
        let first = self.lanes.range((Bound::Unbounded, before)).map(|(lane, _)| lane);
        let first = first.filter(|_| self.last.is_some());
        rest.chain(first).take(LANES).cloned().collect()
    }

    /// Takes up to `most` rows of a lane into the batches. Says how many.
    fn take(
        &mut self,
        lane: &Lane,
        most: usize,
        free: &impl Fn(&Self, Partition) -> bool,
        batches: &mut BTreeMap<Partition, TargetBatch>,
    ) -> usize {
        let Some(of) = self.lanes.get(lane) else { return 0 };
        self.spin = self.spin.wrapping_add(1);
        let from = Partition::new(self.spin % crate::ids::PARTITIONS).unwrap_or(Partition::FIRST);
        let targets: Vec<Partition> = of.range(from..).chain(of.range(..from)).map(|(target, _)| *target).collect();
        let mut taken = 0;
        for target in targets {
            if !free(self, target) {
                continue;
            }
            let waiting = self.lanes.get(lane).and_then(|of| of.get(&target)).into_iter().flatten();
            let places: Vec<OutboxPlace> = waiting.take(limits::RELAY_BATCH).copied().collect();
            for place in places {
                if taken == most {
                    return taken;
                }
                let room = batches.get(&target).map_or(0, Vec::len) < limits::RELAY_BATCH;
                let Some(first) = self.first_of_chain(place).filter(|_| room) else { continue };
                self.leaves(first);
                let Some(held) = self.held.get_mut(&first) else { continue };
                held.state = State::UnderWay;
                batches.entry(target).or_default().push((first, held.record.clone()));
                taken += 1;
            }
        }
        taken
    }

    /// What must be told before this row or is this row; `None` if that is under way.
    fn first_of_chain(&self, place: OutboxPlace) -> Option<OutboxPlace> {
        let held = self.held.get(&place)?;
        let first = *self.chains.get(&(place.source, held.chain.clone()))?.first()?;
        (self.held.get(&first)?.state == State::Waits).then_some(first)
    }

    /// What came of the batch of a target. The rows that were `told` may go. Those that `failed` were not appended, or it is
    /// unknown whether: the target rests, and gets them again.
    pub(crate) fn settle(
        &mut self,
        target: Partition,
        told: &[OutboxPlace],
        failed: &[OutboxPlace],
        now_ms: u64,
        rest: Duration,
    ) {
        for place in told {
            if let Some(held) = self.held.get_mut(place) {
                held.state = State::Told;
                remove(&mut self.chains, (place.source, held.chain.clone()), *place);
            }
        }
        if failed.is_empty() {
            self.targets.remove(&target);
            for source in self.sources.values_mut() {
                if let Some(place) = source.parked.remove(&target) {
                    (source.next, source.more) = (source.next.min(place), true);
                }
            }
            return;
        }
        if !told.is_empty() {
            self.targets.entry(target).or_default().failures = 0;
        }
        for place in failed {
            self.waits(*place);
        }
        self.rests(target, now_ms, rest);
    }

    /// A target takes nothing: it rests, and few of its rows are held.
    pub(crate) fn rests(&mut self, target: Partition, now_ms: u64, rest: Duration) {
        let known = self.targets.entry(target).or_default();
        known.under_way = false;
        let rest = back_off(rest, known.failures, rest * LONGEST_REST);
        known.rests_until_ms = now_ms + millis(rest).max(1);
        known.failures = known.failures.saturating_add(1);
        let all = (target, Partition::FIRST)..;
        let of_it = self.waiting.range(all).take_while(|((of, _), _)| *of == target);
        let surplus: Vec<OutboxPlace> =
            of_it.flat_map(|(_, places)| places.iter().skip(limits::RELAY_PARKED).copied()).collect();
        for place in surplus {
            self.leaves(place);
            self.forget(place);
            let from = self.source(place.source).parked.entry(target).or_insert(place);
            *from = place.min(*from);
        }
    }

    /// Rows that were told are gone from the outbox.
    pub(crate) fn removed(&mut self, places: &[OutboxPlace]) {
        for place in places {
            self.forget(*place);
        }
    }

    fn forget(&mut self, place: OutboxPlace) {
        if let Some(held) = self.held.remove(&place) {
            remove(&mut self.chains, (place.source, held.chain), place);
            self.source(place.source).held -= 1;
            if let Some(user) = held.lane
                && let Entry::Occupied(mut owed) = self.owed.entry(user)
            {
                *owed.get_mut() -= 1;
                if *owed.get() == 0 {
                    owed.remove();
                }
            }
        }
    }

    /// For each source with something that is not told: the offset of the first.
    pub(crate) fn untold(&self) -> impl Iterator<Item = (Partition, Offset)> {
        self.sources.iter().filter_map(|(source, of)| {
            let held = (of.held > 0).then(|| self.held.range(OutboxPlace::first_of(*source)..).next()).flatten();
            let held = held.map(|(place, _)| *place);
            let fan_out = of.fan_out.as_ref().map(OutboxRow::place);
            let first = held.into_iter().chain(fan_out).chain(of.parked.values().copied()).min()?;
            Some((*source, first.offset))
        })
    }

    /// Users of whom many rows are held, and how many.
    #[must_use]
    pub(crate) fn owed(&self) -> HashMap<UserId, usize> {
        let many = self.owed.iter().filter(|(_, rows)| **rows >= limits::OWED);
        many.map(|(user, rows)| (user.clone(), *rows)).collect()
    }

    /// Rows held.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether nothing is held.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

fn remove<K: Ord>(sets: &mut BTreeMap<K, BTreeSet<OutboxPlace>>, key: K, place: OutboxPlace) {
    if let Some(set) = sets.get_mut(&key) {
        set.remove(&place);
        if set.is_empty() {
            sets.remove(&key);
        }
    }
}

/// The records of a fan-out for a page of members: each with its target.
///
/// # Errors
/// The row's pattern is no record.
pub(crate) fn expand(fan_out: &OutboxRow, page: &[MemberRow]) -> Result<Vec<(Partition, Bytes)>, RecordError> {
    let pattern = Envelope::decode_record(&fan_out.record)?;
    let told = page.iter().filter(|member| member.state == MEMBER || member.state == INVITED);
    let records = told.map(|member| outbox::for_member(&pattern, &member.user));
    Ok(records.map(|addressed| (addressed.partition, addressed.record)).collect())
}
