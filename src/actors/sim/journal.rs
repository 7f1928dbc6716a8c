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
use crate::storage::journal::{AppendError, Place, StoredRecord};

/// The node of a producer that nobody waits for any more.
const FORGOTTEN: NodeId = NodeId { number: 0, life: u64::MAX >> 40 };

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
    /// He was told "unknown" already.
    pub detached: bool,
}

impl World<'_> {
    /// An owner's append sets out.
    pub(crate) fn append(&mut self, owner: OwnerId, ticket: core::Ticket, records: Vec<Bytes>) {
        let inside = self.log.start(producer(owner.node), owner.partition, records.clone());
        self.appends.insert(inside, Append { owner, ticket, records, detached: false });
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
        self.appends.insert(ticket, Append { owner, ticket: core::Ticket(0), records, detached: true });
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
            if !self.healing && self.plan.faults.contains(&Fault::LeaderLoss) && self.rng.chance(50) {
                // The moment at which there is something to lose.
                self.after(5, What::LeaderLoss { partition: append.owner.partition });
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
        let mut report = self.log.settle(ticket, now, fate);
        if let Ok(report) = &report {
            self.stats.scattered += u64::from(!report.is_dense);
            if !append.detached
                && let Some(place) = self.place_of(append.owner)
            {
                place.reported(report);
            }
        }
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
            self.after(2, What::Report { owner: append.owner, ticket: append.ticket, report });
        }
    }

    /// Where the tail of this life of an owner stands, if it lasts.
    fn place_of(&self, id: OwnerId) -> Option<Arc<Place>> {
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
        let owners = self.nodes.iter().filter_map(|node| node.owners.get(&partition).map(|owner| owner.id));
        for owner in owners.collect::<Vec<_>>() {
            if self.rng.chance(800) {
                self.after(15, What::Look { owner });
            }
        }
    }
}
