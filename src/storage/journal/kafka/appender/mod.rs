//! Writes to the brokers. One request at a time is under way to each of them, with what waits of all the partitions that it leads
//! (group commit over partitions): the more waits, the fewer requests it takes. On a thread of its own.
//!
//! | file | holds |
//! |---|---|
//! | here | what others ask of it |
//! | [`driver`] | what goes out when and to whom |
//! | [`sending`] | pure: one partition's batches, their numbers, what answers mean |
//! | [`questions`] | what brokers are asked, as the protocol has it |
//! | [`connection`] | one connection to a broker |
//! | [`quorum`] | what a broker says of itself and of the controllers, for operators |
//!
//! Why it is our own: `docs/decisions/0040-an-appender.md`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Shared;
use super::settings::Options;
use crate::ids::{PARTITIONS, Partition};
use crate::storage::journal::JournalError;

pub(super) mod connection;
mod driver;
mod questions;
pub(super) mod quorum;
pub(super) mod sending;

/// Before it begins anew after a panic: the first time, and at most.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// What its thread is told.
enum AppenderEvent {
    /// Something waits in a partition's lane.
    Wants(Partition),
    /// Nobody waits for the partition's flight any longer.
    GivesUp(Partition),
    /// There is no more to do.
    Stop,
    /// Something impossible happens.
    #[cfg(test)]
    Panics,
    /// A broker has answered, or will not.
    Answered(driver::Answered),
    /// Who leads, if anybody says so.
    Leaders(Option<questions::Leaders>),
    /// An id to number records under, if anybody gives one.
    Identity(Option<sending::ProducerIdentity>),
}

/// See the module. Tells its thread.
pub(super) struct Appender {
    events: UnboundedSender<AppenderEvent>,
    /// The thread was told, and has not looked yet.
    told: Vec<AtomicBool>,
}

/// What the thread is made of.
pub(super) struct Seat(UnboundedReceiver<AppenderEvent>);

impl Appender {
    pub(super) fn new() -> (Self, Seat) {
        let (events, seat) = unbounded_channel();
        (Self { events, told: (0..PARTITIONS).map(|_| AtomicBool::new(false)).collect() }, Seat(seat))
    }

    /// Something waits in the partition's lane: its thread takes it when the leader's turn comes.
    pub(super) fn wants(&self, partition: Partition) {
        if !self.told[partition.index()].swap(true, Ordering::AcqRel) {
            self.tell(AppenderEvent::Wants(partition));
        }
    }

    /// The partition's flight is told what became of it as far as that is known now.
    pub(super) fn gives_up(&self, partition: Partition) {
        self.tell(AppenderEvent::GivesUp(partition));
    }

    /// Its thread ends. What is under way is given up.
    pub(super) fn stop(&self) {
        self.tell(AppenderEvent::Stop);
    }

    /// The partition's lane is looked at now: what comes later says so anew.
    pub(super) fn looks(&self, partition: Partition) {
        self.told[partition.index()].store(false, Ordering::Release);
    }

    fn tell(&self, event: AppenderEvent) {
        // A thread that is gone was stopped.
        let _ = self.events.send(event);
    }
}

/// What [`run`] runs on.
///
/// # Errors
/// The operating system has no descriptors left for it.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, JournalError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|why| JournalError::Io(why.to_string()))
}

/// Writes until it is stopped. A mistake in what drives it ends neither the thread nor what waits: it begins anew, under another
/// producer's id, and what was under way is told that its outcome is unknown.
pub(super) fn run(runtime: &tokio::runtime::Runtime, seat: Seat, journal: &Arc<Shared>, options: &Options) {
    let Seat(mut asked) = seat;
    let mut pause = PAUSE_FIRST;
    loop {
        let began = Instant::now();
        let driver = driver::Driver::new(Arc::clone(journal), options);
        let driven = catch_unwind(AssertUnwindSafe(|| runtime.block_on(driver.run(&mut asked))));
        if driven.is_ok() || journal.stopped.load(Ordering::Acquire) {
            return;
        }
        if began.elapsed() > PAUSE_MOST {
            pause = PAUSE_FIRST;
        }
        tracing::error!(
            ?pause,
            "the appender of Kafka has panicked, see above: what is under way is unknown, and it begins anew"
        );
        journal.abandon("the appender has panicked");
        std::thread::park_timeout(pause);
        pause = (2 * pause).min(PAUSE_MOST);
    }
}

#[cfg(test)]
impl Appender {
    /// Its thread panics.
    pub(super) fn panics(&self) {
        self.tell(AppenderEvent::Panics);
    }
}
