//! Who listens to the partition's streams, and who is told where their heads are.
//!
//! An event may be lost on its way to a node that listens, and only a later one would show it. So the head of a stream is
//! announced a few times after its last event, also while its entity is not in memory: an idle listener must not keep one
//! there.

use super::residency::Residency;
use super::{Action, Core};
use crate::actors::wire::{Entity, Ephemeral, NodeId, RequestId, ToGateway};

impl Core {
    /// A node listens no more, unless it has asked again since.
    pub(crate) fn unlisten(&mut self, entity: &Entity, node: NodeId, request: RequestId) {
        self.listeners.remove(entity, node, request);
    }

    /// Something without a place in the stream, for all nodes that listen. Wakes no entity.
    pub(crate) fn ephemeral(&mut self, stream: &Entity, event: &Ephemeral, out: &mut Vec<Action>) {
        let frame = || ToGateway::Ephemeral { stream: stream.clone(), event: event.clone() };
        out.extend(self.listeners.told_in_passing(stream).into_iter().map(|to| Action::Send { to, frame: frame() }));
    }

    /// An actor of this entity has ended, and holds the list of listeners no more.
    pub(crate) fn ended(&mut self, entity: &Entity) {
        self.forget_listeners(entity);
    }

    /// Keeps no list of listeners for what is neither in memory, nor about to be, nor listened to.
    pub(super) fn forget_listeners(&self, entity: &Entity) {
        if !self.residents.contains_key(entity) {
            self.listeners.forget_unused(entity);
        }
    }

    /// An entity leaves memory before its head was announced often enough.
    pub(super) fn still_announced(&mut self, entity: &Entity, announcements: u8) {
        if announcements > 0 {
            self.leaving.insert(entity.clone(), announcements);
        }
    }

    /// Announces the heads of streams that had events of late: in memory by the entity, which is behind no event of its own.
    pub(super) fn announce(&mut self, out: &mut Vec<Action>) {
        let mut resident = Vec::new();
        for (entity, residency) in &mut self.residents {
            if let Residency::Ready { announcements, .. } = residency
                && *announcements > 0
            {
                *announcements -= 1;
                resident.push(entity.clone());
            }
        }
        resident.sort_unstable();
        out.extend(resident.into_iter().map(|entity| Action::Announce { entity }));
        let mut leaving: Vec<_> = self.leaving.keys().cloned().collect();
        leaving.sort_unstable();
        for entity in leaving {
            let frames = self.listeners.announcements(&entity).into_iter();
            out.extend(frames.map(|(to, frame)| Action::Send { to, frame }));
        }
        self.leaving.retain(|_, left| {
            *left -= 1;
            *left > 0
        });
    }
}
