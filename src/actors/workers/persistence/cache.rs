//! The states that the projector keeps between batches: bounded, the longest unused go first.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::pieces::PieceUnderWay;
use super::rows::{Listed, RoomExtras};
use crate::actors::fold::{LISTED_BYTES, room_weight, user_weight};
use crate::actors::room::RoomState;
use crate::actors::user::UserState;
use crate::actors::wire::Entity;
use crate::ids::{DeviceId, Offset, Partition, Seq, Timestamp, UserId};
use crate::limits;

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
    /// The last command whose decision the rows have, and when that was.
    pub decided: Option<(Uuid, Timestamp)>,
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

    /// Whether it has a long window that is awake.
    fn may_doze(&self) -> bool {
        matches!(self, Self::Room(room) if room.state.may_doze(limits::WINDOW_AWAKE_EVENTS))
    }

    fn doze(&mut self) {
        if let Self::Room(room) = self {
            room.state.doze(limits::WINDOW_AWAKE_EVENTS);
        }
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
    /// Those of them that may be put to sleep.
    awake: BTreeMap<u64, Entity>,
    uses: u64,
    weight: u64,
    bound: u64,
}

impl Cache {
    /// At most `bound` bytes, about, after each [`Self::shrink`].
    pub(super) fn new(bound: u64) -> Self {
        Self { slots: HashMap::new(), by_use: BTreeMap::new(), awake: BTreeMap::new(), uses: 0, weight: 0, bound }
    }

    pub(super) fn insert(&mut self, entity: Entity, cached: Cached) {
        self.remove(&entity);
        self.put(entity, cached);
    }

    fn put(&mut self, entity: Entity, cached: Cached) {
        self.uses += 1;
        let (weight, used) = (cached.weight(), self.uses);
        self.weight += weight;
        if cached.may_doze() {
            self.awake.insert(used, entity.clone());
        }
        self.by_use.insert(used, entity.clone());
        self.slots.insert(entity, Slot { cached, weight, used });
    }

    fn remove(&mut self, entity: &Entity) -> Option<Cached> {
        let slot = self.slots.remove(entity)?;
        self.by_use.remove(&slot.used);
        self.awake.remove(&slot.used);
        self.weight -= slot.weight;
        Some(slot.cached)
    }

    /// The state, to be changed.
    pub(super) fn get(&mut self, entity: &Entity) -> Option<&mut Cached> {
        self.slots.get_mut(entity).map(|slot| &mut slot.cached)
    }

    /// Notes that the state was used, and how large it is now.
    pub(super) fn touch(&mut self, entity: &Entity) {
        if let Some(cached) = self.remove(entity) {
            self.put(entity.clone(), cached);
        }
    }

    /// Lets go of what is above the bound: the rooms that were not used for longest sleep, and if that is not enough, the
    /// states go.
    pub(super) fn shrink(&mut self) {
        while self.weight > self.bound
            && let Some((_, entity)) = self.awake.pop_first()
            && let Some(slot) = self.slots.get_mut(&entity)
        {
            slot.cached.doze();
            let weight = slot.cached.weight();
            self.weight = self.weight - slot.weight + weight;
            slot.weight = weight;
        }
        while self.weight > self.bound && self.slots.len() > 1 {
            let Some(entity) = self.by_use.first_key_value().map(|(_, entity)| entity.clone()) else { return };
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
