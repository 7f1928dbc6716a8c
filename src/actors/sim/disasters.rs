//! What happens to the journal and to all of it at once: trims behind a backup, a disk that fails, whole restores, records
//! of a newer program, a projector that decides otherwise, a day on which nobody does anything.

use super::client::Client;
use super::event::{CommandKey, Copies, Link, OwnerId, What};
use super::oracle::Truth;
use super::owner::Owner;
use super::world::{NODES, World};
use crate::actors::fold;
use crate::actors::wire::NodeId;
use crate::actors::workers::persistence::projector::Chains;
use crate::epoch::History;
use crate::ids::{Offset, Partition, RoomId, Timestamp};
use crate::limits;
use crate::storage::journal::memory::{Fate, MemoryLog};
use crate::storage::journal::record::VERSION;
use crate::storage::store::Commit;
use crate::storage::store::memory::Core as Rows;

/// The code that a banned user's connections are closed with.
const BANNED: u16 = 4_004;
/// Milliseconds that all goes on for once a partition is halted: nothing wrong may come of it.
const HALTED_MS: u64 = 5_000;
/// A writer that is no node: of a program that came from elsewhere, or what a disk had kept.
const STRANGER: u32 = u32::MAX;

/// Rows and journal of one moment.
pub(crate) struct Backup {
    log: MemoryLog,
    rows: Rows,
}

impl World<'_> {
    /// The journal is trimmed to where all that reads it has passed, behind a backup that is taken now.
    pub(crate) fn trim(&mut self) {
        let Some(rows) = self.store.get().cloned() else { return };
        let passed = |partition: Partition| {
            let owners = self.nodes.iter().filter_map(|node| node.owners.get(&partition));
            let owners = owners.map(|owner| owner.core.progress().applied().min(owner.place.next()));
            let projectors = self.nodes.iter().filter_map(|node| node.workers.reads_from(partition));
            owners.chain(projectors).fold(rows.watermark(partition).next_offset, Offset::min)
        };
        let alone = |partition| self.bystander.as_ref().and_then(|reader| reader.verified(partition));
        let passed = |partition| alone(partition).map_or(passed(partition), |prefix| passed(partition).min(prefix.end));
        let up_to: Vec<_> = self.cast.partitions.iter().map(|partition| (*partition, passed(*partition))).collect();
        self.stats.trims += u64::from(up_to.iter().any(|(partition, to)| *to > self.log.bounds(*partition).start));
        if let Err(error) = self.log.trim(&up_to) {
            self.fail(error.to_string());
        }
        self.store.forget_snapshots();
        self.store.keep();
    }

    /// The first time a backup of all is taken; the next time it is restored: another history goes on from there.
    pub(crate) fn back_up_or_restore(&mut self) {
        let Some(Backup { log, rows }) = self.backup.take() else {
            let whole = self.cast.partitions.iter().all(|partition| self.log.bounds(*partition).start == Offset::ZERO);
            if let Some(rows) = self.store.get().filter(|_| whole).cloned() {
                let mut log = self.log.after_crash();
                // What is not durable yet is not in it.
                self.cast.partitions.iter().for_each(|partition| _ = log.leader_loss(*partition));
                self.backup = Some(Backup { log, rows });
            }
            return;
        };
        self.stats.restores += 1;
        self.stop_all();
        self.log = log;
        self.store.restore(rows);
        self.history = History::of(self.fresh_id());
        let mut truth = Truth::new(self.cast);
        truth.forgiven.clone_from(&self.truth.forgiven);
        truth.unordered.clone_from(&self.truth.unordered);
        self.truth = truth;
        for partition in self.cast.partitions.clone() {
            if let Err(why) = self.truth.advance(partition, &self.log) {
                self.fail(why);
            }
        }
        self.begin_bystander();
        // What was acknowledged since, and what was said not to be written, belongs to the history that is gone.
        self.acks.clear();
        self.arrivals.restored();
        let written = |(command, times): (&CommandKey, usize)| (command.clone(), Copies { came: times, refused: 0 });
        self.copies = self.truth.commands().map(written).collect();
        self.clients.iter_mut().for_each(Client::forgets_order);
        self.make_rooms();
    }

    /// The next projector that reads a room reads a wrong row; all of them read anew.
    pub(crate) fn flip(&mut self) {
        self.flip = Some(self.cast.rooms[self.rng.index(self.cast.rooms.len())].id);
        for node in 0..NODES {
            let options = self.nodes[node].projector(&self.shared);
            if self.nodes[node].workers.forget_projector(options) {
                let node = self.nodes[node].id;
                self.after(20, What::Project { node });
            }
        }
    }

    /// The disk of an embedded journal does not take what is written any more: all that waits gets no good answer.
    pub(crate) fn disk_fails(&mut self) {
        self.log.close();
        let waiting: Vec<_> = self.appends.iter().map(|(ticket, append)| (*ticket, append.clone())).collect();
        for (ticket, append) in waiting {
            if self.rng.chance(500) {
                self.torn.insert(ticket, (append.owner.partition, append.records));
            }
        }
        self.after_exactly(2_000, What::Reopen);
    }

    /// The program starts again over what the disk has. Of the appends whose outcome nobody knew some are there, the last
    /// one perhaps up to a torn record.
    pub(crate) fn reopen(&mut self) {
        let torn = std::mem::take(&mut self.torn);
        self.stop_all();
        self.log = self.log.after_crash();
        for (partition, mut records) in torn.into_values() {
            records.truncate(self.rng.index(records.len() + 1));
            if records.is_empty() {
                continue;
            }
            self.stats.torn += 1;
            let now = self.journal_clock();
            // What was read back is made durable before anybody may see it.
            if let Err(error) = self.log.append(STRANGER, now, partition, records, Fate::Deliver) {
                self.fail(error.to_string());
            }
            if let Err(why) = self.truth.advance(partition, &self.log) {
                self.fail(why);
            }
        }
    }

    /// All nodes end, and begin again a little later. What is on its way between them and to the store is gone.
    fn stop_all(&mut self) {
        for node in 0..NODES {
            let id = self.nodes[node].id;
            self.nodes[node].up = false;
            self.nodes[node].owners.clear();
            for client in 0..self.clients.len() {
                if self.clients[client].link.is_some_and(|link| link.node == id) {
                    self.disconnect(client);
                }
            }
        }
        self.appends.clear();
        self.torn.clear();
        self.owed.clear();
        self.queue.retain(|what| matches!(what, What::Act { .. } | What::Fault | What::Settled | What::Reopen));
        for node in 0..NODES {
            self.after(2_000, What::Return { node });
        }
    }

    /// A newer program writes a record that this one does not know: the partition halts before it, everywhere.
    pub(crate) fn newer_record(&mut self, partition: Partition) {
        let (id, now) = (self.fresh_id(), self.journal_clock());
        let mut record = fold::barrier(id, now).to_vec();
        record[1] = VERSION + 1;
        if self.log.append(STRANGER, now, partition, vec![record.into()], Fate::Deliver).is_err() {
            // The disk takes nothing just now.
            return;
        }
        if let Err(why) = self.truth.advance(partition, &self.log) {
            self.fail(why);
        }
        self.moved(partition);
        self.ends_at.get_or_insert(self.now + HALTED_MS);
    }

    /// An owner halts, as a newer record wants it, or a version barrier that its program does not know: its residents end behind what they were told before.
    pub(crate) fn halted(&mut self, owner: &mut Owner, reason: &str) {
        let OwnerId { node, partition, .. } = owner.id;
        if self.is_outdated(node, partition) {
            self.stops_before_a_version(node);
        } else if !self.truth.is_halted(partition) {
            self.fail(format!("I10: {:?} halts: {reason}", owner.id));
        }
        self.stats.halts += 1;
        for entity in owner.residents.keys().cloned().collect::<Vec<_>>() {
            self.end_resident(owner, &entity);
        }
    }

    /// Some milliseconds after a halt: whoever owns the partition has halted before the record, and nothing came of it.
    pub(crate) fn check_halted(&mut self) {
        for partition in self.cast.partitions.iter().filter(|partition| self.truth.is_halted(**partition)) {
            let stored = self.store.rows().watermark(*partition).next_offset;
            if stored > self.truth.next(*partition) {
                return self.fail(format!("I4: {partition} is stored up to {stored}, beyond what can be read"));
            }
        }
        let checks = [self.check_acks(), self.check_answered(), self.arrivals.check(&self.truth)];
        if let Some(why) = checks.into_iter().find_map(Result::err) {
            self.fail(why);
        }
    }

    /// A user is banned: whatever its connections still say has no effect.
    pub(crate) fn ban(&mut self, client: usize) {
        let user = self.cast.users[self.clients[client].user].clone();
        for node in 0..NODES {
            let id = self.nodes[node].id;
            let index = self.index(id);
            let gateway = &self.nodes[index].gateway;
            let own = gateway.sessions.iter().filter(|(_, session)| session.is_of(&user));
            let links: Vec<_> = own.map(|(number, _)| Link { node: id, connection: *number }).collect();
            self.with_gateway(id, |gateway| gateway.hub.sessions().disconnect(&user, BANNED));
            for link in links {
                self.banned.insert(link);
                self.after(5, What::Obey { link });
            }
        }
    }

    /// A day passes in a moment: windows forget, rooms expire. Devices whose ids have no time in them, or one that is
    /// ahead, give up what they have sent: such an id is known for a day.
    pub(crate) fn sleep(&mut self) {
        let then = Timestamp(self.today());
        self.slept_ms += limits::DEDUPE_WINDOW_MS + 2 * 3_600_000;
        for client in 0..self.clients.len() {
            let given_up = self.clients[client].gives_up(then);
            let rooms = &self.cast.rooms;
            let keys = given_up.into_iter().map(|(device, n, number)| (device, rooms[n].id, number));
            self.truth.forgiven.extend(keys);
            if !self.clients[client].is_answered() {
                self.disconnect(client);
            }
        }
    }

    /// The rows that a node's projector has made of a flipped one differ from the log: the node's own owner must see it at
    /// once (I10), and see it of nobody else.
    pub(crate) fn check_divergence(&mut self, node: NodeId, room: RoomId, commit: &Commit, chains: Chains) {
        let applied = commit.chats.iter().find(|row| row.room == room).map(|row| Offset(row.applied.0 - 1));
        let index = self.index(node);
        for (partition, chains) in chains {
            let Some(owner) = self.nodes[index].owners.get(&partition) else { continue };
            let kept = owner.begun_at..owner.core.progress().applied();
            for (at, there) in chains.into_iter().filter(|(at, _)| kept.contains(at)) {
                let is_flipped = partition == room.partition() && Some(at) == applied;
                let differs = is_flipped && self.truth.chain(partition, at) != Some(there);
                if owner.core.progress().compare(at, there).is_err() != differs {
                    return self.fail(format!("I10: {room} was flipped, and {partition} is judged wrongly at {at}"));
                }
                self.stats.divergences += u64::from(differs);
            }
        }
    }
}
