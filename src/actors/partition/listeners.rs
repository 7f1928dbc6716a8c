//! Which nodes listen to which stream. Kept apart from the actors, so that it outlives a room that passivates and a
//! partition that is started again: an idle listener must not keep an actor alive, nor be forgotten with one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::actors::wire::{Entity, NodeId, RequestId, ToGateway};
use crate::ids::{Generation, Seq};

/// The nodes that listen to an entity's stream, each with its latest request, and the stream's head as they were told it.
/// Shared with the partition, which keeps it while the entity is not resident: an idle listener must not keep an actor
/// alive.
#[derive(Debug, Default)]
pub struct Listeners(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    nodes: Vec<(NodeId, RequestId)>,
    head: Option<(Generation, Seq)>,
    silenced: bool,
}

impl Listeners {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the stream's head is; never one that is not verified and folded.
    pub(crate) fn note_head(&self, generation: Generation, head: Seq) {
        self.lock().head = Some((generation, head));
    }

    /// Notes whether the entity lets through what has no place in its stream: typing, receipts. A block keeps it back.
    pub(crate) fn note_silenced(&self, silenced: bool) {
        self.lock().silenced = silenced;
    }

    /// What tells every node where the head is: the only way to notice that the last events were lost. Nothing before the
    /// first [`Self::note_head`].
    #[must_use]
    pub(crate) fn announcements(&self, stream: &Entity) -> Vec<(NodeId, ToGateway)> {
        let inner = self.lock();
        let Some((generation, head)) = inner.head else { return Vec::new() };
        let frame = || ToGateway::Head { stream: stream.clone(), generation, head };
        inner.nodes.iter().map(|(node, _)| (*node, frame())).collect()
    }

    /// Adds a node, or notes its later request. Earlier lives of the node listen no more; a request of one that comes late
    /// adds nothing.
    pub(crate) fn add(&self, node: NodeId, request: RequestId) {
        let nodes = &mut self.lock().nodes;
        nodes.retain(|(other, _)| !node.has_outlived(*other));
        if nodes.iter().any(|(other, _)| other.has_outlived(node)) {
            return;
        }
        match nodes.iter_mut().find(|(other, _)| *other == node) {
            Some((_, latest)) => *latest = request.max(*latest),
            None => nodes.push((node, request)),
        }
    }

    /// Takes a node away, unless it has asked again since. Says whether none is left.
    pub(crate) fn remove(&self, node: NodeId, request: RequestId) -> bool {
        let nodes = &mut self.lock().nodes;
        nodes.retain(|(other, latest)| *other != node || *latest > request);
        nodes.is_empty()
    }

    /// Whether no node listens.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().nodes.is_empty()
    }

    /// The nodes at present.
    #[must_use]
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.lock().nodes.iter().map(|(node, _)| *node).collect()
    }
}

/// The listeners of each stream of a partition that has any, and of what is in memory: an entry for everything else that
/// was ever asked for would stay for ever.
#[derive(Debug, Default)]
pub(crate) struct ListenerTable(Mutex<HashMap<Entity, Arc<Listeners>>>);

impl ListenerTable {
    /// Those of an entity.
    #[must_use]
    pub(crate) fn of(&self, entity: &Entity) -> Arc<Listeners> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(table.entry(entity.clone()).or_default())
    }

    /// Whether any node listens to an entity.
    #[must_use]
    pub(crate) fn has_any(&self, entity: &Entity) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(entity).is_some_and(|listeners| !listeners.is_empty())
    }

    /// The nodes that are told what has no place in an entity's stream: those that listen, unless it is silenced.
    #[must_use]
    pub(crate) fn told_in_passing(&self, entity: &Entity) -> Vec<NodeId> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let listeners = table.get(entity).filter(|listeners| !listeners.lock().silenced);
        listeners.map(|listeners| listeners.nodes()).unwrap_or_default()
    }

    /// What tells the nodes that listen to an entity where its head is, also while it is not resident.
    #[must_use]
    pub(crate) fn announcements(&self, entity: &Entity) -> Vec<(NodeId, ToGateway)> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(entity).map(|listeners| listeners.announcements(entity)).unwrap_or_default()
    }

    /// A node listens no more.
    pub(crate) fn remove(&self, entity: &Entity, node: NodeId, request: RequestId) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = table.get(entity).is_some_and(|listeners| listeners.remove(node, request));
        drop(table);
        if empty {
            self.forget_unused(entity);
        }
    }

    /// Forgets those that nobody uses: no node listens and no resident holds them.
    pub(crate) fn forget_unused(&self, entity: &Entity) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.get(entity).is_some_and(|l| l.is_empty() && Arc::strong_count(l) == 1) {
            table.remove(entity);
        }
    }

    /// Forgets all that no node listens to: there are no residents (any more).
    pub(crate) fn forget_empty(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, listeners| !listeners.is_empty());
    }

    /// Forgets everybody: the partition is another node's now, which is asked again.
    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many entities it has an entry for.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether it has none.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    fn node(number: u32, life: u64) -> NodeId {
        NodeId { number, life }
    }

    #[test]
    fn a_later_life_of_a_node_listens_in_the_place_of_the_earlier_one() {
        let listeners = Listeners::default();
        listeners.add(node(1, 1), RequestId(500));
        listeners.add(node(2, 9), RequestId(1));
        listeners.add(node(1, 2), RequestId(3));
        assert_eq!(listeners.nodes(), [node(2, 9), node(1, 2)]);
        listeners.add(node(1, 1), RequestId(501));
        assert_eq!(listeners.nodes(), [node(2, 9), node(1, 2)], "a late request of a life that is over");
        assert!(!listeners.remove(node(1, 2), RequestId(4)), "numbers of another life do not count");
        assert_eq!(listeners.nodes(), [node(2, 9)]);
    }

    #[test]
    fn every_node_that_listens_is_told_the_last_head_that_was_noted() {
        let (table, entity) = (ListenerTable::default(), Entity::User(UserId::new("ann").unwrap()));
        let listeners = table.of(&entity);
        listeners.add(node(1, 1), RequestId(1));
        listeners.add(node(2, 1), RequestId(1));
        assert_eq!(table.announcements(&entity), [], "nobody knows where the head is");
        listeners.note_head(Generation::FIRST, Seq(3));
        listeners.note_head(Generation::FIRST, Seq(4));
        drop(listeners);
        let head =
            |node| (node, ToGateway::Head { stream: entity.clone(), generation: Generation::FIRST, head: Seq(4) });
        assert_eq!(table.announcements(&entity), [head(node(1, 1)), head(node(2, 1))]);
        table.remove(&entity, node(1, 1), RequestId(2));
        assert_eq!(table.announcements(&entity), [head(node(2, 1))]);
    }
}
