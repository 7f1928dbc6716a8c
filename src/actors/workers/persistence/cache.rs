//! The states that the projector keeps between batches: bounded, the longest unused go first.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::pieces::PieceUnderWay;
use super::rows::{Listed, RoomExtras};
use crate::actors::room::RoomState;
use crate::actors::user::UserState;
use crate::ids::{DeviceId, Offset, Partition, Seq, UserId};

use crate::actors::fold::{LISTED_BYTES, room_weight, user_weight};
use crate::actors::wire::Entity;

/// A state, and what its rows say that the fold does not keep.
#[derive(Debug)]
pub(super) enum Cached {
    Room(Box<CachedRoom>),
    User(Box<CachedUser>),
}

#[derive(Debug)]
pub(super) struct CachedRoom {
    pub state: RoomState,
    pub extras: RoomExtras,
    /// As the rows have them.
    pub blocks: Vec<UserId>,
    pub sources: Vec<(Partition, Offset)>,
    /// As the rows of its members have it.
    pub listed: Listed,
    /// Rows below this seq are gone.
    pub trimmed: Seq,
    /// What the events of the window's last piece, which is not whole yet, need beside what the fold keeps of them.
    pub piece: PieceUnderWay,
}

#[derive(Debug)]
pub(super) struct CachedUser {
    pub state: UserState,
    /// As the rows have them.
    pub devices: HashSet<DeviceId>,
    pub sources: BTreeMap<Partition, Offset>,
}

impl Cached {
    /// Bytes in memory, about.
    fn weight(&self) -> u64 {
        let weight = match self {
            Self::Room(room) => room_weight(&room.state),
            Self::User(user) => user_weight(&user.state) + user.sources.len() * LISTED_BYTES,
        };
        weight as u64
    }
}

struct Slot {
    cached: Cached,
    weight: u64,
    used: u64,
}

/// The cache. Nothing goes while a batch is folded: only [`Cache::shrink`] lets go.
pub(super) struct Cache {
    slots: HashMap<Entity, Slot>,
    by_use: BTreeMap<u64, Entity>,
    uses: u64,
    weight: u64,
    bound: u64,
}

impl Cache {
    /// At most `bound` bytes, about, after each [`Self::shrink`].
    pub(super) fn new(bound: u64) -> Self {
        Self { slots: HashMap::new(), by_use: BTreeMap::new(), uses: 0, weight: 0, bound }
    }

    pub(super) fn contains(&self, entity: &Entity) -> bool {
        self.slots.contains_key(entity)
    }

    pub(super) fn insert(&mut self, entity: Entity, cached: Cached) {
        self.remove(&entity);
        self.uses += 1;
        let weight = cached.weight();
        self.weight += weight;
        self.by_use.insert(self.uses, entity.clone());
        self.slots.insert(entity, Slot { cached, weight, used: self.uses });
    }

    fn remove(&mut self, entity: &Entity) {
        if let Some(slot) = self.slots.remove(entity) {
            self.by_use.remove(&slot.used);
            self.weight -= slot.weight;
        }
    }

    /// The state, to be changed.
    pub(super) fn get(&mut self, entity: &Entity) -> Option<&mut Cached> {
        self.slots.get_mut(entity).map(|slot| &mut slot.cached)
    }

    /// Notes that the state was used, and how large it is now.
    pub(super) fn touch(&mut self, entity: &Entity) {
        let Some(slot) = self.slots.get_mut(entity) else { return };
        self.by_use.remove(&slot.used);
        self.uses += 1;
        slot.used = self.uses;
        self.by_use.insert(slot.used, entity.clone());
        let weight = slot.cached.weight();
        self.weight = self.weight - slot.weight + weight;
        slot.weight = weight;
    }

    /// Lets go of what is above the bound.
    pub(super) fn shrink(&mut self) {
        while self.weight > self.bound && self.slots.len() > 1 {
            let Some((_, entity)) = self.by_use.pop_first() else { return };
            self.remove(&entity);
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.bound);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}
