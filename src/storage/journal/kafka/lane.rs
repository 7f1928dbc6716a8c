//! The batches of one partition on their way into Kafka: which of them are under way, which wait, and what each of them is
//! told. Pure: no client, no clock, no lock.
//!
//! Only one flight is under way at a time: all batches that waited, up to [`limits::APPEND_BYTES`]. So what waits here can be
//! refused with certainty, and batches can't overtake each other. Three limits follow from that:
//!
//! 1. a flight without a report for [`ANSWER_MS`] is told "unknown", and what waits behind it is refused;
//! 2. so is what has waited for its first flight for as long;
//! 3. until something of the partition is written again, only one batch tries, and is refused after [`PROBE_MS`] if no leader
//!    could be asked: everybody else is refused at once;
//! 4. a flight that is as old as [`GIVE_UP_MS`] asks to be given up. What was never sent of it goes into the next flight, in its
//!    order.
//!
//! A report says that all that lies before it in the log is durable, too. Where others' records were read that no report has
//! covered yet, and that may have been lost and replaced since, it is held back until the log has been read up to it: by then
//! the loss is known. It, too, is told "unknown" after [`ANSWER_MS`].

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ids::{Offset, Timestamp};
use crate::limits;
use crate::storage::journal::{AppendError, Appended};

/// How long a flight may be without a report before its callers are told that its outcome is unknown. A leader's death stalls a
/// partition for two to four seconds.
pub(super) const ANSWER_MS: u64 = 5_000;
/// How long what waits may wait for its flight where an earlier one was overdue or never began.
const PROBE_MS: u64 = 500;
/// How old a flight gets before it is given up: a leader that comes back earlier tells what became of it.
pub(super) const GIVE_UP_MS: u64 = 10_000;

/// A batch, and who hears what becomes of it.
struct Batch<D> {
    records: Vec<Bytes>,
    /// Taken by the answer.
    done: Option<D>,
}

/// What became of one record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum RecordFate {
    /// It is in the log.
    Written(Offset, Timestamp),
    /// It is not, and never will be.
    Never(String),
    /// It may be.
    Unknown(String),
    /// It is not, because it was given up before it was sent.
    Withdrawn,
}

/// What is under way.
struct Flight<D> {
    number: u32,
    since: Timestamp,
    batches: Vec<Batch<D>>,
    /// Its callers have been told that its outcome is unknown.
    is_overdue: bool,
    /// It has asked to be given up.
    is_given_up: bool,
}

/// Records to be sent, in this order.
pub(super) struct Launch {
    /// Which flight it is: reports name it.
    pub number: u32,
    pub records: Vec<Bytes>,
}

/// A flight whose records all have their fates.
pub(super) struct Landed<D> {
    /// What the callers are told, in their order.
    pub answers: Answers<D>,
    /// What is in the log, in its order.
    pub written: Vec<(Offset, Timestamp, Bytes)>,
    /// Bytes that wait here no more.
    pub bytes: usize,
}

/// What callers are told, in their order.
pub(super) type Answers<D> = Vec<(D, Result<Appended, AppendError>)>;

/// Reports that wait until the log has been read up to `end`.
struct Held<D> {
    end: Offset,
    since: Timestamp,
    answers: Answers<D>,
}

/// What is due.
pub(super) struct Overdue<D> {
    pub answers: Vec<(D, AppendError)>,
    /// Bytes that wait here no more.
    pub bytes: usize,
    /// The flight is to be given up.
    pub gives_up: bool,
}

/// See the module. `D` is who hears a delivery report.
pub(super) struct Lane<D> {
    waiting: VecDeque<Batch<D>>,
    /// Since when it has been seen waiting while nothing was under way.
    waits: Option<Timestamp>,
    flight: Option<Flight<D>>,
    held: VecDeque<Held<D>>,
    /// A flight was overdue, and nothing has been written since.
    is_suspect: bool,
    flights: u32,
}

impl<D> Default for Lane<D> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            waits: None,
            flight: None,
            held: VecDeque::new(),
            is_suspect: false,
            flights: 0,
        }
    }
}

fn weight<'a>(records: impl IntoIterator<Item = &'a Bytes>) -> usize {
    records.into_iter().map(Bytes::len).sum()
}

impl<D> Lane<D> {
    /// Takes a batch, or gives its caller back.
    pub(super) fn push(&mut self, records: Vec<Bytes>, done: D) -> Result<(), D> {
        if self.is_suspect && (self.flight.is_some() || !self.waiting.is_empty()) {
            return Err(done);
        }
        self.waiting.push_back(Batch { records, done: Some(done) });
        Ok(())
    }

    /// The flight under way: its number, and how many records it has.
    pub(super) fn under_way(&self) -> Option<(u32, usize)> {
        let flight = self.flight.as_ref()?;
        Some((flight.number, flight.batches.iter().map(|batch| batch.records.len()).sum()))
    }

    /// Whether [`Self::launch`] would send something.
    pub(super) fn is_ready(&self) -> bool {
        self.flight.is_none() && !self.waiting.is_empty()
    }

    /// What is to be sent now, if nothing is under way. A flight of empty batches has landed already.
    pub(super) fn launch(&mut self, now: Timestamp) -> Option<Launch> {
        if !self.is_ready() {
            return None;
        }
        let (mut batches, mut bytes) = (Vec::new(), 0);
        while let Some(next) = self.waiting.front() {
            bytes += weight(&next.records);
            if !batches.is_empty() && bytes > limits::APPEND_BYTES {
                break;
            }
            batches.extend(self.waiting.pop_front());
        }
        let records: Vec<Bytes> = batches.iter().flat_map(|batch| batch.records.iter().cloned()).collect();
        self.flights = self.flights.wrapping_add(1);
        let number = self.flights;
        self.waits = None;
        self.flight = Some(Flight { number, since: now, batches, is_overdue: false, is_given_up: false });
        Some(Launch { number, records })
    }

    /// The records of flight `number` have their fates, in their order. `end`: where the partition ended before it, `now`: the
    /// journal's clock; for what is told of empty batches. `None`: the flight is not under way.
    pub(super) fn land(
        &mut self,
        number: u32,
        fates: Vec<RecordFate>,
        end: Offset,
        now: Timestamp,
    ) -> Option<Landed<D>> {
        let flight = self.flight.take_if(|flight| flight.number == number)?;
        if !fates.is_empty() && !flight.is_overdue && fates.iter().all(|fate| *fate == RecordFate::Withdrawn) {
            flight.batches.into_iter().rev().for_each(|batch| self.waiting.push_front(batch));
            return Some(Landed { answers: Vec::new(), written: Vec::new(), bytes: 0 });
        }
        let mut landed = Landed { answers: Vec::new(), written: Vec::new(), bytes: 0 };
        let (mut fates, mut end) = (fates.into_iter(), end);
        for batch in flight.batches {
            let of_batch: Vec<RecordFate> = fates.by_ref().take(batch.records.len()).collect();
            landed.bytes += weight(&batch.records);
            let told = outcome(&of_batch, end, now);
            for (fate, record) in of_batch.into_iter().zip(batch.records) {
                if let RecordFate::Written(offset, time) = fate {
                    end = end.max(offset.next());
                    landed.written.push((offset, time, record));
                }
            }
            landed.answers.extend(batch.done.map(|done| (done, told)));
        }
        if !landed.written.is_empty() {
            self.is_suspect = false;
        }
        Some(landed)
    }

    /// These reports wait until the log has been read up to `end`: see [`Self::release`].
    pub(super) fn hold(&mut self, answers: Answers<D>, end: Offset, since: Timestamp) {
        self.held.push_back(Held { end, since, answers });
    }

    /// The reports that wait no more, in their order: the log has been read up to here.
    pub(super) fn release(&mut self, read: Offset) -> Answers<D> {
        let mut released = Vec::new();
        while let Some(held) = self.held.pop_front_if(|held| held.end <= read) {
            released.extend(held.answers);
        }
        released
    }

    /// Whether reports are held back.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Timestamp) -> Overdue<D> {
        let mut overdue = Overdue { answers: Vec::new(), bytes: 0, gives_up: false };
        while let Some(held) = self.held.pop_front_if(|held| now.since(held.since) >= ANSWER_MS) {
            let why = "it is in the log, and what lies before it can't be read".to_owned();
            let unknown =
                |report: Result<Appended, AppendError>| report.err().unwrap_or(AppendError::Unknown(why.clone()));
            overdue.answers.extend(held.answers.into_iter().map(|(done, report)| (done, unknown(report))));
        }
        let Some(flight) = &mut self.flight else {
            let patience = if self.is_suspect { PROBE_MS } else { ANSWER_MS };
            if !self.waiting.is_empty() && now.since(*self.waits.get_or_insert(now)) >= patience {
                (self.is_suspect, self.waits) = (true, None);
                self.refuse(&mut overdue, "the partition has no leader that takes anything");
            }
            return overdue;
        };
        let age = now.since(flight.since);
        if age >= ANSWER_MS && !flight.is_overdue {
            flight.is_overdue = true;
            self.is_suspect = true;
            let why = format!("the partition's leader has not answered for {ANSWER_MS} ms");
            for done in flight.batches.iter_mut().filter_map(|batch| batch.done.take()) {
                overdue.answers.push((done, AppendError::Unknown(why.clone())));
            }
            self.refuse(&mut overdue, &why);
        }
        if let Some(flight) = &mut self.flight {
            overdue.gives_up = age >= GIVE_UP_MS && !std::mem::replace(&mut flight.is_given_up, age >= GIVE_UP_MS);
        }
        overdue
    }

    /// What waits was never sent.
    fn refuse(&mut self, overdue: &mut Overdue<D>, why: &str) {
        for batch in self.waiting.drain(..) {
            overdue.bytes += weight(&batch.records);
            overdue.answers.extend(batch.done.map(|done| (done, AppendError::Refused(why.to_owned()))));
        }
    }

    /// Everybody has been told what became of their batches.
    pub(super) fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.held.is_empty() && self.flight.as_ref().is_none_or(|flight| flight.is_overdue)
    }
}

/// What the caller of a batch is told, but for the losses of the partition.
fn outcome(fates: &[RecordFate], end: Offset, now: Timestamp) -> Result<Appended, AppendError> {
    let (mut places, mut maybe, mut never) = (Vec::new(), None, None);
    for fate in fates {
        match fate {
            RecordFate::Written(offset, time) => places.push((*offset, *time)),
            RecordFate::Unknown(why) => maybe = Some(why.clone()),
            RecordFate::Never(why) => never = Some(why.clone()),
            RecordFate::Withdrawn => never = Some("it was given up before it was sent".to_owned()),
        }
    }
    match (maybe, never) {
        (Some(why), _) => Err(AppendError::Unknown(why)),
        (None, Some(why)) if places.is_empty() => Err(AppendError::Refused(why)),
        (None, Some(why)) => Err(AppendError::Unknown(format!("a part of the batch is written: {why}"))),
        (None, None) => {
            let Some((&(first, _), &(last, time))) = places.first().zip(places.last()) else {
                return Ok(Appended { first: end, end, time: now, is_dense: true, losses: 0 });
            };
            let is_dense = (first.0..).zip(&places).all(|(offset, place)| *place == (Offset(offset), time));
            Ok(Appended { first, end: last.next(), time, is_dense, losses: 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Numbered = Lane<usize>;

    const START: Timestamp = Timestamp(1_000);

    fn after(ms: u64) -> Timestamp {
        Timestamp(START.0 + ms)
    }

    fn record(n: usize) -> Bytes {
        Bytes::from(format!("r{n}"))
    }

    /// Writes all of the flight at these offsets.
    fn write(lane: &mut Numbered, launch: &Launch, from: u64) -> Landed<usize> {
        let fates = (from..).take(launch.records.len()).map(|at| RecordFate::Written(Offset(at), START)).collect();
        lane.land(launch.number, fates, Offset(from), START).expect("it is under way")
    }

    #[test]
    fn batches_that_wait_fly_together_and_each_has_its_own_report() {
        let mut lane = Numbered::default();
        lane.push(vec![record(0)], 0).unwrap();
        let first = lane.launch(START).unwrap();
        lane.push(vec![record(1), record(2)], 1).unwrap();
        lane.push(Vec::new(), 2).unwrap();
        assert!(lane.launch(START).is_none(), "one at a time");
        write(&mut lane, &first, 7);
        let second = lane.launch(START).unwrap();
        assert_eq!(second.records, [record(1), record(2)]);
        let landed = write(&mut lane, &second, 8);
        let told: Vec<_> = landed.answers.into_iter().map(|(who, told)| (who, told.unwrap())).collect();
        assert_eq!((told[0].0, told[0].1.first, told[0].1.end), (1, Offset(8), Offset(10)));
        assert_eq!((told[1].0, told[1].1.first, told[1].1.end), (2, Offset(10), Offset(10)));
        assert!(lane.is_done());
    }

    #[test]
    fn a_batch_with_anothers_record_inside_is_not_dense_and_neither_is_one_of_two_times() {
        for (second, time, dense) in [(1, START, true), (2, START, false), (1, after(1), false)] {
            let fates = [RecordFate::Written(Offset(0), START), RecordFate::Written(Offset(second), time)];
            let told = outcome(&fates, Offset(0), START).unwrap();
            assert_eq!((told.is_dense, told.end), (dense, Offset(second + 1)));
        }
    }

    #[test]
    fn a_flight_without_a_report_is_unknown_and_what_waits_is_refused_and_later_ones_at_once() {
        let mut lane = Numbered::default();
        lane.push(vec![record(0)], 0).unwrap();
        let launch = lane.launch(START).unwrap();
        lane.push(vec![record(1)], 1).unwrap();
        assert!(lane.tick(after(ANSWER_MS - 1)).answers.is_empty());
        let overdue = lane.tick(after(ANSWER_MS));
        assert!(matches!(overdue.answers[..], [(0, AppendError::Unknown(_)), (1, AppendError::Refused(_))]));
        assert_eq!(lane.push(vec![record(2)], 2), Err(2));
        assert!(lane.tick(after(ANSWER_MS + 1)).answers.is_empty(), "each is told once");
        // The report comes all the same: nobody is told again, what it wrote is known.
        let landed = write(&mut lane, &launch, 3);
        assert_eq!((landed.answers.len(), landed.written.len()), (0, 1));
        lane.push(vec![record(3)], 3).unwrap();
    }

    #[test]
    fn what_waits_for_its_first_flight_for_too_long_is_refused_and_then_one_at_a_time_tries() {
        let mut lane = Numbered::default();
        lane.push(vec![record(0)], 0).unwrap();
        lane.push(vec![record(1)], 1).unwrap();
        assert!(lane.tick(START).answers.is_empty());
        assert!(lane.tick(after(ANSWER_MS - 1)).answers.is_empty());
        let overdue = lane.tick(after(ANSWER_MS));
        assert!(matches!(overdue.answers[..], [(0, AppendError::Refused(_)), (1, AppendError::Refused(_))]));
        assert!(lane.is_done() && !lane.is_ready());
        // As long as nothing is written, later ones need not wait that long.
        lane.push(vec![record(6)], 6).unwrap();
        assert!(lane.tick(after(ANSWER_MS + 1)).answers.is_empty());
        assert!(lane.tick(after(ANSWER_MS + PROBE_MS)).answers.is_empty());
        let overdue = lane.tick(after(ANSWER_MS + 1 + PROBE_MS));
        assert!(matches!(overdue.answers[..], [(6, AppendError::Refused(_))]));
        lane.push(vec![record(2)], 2).unwrap();
        assert_eq!(lane.push(vec![record(3)], 3), Err(3));
        let launch = lane.launch(after(2 * ANSWER_MS)).unwrap();
        assert_eq!(launch.records, [record(2)]);
        write(&mut lane, &launch, 0);
        lane.push(vec![record(4)], 4).unwrap();
        lane.push(vec![record(5)], 5).unwrap();
    }

    #[test]
    fn while_the_leader_is_away_one_flight_at_a_time_tries() {
        let mut lane = Numbered::default();
        lane.push(vec![record(0)], 0).unwrap();
        let launch = lane.launch(START).unwrap();
        assert!(!lane.tick(after(GIVE_UP_MS - 1)).gives_up);
        assert!(lane.tick(after(GIVE_UP_MS)).gives_up);
        assert!(!lane.tick(after(GIVE_UP_MS + 1)).gives_up, "asked for once");
        let landed = lane.land(launch.number, vec![RecordFate::Withdrawn], Offset(0), START).unwrap();
        assert!(landed.answers.is_empty(), "it was told before");
        lane.push(vec![record(1)], 1).unwrap();
        let launch = lane.launch(after(GIVE_UP_MS)).unwrap();
        assert_eq!(lane.push(vec![record(2)], 2), Err(2), "who comes behind it does not wait");
        write(&mut lane, &launch, 0);
        lane.push(vec![record(3)], 3).unwrap();
        lane.launch(after(GIVE_UP_MS)).unwrap();
        lane.push(vec![record(4)], 4).unwrap();
    }

    #[test]
    fn what_was_given_up_before_it_was_sent_flies_again_in_its_order() {
        let mut lane = Numbered::default();
        (0..3).for_each(|n| lane.push(vec![record(n)], n).unwrap());
        let launch = lane.launch(START).unwrap();
        lane.push(vec![record(3)], 3).unwrap();
        assert!(lane.land(launch.number, vec![RecordFate::Withdrawn; 3], Offset(0), START).unwrap().answers.is_empty());
        let again = lane.launch(START).unwrap();
        assert_eq!(again.records, [record(0), record(1), record(2), record(3)]);
        let late = vec![RecordFate::Written(Offset(9), START); 3];
        assert!(
            lane.land(launch.number, late, Offset(0), START).is_none(),
            "a report of the flight before is nobody's"
        );
        assert_eq!(write(&mut lane, &again, 0).answers.len(), 4);
    }

    #[test]
    fn reports_that_are_held_back_are_given_in_their_order_when_the_log_has_been_read_or_told_unknown_in_time() {
        let report =
            |first| Appended { first: Offset(first), end: Offset(first + 1), time: START, is_dense: true, losses: 0 };
        let held = || {
            let mut lane = Numbered::default();
            lane.hold(vec![(0, Ok(report(5)))], Offset(6), START);
            lane.hold(vec![(1, Ok(report(6))), (2, Err(AppendError::Refused(String::new())))], Offset::ZERO, after(1));
            lane
        };
        let mut lane = held();
        assert!(lane.release(Offset(5)).is_empty() && lane.holds() && !lane.is_done());
        let told: Vec<_> = lane.release(Offset(6)).into_iter().map(|(who, told)| (who, told.is_ok())).collect();
        assert_eq!(told, [(0, true), (1, true), (2, false)]);
        assert!(lane.is_done());
        let mut lane = held();
        assert!(lane.tick(after(ANSWER_MS - 1)).answers.is_empty());
        let overdue = lane.tick(after(ANSWER_MS + 1)).answers;
        let [(0, AppendError::Unknown(_)), (1, AppendError::Unknown(_)), (2, AppendError::Refused(_))] = overdue[..]
        else {
            panic!("{overdue:?}")
        };
        assert!(lane.release(Offset(9)).is_empty(), "each is told once");
    }

    proptest! {
        /// Whatever the records' fates are: each caller hears once, "refused" only if nothing of the batch can be there, and a
        /// report only if all of it is.
        #[test]
        fn every_caller_is_told_the_truth_once(
            batches in prop::collection::vec(prop::collection::vec(0u8..4, 0..4), 1..8),
            late in any::<bool>(),
        ) {
            let mut lane = Numbered::default();
            for (n, batch) in batches.iter().enumerate() {
                lane.push(batch.iter().map(|_| record(n)).collect(), n).unwrap();
            }
            let launch = lane.launch(START).unwrap();
            let mut told: Vec<(usize, Result<Appended, AppendError>)> = Vec::new();
            if late {
                told.extend(lane.tick(after(ANSWER_MS)).answers.into_iter().map(|(who, error)| (who, Err(error))));
            }
            let mut end = 0;
            let fates = batches.iter().flatten().map(|fate| match fate {
                0 => { end += 1; RecordFate::Written(Offset(end - 1), START) }
                1 => RecordFate::Never("no".to_owned()),
                2 => RecordFate::Unknown("who knows".to_owned()),
                _ => RecordFate::Withdrawn,
            });
            let fates = fates.collect();
            let landed = lane.land(launch.number, fates, Offset(0), START).unwrap();
            prop_assert_eq!(landed.written.len() as u64, end);
            told.extend(landed.answers);
            let again = lane.launch(START);
            if let Some(again) = &again {
                prop_assert!(batches.iter().flatten().all(|fate| *fate == 3), "{}", again.records.len());
                prop_assert!(told.is_empty());
                return Ok(());
            }
            told.sort_by_key(|(who, _)| *who);
            prop_assert_eq!(told.iter().map(|(who, _)| *who).collect::<Vec<_>>(), (0..batches.len()).collect::<Vec<_>>());
            for (who, result) in told {
                let fates = &batches[who];
                match result {
                    Ok(report) => {
                        prop_assert!(fates.iter().all(|fate| *fate == 0));
                        prop_assert_eq!(report.end.0 - report.first.0, fates.len() as u64);
                    }
                    Err(AppendError::Refused(_)) => prop_assert!(fates.iter().all(|fate| matches!(fate, 1 | 3))),
                    Err(_) => prop_assert!(late || fates.iter().any(|fate| matches!(fate, 0 | 2))),
                }
            }
        }
    }
}
