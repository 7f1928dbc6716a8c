//! A partition's records on their way to its leader: which of them go out next and under which number, and what an answer
//! means. Pure: no connection, no clock, no lock.
//!
//! A leader knows a batch again by its producer's id and the number of its first record, so the same batch may be sent until an
//! answer comes, to whoever leads by then: it is written once. Two rules follow:
//!
//! 1. one batch of a partition is under way at a time, and it keeps its records, id and number until its outcome is known;
//! 2. a number whose outcome is never going to be known is not given to other records, for they would be taken for the ones
//!    before: the partition goes on under a new id.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use crate::ids::{Offset, Timestamp};
use crate::limits;
use crate::storage::journal::kafka::lane::{Launch, RecordFate};

/// The id under which a producer's records are numbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct ProducerIdentity {
    pub id: i64,
    pub epoch: i16,
}

/// Records that go out as one batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Chunk {
    pub identity: ProducerIdentity,
    /// The number of the first record.
    pub sequence: i32,
    pub records: Vec<Bytes>,
}

/// What a leader says of a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) enum ProduceAnswer {
    /// It is in the log, its first record here; all of them have this time.
    Written(Offset, Timestamp),
    /// It is in the log, and nobody says where.
    Known,
    /// It was not written: later, or somewhere else.
    NotNow(String),
    /// It may have been written. The same again finds out.
    Maybe(String),
    /// It was not written, and never will be.
    Never(String),
    /// It was not written: its id or its number are not what the leader expects.
    Stranger(String),
}

impl ProduceAnswer {
    /// From what stands in the answer of a broker: the error's code, the offset of the first record, the time of all.
    pub(in super::super) fn of(code: i16, first: i64, time: i64) -> Self {
        use ResponseError::{
            ClusterAuthorizationFailed, CorruptMessage, DuplicateSequenceNumber, FencedLeaderEpoch,
            InvalidProducerEpoch, InvalidProducerIdMapping, InvalidRecord, InvalidRequiredAcks, InvalidTimestamp,
            InvalidTopicException, LeaderNotAvailable, MessageTooLarge, NotEnoughReplicas, NotLeaderOrFollower,
            OutOfOrderSequenceNumber, PolicyViolation, ProducerFenced, RecordListTooLarge, ReplicaNotAvailable,
            TopicAuthorizationFailed, UnknownLeaderEpoch, UnknownProducerId, UnknownTopicId, UnknownTopicOrPartition,
            UnsupportedCompressionType, UnsupportedForMessageFormat,
        };
        if code == 0 {
            return match (u64::try_from(first), u64::try_from(time)) {
                (Ok(first), Ok(time)) => Self::Written(Offset(first), Timestamp(time)),
                _ => Self::Known,
            };
        }
        let error = ResponseError::try_from_code(code).unwrap_or(ResponseError::Unknown(code));
        let why = error.to_string();
        match error {
            DuplicateSequenceNumber => Self::Known,
            // Said by one who does not lead, or before anything is written.
            NotLeaderOrFollower
            | LeaderNotAvailable
            | ReplicaNotAvailable
            | UnknownTopicOrPartition
            | UnknownTopicId
            | FencedLeaderEpoch
            | UnknownLeaderEpoch
            | NotEnoughReplicas
            | CorruptMessage => Self::NotNow(why),
            OutOfOrderSequenceNumber
            | UnknownProducerId
            | InvalidProducerEpoch
            | InvalidProducerIdMapping
            | ProducerFenced => Self::Stranger(why),
            MessageTooLarge
            | RecordListTooLarge
            | InvalidRecord
            | InvalidTimestamp
            | InvalidRequiredAcks
            | InvalidTopicException
            | PolicyViolation
            | TopicAuthorizationFailed
            | ClusterAuthorizationFailed
            | UnsupportedCompressionType
            | UnsupportedForMessageFormat => Self::Never(why),
            // Of anything else it is not known whether it was said before or after the batch was written.
            _ => Self::Maybe(why),
        }
    }
}

/// What follows on an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) enum SendingStep {
    /// All of the flight has its fate: the flight's number, and the fates of its records in their order.
    Landed(u32, Vec<RecordFate>),
    /// There is more to send at once.
    Next,
    /// The same is to be sent again, after a pause.
    Again,
}

/// How often a leader may call one batch a stranger's before that is its outcome.
const STRANGERS: u8 = 3;

/// What is being sent of one flight.
#[derive(Debug)]
struct Flown {
    number: u32,
    records: Vec<Bytes>,
    fates: Vec<RecordFate>,
    /// Records of the batch under way, behind those that have their fate.
    batch: usize,
    /// The batch may be in the log already.
    may_be_there: bool,
    strangers: u8,
}

/// See the module: of one partition.
#[derive(Debug, Default)]
pub(in super::super) struct Sending {
    identity: Option<ProducerIdentity>,
    /// The number of the next record.
    next: i32,
    flown: Option<Flown>,
}

impl Sending {
    /// Whether a flight is under way.
    pub(in super::super) fn is_busy(&self) -> bool {
        self.flown.is_some()
    }

    /// A flight is under way from now on. There was none.
    pub(in super::super) fn begins(&mut self, Launch { number, records }: Launch) {
        let fates = Vec::with_capacity(records.len());
        self.flown = Some(Flown { number, records, fates, batch: 0, may_be_there: false, strangers: 0 });
    }

    /// Whether it can't send before it has an id.
    pub(in super::super) fn identity(&self) -> Option<ProducerIdentity> {
        self.identity
    }

    /// Goes on under this id, if it has none.
    pub(in super::super) fn takes(&mut self, identity: ProducerIdentity) {
        if self.identity.is_none() {
            (self.identity, self.next) = (Some(identity), 0);
        }
    }

    /// The batch that goes out now: the one under way, or the next one. `None` if there is nothing to send or no id to send it
    /// under.
    pub(in super::super) fn chunk(&mut self) -> Option<Chunk> {
        let (identity, flown) = (self.identity?, self.flown.as_mut()?);
        let rest = flown.records.get(flown.fates.len()..)?;
        if flown.batch == 0 {
            let mut bytes = 0;
            let fits = |record: &&Bytes| {
                bytes += record.len() + limits::KAFKA_RECORD_OVERHEAD;
                bytes <= limits::KAFKA_BATCH_BYTES
            };
            flown.batch = rest.iter().take_while(fits).count().max(1).min(rest.len());
        }
        Some(Chunk { identity, sequence: self.next, records: rest[..flown.batch].to_vec() })
    }

    /// An answer on the batch under way came.
    pub(in super::super) fn answered(&mut self, answer: ProduceAnswer) -> SendingStep {
        let Some(flown) = &mut self.flown else { return SendingStep::Next };
        match answer {
            ProduceAnswer::Written(first, time) => {
                let places = (first.0..).take(flown.batch).map(|at| RecordFate::Written(Offset(at), time));
                flown.fates.extend(places);
                self.next = after(self.next, flown.batch);
                (flown.batch, flown.may_be_there) = (0, false);
                if flown.fates.len() < flown.records.len() {
                    return SendingStep::Next;
                }
                self.landed(None)
            }
            ProduceAnswer::NotNow(_) => SendingStep::Again,
            ProduceAnswer::Maybe(_) => {
                flown.may_be_there = true;
                SendingStep::Again
            }
            ProduceAnswer::Stranger(why) => {
                flown.strangers += 1;
                let is_hopeless = flown.may_be_there || flown.strangers > STRANGERS;
                if is_hopeless {
                    return self.landed(Some(RecordFate::Never(why)));
                }
                // Nothing of it is there: it is numbered anew.
                self.identity = None;
                SendingStep::Again
            }
            ProduceAnswer::Never(why) => self.landed(Some(RecordFate::Never(why))),
            ProduceAnswer::Known => {
                flown.may_be_there = true;
                self.landed(Some(RecordFate::Never("it is in the log, and the broker does not say where".to_owned())))
            }
        }
    }

    /// The batch went out, and no answer will come.
    pub(in super::super) fn unanswered(&mut self) {
        if let Some(flown) = &mut self.flown {
            flown.may_be_there = true;
        }
    }

    /// Nobody waits for it any longer: what was not sent comes back, the outcome of the rest stays unknown. `None` if nothing is
    /// under way. `is_out`: the batch is out now.
    pub(in super::super) fn gives_up(&mut self, is_out: bool) -> Option<(u32, Vec<RecordFate>)> {
        let flown = self.flown.as_mut()?;
        flown.may_be_there |= is_out;
        let rest = match flown.may_be_there {
            true => RecordFate::Never("no leader answered in time".to_owned()),
            false => RecordFate::Withdrawn,
        };
        self.lands(Some(rest))
    }

    fn landed(&mut self, rest: Option<RecordFate>) -> SendingStep {
        self.lands(rest).map_or(SendingStep::Next, |(number, fates)| SendingStep::Landed(number, fates))
    }

    /// The flight is over. `rest`: the fate of what is certainly not written, if not all of it is; that of the batch under way is
    /// unknown if it may be there. `None` if there is no flight.
    fn lands(&mut self, rest: Option<RecordFate>) -> Option<(u32, Vec<RecordFate>)> {
        let Flown { number, records, mut fates, batch, may_be_there, .. } = self.flown.take()?;
        if let Some(rest) = rest {
            if may_be_there {
                let why = if let RecordFate::Never(why) = &rest { why.clone() } else { String::new() };
                fates.extend(std::iter::repeat_n(RecordFate::Unknown(why), batch));
                // Its number is used, or will be.
                self.identity = None;
            }
            fates.resize(records.len(), rest);
        }
        Some((number, fates))
    }
}

/// The number so many records behind `sequence`: it begins again at 0.
fn after(sequence: i32, records: usize) -> i32 {
    let all = i64::from(i32::MAX) + 1;
    let next = (i64::from(sequence) + i64::try_from(records).unwrap_or(0)) % all;
    i32::try_from(next).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A partition's log as brokers keep it: a batch that is known by its id and number is not written again, one whose number does
    /// not follow is refused.
    #[derive(Default)]
    struct Log {
        records: Vec<Bytes>,
        /// By id: the number behind the last record, and the batches with their places.
        known: std::collections::HashMap<i64, (i32, Vec<(i32, u64)>)>,
    }

    impl Log {
        fn write(&mut self, chunk: &Chunk) -> ProduceAnswer {
            let at = self.records.len() as u64;
            let (next, batches) = self.known.entry(chunk.identity.id).or_default();
            if let Some((_, at)) = batches.iter().find(|(sequence, _)| *sequence == chunk.sequence) {
                return ProduceAnswer::Written(Offset(*at), Timestamp(1));
            }
            if *next != chunk.sequence {
                return ProduceAnswer::Stranger("out of order".to_owned());
            }
            *next = after(*next, chunk.records.len());
            batches.push((chunk.sequence, at));
            self.records.extend(chunk.records.iter().cloned());
            ProduceAnswer::Written(Offset(at), Timestamp(1))
        }
    }

    fn record(n: usize, bytes: usize) -> Bytes {
        let mut record = format!("{n}/").into_bytes();
        record.resize(record.len().max(bytes), b'x');
        record.into()
    }

    /// What may befall a batch that is out.
    #[derive(Clone, Copy, Debug)]
    enum Fault {
        None,
        /// It never came to the leader, and that is known.
        NotSent,
        /// Nobody knows.
        Lost,
        /// It was written, and the answer was lost.
        Silent,
        /// It arrives later, after everything else.
        Late,
        Refused,
        Stranger,
        Never,
        GivenUp,
    }

    fn faults() -> impl Strategy<Value = Vec<Fault>> {
        let fault = prop_oneof![
            6 => Just(Fault::None), 1 => Just(Fault::NotSent), 1 => Just(Fault::Lost), 2 => Just(Fault::Silent),
            1 => Just(Fault::Late), 1 => Just(Fault::Refused), 1 => Just(Fault::Stranger), 1 => Just(Fault::Never),
            1 => Just(Fault::GivenUp),
        ];
        prop::collection::vec(fault, 0..40)
    }

    proptest! {
        /// Whatever befalls batches on their way: what is told to be written stands in the log once, there and in its order; what
        /// is told never to be written, or comes back, is not there, then and later; and the same record is not there twice.
        #[test]
        fn what_is_told_is_true(flights in prop::collection::vec(prop::collection::vec(1usize..400_000, 1..6), 1..8), faults in faults()) {
            let (mut sending, mut log, mut ids) = (Sending::default(), Log::default(), 0);
            let (mut faults, mut late, mut n) = (faults.into_iter(), Vec::<Chunk>::new(), 0);
            let mut told: Vec<(Bytes, RecordFate)> = Vec::new();
            for (number, sizes) in (0..).zip(flights) {
                let records: Vec<Bytes> = sizes.into_iter().map(|bytes| { n += 1; record(n, bytes.min(limits::RECORD_BYTES)) }).collect();
                sending.begins(Launch { number, records: records.clone() });
                let fates = loop {
                    if sending.identity().is_none() {
                        ids += 1;
                        sending.takes(ProducerIdentity { id: ids, epoch: 0 });
                    }
                    let chunk = sending.chunk().unwrap();
                    let again = sending.chunk();
                    prop_assert_eq!(again.as_ref(), Some(&chunk), "the same until it has an answer");
                    let why = String::new;
                    let step = match faults.next().unwrap_or(Fault::None) {
                        Fault::None => sending.answered(log.write(&chunk)),
                        Fault::NotSent | Fault::Refused => sending.answered(ProduceAnswer::NotNow(why())),
                        Fault::Lost => sending.answered(ProduceAnswer::Maybe(why())),
                        Fault::Silent => { log.write(&chunk); sending.answered(ProduceAnswer::Maybe(why())) }
                        Fault::Late => { late.push(chunk); sending.answered(ProduceAnswer::Maybe(why())) }
                        Fault::Stranger => sending.answered(ProduceAnswer::Stranger(why())),
                        Fault::Never => sending.answered(ProduceAnswer::Never(why())),
                        Fault::GivenUp => {
                            late.push(chunk);
                            let (number, fates) = sending.gives_up(true).unwrap();
                            SendingStep::Landed(number, fates)
                        }
                    };
                    if let SendingStep::Landed(of, fates) = step {
                        prop_assert_eq!(of, number);
                        break fates;
                    }
                };
                prop_assert_eq!(fates.len(), records.len());
                told.extend(records.into_iter().zip(fates));
            }
            for chunk in late {
                log.write(&chunk);
            }
            let mut last = None;
            for (record, fate) in told {
                let places: Vec<u64> = (0..).zip(&log.records).filter(|(_, there)| **there == record).map(|(at, _)| at).collect();
                match fate {
                    RecordFate::Written(at, _) => {
                        prop_assert_eq!(places, vec![at.0]);
                        prop_assert!(last < Some(at));
                        last = Some(at);
                    }
                    RecordFate::Unknown(_) => prop_assert!(places.len() <= 1),
                    RecordFate::Never(_) | RecordFate::Withdrawn => prop_assert!(places.is_empty()),
                }
            }
        }
    }

    #[test]
    fn what_was_not_sent_comes_back_whole_and_what_was_is_unknown_and_its_number_is_not_used_again() {
        let mut sending = Sending::default();
        assert!(sending.gives_up(false).is_none(), "nothing is under way");
        let identity = ProducerIdentity { id: 1, epoch: 0 };
        sending.takes(identity);
        let launch = |number| Launch { number, records: vec![record(1, 0), record(2, 0)] };
        sending.begins(launch(1));
        assert_eq!(sending.gives_up(false), Some((1, vec![RecordFate::Withdrawn; 2])));
        assert_eq!(sending.identity(), Some(identity));
        sending.begins(launch(2));
        sending.chunk().unwrap();
        sending.unanswered();
        let (_, fates) = sending.gives_up(false).unwrap();
        assert!(fates.iter().all(|fate| matches!(fate, RecordFate::Unknown(_))), "{fates:?}");
        assert_eq!(sending.identity(), None);
    }

    #[test]
    fn numbers_begin_again_behind_the_largest_one() {
        assert_eq!(after(0, 3), 3);
        assert_eq!(after(i32::MAX - 1, 1), i32::MAX);
        assert_eq!((after(i32::MAX, 1), after(i32::MAX - 1, 4)), (0, 2));
    }

    #[test]
    fn an_error_that_may_come_from_behind_the_write_leaves_it_open() {
        use kafka_protocol::ResponseError as Error;
        let maybe = [
            Error::RequestTimedOut,
            Error::NotEnoughReplicasAfterAppend,
            Error::NetworkException,
            Error::KafkaStorageError,
            Error::UnknownServerError,
            Error::Unknown(999),
        ];
        for error in maybe {
            assert!(matches!(ProduceAnswer::of(error.code(), 0, 0), ProduceAnswer::Maybe(_)), "{error:?}");
        }
        assert_eq!(ProduceAnswer::of(0, 7, 8), ProduceAnswer::Written(Offset(7), Timestamp(8)));
        assert_eq!(ProduceAnswer::of(0, -1, 8), ProduceAnswer::Known);
    }
}
