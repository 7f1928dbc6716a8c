//! Frames between gateways and owners: lost, doubled, late, overtaken. What an owner sends is looked at before it leaves.

use super::event::What;
use super::world::World;
use crate::actors::wire::{Answer, NodeId, ToGateway, ToOwner};
use crate::storage::journal::record::Envelope;

impl World<'_> {
    /// A gateway's frame to whomever it takes for the owner.
    pub(crate) fn send_to_owner(&mut self, from: NodeId, frame: ToOwner) {
        let here = self.index(from);
        let Some(there) = self.nodes[here].routes.get(&frame.partition()).copied() else { return };
        let to = self.nodes[there].id;
        match &frame {
            ToOwner::Command { request, record, .. } => {
                if let Ok(envelope) = Envelope::decode_record(record) {
                    self.asked.insert((from, *request), (envelope.id(), envelope.key.clone()));
                }
            }
            ToOwner::Query { request, stream, .. } => _ = self.queried.insert((from, *request), stream.clone()),
            _ => {}
        }
        // As bytes and back, as between nodes.
        match frame.encode(from).and_then(|bytes| ToOwner::decode(&bytes)) {
            Ok((from, frame)) => {
                for at in self.fates(here, there) {
                    self.queue.push(at, What::ToOwner { from, to, frame: frame.clone() });
                }
            }
            Err(error) => self.fail(format!("{error}: {frame:?}")),
        }
    }

    /// An owner's frame to a gateway.
    pub(crate) fn send_to_gateway(&mut self, from: NodeId, to: NodeId, frame: ToGateway) {
        let checked = match &frame {
            ToGateway::Answer { request, answer } => match self.asked.get(&(to, *request)) {
                None => Err(format!("an answer to {request:?}, which {to:?} never asked")),
                Some(command) => {
                    self.owed
                        .retain(|(owner, gateway, asked), _| (owner.node, *gateway, *asked) != (from, to, *request));
                    if matches!(answer, Answer::Unavailable { .. }) {
                        self.arrivals.refused((to, *request));
                        self.copies.entry(command.clone()).or_default().refused += 1;
                    }
                    self.truth.check_answer(command, answer)
                }
            },
            ToGateway::Queried { request, answer } => match self.queried.get(&(to, *request)) {
                None => Err(format!("an answer to {request:?}, which {to:?} never asked")),
                Some(stream) => self.truth.check_query(stream, answer),
            },
            frame => self.truth.check_frame(frame),
        };
        if let Err(why) = checked {
            self.fail(why);
        }
        let (here, there) = (self.index(from), self.index(to));
        match frame.encode(to) {
            Ok(bytes) => {
                for at in self.fates(here, there) {
                    self.queue.push(at, What::ToGateway { to, bytes: bytes.clone() });
                }
            }
            Err(error) => self.fail(format!("{error}: {frame:?}")),
        }
    }

    /// When copies of a frame arrive.
    fn fates(&mut self, from: usize, to: usize) -> Vec<u64> {
        if from == to {
            // Inside a node nothing is lost, doubled or overtaken.
            return vec![self.now];
        }
        let cut = self.cuts.get(&(from, to)).is_some_and(|until| *until > self.now);
        if cut || self.rng.chance(self.plan.lost) {
            return Vec::new();
        }
        let copies = if self.rng.chance(self.plan.doubled) { 2 } else { 1 };
        (0..copies)
            .map(|_| {
                let most = if self.rng.chance(self.plan.late) { self.plan.late_ms } else { 4 };
                self.now + self.rng.between(1, most)
            })
            .collect()
    }
}
