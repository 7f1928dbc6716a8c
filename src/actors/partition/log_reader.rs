//! Reading a partition's log behind its verified prefix: what its tail tells, what the journal has lost again, and whether
//! those who wrote the records have read the same log. One code for owners, who also have reports of their own, and for those
//! who stand alone and have none ([`PrefixReader`](crate::actors::workers::prefix)).
//!
//! Pure. What is not verified yet is kept here, and may still be taken back; only what is goes out ([`LogReader::take_verified`]).

use std::collections::VecDeque;

use super::verified::{Rule, Verified, VerifiedPrefix};
use crate::actors::digest::{Misfit, RunningHash};
use crate::actors::kinds;
use crate::ids::{Offset, Partition};
use crate::storage::journal::record::{Envelope, Prefix};
use crate::storage::journal::{Appended, StoredRecord};

/// A record that was read, and is not verified yet.
pub(crate) struct Unverified {
    /// The record.
    pub record: StoredRecord,
    /// What it says, if that can be read.
    pub envelope: Option<Envelope>,
    /// The log up to behind it.
    pub prefix: Prefix,
}

/// What follows from what was told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[must_use]
pub(crate) struct Heard {
    /// The tail goes on here: something is to be read once more.
    pub seek: Option<Offset>,
    /// The log can't be: whoever reads it stops, behind what is verified. For the operator.
    pub halt: Option<String>,
}

/// See the module.
pub(crate) struct LogReader {
    partition: Partition,
    /// The next offset to take, from the tail or from an own delivery report.
    next: Offset,
    visible: Offset,
    /// One past the last record that was taken and is no barrier.
    meant: Offset,
    /// How often the partition had lost records when this reader heard of it last.
    losses: u64,
    verified: VerifiedPrefix,
    /// Over what was taken.
    log: RunningHash,
    /// A record whose writer had read another log, for which that was read once more.
    doubted: Option<Offset>,
    /// Read, and not given out.
    pending: VecDeque<Unverified>,
}

impl LogReader {
    /// Goes on behind what was verified before.
    pub(crate) fn new(partition: Partition, rule: Rule, start: Prefix) -> Self {
        Self {
            partition,
            next: start.end,
            visible: start.end,
            meant: start.end,
            losses: 0,
            verified: VerifiedPrefix::new(rule, start.end),
            log: RunningHash::new(start),
            doubted: None,
            pending: VecDeque::new(),
        }
    }

    /// The next offset to take.
    pub(crate) fn next(&self) -> Offset {
        self.next
    }

    /// One past the last verified offset.
    pub(crate) fn verified(&self) -> Offset {
        self.verified.end()
    }

    /// What was read and not given out, in order.
    pub(crate) fn pending(&self) -> &VecDeque<Unverified> {
        &self.pending
    }

    /// Whether all that is readable was taken.
    pub(crate) fn has_all(&self) -> bool {
        self.next >= self.visible
    }

    /// See [`VerifiedPrefix::wants_barrier`].
    pub(crate) fn wants_barrier(&self) -> bool {
        self.verified.wants_barrier()
    }

    /// Whether records that mean something stand behind the prefix: a barrier is due for their sake.
    pub(crate) fn wants_cover(&self) -> bool {
        self.meant > self.verified.end()
    }

    /// The tail told these records, when the readable end was `end` and the partition had lost records `losses` times.
    pub(crate) fn told(&mut self, records: Vec<StoredRecord>, end: Offset, losses: u64) -> Heard {
        // What was read before a loss that this reader knows of may be what was lost.
        if losses < self.losses {
            return Heard::default();
        }
        let mut heard = self.hears_of_losses(losses);
        for record in records {
            // Own records came with their report: they are passed over unread.
            if record.offset != self.next {
                continue;
            }
            let envelope = Envelope::decode_record(&record.bytes).ok();
            if let Some(envelope) = &envelope
                && let Err(misfit) = self.compare(record.offset, envelope.prefix())
            {
                heard = misfit;
                break;
            }
            self.take(record, envelope);
        }
        self.visible = self.visible.max(end);
        self.verified.sees(end);
        heard
    }

    /// Takes the next record.
    pub(crate) fn take(&mut self, record: StoredRecord, envelope: Option<Envelope>) {
        self.next = record.offset.next();
        if envelope.as_ref().is_none_or(|envelope| envelope.kind != kinds::CONTROL_BARRIER) {
            self.meant = self.next;
        }
        let prefix = self.log.push(&record);
        self.pending.push_back(Unverified { record, envelope, prefix });
    }

    /// Compares what the next record says of its writer with what was read here. `Err`: the record can't be taken; what lies
    /// before it is to be read once more, or nothing is to be read any more.
    fn compare(&mut self, offset: Offset, said: Prefix) -> Result<(), Heard> {
        match self.log.check(said) {
            Ok(agree) => {
                if agree {
                    self.verified.vouched(said.end);
                }
                Ok(())
            }
            // Beyond the prefix the journal may have lost something since, and this reader has not heard of it.
            Err(Misfit::Differs { end, .. }) if end > self.verified.end() && self.doubted != Some(offset) => {
                self.doubted = Some(offset);
                self.forget_from(self.verified.end());
                Err(Heard { seek: Some(self.next), halt: None })
            }
            Err(misfit) => {
                let halt = Some(format!("partition {} offset {offset}: {misfit}", self.partition));
                Err(Heard { seek: None, halt })
            }
        }
    }

    /// An own append was confirmed. Whoever made it heard of the losses that the report knows of before.
    pub(crate) fn delivered(&mut self, report: &Appended) {
        self.verified.delivered(report);
        self.visible = self.visible.max(report.end);
    }

    /// The tail told that the journal lost records: forgets what it had told of them. If one of them had been confirmed,
    /// what was answered may be gone, and that is for an operator.
    pub(crate) fn truncated(&mut self, end: Offset, losses: u64) -> Heard {
        // A report may have told of this loss before, and of what has taken the place of the lost since.
        if losses <= self.losses {
            return Heard::default();
        }
        if end < self.verified.end() {
            let (partition, verified) = (self.partition, self.verified.end());
            let halt = format!("partition {partition} ends at {end}, and was confirmed up to {verified}");
            return Heard { seek: None, halt: Some(halt) };
        }
        self.losses = losses;
        self.doubted = None;
        self.verified.truncated(end);
        self.forget_from(end);
        Heard::default()
    }

    /// A report, or a batch, knows of losses that were not told yet: anything beyond the verified prefix may be what was
    /// lost, and is to be told again.
    pub(crate) fn hears_of_losses(&mut self, losses: u64) -> Heard {
        if losses <= self.losses {
            return Heard::default();
        }
        self.losses = losses;
        self.doubted = None;
        self.forget_from(self.verified.end());
        Heard { seek: Some(self.next), halt: None }
    }

    fn forget_from(&mut self, end: Offset) {
        let keep = end.max(self.verified.end());
        self.visible = keep;
        while self.pending.back().is_some_and(|pending| pending.record.offset >= keep) {
            self.pending.pop_back();
        }
        self.next = self.next.min(keep);
        self.meant = self.meant.min(self.next);
        self.log.cut(self.next);
    }

    /// The next record of the verified prefix, with what it says and the log up to behind it. `None` if what is next is not
    /// verified, or not read.
    pub(crate) fn take_verified(&mut self) -> Option<(Verified<StoredRecord>, Option<Envelope>, Prefix)> {
        let Unverified { record, envelope, prefix } = self.pending.pop_front()?;
        match self.verified.admit(record.offset, record) {
            Ok(record) => Some((record, envelope, prefix)),
            Err(record) => {
                self.pending.push_front(Unverified { record, envelope, prefix });
                None
            }
        }
    }

    /// What lies below `end` was given out, and is never read again.
    pub(crate) fn settle(&mut self, end: Offset) {
        self.log.settle(end);
    }

    /// Nothing is given out any more.
    pub(crate) fn stop(&mut self) {
        self.pending.clear();
    }
}
