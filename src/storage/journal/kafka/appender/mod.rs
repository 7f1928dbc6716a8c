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
//!
//! Why it is our own: `docs/decisions/0040-an-appender.md`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Shared;
use super::settings::Options;
use crate::ids::{PARTITIONS, Partition};
use crate::storage::journal::JournalError;

mod connection;
mod driver;
mod questions;
pub(super) mod sending;

/// What its thread is told.
enum AppenderEvent {
    /// Something waits in a partition's lane.
    Wants(Partition),
    /// Nobody waits for the partition's flight any longer.
    GivesUp(Partition),
    /// There is no more to do.
    Stop,
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

    /// The thread looks at the partition's lane now: what comes later says so anew.
    fn looks(&self, partition: Partition) {
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
/// There is none.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, JournalError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|why| JournalError::Io(why.to_string()))
}

/// Writes until it is stopped.
pub(super) fn run(runtime: &tokio::runtime::Runtime, seat: Seat, journal: Arc<Shared>, options: &Options) {
    runtime.block_on(driver::Driver::new(journal, options).run(seat.0));
}
