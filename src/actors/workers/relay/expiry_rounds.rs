//! The pure core of the expiry scanner: when a scan is due, which of the rooms that it finds are told that their time is over, and
//! when it goes on.
//!
//! It must never hurry. A room that expires late loses nothing; if a wrong clock were believed, rooms would expire early for
//! everybody. So it asks for nothing and tells nothing while the journal's clock is not to be trusted. A record is only a
//! question to the fold, which compares the room's time, as it is by then, with the append time.
//!
//! A driver, the worker or the simulation, asks for the next [`ExpiryStep`], carries it out, appends the batches that
//! [`ExpiryRounds::page`] gives, and reports on each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::actors::room::commands::{Command, Expire, RoomCommand};
use crate::actors::room::payload;
use crate::actors::router::owned::Owned;
use crate::actors::workers::back_off;
use crate::ids::{Offset, Partition, RoomId, Timestamp, millis};
use crate::limits;
use crate::storage::journal::record::Addressed;

/// The record that ends a room whose time is over. If it is not, the fold ignores it.
pub(crate) fn record(room: RoomId, id: Uuid, now: Timestamp) -> Addressed {
    let ttl_ms = limits::COMMAND_TTL_MS;
    payload::address(Command { room, id, issued_at: now, ttl_ms, body: RoomCommand::Expire(Expire) })
}

/// What the clocks show at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClockReading {
    /// The journal's clock, by which the fold decides.
    pub journal: Timestamp,
    /// It agrees with the node's own.
    pub is_trusted: bool,
    /// Milliseconds of a clock that never jumps.
    pub steady_ms: u64,
}

/// Behind which room a page begins, by the order of the store.
type Place = Option<(Timestamp, RoomId)>;

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum ExpiryStep {
    /// Read the rooms that are over at `now`, [`limits::EXPIRY_PAGE`] at most; then [`ExpiryRounds::page`] or
    /// [`ExpiryRounds::unread`].
    Page {
        /// The journal's time when the scan began.
        now: Timestamp,
        /// Rooms behind this one.
        after: Place,
    },
    /// Wait so long, or until there is a report, or more is stored while [`ExpiryRounds::awaits_store`].
    Wait(Duration),
}

#[derive(Clone, Copy)]
enum Stage {
    /// The next scan begins then.
    Rest { until_ms: u64 },
    /// The page behind this place is read.
    Read(Place),
    /// What the last page gave is to be stored before the page behind this place is read.
    Settle(Place),
}

/// A batch that was given to its partition and is not stored yet.
struct Ahead {
    rooms: Vec<RoomId>,
    /// Where the partition ends behind it, once it is appended.
    end: Option<Offset>,
    since_ms: u64,
}

/// A room for which a record was given: when its time was over, and when that was told.
struct Told {
    over_at: Timestamp,
    at_ms: u64,
}

/// A partition that did not take its last batches.
struct Refusals {
    in_a_row: u32,
    until_ms: u64,
}

/// See the module.
pub(crate) struct ExpiryRounds {
    every: Duration,
    /// The partitions whose rooms are told.
    owned: Arc<Owned>,
    stage: Stage,
    /// The journal's time when the scan began.
    scanned_at: Timestamp,
    /// No second record while one is on its way, or came to nothing because the journal's clock was behind.
    told: BTreeMap<RoomId, Told>,
    ahead: BTreeMap<Partition, Ahead>,
    refusals: BTreeMap<Partition, Refusals>,
    /// Pages in a row that the store did not give.
    unread: u32,
    scans: u64,
}

impl ExpiryRounds {
    /// Scans begin so long after the end of the one before.
    pub(crate) fn new(every: Duration, owned: Arc<Owned>) -> Self {
        Self {
            every,
            owned,
            stage: Stage::Rest { until_ms: 0 },
            scanned_at: Timestamp(0),
            told: BTreeMap::new(),
            ahead: BTreeMap::new(),
            refusals: BTreeMap::new(),
            unread: 0,
            scans: 0,
        }
    }

    /// Scans that are over.
    pub(crate) fn scans(&self) -> u64 {
        self.scans
    }

    /// Whether more that is stored lets it go on.
    pub(crate) fn awaits_store(&self) -> bool {
        matches!(self.stage, Stage::Settle(_))
    }

    /// What is to be done next. `stored` says how far a partition is stored.
    pub(crate) fn step(&mut self, clock: ClockReading, stored: impl Fn(Partition) -> Offset) -> ExpiryStep {
        let now_ms = clock.steady_ms;
        self.ahead.retain(|partition, ahead| ahead.end.is_none_or(|end| stored(*partition) < end));
        loop {
            match self.stage {
                Stage::Rest { until_ms } if now_ms < until_ms => {
                    return ExpiryStep::Wait(Duration::from_millis(until_ms - now_ms));
                }
                _ if !clock.is_trusted => self.ends(now_ms, self.every),
                Stage::Rest { .. } => {
                    self.told.retain(|_, told| now_ms.saturating_sub(told.at_ms) <= limits::COMMAND_TTL_MS);
                    self.scanned_at = clock.journal;
                    self.stage = Stage::Read(None);
                }
                Stage::Settle(after) => match self.unsettled_ms(now_ms) {
                    Some(ms) => return ExpiryStep::Wait(Duration::from_millis(ms)),
                    None => self.stage = Stage::Read(after),
                },
                Stage::Read(after) => return ExpiryStep::Page { now: self.scanned_at, after },
            }
        }
    }

    /// The rooms of the page that [`ExpiryStep::Page`] asked for. Gives those for which a record is appended now, by
    /// partition: to be reported with [`Self::appended`] or [`Self::refused`]. A partition has one batch that is not stored
    /// at most, so a hundred thousand rooms that are over at the same moment are not put before what others do.
    pub(crate) fn page(
        &mut self,
        over: &[(RoomId, Timestamp)],
        clock: ClockReading,
    ) -> BTreeMap<Partition, Vec<RoomId>> {
        let now_ms = clock.steady_ms;
        self.unread = 0;
        let mut batches = BTreeMap::<_, Vec<_>>::new();
        // The clock may have jumped while the page was read: then nothing is told, and the next step ends the scan.
        for (room, over_at) in over.iter().filter(|_| clock.is_trusted) {
            let partition = room.partition();
            if !self.owned.has(partition) {
                continue;
            }
            let is_told = self.told.get(room).is_some_and(|told| told.over_at == *over_at);
            let rests = self.refusals.get(&partition).is_some_and(|refusals| now_ms < refusals.until_ms);
            if is_told || rests || self.ahead.contains_key(&partition) || self.told.len() >= limits::EXPIRY_TOLD {
                continue;
            }
            self.told.insert(*room, Told { over_at: *over_at, at_ms: now_ms });
            batches.entry(partition).or_default().push(*room);
        }
        for (partition, rooms) in &batches {
            self.ahead.insert(*partition, Ahead { rooms: rooms.clone(), end: None, since_ms: now_ms });
        }
        match over.last() {
            Some((room, at)) if over.len() >= limits::EXPIRY_PAGE => self.stage = Stage::Settle(Some((*at, *room))),
            _ => self.ends(now_ms, self.every),
        }
        batches
    }

    /// The store did not give the page: the next scan begins after a wait that is longer each time.
    pub(crate) fn unread(&mut self, now_ms: u64) {
        let wait = self.wait(self.unread);
        self.unread = self.unread.saturating_add(1);
        self.ends(now_ms, wait);
    }

    /// A partition's batch is appended, and the partition ends here.
    pub(crate) fn appended(&mut self, partition: Partition, end: Offset, now_ms: u64) {
        self.refusals.remove(&partition);
        if let Some(ahead) = self.ahead.get_mut(&partition) {
            (ahead.end, ahead.since_ms) = (Some(end), now_ms);
        }
    }

    /// A partition's batch is not appended, or it is unknown whether: its rooms are asked for again, after a wait that is
    /// longer each time. Nothing of the batch is kept, because their times may be others by then.
    pub(crate) fn refused(&mut self, partition: Partition, now_ms: u64) {
        for room in self.ahead.remove(&partition).into_iter().flat_map(|ahead| ahead.rooms) {
            self.told.remove(&room);
        }
        let in_a_row = self.refusals.get(&partition).map_or(0, |refusals| refusals.in_a_row);
        let until_ms = now_ms.saturating_add(millis(self.wait(in_a_row)));
        self.refusals.insert(partition, Refusals { in_a_row: in_a_row.saturating_add(1), until_ms });
    }

    fn wait(&self, failures: u32) -> Duration {
        back_off(self.every, failures, Duration::from_millis(limits::EXPIRY_REST_MS))
    }

    fn ends(&mut self, now_ms: u64, wait: Duration) {
        self.scans += 1;
        self.stage = Stage::Rest { until_ms: now_ms.saturating_add(millis(wait)) };
    }

    /// How long what was given may still take until it is stored. A partition that takes longer keeps nobody else waiting.
    fn unsettled_ms(&self, now_ms: u64) -> Option<u64> {
        let left = |ahead: &Ahead| limits::EXPIRY_STORED_MS.checked_sub(now_ms.saturating_sub(ahead.since_ms));
        self.ahead.values().filter_map(left).filter(|left| *left > 0).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::router::owned::OwnerEpoch;
    use crate::ids::{ClientId, UserId};

    const NOON: u64 = 1_800_000_000_000;
    const EVERY_MS: u64 = 5_000;
    const ALL: Offset = Offset(u64::MAX);

    fn rounds() -> ExpiryRounds {
        of(Partition::all())
    }

    fn of(partitions: impl IntoIterator<Item = Partition>) -> ExpiryRounds {
        ExpiryRounds::new(Duration::from_millis(EVERY_MS), Arc::new(Owned::new(partitions, OwnerEpoch(1))))
    }

    fn room(name: &str) -> RoomId {
        RoomId::group(&UserId::new("ann").unwrap(), &ClientId::new(name).unwrap())
    }

    fn over(names: &[&str]) -> Vec<(RoomId, Timestamp)> {
        names.iter().map(|name| (room(name), Timestamp(NOON - 5))).collect()
    }

    /// As many as a page has.
    fn crowd(from: usize) -> Vec<(RoomId, Timestamp)> {
        (from..from + limits::EXPIRY_PAGE).map(|n| (room(&format!("g{n}")), Timestamp(NOON - 5))).collect()
    }

    fn at(ms: u64) -> ClockReading {
        ClockReading { journal: Timestamp(NOON + ms), is_trusted: true, steady_ms: ms }
    }

    fn wrong(ms: u64) -> ClockReading {
        ClockReading { journal: Timestamp(NOON + ms + 24 * 3_600_000), is_trusted: false, steady_ms: ms }
    }

    fn asks(rounds: &mut ExpiryRounds, clock: ClockReading, stored: Offset) -> bool {
        matches!(rounds.step(clock, |_| stored), ExpiryStep::Page { .. })
    }

    /// What a scan tells that is due by now and finds these rooms.
    fn scan(rounds: &mut ExpiryRounds, ms: u64, over: &[(RoomId, Timestamp)]) -> Vec<RoomId> {
        assert!(asks(rounds, at(ms), Offset::ZERO), "a scan is due after {ms} ms");
        rounds.page(over, at(ms)).into_values().flatten().collect()
    }

    #[test]
    fn while_the_clock_is_wrong_no_room_is_asked_for_and_when_it_is_right_again_all_are() {
        let mut rounds = rounds();
        for ms in [0, EVERY_MS, 2 * EVERY_MS] {
            assert!(!asks(&mut rounds, wrong(ms), ALL));
        }
        let ExpiryStep::Page { now, after: None } = rounds.step(at(3 * EVERY_MS), |_| ALL) else {
            panic!("it is right")
        };
        assert_eq!(now, Timestamp(NOON + 3 * EVERY_MS));
        assert_eq!(rounds.page(&over(&["a"]), at(3 * EVERY_MS)).len(), 1);
    }

    #[test]
    fn a_clock_that_jumps_in_the_middle_of_a_scan_ends_it() {
        let mut while_read = rounds();
        assert!(asks(&mut while_read, at(0), ALL));
        assert!(while_read.page(&crowd(0), wrong(1)).is_empty(), "it jumped while the page was read");
        assert!(!asks(&mut while_read, wrong(1), ALL));
        assert_eq!(scan(&mut while_read, 2 * EVERY_MS, &over(&["a"])), [room("a")]);

        let mut between = rounds();
        scan(&mut between, 0, &crowd(0));
        assert!(!asks(&mut between, wrong(1), ALL), "it jumped between two pages");
        assert!(!asks(&mut between, at(2), ALL), "and is right again: the scan is over all the same");
    }

    #[test]
    fn the_next_page_waits_until_the_store_has_what_the_last_one_gave() {
        let mut rounds = rounds();
        assert!(asks(&mut rounds, at(0), ALL));
        let batches = rounds.page(&crowd(0), at(0));
        assert_eq!(batches.values().map(Vec::len).sum::<usize>(), limits::EXPIRY_PAGE);
        assert!(rounds.awaits_store() && !asks(&mut rounds, at(1), Offset(7)), "nothing is appended");
        batches.keys().for_each(|partition| rounds.appended(*partition, Offset(7), 2));
        assert!(!asks(&mut rounds, at(3), Offset(6)), "nothing is stored");
        let ExpiryStep::Page { after, .. } = rounds.step(at(4), |_| Offset(7)) else { panic!("all is stored") };
        assert_eq!(after, crowd(0).last().map(|(room, at)| (*at, *room)));
    }

    #[test]
    fn a_partition_that_is_not_stored_in_time_gets_nothing_more_and_keeps_nobody_waiting() {
        let mut rounds = rounds();
        assert!(asks(&mut rounds, at(0), ALL));
        let batches = rounds.page(&crowd(0), at(0));
        batches.keys().for_each(|partition| rounds.appended(*partition, Offset(7), 0));
        let stuck = *batches.keys().next().unwrap();
        let stored = |partition| Offset(if partition == stuck { 6 } else { 7 });
        let late = at(limits::EXPIRY_STORED_MS);
        assert!(matches!(rounds.step(at(late.steady_ms - 1), stored), ExpiryStep::Wait(_)));
        assert!(matches!(rounds.step(late, stored), ExpiryStep::Page { .. }));
        let more = rounds.page(&crowd(limits::EXPIRY_PAGE), late);
        assert!(!more.is_empty() && !more.contains_key(&stuck));
    }

    #[test]
    fn a_partition_that_refuses_is_asked_again_after_longer_and_longer() {
        let (mut rounds, mut ms) = (rounds(), 0);
        let partition = room("a").partition();
        let mut told = Vec::new();
        while ms <= 200_000 {
            if !scan(&mut rounds, ms, &over(&["a"])).is_empty() {
                told.push(ms / 1_000);
                rounds.refused(partition, ms);
            }
            ms += EVERY_MS;
        }
        assert_eq!(told, [0, 5, 15, 35, 75, 135, 195]);
        assert_eq!(scan(&mut rounds, 255_000, &over(&["a"])), [room("a")]);
        rounds.appended(partition, Offset(7), 255_000);
        rounds.refused(partition, 255_000);
        assert_eq!(scan(&mut rounds, 260_000, &over(&["a"])), [room("a")], "what it took is forgiven");
    }

    #[test]
    fn a_refusal_keeps_no_other_partition_from_being_told() {
        let mut rounds = rounds();
        assert_eq!(scan(&mut rounds, 0, &over(&["a"])), [room("a")]);
        rounds.refused(room("a").partition(), 0);
        rounds.refused(room("a").partition(), 0);
        assert!(room("a").partition() != room("b").partition());
        assert_eq!(scan(&mut rounds, EVERY_MS, &over(&["a", "b"])), [room("b")]);
    }

    #[test]
    fn rooms_of_partitions_elsewhere_are_passed_over_and_do_not_hold_up_the_scan() {
        let mut rounds = of([room("a").partition()]);
        assert!(asks(&mut rounds, at(0), ALL));
        let told = rounds.page(&crowd(0), at(0));
        assert!(told.keys().all(|partition| *partition == room("a").partition()));
        told.keys().for_each(|partition| rounds.appended(*partition, Offset::ZERO, 0));
        assert!(asks(&mut rounds, at(1), ALL), "the next page");
        let mine = rounds.page(&over(&["b", "a"]), at(1)).into_values().flatten().collect::<Vec<_>>();
        assert_eq!(mine, [room("a")]);
    }

    #[test]
    fn a_room_whose_time_was_extended_is_not_told() {
        let mut rounds = rounds();
        scan(&mut rounds, 0, &over(&["a"]));
        rounds.refused(room("a").partition(), 0);
        // The rows have its new time by now. Nothing remembers the old one.
        assert_eq!(scan(&mut rounds, EVERY_MS, &[]), []);
        let extended = [(room("a"), Timestamp(NOON + EVERY_MS + 1))];
        assert_eq!(scan(&mut rounds, 2 * EVERY_MS, &extended), [room("a")], "its new time is over, too");
    }

    #[test]
    fn a_room_is_not_told_again_while_its_record_is_on_its_way_or_has_no_effect() {
        let mut rounds = rounds();
        assert_eq!(scan(&mut rounds, 0, &over(&["a"])), [room("a")]);
        assert_eq!(scan(&mut rounds, EVERY_MS, &over(&["a"])), []);
        rounds.appended(room("a").partition(), Offset::ZERO, EVERY_MS);
        assert_eq!(scan(&mut rounds, 2 * EVERY_MS, &over(&["a"])), [], "stored, and over all the same");
        let extended = [(room("a"), Timestamp(NOON - 4))];
        assert_eq!(scan(&mut rounds, 3 * EVERY_MS, &extended), [room("a")], "another time of it is over");
        rounds.appended(room("a").partition(), Offset::ZERO, 3 * EVERY_MS);
        assert_eq!(scan(&mut rounds, 3 * EVERY_MS + limits::COMMAND_TTL_MS + 1, &extended), [room("a")]);
    }

    #[test]
    fn a_store_that_gives_no_page_is_asked_again_after_longer_and_longer() {
        let (mut rounds, mut ms) = (rounds(), 0);
        for wait in [5, 10, 20, 40, 60, 60] {
            assert!(asks(&mut rounds, at(ms), ALL));
            rounds.unread(ms);
            let step = rounds.step(at(ms), |_| ALL);
            assert!(matches!(step, ExpiryStep::Wait(time) if time == Duration::from_secs(wait)), "{step:?}");
            ms += wait * 1_000;
        }
    }
}
