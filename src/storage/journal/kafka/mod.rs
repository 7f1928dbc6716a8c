//! The journal in a topic of Kafka with 256 partitions.
//!
//! | file | holds |
//! |---|---|
//! | here | the journal: what is asked of it, and what its parts have in common |
//! | [`lane`] | pure: a partition's batches on their way, and the limits of time |
//! | [`appender`] | writes to the brokers, what waits in lanes in turn |
//! | [`parts`] | what is known of each partition: bounds, recent records, losses |
//! | [`reader`] | the client that follows partitions; [`follow`]: the tail of one |
//! | [`older`] | the client that fetches what lies behind the recent records |
//! | [`topics`] | makes and checks the topics; [`maintenance`] trims the journal |
//! | [`brokers`] | what each broker says of itself |
//! | [`control`] | the control topic: [`identity`], which journal it is; [`marks`] of backups |
//! | [`membership`] | which partitions are whose among workers of a kind |
//! | [`load`] | loads a topic with a journal that was kept elsewhere |
//! | [`settings`] | what the clients are told, with reasons |
//!
//! A record is durable when all replicas in sync have it, at least two. It must never say "durable" without a report of the
//! brokers, "not written" of what was sent, or go on somewhere else when the brokers' log is not the one that was read.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rdkafka::error::KafkaError;

use self::lane::{Lane, Launch, RecordFate};
pub(crate) use self::maintenance::KafkaMaintenance;
use self::parts::{Pace, Parts, Whereabouts};
pub use self::settings::Options;
use super::{AppendError, Bounds, Done, Journal, JournalError, ReadError, StoredRecord, Tail};
use crate::env::Env;
use crate::ids::{Offset, PARTITIONS, Partition, Timestamp};
use crate::limits;

mod appender;
pub mod brokers;
mod control;
mod follow;
mod identity;
mod lane;
pub(crate) mod load;
mod maintenance;
pub mod marks;
pub(crate) mod membership;
mod older;
mod parts;
mod reader;
mod settings;
#[cfg(test)]
pub(crate) mod simulated;
#[cfg(test)]
mod tests;
pub mod topics;

/// How often lanes look at the clock.
const TICK: Duration = Duration::from_millis(100);
/// How long a question to the brokers may take.
const ASK: Duration = Duration::from_secs(10);

fn error(why: &KafkaError) -> JournalError {
    JournalError::Io(format!("Kafka: {why}"))
}

/// A journal in Kafka. See the module. Dropping it gives up what is under way.
pub struct KafkaJournal {
    shared: Arc<Shared>,
    maintenance: KafkaMaintenance,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What callers, appender and reader share.
struct Shared {
    env: Env,
    lanes: Vec<Mutex<Lane<Done>>>,
    parts: Parts,
    appender: appender::Appender,
    readers: reader::Readers,
    older: older::Older,
    /// Bytes that wait in lanes.
    queued: AtomicUsize,
    closed: AtomicBool,
    stopped: AtomicBool,
}

impl KafkaJournal {
    /// Opens the journal in a topic that is there and fits. Blocks.
    ///
    /// # Errors
    /// The brokers do not answer; there is no such topic, or it does not fit.
    pub fn open(options: Options, env: Env) -> Result<Self, JournalError> {
        let readers = reader::Readers::new(&options)?;
        let bounds = readers.of(Pace::Prompt).bounds(ASK)?;
        let id = identity::identity(&options, env.ids.next())?;
        let (appender, seat) = appender::Appender::new();
        let runtime = appender::runtime()?;
        let shared = Arc::new(Shared {
            env,
            lanes: (0..PARTITIONS).map(|_| Mutex::default()).collect(),
            parts: Parts::new(bounds.into_iter()),
            older: older::Older::new(&options)?,
            appender,
            readers,
            queued: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let (reading, calm, timing) = (Arc::clone(&shared), Arc::clone(&shared), Arc::clone(&shared));
        let (writing, written) = (Arc::clone(&shared), options.clone());
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(run)
                .map_err(|why| JournalError::Io(why.to_string()))
        };
        let threads = vec![
            spawn("kafka-appender", Box::new(move || appender::run(&runtime, seat, &writing, &written)))?,
            spawn("kafka-reader", Box::new(move || reader::run(&reading, Pace::Prompt)))?,
            spawn("kafka-calm", Box::new(move || reader::run(&calm, Pace::Calm)))?,
            spawn("kafka-clock", Box::new(move || timing.keep_time()))?,
        ];
        let maintenance = KafkaMaintenance::new(id, options, Arc::clone(&shared));
        Ok(Self { shared, maintenance, threads: Mutex::new(threads) })
    }

    /// What is done to it beside its work.
    #[must_use]
    pub(crate) fn maintenance(&self) -> KafkaMaintenance {
        self.maintenance.clone()
    }
}

impl Shared {
    fn lane(&self, partition: Partition) -> MutexGuard<'_, Lane<Done>> {
        self.lanes[partition.index()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be sent of a partition now.
    fn launches(&self, partition: Partition) -> Option<Launch> {
        let mut lane = self.lane(partition);
        loop {
            let launch = lane.launch(self.env.steady())?;
            self.parts.of(partition).is_flying.store(true, Ordering::Release);
            if !launch.records.is_empty() {
                return Some(launch);
            }
            self.land(partition, &mut lane, launch.number, Vec::new());
        }
    }

    /// The records of a flight have their fates. On the appender's thread. Whether there is more to send.
    fn landed(&self, partition: Partition, flight: u32, fates: Vec<RecordFate>) -> bool {
        let mut lane = self.lane(partition);
        self.land(partition, &mut lane, flight, fates);
        lane.is_ready()
    }

    /// A flight has landed: what is known of the partition first, then the reports, then those who follow.
    fn land(&self, partition: Partition, lane: &mut Lane<Done>, flight: u32, fates: Vec<RecordFate>) {
        let part = self.parts.of(partition);
        let Some(landed) = lane.land(flight, fates, part.bounds().end, self.now_of(partition)) else { return };
        let steady = self.env.steady();
        let hold = part.delivered(landed.written, steady);
        self.queued.fetch_sub(landed.bytes, Ordering::AcqRel);
        if hold.is_some() || lane.holds() {
            lane.hold(landed.answers, hold.unwrap_or_default(), steady);
        } else {
            answer(landed.answers, part.losses());
        }
        part.is_flying.store(false, Ordering::Release);
        part.wake();
    }

    /// Nobody knows what becomes of what is under way. What waits is asked for anew.
    fn abandon(&self, why: &str) {
        for partition in Partition::all() {
            self.appender.looks(partition);
            let mut lane = self.lane(partition);
            if let Some((flight, records)) = lane.under_way() {
                self.land(partition, &mut lane, flight, vec![RecordFate::Unknown(why.to_owned()); records]);
            }
            if lane.is_ready() {
                self.appender.wants(partition);
            }
        }
    }

    /// Gives the reports that were held back until the log was read up to here.
    fn release(&self, partition: Partition, read: Offset) {
        let (part, mut lane) = (self.parts.of(partition), self.lane(partition));
        answer(lane.release(read), part.losses());
        if !lane.holds() {
            part.holds_nothing();
        }
    }

    fn now_of(&self, partition: Partition) -> Timestamp {
        self.parts.of(partition).now(self.env.now(), self.env.steady())
    }

    /// Keeps the limits of time until the journal is gone.
    fn keep_time(self: Arc<Self>) {
        while !self.stopped.load(Ordering::Acquire) {
            std::thread::park_timeout(TICK);
            self.tick();
        }
    }

    fn tick(self: &Arc<Self>) {
        let now = self.env.steady();
        for partition in Partition::all() {
            let part = self.parts.of(partition);
            if part.is_left_behind() {
                self.readers.change(part, partition, Pace::Prompt);
            }
            let mut lane = self.lane(partition);
            let overdue = lane.tick(now);
            if overdue.gives_up {
                self.appender.gives_up(partition);
            }
            if overdue.answers.is_empty() {
                continue;
            }
            self.queued.fetch_sub(overdue.bytes, Ordering::AcqRel);
            overdue.answers.into_iter().for_each(|(done, why)| done(Err(why)));
            if !lane.holds() {
                part.holds_nothing();
            }
            drop(lane);
            part.is_flying.store(false, Ordering::Release);
            part.wake();
        }
    }

    /// Records from `from` on, wherever they lie.
    async fn read(
        self: &Arc<Self>,
        partition: Partition,
        from: Offset,
        most: usize,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let part = self.parts.of(partition);
        match part.find(from, most) {
            Whereabouts::Trimmed(start) => Err(ReadError::Trimmed { partition, asked: from, start }),
            Whereabouts::Here(records) => Ok(records),
            Whereabouts::Nothing => Ok(Vec::new()),
            Whereabouts::Coming => self.fetch(partition, from, part.bounds().end, most).await,
            Whereabouts::Older(to) => self.fetch(partition, from, to, most).await,
        }
    }

    async fn fetch(
        self: &Arc<Self>,
        partition: Partition,
        from: Offset,
        to: Offset,
        most: usize,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let shared = Arc::clone(self);
        let fetched = tokio::task::spawn_blocking(move || shared.older.fetch(&shared.parts, partition, from, to, most));
        fetched.await.unwrap_or_else(|panic| Err(JournalError::Io(panic.to_string()).into()))
    }
}

/// Gives reports to those who wait for them.
fn answer(answers: lane::Answers<Done>, losses: u64) {
    for (done, report) in answers {
        done(report.map(|report| super::Appended { losses, ..report }));
    }
}

#[async_trait]
impl Journal for KafkaJournal {
    fn enqueue(&self, partition: Partition, batch: Vec<Bytes>, done: Done) {
        let shared = &self.shared;
        let bytes: usize = batch.iter().map(Bytes::len).sum();
        if shared.closed.load(Ordering::Acquire) {
            return done(Err(AppendError::Closed("it was closed".to_owned())));
        }
        if let Some(large) = batch.iter().find(|record| record.len() > limits::RECORD_BYTES) {
            return done(Err(AppendError::Refused(format!("a record of {} bytes is too large", large.len()))));
        }
        if shared.queued.fetch_add(bytes, Ordering::AcqRel) + bytes > limits::KAFKA_QUEUE_BYTES {
            shared.queued.fetch_sub(bytes, Ordering::AcqRel);
            return done(Err(AppendError::Refused("too much waits for Kafka".to_owned())));
        }
        let mut lane = shared.lane(partition);
        match lane.push(batch, done) {
            Ok(()) => {
                let is_ready = lane.is_ready();
                drop(lane);
                if is_ready {
                    shared.appender.wants(partition);
                }
            }
            Err(done) => {
                shared.queued.fetch_sub(bytes, Ordering::AcqRel);
                done(Err(AppendError::Refused("the partition's leader does not answer".to_owned())));
            }
        }
    }

    fn tail(&self, partition: Partition, from: Offset) -> Box<dyn Tail> {
        Box::new(follow::KafkaTail::new(Arc::clone(&self.shared), partition, from))
    }

    async fn read(&self, partition: Partition, from: Offset, max_bytes: usize) -> Result<Vec<StoredRecord>, ReadError> {
        self.shared.read(partition, from, max_bytes).await
    }

    fn bounds(&self, partition: Partition) -> Bounds {
        self.shared.parts.of(partition).bounds()
    }

    fn now(&self, partition: Partition) -> Timestamp {
        self.shared.now_of(partition)
    }

    async fn close(&self) -> Result<(), JournalError> {
        self.shared.closed.store(true, Ordering::Release);
        let shared = Arc::clone(&self.shared);
        let flushed = tokio::task::spawn_blocking(move || {
            // Each flight has its report, or its caller an answer, when the limits of time have passed.
            while Partition::all().any(|partition| !shared.lane(partition).is_done()) {
                std::thread::park_timeout(TICK / 10);
            }
        });
        flushed.await.map_err(|panic| JournalError::Io(panic.to_string()))
    }
}

impl Drop for KafkaJournal {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.stopped.store(true, Ordering::Release);
        self.shared.appender.stop();
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            thread.thread().unpark();
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}
