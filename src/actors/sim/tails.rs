//! Brokers' clients in simulated time: each node's, which its owners follow and write by, and one of a reader that stands
//! alone. What they hold is late, comes in pieces and for each partition by itself; a report may come before or behind the
//! tail's own copy, and what the log has lost is seen until a client hears of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{OwnerId, What};
use super::world::World;
use crate::actors::partition::core::Ticket;
use crate::actors::wire::NodeId;
use crate::actors::workers::prefix::PrefixReader;
use crate::ids::{Offset, Partition};
use crate::storage::journal::kafka::simulated::{Fetch, Landing, LateClient};
use crate::storage::journal::memory::Written;
use crate::storage::journal::record::Prefix;
use crate::storage::journal::{AppendError, Appended, Place, Tailed};

/// From so many milliseconds on a tail counts as late.
const LATE_MS: u64 = 100;
/// So late is one at most: later than who waits for a report is told that its outcome is unknown.
const LATEST_MS: u64 = 8_000;
/// Bytes that a reader that stands alone is told at a time.
const TOLD_BYTES: usize = 600;

/// Who waits for a report.
type Waiter = (OwnerId, Ticket);
/// What he is told.
type Told = (Waiter, Result<Appended, AppendError>);

/// A client, and what it is about to fetch.
pub(crate) struct Tails {
    /// The client.
    pub client: LateClient<Waiter>,
    /// Since when something is to be fetched of these.
    coming: BTreeMap<Partition, u64>,
}

/// A reader that owns nothing: it knows what is verified by what the records say of their writers.
pub(crate) struct Bystander {
    tails: Tails,
    readers: BTreeMap<Partition, (PrefixReader, Arc<Place>)>,
}

impl Bystander {
    /// How far it has verified a partition.
    pub(crate) fn verified(&self, partition: Partition) -> Option<Prefix> {
        self.readers.get(&partition).map(|(reader, _)| reader.verified())
    }
}

impl World<'_> {
    fn new_tails(&self) -> Tails {
        Tails { client: LateClient::new(&self.log, &self.cast.partitions), coming: BTreeMap::new() }
    }

    /// A node's client begins. An embedded journal has none: it is read where it lies.
    pub(crate) fn begin_tails(&mut self, node: usize) {
        self.nodes[node].tails = (!self.plan.embedded).then(|| self.new_tails());
    }

    /// The reader that stands alone begins, at the rows' watermarks.
    pub(crate) fn begin_bystander(&mut self) {
        if self.plan.embedded {
            return;
        }
        let mut tails = self.new_tails();
        let mut readers = BTreeMap::new();
        for partition in self.cast.partitions.clone() {
            let row = self.store.rows().watermark(partition);
            let start = Prefix { end: row.next_offset, hash: row.log_hash };
            let place = tails.client.follow(partition, start.end);
            readers.insert(partition, (PrefixReader::new(partition, start), place));
        }
        self.bystander = Some(Bystander { tails, readers });
        self.cast.partitions.iter().for_each(|partition| self.fetch_later(None, *partition));
    }

    fn tails(&mut self, reader: Option<NodeId>) -> Option<&mut Tails> {
        match reader {
            None => self.bystander.as_mut().map(|bystander| &mut bystander.tails),
            Some(id) => {
                let index = self.index(id);
                let node = &mut self.nodes[index];
                node.tails.as_mut().filter(|_| node.id == id && node.up)
            }
        }
    }

    /// An owner's tail begins here.
    pub(crate) fn follow(&mut self, node: NodeId, partition: Partition, from: Offset) -> Arc<Place> {
        match self.tails(Some(node)) {
            None => self.log.follow(partition, from),
            Some(tails) => {
                let place = tails.client.follow(partition, from);
                self.fetch_later(Some(node), partition);
                place
            }
        }
    }

    /// There may be something to fetch, which takes as long as it takes.
    pub(crate) fn fetch_later(&mut self, reader: Option<NodeId>, partition: Partition) {
        let now = self.now;
        let Some(tails) = self.tails(reader).filter(|tails| !tails.coming.contains_key(&partition)) else { return };
        tails.coming.insert(partition, now);
        let is_late = self.rng.chance(self.plan.tail_late);
        let most = if self.healing {
            15
        } else if is_late {
            LATEST_MS
        } else {
            self.plan.tail_ms
        };
        self.after(most, What::Bring { reader, partition });
    }

    /// A client fetches.
    pub(crate) fn bring(&mut self, reader: Option<NodeId>, partition: Partition) {
        let most = if self.rng.chance(400) { 1 } else { 20 };
        let now = self.now;
        let index = reader.map(|id| self.index(id));
        let tails = match index {
            None => self.bystander.as_mut().map(|bystander| &mut bystander.tails),
            Some(index) => self.nodes[index].tails.as_mut(),
        };
        let Some(tails) = tails else { return };
        let since = tails.coming.remove(&partition).unwrap_or(now);
        let Some(fetch) = tails.client.fetch(&self.log, partition, most) else { return };
        let Fetch { lost, replacing, is_more, wakes, reports } = fetch;
        self.stats.late_tails += u64::from(now - since >= LATE_MS);
        self.stats.pieces += u64::from(is_more);
        self.stats.ghosts += lost;
        self.stats.replaced_records += replacing;
        self.give(reports);
        if is_more {
            self.fetch_later(reader, partition);
        }
        match reader {
            Some(node) if wakes => self.wake(node, partition),
            Some(_) => {}
            None => self.bystander_reads(partition),
        }
    }

    /// A node's tail of a partition may have something to tell.
    fn wake(&mut self, node: NodeId, partition: Partition) {
        let index = self.index(node);
        if let Some(owner) = self.nodes[index].owners.get(&partition).map(|owner| owner.id) {
            self.after(3, What::Look { owner });
        }
    }

    /// Reports are given: first the tail's place moves, then the owner hears.
    fn give(&mut self, reports: Vec<Told>) {
        for ((owner, ticket), report) in reports {
            if let Ok(report) = &report
                && let Some(place) = self.place_of(owner)
            {
                place.reported(report);
            }
            self.after(2, What::Report { owner, ticket, report });
        }
    }

    /// An owner's append has its report. The node's client may hold it back.
    pub(crate) fn report(
        &mut self,
        owner: OwnerId,
        ticket: Ticket,
        report: Result<Appended, AppendError>,
        written: Written,
    ) {
        let now = self.ticks();
        let is_written = !written.is_empty();
        let Some(tails) = self.tails(Some(owner.node)) else {
            return self.give(vec![((owner, ticket), report)]);
        };
        let Landing { is_held, is_fetched, reports } =
            tails.client.landed(owner.partition, written, ((owner, ticket), report), now);
        self.stats.held += u64::from(is_held);
        self.stats.copy_first += u64::from(is_fetched);
        self.stats.report_first += u64::from(is_written && !is_fetched);
        self.give(reports);
        self.wake(owner.node, owner.partition);
    }

    /// Once a second, for each node.
    pub(crate) fn tick_tails(&mut self, node: NodeId) {
        let now = self.ticks();
        let Some(tails) = self.tails(Some(node)) else { return };
        let over = tails.client.tick(now);
        self.stats.held_too_long += over.len() as u64;
        self.give(over.into_iter().map(|(waiter, error)| (waiter, Err(error))).collect());
        self.cast.partitions.iter().for_each(|partition| self.fetch_later(Some(node), *partition));
    }

    /// I4: what the reader that stands alone takes for verified is durable, and is what the log holds.
    fn bystander_reads(&mut self, partition: Partition) {
        let Some(Bystander { tails, readers }) = &mut self.bystander else { return };
        let Some((reader, place)) = readers.get_mut(&partition) else { return };
        let mut failure = None;
        loop {
            let heard = match tails.client.tell(&self.log, partition, place, TOLD_BYTES) {
                Ok(None) => break,
                Ok(Some(told)) => {
                    self.stats.truncations += u64::from(matches!(told, Tailed::Truncated { .. }));
                    reader.heard(told)
                }
                Err(error) => Err(error.why_halted()),
            };
            match heard {
                Ok(None) => {}
                Ok(Some(from)) => place.seek(from),
                Err(why) => failure = Some(format!("I10: who stands alone halts: {why}")),
            }
            if failure.is_some() {
                break;
            }
        }
        let verified = reader.verified();
        if self.truth.prefix(partition, verified.end) != Some(verified) && !self.truth.is_halted(partition) {
            failure.get_or_insert(format!("I4: who stands alone takes {verified:?} of {partition} for verified"));
        }
        if let Some(why) = failure {
            self.fail(why);
        }
    }
}
