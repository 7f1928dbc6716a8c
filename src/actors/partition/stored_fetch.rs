//! Older events of a stream that a gateway lacks and a ring does not have. Pure: what is asked of the store, and the answer.

use std::sync::Arc;

use super::entity::page;
use crate::actors::wire::{Entity, FetchError, NodeId, RequestId, StreamEvent, ToGateway};
use crate::ids::{Generation, Seq};

/// Older events that were asked for: from the store up to where an entity's ring begins, and from there on what the ring
/// had when they were asked for.
#[derive(Clone, Debug)]
pub(crate) struct StoredFetch {
    /// The gateway's node.
    pub to: NodeId,
    /// The gateway's number for it.
    pub(super) request: RequestId,
    /// Whose events.
    pub entity: Entity,
    /// The first one.
    pub from: Seq,
    /// The last one that the store is asked for.
    pub last_stored: Seq,
    pub(super) generation: Generation,
    pub(super) rest: Vec<StreamEvent>,
    /// Messages whose deletion the ring holds: the store may not know of it yet.
    pub(super) deleted: Vec<Seq>,
}

impl StoredFetch {
    /// The answer, made of what the store gave: dense from the first one on, and a page at most.
    pub(crate) fn answer(self, stored: Result<Vec<StreamEvent>, FetchError>) -> ToGateway {
        let Self { request, entity: stream, from, last_stored, generation, rest, deleted, .. } = self;
        let events = stored.and_then(|mut events| {
            for event in &mut events {
                if let StreamEvent::Room(event) = event
                    && deleted.iter().any(|target| event.carries(*target))
                {
                    Arc::make_mut(event).redact();
                }
            }
            let next = events.last().map_or(from, |event| event.seq().next());
            if next > last_stored {
                events.extend(rest);
            }
            if events.is_empty() { Err(FetchError::Unavailable) } else { Ok(page(events).into()) }
        });
        ToGateway::Fetched { request, stream, generation, events }
    }
}
