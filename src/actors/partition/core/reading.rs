//! Reading on: what the partition's tail tells, what the journal has lost again, and whether those who wrote the records have
//! read the same log. Nothing here is handed to an entity: what is not verified yet may still be taken back.

use super::{Action, Core};
use crate::actors::digest::Misfit;
use crate::ids::{Offset, Timestamp};
use crate::storage::journal::StoredRecord;
use crate::storage::journal::record::{Envelope, Prefix};

/// A record that was read, and is not verified yet.
pub(super) struct Unverified {
    pub record: StoredRecord,
    /// What it says, if that can be read.
    pub envelope: Option<Envelope>,
    /// The log up to behind it.
    pub prefix: Prefix,
}

impl Core {
    /// The tail told these records, when the readable end was `end` and the partition had lost records `losses` times.
    pub(crate) fn told(
        &mut self,
        records: Vec<StoredRecord>,
        end: Offset,
        losses: u64,
        now: Timestamp,
        out: &mut Vec<Action>,
    ) {
        // What was read before a loss that this core knows of may be what was lost.
        if self.halted || losses < self.losses {
            return;
        }
        self.hears_of_losses(losses, out);
        let mut misfit = None;
        for record in records {
            // Own records came with their report: they are passed over unread.
            if record.offset != self.next {
                continue;
            }
            let envelope = Envelope::decode_record(&record.bytes).ok();
            if let Some(envelope) = &envelope
                && let Err(error) = self.compare(record.offset, envelope.prefix(), out)
            {
                misfit = error;
                break;
            }
            self.take(record, envelope);
        }
        self.sees(end, now, out);
        if let Some(reason) = misfit {
            self.halt(reason, out);
        }
    }

    pub(super) fn take(&mut self, record: StoredRecord, envelope: Option<Envelope>) {
        self.next = record.offset.next();
        let prefix = self.log.push(&record);
        self.pending.push_back(Unverified { record, envelope, prefix });
    }

    /// Compares what the next record says of its writer with what was read here. `Err`: the record can't be taken; without a
    /// reason if what lies before it is to be read once more.
    fn compare(&mut self, offset: Offset, said: Prefix, out: &mut Vec<Action>) -> Result<(), Option<String>> {
        match self.log.check(said) {
            Ok(agree) => {
                if agree {
                    self.verified.vouched(said.end);
                }
                Ok(())
            }
            // Beyond the prefix the journal may have lost something since, and this core has not heard of it.
            Err(Misfit::Differs { end, .. }) if end > self.verified.end() && self.doubted != Some(offset) => {
                self.doubted = Some(offset);
                self.forget_from(self.verified.end());
                out.push(Action::Seek { from: self.next });
                Err(None)
            }
            Err(misfit) => Err(Some(format!("partition {} offset {offset}: {misfit}", self.partition))),
        }
    }

    /// The journal's readable end is here.
    fn sees(&mut self, end: Offset, now: Timestamp, out: &mut Vec<Action>) {
        self.visible = self.visible.max(end);
        self.verified.sees(end);
        self.dispatch(now, out);
    }

    /// The tail told that the journal lost records: forgets what it had told of them. If one of them had been confirmed,
    /// what was answered may be gone, and that is for an operator.
    pub(crate) fn truncated(&mut self, end: Offset, losses: u64, out: &mut Vec<Action>) {
        // A report may have told of this loss before, and of what has taken the place of the lost since.
        if self.halted || losses <= self.losses {
            return;
        }
        if end < self.verified.end() {
            let (partition, verified) = (self.partition, self.verified.end());
            return self.halt(format!("partition {partition} ends at {end}, and was confirmed up to {verified}"), out);
        }
        self.losses = losses;
        self.doubted = None;
        self.verified.truncated(end);
        self.forget_from(end);
    }

    /// A report, or a batch, knows of losses that were not told yet: anything beyond the verified prefix may be what was
    /// lost, and is to be told again.
    pub(super) fn hears_of_losses(&mut self, losses: u64, out: &mut Vec<Action>) {
        if losses > self.losses {
            self.losses = losses;
            self.doubted = None;
            self.forget_from(self.verified.end());
            out.push(Action::Seek { from: self.next });
        }
    }

    fn forget_from(&mut self, end: Offset) {
        let keep = end.max(self.verified.end());
        self.visible = keep;
        while self.pending.back().is_some_and(|pending| pending.record.offset >= keep) {
            self.pending.pop_back();
        }
        self.next = self.next.min(keep);
        self.log.cut(self.next);
    }
}
