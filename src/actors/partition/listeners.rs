//! Which nodes listen to which stream. Kept apart from the actors, so that it outlives a room that passivates and a
//! partition that is started again: an idle listener must not keep an actor alive, nor be forgotten with one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::item::NodeId;
use crate::actors::fold::Entity;
use crate::actors::gateway::frames::RequestId;

/// The nodes that listen to an entity's stream, each with its latest request. Shared with the partition, which keeps it
/// while the entity is not resident: an idle listener must not keep an actor alive.
#[derive(Debug, Default)]
pub struct Listeners(Mutex<Vec<(NodeId, RequestId)>>);

impl Listeners {
    /// Adds a node, or notes its later request.
    pub fn add(&self, node: NodeId, request: RequestId) {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match nodes.iter_mut().find(|(other, _)| *other == node) {
            Some((_, latest)) => *latest = request.max(*latest),
            None => nodes.push((node, request)),
        }
    }

    /// Takes a node away, unless it has asked again since. Says whether none is left.
    pub fn remove(&self, node: NodeId, request: RequestId) -> bool {
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|(other, latest)| *other != node || *latest > request);
        nodes.is_empty()
    }

    /// Whether no node listens.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The nodes at present.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(node, _)| *node).collect()
    }
}

/// The listeners of each stream of a partition that has any.
#[derive(Debug, Default)]
pub struct ListenerTable(Mutex<HashMap<Entity, Arc<Listeners>>>);

impl ListenerTable {
    /// Those of an entity.
    #[must_use]
    pub fn of(&self, entity: &Entity) -> Arc<Listeners> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(table.entry(entity.clone()).or_default())
    }

    /// The nodes that listen to an entity.
    #[must_use]
    pub fn nodes(&self, entity: &Entity) -> Vec<NodeId> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(entity).map(|listeners| listeners.nodes()).unwrap_or_default()
    }

    /// A node listens no more.
    pub fn remove(&self, entity: &Entity, node: NodeId, request: RequestId) {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let empty = table.get(entity).is_some_and(|listeners| listeners.remove(node, request));
        drop(table);
        if empty {
            self.forget_unused(entity);
        }
    }

    /// Forgets those that nobody uses: no node listens and no resident holds them.
    pub fn forget_unused(&self, entity: &Entity) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.get(entity).is_some_and(|l| l.is_empty() && Arc::strong_count(l) == 1) {
            table.remove(entity);
        }
    }
}
