//! How far each partition is verified, for a process that owns none of them: it follows their tails and takes for verified
//! what the records themselves say of their writers (`docs/decisions/0034-the-verified-prefix-of-readers.md`).
//!
//! What lies beyond is read and never given out: the journal may lose it again. A log that can't be (another one than its
//! writers had read, trimmed before what is wanted) stops its partition by name; the others go on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Running, back_off};
use crate::actors::kinds;
use crate::actors::partition::log_reader::{Heard, LogReader};
use crate::actors::partition::verified::Rule;
use crate::actors::watermarks::Watermarks;
use crate::ids::{Offset, Partition};
use crate::limits;
use crate::storage::journal::record::Prefix;
use crate::storage::journal::{Journal, ReadError, Tailed};

/// First wait of a partition whose records could not be read.
const RETRY_FIRST: Duration = Duration::from_millis(50);
/// Its longest.
const RETRY_MOST: Duration = Duration::from_secs(2);

/// The pure part, for one partition.
pub(crate) struct PrefixReader {
    reader: LogReader,
    verified: Prefix,
    awaited: Offset,
}

impl PrefixReader {
    /// Goes on behind what was verified before.
    pub(crate) fn new(partition: Partition, start: Prefix) -> Self {
        Self { reader: LogReader::new(partition, Rule::OwnReports, start), verified: start, awaited: start.end }
    }

    /// The verified prefix.
    pub(crate) fn verified(&self) -> Prefix {
        self.verified
    }

    /// One past the last verified record for whose rows somebody may wait.
    pub(crate) fn awaited(&self) -> Offset {
        self.awaited
    }

    /// Takes what the partition's tail told, and gives where the tail has to go on, if not where it stands.
    ///
    /// # Errors
    /// The log can't be; the reason is for the operator.
    pub(crate) fn heard(&mut self, told: Tailed) -> Result<Option<Offset>, String> {
        let Heard { seek, halt } = match told {
            Tailed::Batch { records, end, losses } => self.reader.told(records, end, losses),
            Tailed::Truncated { end, losses } => self.reader.truncated(end, losses),
        };
        while let Some((_, envelope, prefix)) = self.reader.take_verified() {
            self.verified = prefix;
            if envelope.is_some_and(|envelope| kinds::is_awaited(envelope.kind)) {
                self.awaited = prefix.end;
            }
        }
        self.reader.settle(self.verified.end);
        halt.map_or(Ok(seek), Err)
    }
}

/// How it is, for health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PrefixStatus {
    /// Partitions that are read no further, and why.
    pub halted: BTreeMap<Partition, String>,
    /// Partitions whose records can't be read now, and why.
    pub failing: BTreeMap<Partition, String>,
}

impl PrefixStatus {
    /// One partition that is read no further, in words for the operator.
    pub(crate) fn halt(&self) -> Option<String> {
        self.halted.iter().next().map(|(partition, why)| format!("partition {partition} is halted: {why}"))
    }

    /// What keeps records from being read now, in words for the operator.
    pub(crate) fn unread(&self) -> Option<String> {
        self.failing.values().next().map(|why| format!("the journal: {why}"))
    }
}

/// How far the partitions are read.
#[derive(Clone, Default)]
pub(crate) struct PrefixMarks {
    /// Up to here they are verified.
    pub verified: Arc<Watermarks>,
    /// Up to here somebody may wait for rows.
    pub awaited: Arc<Watermarks>,
}

/// Follows these partitions, each behind what was verified before, and raises their marks.
#[must_use]
pub(crate) fn spawn(
    journal: Arc<dyn Journal>,
    starts: Vec<(Partition, Prefix)>,
    marks: PrefixMarks,
) -> Running<PrefixStatus> {
    Running::start(|status, mut stopping| async move {
        let mut readers = JoinSet::new();
        for (partition, start) in starts {
            readers.spawn(follow(Arc::clone(&journal), partition, start, marks.clone(), status.clone()));
        }
        // A reader ends only if its partition is halted; the rest end with the set.
        let _ = stopping.wait_for(|stop| *stop).await;
    })
}

async fn follow(
    journal: Arc<dyn Journal>,
    partition: Partition,
    start: Prefix,
    marks: PrefixMarks,
    status: watch::Sender<PrefixStatus>,
) {
    let mut reader = PrefixReader::new(partition, start);
    let mut tail = journal.tail(partition, start.end);
    marks.verified.raise(partition, start.end);
    let mut failures = 0;
    loop {
        let heard = match tail.next(limits::TAIL_BATCH_BYTES).await {
            Ok(told) => reader.heard(told),
            Err(error) if error.is_transient() => {
                fails(&status, partition, &error);
                tokio::time::sleep(back_off(RETRY_FIRST, failures, RETRY_MOST)).await;
                failures += 1;
                continue;
            }
            Err(error) => Err(error.why_halted()),
        };
        if std::mem::take(&mut failures) > 0 {
            status.send_modify(|status| _ = status.failing.remove(&partition));
        }
        marks.verified.raise(partition, reader.verified().end);
        marks.awaited.raise(partition, reader.awaited());
        match heard {
            Ok(None) => {}
            Ok(Some(from)) => tail.place().seek(from),
            Err(reason) => {
                tracing::error!(%partition, %reason, "this partition is read no further");
                return status.send_modify(|status| _ = status.halted.insert(partition, reason));
            }
        }
    }
}

fn fails(status: &watch::Sender<PrefixStatus>, partition: Partition, error: &ReadError) {
    tracing::warn!(%partition, %error, "reading the journal failed; trying again");
    status.send_modify(|status| _ = status.failing.insert(partition, error.to_string()));
}

#[cfg(test)]
mod tests;
