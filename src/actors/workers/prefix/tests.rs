//! A reader without reports of its own, over a journal that shows what it loses later.

use proptest::prelude::*;

use super::*;
use crate::actors::digest::RunningHash;
use crate::actors::fold;
use crate::env::ManualClock;
use crate::ids::Timestamp;
use crate::storage::journal::memory::{Fate, MemoryJournal, MemoryLog, Ticket};
use crate::storage::journal::record::Envelope;
use crate::storage::journal::{JournalError, Place, StoredRecord};
use crate::testing::found;

const P: Partition = Partition::FIRST;

fn now(step: usize) -> Timestamp {
    Timestamp(1_000 + step as u64)
}

/// A record of a writer that had verified `prefix`.
fn record(number: u128, prefix: Prefix) -> bytes::Bytes {
    let bytes = fold::barrier(uuid::Uuid::from_u128(number), Timestamp(number as u64));
    Envelope::decode_record(&bytes).unwrap().following(prefix).encode_record()
}

/// An owner as far as its stamps go: it appends, follows its partition, and says what it has verified.
struct Writer {
    node: u32,
    reader: LogReader,
    folded: Prefix,
    place: Arc<Place>,
    under_way: Option<Ticket>,
}

/// What a writer or reader hears of its tail.
fn tell(log: &MemoryLog, place: &Place, bytes: usize) -> Option<Tailed> {
    log.tell(P, place, bytes).unwrap()
}

impl Writer {
    fn new(log: &MemoryLog, node: u32) -> Self {
        let reader = LogReader::new(P, Rule::OwnReports, Prefix::default());
        Self { node, reader, folded: Prefix::default(), place: log.follow(P, Offset::ZERO), under_way: None }
    }

    fn settle_folded(&mut self) {
        while let Some((_, _, prefix)) = self.reader.take_verified() {
            self.folded = prefix;
        }
        self.reader.settle(self.folded.end);
    }

    fn hear(&mut self, log: &MemoryLog) {
        let heard = match tell(log, &self.place, 400) {
            Some(Tailed::Batch { records, end, losses }) => self.reader.told(records, end, losses),
            Some(Tailed::Truncated { end, losses }) => self.reader.truncated(end, losses),
            None => return,
        };
        assert_eq!(heard.halt, None, "a writer reads what is there");
        heard.seek.into_iter().for_each(|from| self.place.seek(from));
        self.settle_folded();
    }

    fn append(&mut self, log: &mut MemoryLog, number: u128, count: u8) {
        if self.under_way.is_none() {
            let batch = (0..u128::from(count)).map(|n| record(number * 100 + n, self.folded)).collect();
            self.under_way = Some(log.start(self.node, P, batch));
        }
    }

    fn settle(&mut self, log: &mut MemoryLog, at: Timestamp, fate: Fate) {
        let Some(ticket) = self.under_way.take() else { return };
        if let Ok(report) = log.settle(ticket, at, fate) {
            self.place.reported(&report);
            let heard = self.reader.hears_of_losses(report.losses);
            self.reader.delivered(&report);
            // It hears of its own records by its tail, like everybody.
            self.place.seek(heard.seek.unwrap_or(self.reader.next()));
            self.settle_folded();
        }
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Append(bool, u8),
    Expose(bool),
    Settle(bool, bool),
    Hear(bool),
    LeaderLoss,
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (any::<bool>(), 1..4_u8).prop_map(|(who, count)| Step::Append(who, count)),
        3 => any::<bool>().prop_map(Step::Expose),
        4 => (any::<bool>(), prop::bool::weighted(0.7)).prop_map(|(who, lands)| Step::Settle(who, lands)),
        4 => any::<bool>().prop_map(Step::Hear),
        1 => Just(Step::LeaderLoss),
        5 => Just(Step::Read),
    ];
    prop::collection::vec(step, 1..120)
}

/// The log up to `end` as it lies there.
fn truth(log: &MemoryLog, end: Offset) -> Prefix {
    let mut hash = RunningHash::new(Prefix::default());
    let records = log.read(P, Offset::ZERO, usize::MAX).unwrap();
    records.iter().take_while(|record| record.offset < end).fold(Prefix::default(), |_, record| hash.push(record))
}

fn read(log: &MemoryLog, place: &Place, reader: &mut PrefixReader) {
    if let Some(told) = tell(log, place, 300)
        && let Some(from) = reader.heard(told).unwrap()
    {
        place.seek(from);
    }
}

proptest! {
    /// Whatever two writers do and the journal loses: what a reader gives out is durable, the same as everybody's, and in the
    /// end all that a later record covers.
    #[test]
    fn what_is_lost_later_is_never_given_out(steps in steps()) {
        let mut log = MemoryLog::new();
        let mut writers = [Writer::new(&log, 1), Writer::new(&log, 2)];
        let (mut reader, place) = (PrefixReader::new(P, Prefix::default()), log.follow(P, Offset::ZERO));
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(who, count) => writers[usize::from(who)].append(&mut log, at as u128 + 1, count),
                Step::Expose(who) => {
                    if let Some(ticket) = writers[usize::from(who)].under_way {
                        log.expose(ticket, now(at));
                    }
                }
                Step::Settle(who, lands) => {
                    let fate = if lands { Fate::Deliver } else { Fate::Land };
                    writers[usize::from(who)].settle(&mut log, now(at), fate);
                }
                Step::Hear(who) => writers[usize::from(who)].hear(&log),
                Step::LeaderLoss => _ = log.leader_loss(P),
                Step::Read => read(&log, &place, &mut reader),
            }
            let verified = reader.verified();
            prop_assert!(verified.end <= log.durable_end(P), "{verified:?} is not durable after {at}");
            prop_assert_eq!(verified, truth(&log, verified.end));
        }
        // A writer comes to the end and covers it.
        let [writer, _] = &mut writers;
        writer.settle(&mut log, now(500), Fate::Deliver);
        for number in 1_000..1_002 {
            writer.append(&mut log, number, 1);
            writer.settle(&mut log, now(500), Fate::Deliver);
            (0..400).for_each(|_| writer.hear(&log));
        }
        (0..400).for_each(|_| read(&log, &place, &mut reader));
        prop_assert_eq!(reader.verified().end.next(), log.bounds(P).end, "all but the last record is covered");
    }
}

fn batch(records: Vec<StoredRecord>) -> Tailed {
    let end = records.last().map_or(Offset::ZERO, |record| record.offset.next());
    Tailed::Batch { records, end, losses: 0 }
}

fn stored(offset: u64, number: u128, prefix: Prefix) -> StoredRecord {
    StoredRecord { offset: Offset(offset), time: Timestamp(5), bytes: record(number, prefix) }
}

#[test]
fn a_reader_that_has_read_what_was_lost_unheard_reads_again_and_one_that_differs_for_good_halts_by_name() {
    let first = stored(0, 1, Prefix::default());
    let there = RunningHash::new(Prefix::default()).push(&first);
    let mut reader = PrefixReader::new(P, Prefix::default());
    let lost = stored(0, 9, Prefix::default());
    let second = stored(1, 2, there);
    assert_eq!(reader.heard(batch(vec![lost.clone(), second.clone()])), Ok(Some(Offset(0))), "it reads again");
    assert_eq!(reader.verified(), Prefix::default());
    assert_eq!(reader.heard(batch(vec![first, second.clone()])), Ok(None));
    assert_eq!(reader.verified(), there);

    let mut stubborn = PrefixReader::new(P, Prefix::default());
    assert_eq!(stubborn.heard(batch(vec![lost.clone(), second.clone()])), Ok(Some(Offset(0))));
    let halted = stubborn.heard(batch(vec![lost, second])).unwrap_err();
    assert!(halted.contains("offset 1: its writer had read another log before offset 1"), "{halted}");
}

#[test]
fn an_end_above_the_record_that_names_it_halts_by_name() {
    let mut reader = PrefixReader::new(P, Prefix::default());
    let halted = reader.heard(batch(vec![stored(0, 1, Prefix { end: Offset(3), hash: 7 })])).unwrap_err();
    assert!(halted.contains("offset 0: its writer had verified up to 3"), "{halted}");
}

#[tokio::test]
async fn the_marks_rise_with_what_is_covered_and_a_partition_that_is_trimmed_halts_alone() {
    let journal = MemoryJournal::new(Arc::new(ManualClock::new(Timestamp(5))));
    let marks = Arc::new(Watermarks::new());
    let other = Partition::new(9).unwrap();
    journal.append(other, vec![record(1, Prefix::default()), record(2, Prefix::default())]).await.unwrap();
    journal.with_log(|log| log.trim(&[(other, Offset(2))])).unwrap();
    journal.fail_reads(P, [JournalError::Io("it stumbles".to_owned()).into()]);
    let starts = vec![(P, Prefix::default()), (other, Prefix::default())];
    let read = PrefixMarks { verified: Arc::clone(&marks), ..PrefixMarks::default() };
    let running = spawn(Arc::new(journal.clone()), starts, read);
    journal.append(P, vec![record(3, Prefix::default())]).await.unwrap();
    let end = journal.with_log(|log| truth(log, Offset(1)));
    journal.append(P, vec![record(4, end)]).await.unwrap();
    found("the record that the next one covers", async || (marks.get(P) == Offset(1)).then_some(())).await;
    let status = running.status();
    found("the trimmed one is halted", async || status.borrow().halted.get(&other).cloned()).await;
    found("the other one is read again", async || status.borrow().failing.is_empty().then_some(())).await;
    assert_eq!((status.borrow().halted.len(), marks.get(other)), (1, Offset::ZERO));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_reader_whose_next_record_is_trimmed_halts_by_name_and_no_other_does() {
    let journal = MemoryJournal::new(Arc::new(ManualClock::default()));
    let other = Partition::new(9).unwrap();
    for partition in [P, other] {
        journal.append(partition, vec![record(1, Prefix::default()), record(2, Prefix::default())]).await.unwrap();
    }
    journal.with_log(|log| log.trim(&[(P, Offset(1))])).unwrap();
    let starts = [P, other].map(|partition| (partition, Prefix::default())).to_vec();
    let reader = spawn(Arc::new(journal), starts, PrefixMarks::default());
    let mut status = reader.status().clone();
    let halted = status.wait_for(|status| !status.halted.is_empty());
    let halted = crate::testing::within("it halts", halted).await.unwrap().halted.clone();
    assert_eq!(halted.keys().collect::<Vec<_>>(), [&P]);
    let why = &halted[&P];
    assert!(
        why.contains("offset 0") && why.contains("is trimmed") && why.contains("restore the newest backup"),
        "{why}"
    );
    reader.stop().await.unwrap();
}

#[tokio::test]
async fn whoever_may_wait_for_rows_is_known_once_the_record_is_verified() {
    let journal = MemoryJournal::new(Arc::new(ManualClock::default()));
    let of_kind = |number, kind| {
        let barrier = Envelope::decode_record(&record(number, Prefix::default())).unwrap();
        Envelope { kind, ..barrier }.encode_record()
    };
    let covered = async |number, end| {
        let prefix = journal.with_log(|log| truth(log, end));
        journal.append(P, vec![record(number, prefix)]).await.unwrap();
    };
    let read = PrefixMarks::default();
    let running = spawn(Arc::new(journal.clone()), vec![(P, Prefix::default())], read.clone());
    let comes_to = async |end| found("it is verified", async || (read.verified.get(P) == end).then_some(())).await;
    // Of a room that is made others are told, of a message they are not.
    journal.append(P, vec![of_kind(1, 1)]).await.unwrap();
    covered(2, Offset(1)).await;
    found("rows are awaited", async || (read.awaited.get(P) == Offset(1)).then_some(())).await;
    journal.append(P, vec![of_kind(3, 2)]).await.unwrap();
    covered(4, Offset(3)).await;
    comes_to(Offset(3)).await;
    assert_eq!(read.awaited.get(P), Offset(1));
    running.stop().await.unwrap();
}
