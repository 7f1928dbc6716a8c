//! The journal in simulated time: appends take a while and end as the plan has it.

use std::sync::Arc;

use bytes::Bytes;

use super::event::{OwnerId, What};
use super::fault_plan::Fault;
use super::world::{NODES, World};
use crate::actors::partition::core;
use crate::actors::wire::NodeId;
use crate::ids::{Offset, Partition};
use crate::limits;
use crate::storage::journal::memory::{Fate, Ticket};
use crate::storage::journal::record::Envelope;
use crate::storage::journal::{AppendError, Appended, Place, StoredRecord};

/// The node of a producer that nobody waits for any more.
const FORGOTTEN: NodeId = NodeId { number: 0, life: u64::MAX >> 40 };

/// From so many milliseconds on a report counts as late.
const LATE_REPORT_MS: u64 = 1_000;

/// The journal's name for the producer of a node in one of its lives.
pub(crate) fn producer(node: NodeId) -> u32 {
    node.life as u32 * NODES as u32 + node.number
}

/// An append under way.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    /// Who waits for the report.
    pub owner: OwnerId,
    ticket: core::Ticket,
    /// What is to be written.
    pub records: Vec<Bytes>,
    /// Since when it is under way.
    since: u64,
    /// He was told "unknown" already.
    pub detached: bool,
}

impl World<'_> {
    /// An owner's append sets out.
    pub(crate) fn append(&mut self, owner: OwnerId, ticket: core::Ticket, records: Vec<Bytes>) {
        let inside = self.log.start(producer(owner.node), owner.partition, records.clone());
        let (since, index) = (self.now, self.index(owner.node));
        self.appends.insert(inside, Append { owner, ticket, records, since, detached: false });
        if let Some(tails) = &mut self.nodes[index].tails {
            tails.client.launched(owner.partition);
        }
        if std::mem::take(&mut self.failing) {
            self.disk_fails();
        }
        let slow = self.rng.chance(self.plan.slow);
        let ms = self.rng.between(1, if slow { 2_000 } else { 8 });
        if self.rng.chance(self.plan.exposed) {
            self.after(ms, What::Expose { ticket: inside });
        }
        self.after_exactly(ms, What::Settle { ticket: inside });
    }

    /// A producer puts records into the journal again that are in it already.
    pub(crate) fn repeat(&mut self, partition: Partition) {
        let (bounds, now) = (self.log.bounds(partition), self.journal_clock());
        let from = Offset(self.log.durable_end(partition).0.saturating_sub(1 + self.rng.below(12))).max(bounds.start);
        let Ok(mut records) = self.log.read(partition, from, usize::MAX) else { return };
        let clock_ms = |record: &StoredRecord| now.since(record.time).max(record.time.since(now));
        records.retain(|record| clock_ms(record) < limits::COMMAND_TTL_MS);
        records.truncate(1 + self.rng.index(4));
        for record in &records {
            if let Ok(envelope) = Envelope::decode_record(&record.bytes) {
                self.copies.entry((envelope.id(), envelope.key.clone())).or_default().came += 1;
            }
        }
        self.stats.repeated += records.len() as u64;
        let records: Vec<_> = records.into_iter().map(|record| record.bytes).collect();
        let ticket = self.log.start(producer(FORGOTTEN), partition, records.clone());
        let owner = OwnerId { node: FORGOTTEN, partition, life: 0 };
        self.appends
            .insert(ticket, Append { owner, ticket: core::Ticket(0), records, since: self.now, detached: true });
        let ms = self.rng.between(1, 20_000);
        self.after_exactly(ms, What::Settle { ticket });
    }

    fn is_next(&self, ticket: Ticket) -> bool {
        self.log.in_flight().any(|(other, ..)| other == ticket)
    }

    /// An append is seen while it is under way.
    pub(crate) fn expose(&mut self, ticket: Ticket) {
        let Some(append) = self.appends.get(&ticket).cloned() else { return };
        if self.is_next(ticket) {
            let now = self.journal_clock();
            if self.rng.chance(300) {
                // Another node's records may come to stand inside the batch.
                let part = self.rng.between(0, self.log.records(ticket) as u64);
                self.log.expose_part(ticket, now, part as usize);
            } else {
                self.log.expose(ticket, now);
            }
            self.moved(append.owner.partition);
            if !self.healing && self.plan.faults.contains(&Fault::LeaderLoss) && self.rng.chance(120) {
                // The moment at which there is something to lose.
                let ms = self.rng.pick(&[5, 60]);
                self.after(ms, What::LeaderLoss { partition: append.owner.partition });
            }
        }
    }

    /// The journal decides an append.
    pub(crate) fn settle(&mut self, ticket: Ticket) {
        let Some(append) = self.appends.get(&ticket).cloned() else { return };
        if !self.is_next(ticket) {
            // An older one of the same node and partition is under way.
            self.after_exactly(3, What::Settle { ticket });
            return;
        }
        let now = self.journal_clock();
        let fate = self.fate(append.detached);
        // What is seen already can't be refused.
        let fate = if fate == Fate::Refuse && self.log.is_exposed(ticket) { Fate::Deliver } else { fate };
        let is_seen = self.log.is_exposed(ticket);
        if append.owner.node != FORGOTTEN {
            let is_there = fate == Fate::Land || (append.detached && fate == Fate::Deliver);
            self.stats.unknown_there += u64::from(is_there);
            self.stats.unknown_never += u64::from(fate == Fate::Lose && !is_seen);
        }
        let (mut report, written) = match self.log.settle_written(ticket, now, fate) {
            Ok((report, written)) => (Ok(report), written),
            Err(error) => (Err(error), Vec::new()),
        };
        self.stats.scattered += u64::from(report.as_ref().is_ok_and(|report| !report.is_dense));
        let late = fate == Fate::Late && !matches!(report, Err(AppendError::Closed(_)));
        if let Err(AppendError::Closed(why)) = &report
            && self.torn.contains_key(&ticket)
        {
            // It was being written when the disk failed: nobody knows how much of it is there.
            report = Err(AppendError::Unknown(why.clone()));
        }
        if late {
            if let Some(append) = self.appends.get_mut(&ticket) {
                append.detached = true;
            }
            self.after(if self.healing { 500 } else { 6_000 }, What::Settle { ticket });
        } else {
            self.appends.remove(&ticket);
        }
        let partition = append.owner.partition;
        if let Err(why) = self.truth.advance(partition, &self.log) {
            self.fail(why);
        }
        self.moved(partition);
        if !append.detached {
            self.note_report(&append, &report, ticket);
            self.report(append.owner, append.ticket, report, written);
        }
    }

    /// What a report shows of the ways in which they come.
    fn note_report(&mut self, append: &Append, report: &Result<Appended, AppendError>, ticket: Ticket) {
        let older = |(other, of): (&Ticket, &Append)| {
            *other < ticket && of.owner.node == append.owner.node && of.owner.partition != append.owner.partition
        };
        self.stats.late_reports += u64::from(report.is_ok() && self.now >= append.since + LATE_REPORT_MS);
        self.stats.overtaken += u64::from(report.is_ok() && self.appends.iter().any(older));
    }

    /// Where the tail of this life of an owner stands, if it lasts.
    pub(crate) fn place_of(&self, id: OwnerId) -> Option<Arc<Place>> {
        let owner = self.nodes[self.index(id.node)].owners.get(&id.partition)?;
        (owner.id == id).then(|| Arc::clone(&owner.place))
    }

    fn fate(&mut self, detached: bool) -> Fate {
        if detached {
            return if self.plan.embedded {
                self.rng.pick(&[Fate::Deliver, Fate::Lose])
            } else {
                self.rng.pick(&[Fate::Deliver, Fate::Land, Fate::Lose])
            };
        }
        if self.rng.chance(self.plan.refused) {
            Fate::Refuse
        } else if self.rng.chance(self.plan.unknown) {
            if self.plan.embedded {
                self.rng.pick(&[Fate::Lose, Fate::Late])
            } else {
                self.rng.pick(&[Fate::Land, Fate::Lose, Fate::Late])
            }
        } else {
            Fate::Deliver
        }
    }

    /// The partition's end moved: its owners' tails wake, or their next tick finds out.
    pub(crate) fn moved(&mut self, partition: Partition) {
        if !self.plan.embedded {
            let up: Vec<_> = self.nodes.iter().filter(|node| node.up).map(|node| node.id).collect();
            for node in up {
                if self.rng.chance(900) {
                    self.fetch_later(Some(node), partition);
                }
            }
            return self.fetch_later(None, partition);
        }
        let owners = self.nodes.iter().filter_map(|node| node.owners.get(&partition).map(|owner| owner.id));
        for owner in owners.collect::<Vec<_>>() {
            if self.rng.chance(800) {
                self.after(15, What::Look { owner });
            }
        }
    }
}
