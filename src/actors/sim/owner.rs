//! A partition's owner in simulated time: carries out what the pure core asks for over the simulated journal, store and
//! network, as `actors::partition::actor` does over real ones. It decides nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{OwnerId, What};
use super::resident::{Message, Resident};
use super::world::{NODES, World};
use crate::actors::fold;
use crate::actors::partition::core::{Action, Core, Deps, Options, Ticket};
use crate::actors::partition::entity::DecidedRecord;
use crate::actors::partition::question::{Question, QuestionBody};
use crate::actors::partition::verified::Rule;
use crate::actors::wire::{Answer, Denial, Entity, NodeId, Origin, QueryAnswer, ToGateway, ToOwner};
use crate::ids::{Offset, Partition, Timestamp};
use crate::limits;
use crate::storage::journal::record::Envelope;
use crate::storage::journal::{AppendError, Appended, JournalError, Place, ReadError, Tailed};

/// Bytes of one batch of the tail at most: little, so that one is seldom all.
const BATCH_BYTES: usize = 600;

/// One life of an owner.
pub(crate) struct Owner {
    /// Its name.
    pub id: OwnerId,
    /// The pure core.
    pub core: Core,
    /// In memory.
    pub residents: BTreeMap<Entity, Resident>,
    /// Where it began.
    pub begun_at: Offset,
    /// Where its tail stands.
    pub place: Arc<Place>,
    /// Its tail may tell something of so many bytes.
    turn: Option<usize>,
    /// The append time of its last own report, and when that came.
    reported: Option<(Timestamp, Timestamp)>,
}

impl World<'_> {
    /// A node begins to own a partition, at the store's watermark.
    pub(crate) fn begin_owner(&mut self, node: NodeId, partition: Partition) {
        let Some(row) = self.store.get().map(|store| store.watermark(partition)) else {
            let later = self.now + 300;
            self.queue.push(later, What::Begin { node, partition });
            return;
        };
        self.lives += 1;
        let id = OwnerId { node, partition, life: self.lives };
        let options = Options {
            rule: if self.plan.embedded { Rule::ReadableIsDurable } else { Rule::OwnReports },
            unknown_after_ms: 2_000,
            retry_after_ms: 50,
            idle_ms: self.plan.idle_ms,
            cover_after_ms: (!self.plan.embedded).then_some(limits::COVER_AFTER_MS),
            knows: self.nodes[self.index(node)].knows,
        };
        let index = self.index(node);
        let at = &mut self.nodes[index];
        at.assigned.insert(partition);
        at.begin_at(partition, row.next_offset);
        let core = Core::new(Deps {
            watermark: row,
            journal_end: at.tails.as_ref().map_or(self.log.bounds(partition), |own| own.client.bounds(partition)).end,
            listeners: Arc::clone(at.listeners.entry(partition).or_default()),
            memory: Arc::clone(&at.memory),
            resident: self.plan.resident,
            options,
        });
        let place = self.follow(node, partition, row.next_offset);
        let residents = BTreeMap::new();
        let at = &mut self.nodes[index];
        let owner = Owner { id, core, residents, begun_at: row.next_offset, place, turn: None, reported: None };
        at.owners.insert(partition, owner);
        self.owner_began(index, partition);
        self.with_owner(id, |owner, _, out| owner.core.begin(out));
        self.look(id);
    }

    /// What another owner folded meanwhile, this one never told its listeners: whoever takes this node for the owner hears
    /// sooner or later that it has begun, and asks again.
    fn owner_began(&mut self, index: usize, partition: Partition) {
        for gateway in 0..NODES {
            let node = self.nodes[gateway].id;
            if self.nodes[gateway].routes.get(&partition) == Some(&index) {
                self.after(1_000, What::Began { node, partition });
            }
        }
    }

    /// An owner's tail is awake: it tells what there is, if it may.
    pub(crate) fn look(&mut self, id: OwnerId) {
        let Some(mut owner) = self.take_owner(id) else { return };
        if let Some(bytes) = owner.turn {
            let told = if self.rng.chance(self.plan.unreadable) {
                self.stats.unreadable += 1;
                Err(ReadError::Journal(JournalError::Io("it stumbles".to_owned())))
            } else {
                match &self.nodes[self.index(id.node)].tails {
                    Some(tails) => tails.client.tell(&self.log, id.partition, &owner.place, bytes.min(BATCH_BYTES)),
                    None => self.log.tell(id.partition, &owner.place, bytes.min(BATCH_BYTES)),
                }
            };
            if let Some(told) = told.transpose() {
                owner.turn = None;
                self.after(3, What::Told { owner: id, told });
            }
        }
        let index = self.index(id.node);
        self.nodes[index].owners.insert(id.partition, owner);
    }

    /// What an owner's tail told has come to it.
    pub(crate) fn told(&mut self, id: OwnerId, told: Result<Tailed, ReadError>) {
        self.with_owner(id, |owner, now, out| owner.core.heard(told, now, out));
        self.look(id);
    }

    /// Hands an owner to `act`, if that life of it still lasts, and carries out what its core asks for.
    pub(crate) fn with_owner(&mut self, id: OwnerId, act: impl FnOnce(&mut Owner, Timestamp, &mut Vec<Action>)) {
        let index = self.index(id.node);
        let node = &mut self.nodes[index];
        if node.id != id.node || node.owners.get(&id.partition).is_none_or(|owner| owner.id != id) {
            return;
        }
        let Some(mut owner) = node.owners.remove(&id.partition) else { return };
        let now = self.ticks();
        let mut actions = Vec::new();
        let was_full = owner.core.is_full();
        act(&mut owner, now, &mut actions);
        self.stats.full += u64::from(owner.core.is_full() && !was_full);
        let mut lives = true;
        for action in actions {
            lives &= self.carry_out(&mut owner, action);
        }
        if lives {
            self.nodes[index].owners.insert(id.partition, owner);
        }
    }

    /// The journal's clock as an owner knows it: an embedded one is asked; of another it knows the last own report, and
    /// before the first one it takes its node's clock for it, which costs at most what it places until that report.
    fn journal_as_known(&mut self, owner: &Owner) -> Timestamp {
        match owner.reported {
            _ if self.plan.embedded => self.journal_clock(),
            Some((time, came)) => Timestamp(time.0 + self.ticks().since(came)),
            None => self.clock(self.index(owner.id.node)),
        }
    }

    /// An append of this owner is decided.
    pub(crate) fn reported(&mut self, id: OwnerId, ticket: Ticket, report: Result<Appended, AppendError>) {
        self.with_owner(id, |owner, now, out| {
            if let Ok(report) = &report {
                owner.reported = Some((report.time, now));
            }
            owner.core.appended(ticket, report, now, out);
        });
    }

    /// Says whether the owner goes on.
    fn carry_out(&mut self, owner: &mut Owner, action: Action) -> bool {
        let id = owner.id;
        match action {
            Action::Append { ticket } => {
                let journal = self.journal_as_known(owner);
                let records = owner.core.place(ticket, journal, self.ticks());
                self.append(id, ticket, records);
            }
            Action::Seek { from } => {
                owner.place.seek(from);
                self.after(3, What::Look { owner: id });
            }
            Action::Follow { bytes } => owner.turn = Some(bytes),
            Action::Load { entity, replay_to, listeners, share } => {
                self.after(10, What::Load { owner: id, entity, replay_to, listeners, share });
            }
            // It is only counted. Nodes here have bytes enough, but few places; `partition/tests` has the cases without bytes.
            Action::NoMemory => {}
            // Projectors here never linger.
            Action::WantRows => {}
            Action::Cover { ms } => self.after_exactly(ms, What::Cover { owner: id }),
            Action::Rest { entity, ms } => self.after_exactly(ms, What::Rested { owner: id, entity }),
            Action::Spawn { entity, core, share } => _ = owner.residents.insert(entity, Resident::new(*core, share)),
            Action::Deliver { entity, batch } => self.post(owner, &entity, Message::Deliver(batch)),
            Action::Hand { entity, question } => self.post(owner, &entity, Message::Hand(question)),
            Action::Announce { entity } => self.post(owner, &entity, Message::Announce),
            Action::Send { to, frame } => self.send_to_gateway(id.node, to, frame),
            Action::Applied { to } => self.applied(owner, to),
            Action::Answer { origin, answer } => {
                let frame = ToGateway::Answer { request: origin.request, answer };
                self.send_to_gateway(id.node, origin.node, frame);
            }
            Action::Passivate { entity } => {
                self.stats.passivated += 1;
                self.end_resident(owner, &entity);
            }
            Action::Restart { .. } => {
                self.stats.restarts += 1;
                self.after(50, What::Begin { node: id.node, partition: id.partition });
                return false;
            }
            Action::Halt { reason } => self.halted(owner, &reason),
        }
        true
    }

    /// More of the partition is folded.
    pub(crate) fn applied(&mut self, owner: &Owner, to: Offset) {
        let partition = owner.id.partition;
        if self.truth.next(partition) < to {
            self.fail(format!("I4: {:?} has folded up to {to}, durable is less", owner.id));
        }
        let index = self.index(owner.id.node);
        self.nodes[index].applied.raise(partition, to);
    }

    /// An entity has decided a record: its chain must be that of the truth.
    pub(crate) fn check_decision(&mut self, owner: &Owner, DecidedRecord { offset, chain, .. }: &DecidedRecord) {
        self.stats.passed_over += u64::from(chain.is_none());
        match self.truth.chain(owner.id.partition, *offset) {
            None => self.fail(format!("I4: {:?} has folded {offset}, durable is less", owner.id)),
            Some(true_one) if chain.is_some_and(|chain| chain != true_one) => {
                self.fail(format!("I10: the chain of {:?} after {offset} is not that of the log", owner.id));
            }
            Some(_) => {}
        }
    }

    /// A frame for the owner of a partition has come to a node.
    pub(crate) fn owner_receives(&mut self, from: NodeId, to: NodeId, frame: ToOwner) {
        let index = self.index(to);
        let partition = frame.partition();
        if let ToOwner::Command { request, .. } = &frame
            && let Some(command) = self.asked.get(&(from, *request))
        {
            self.copies.entry(command.clone()).or_default().came += 1;
        }
        let Some(id) = self.nodes[index].owners.get(&partition).map(|owner| owner.id) else {
            self.nobody_owns(from, to, frame);
            return;
        };
        match frame {
            ToOwner::Command { request, record, .. } => {
                self.owed.insert((id, from, request), self.now);
                if let Ok(envelope) = Envelope::decode_record(&record) {
                    self.arrivals.came(id, (from, request), &envelope);
                }
                let origin = Origin { node: from, request, weight: 0 };
                self.with_owner(id, |owner, now, out| owner.core.submit(origin, record, now, now, out));
            }
            ToOwner::Listen { request, stream, user, open } => {
                self.question(id, stream, Question { from, request, asked: QuestionBody::Listen { user, open } });
            }
            ToOwner::Fetch { request, stream, from: first, to } => {
                self.question(id, stream, Question { from, request, asked: QuestionBody::Fetch { from: first, to } });
            }
            ToOwner::Query { request, stream, query } => {
                self.question(id, stream, Question { from, request, asked: QuestionBody::Query(query) });
            }
            ToOwner::Unlisten { request, stream } => {
                self.with_owner(id, |owner, _, _| owner.core.unlisten(&stream, from, request));
            }
            ToOwner::Ephemeral { stream, event } => {
                self.with_owner(id, |owner, _, out| owner.core.ephemeral(&stream, &event, out));
            }
        }
    }

    fn question(&mut self, id: OwnerId, entity: Entity, question: Question) {
        self.with_owner(id, |owner, now, out| owner.core.ask(entity, question, now, out));
    }

    /// The node was taken for the owner and is not.
    fn nobody_owns(&mut self, from: NodeId, to: NodeId, frame: ToOwner) {
        let frame = match frame {
            ToOwner::Command { request, .. } => {
                ToGateway::Answer { request, answer: Answer::Unavailable { retry_after_ms: 100 } }
            }
            ToOwner::Listen { request, stream, .. } => {
                ToGateway::Denied { request, stream, reason: Denial::Unavailable }
            }
            ToOwner::Query { request, .. } => ToGateway::Queried { request, answer: QueryAnswer::Unavailable },
            ToOwner::Fetch { .. } | ToOwner::Unlisten { .. } | ToOwner::Ephemeral { .. } => return,
        };
        self.send_to_gateway(to, from, frame);
    }

    /// What no later record covers is due to be covered.
    pub(crate) fn cover(&mut self, id: OwnerId) {
        let (record, wall) = (self.fresh_id(), self.clock(self.index(id.node)));
        self.with_owner(id, |owner, now, out| owner.core.cover(now, || fold::barrier(record, wall), out));
    }

    /// Once a second.
    pub(crate) fn tick_owner(&mut self, id: OwnerId) {
        let index = self.index(id.node);
        let stored = self.nodes[index].stored.get(id.partition);
        let (record, wall) = (self.fresh_id(), self.clock(index));
        let resident = self.plan.resident;
        self.with_owner(id, |owner, now, out| {
            owner.core.tick(now, stored, resident, || fold::barrier(record, wall), out);
        });
        self.look(id);
    }

    /// This life of an owner, out of its node, if it still lasts. Whoever takes it puts it back.
    pub(crate) fn take_owner(&mut self, id: OwnerId) -> Option<Owner> {
        let index = self.index(id.node);
        let node = &mut self.nodes[index];
        if node.id != id.node || node.owners.get(&id.partition)?.id != id {
            return None;
        }
        node.owners.remove(&id.partition)
    }

    /// The owner's resident died: it is made anew.
    pub(crate) fn resident_died(&mut self, id: OwnerId, entity: &Entity) {
        self.stats.deaths += 1;
        self.with_owner(id, |owner, _, out| {
            owner.residents.remove(entity);
            owner.core.died(entity, out);
            owner.core.ended(entity);
        });
    }
}
