//! The residents of a partition side by side, so that a look at all of them reads memory in order: with 100,000 of them
//! that is what a look costs.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use super::stats::ActorStats;
use crate::actors::wire::Entity;

/// Actors that lie side by side: 2 KiB.
const CHUNK: usize = 64;

type Chunk = [ActorStats; CHUNK];

/// What one resident publishes. Its place is given to another one only when nobody holds it any more: an actor that was let go
/// may have something to write yet.
#[derive(Debug)]
pub(crate) struct StatsHandle {
    chunk: Arc<Chunk>,
    at: u8,
}

impl Deref for StatsHandle {
    type Target = ActorStats;

    fn deref(&self) -> &ActorStats {
        &self.chunk[usize::from(self.at)]
    }
}

impl StatsHandle {
    fn hold(chunk: &Arc<Chunk>, at: usize) -> Self {
        chunk[at].hold();
        Self { chunk: Arc::clone(chunk), at: at as u8 }
    }
}

impl Clone for StatsHandle {
    fn clone(&self) -> Self {
        Self::hold(&self.chunk, usize::from(self.at))
    }
}

impl Drop for StatsHandle {
    fn drop(&mut self) {
        self.release();
    }
}

/// See the module. As many places as there were residents at one time.
#[derive(Default)]
pub(super) struct Residents {
    chunks: Vec<Arc<Chunk>>,
    names: Vec<Option<Entity>>,
    places: HashMap<Entity, u32>,
    /// Places that were left.
    left: Vec<u32>,
}

impl Residents {
    /// The place of a resident: the one that it has, or a new one.
    pub(crate) fn enter(&mut self, entity: &Entity) -> StatsHandle {
        if let Some(place) = self.places.get(entity) {
            return self.at(*place as usize);
        }
        let free = self.left.iter().rposition(|place| !self.stats(*place as usize).is_held());
        let place = match free {
            Some(free) => {
                let place = self.left.swap_remove(free) as usize;
                self.stats(place).reset();
                place
            }
            None => {
                if self.names.len() == self.chunks.len() * CHUNK {
                    self.chunks.push(Arc::new(std::array::from_fn(|_| ActorStats::default())));
                }
                self.names.push(None);
                self.names.len() - 1
            }
        };
        self.names[place] = Some(entity.clone());
        self.places.insert(entity.clone(), place as u32);
        self.at(place)
    }

    pub(crate) fn leave(&mut self, entity: &Entity) {
        if let Some(place) = self.places.remove(entity) {
            self.names[place as usize] = None;
            self.left.push(place);
        }
    }

    pub(crate) fn get(&self, entity: &Entity) -> Option<&ActorStats> {
        self.places.get(entity).map(|place| self.stats(*place as usize))
    }

    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Entity, &ActorStats)> {
        let all = self.chunks.iter().flat_map(|chunk| chunk.iter());
        self.names.iter().zip(all).filter_map(|(name, stats)| Some((name.as_ref()?, stats)))
    }

    fn stats(&self, place: usize) -> &ActorStats {
        &self.chunks[place / CHUNK][place % CHUNK]
    }

    fn at(&self, place: usize) -> StatsHandle {
        StatsHandle::hold(&self.chunks[place / CHUNK], place % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::UserId;

    fn user(n: usize) -> Entity {
        Entity::User(UserId::new(&format!("user{n}")).unwrap())
    }

    #[test]
    fn a_place_is_given_on_when_nobody_holds_it_and_not_before() {
        let mut all = Residents::default();
        let (held, _) = (all.enter(&user(1)), all.enter(&user(2)));
        held.worked(0);
        (1..=2).for_each(|n| all.leave(&user(n)));
        let next = all.enter(&user(3));
        held.worked(0);
        assert_eq!(next.figures(0).handled, 0, "it has the place of 2");
        assert_eq!(all.names.len(), 2);
        let again = held.clone();
        drop(held);
        let _ = all.enter(&user(4));
        assert_eq!(all.names.len(), 3, "1 is held by somebody yet");
        drop(again);
        assert_eq!(all.enter(&user(5)).figures(0).handled, 0, "nothing is left of 1");
        assert_eq!(all.names.len(), 3);
    }

    #[test]
    fn everybody_is_seen_once_and_keeps_the_place() {
        let mut all = Residents::default();
        (0..1_000).for_each(|n| all.enter(&user(n)).worked(0));
        (0..1_000).step_by(3).for_each(|n| all.leave(&user(n)));
        (0..1_000).step_by(2).for_each(|n| all.enter(&user(n)).worked(0));
        let mut seen: Vec<_> = all.iter().map(|(entity, stats)| (entity.clone(), stats.figures(0).handled)).collect();
        seen.sort();
        let (two, three) = (|n: usize| n.is_multiple_of(2), |n: usize| n.is_multiple_of(3));
        let there = |n: &usize| !three(*n) || two(*n);
        let mut expected: Vec<_> =
            (0..1_000).filter(there).map(|n| (user(n), if two(n) && !three(n) { 2 } else { 1 })).collect();
        expected.sort();
        assert_eq!(seen, expected);
        assert_eq!(all.len(), expected.len());
    }
}
