//! Finds what a window holds by a key, in a few bytes an entry: of a key only a hash is kept, and where the entry lies.
//!
//! Several entries may lie under one hash: a lookup only names candidates, and whoever asks compares them. The hashes are of
//! this process alone, so that nobody can choose keys that meet; nothing that is decided may depend on them.

use std::hash::{BuildHasher, Hash, RandomState};

use hashbrown::HashTable;

use super::window::WindowEntry;
use crate::ids::Seq;

/// Bytes of a key, about, with what is left free of the table.
pub(in crate::actors) const LOOKUP_BYTES: usize = 15;

/// (hash, low half of the seq): a window is much smaller than what the low half tells apart.
type Place = (u32, u32);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    places: HashTable<Place>,
    hasher: RandomState,
}

/// The table chooses a slot by the low bits, and tells neighbours apart by the high ones.
fn spread((hash, _): &Place) -> u64 {
    u64::from(*hash) << 32 | u64::from(*hash)
}

impl Lookup {
    /// What is kept of a key.
    pub(super) fn hash(&self, key: impl Hash) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    /// All of some entries at once, which is cheaper than one after the other, with the hashes of another lookup.
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a WindowEntry>, like: &Self) -> Self {
        let keys = entries.flat_map(|entry| {
            let (made_by, sent_as) = (like.hash(entry.id), entry.sent_as().map(|sent_as| like.hash(sent_as)));
            [Some(made_by), sent_as].into_iter().flatten().map(|hash| (hash, entry.seq.0 as u32))
        });
        let keys: Vec<Place> = keys.collect();
        let mut all = Self { places: HashTable::with_capacity(keys.len()), hasher: like.hasher.clone() };
        keys.into_iter().for_each(|place| all.add(place));
        all
    }

    fn add(&mut self, place: Place) {
        self.places.insert_unique(spread(&place), place, spread);
    }

    pub(super) fn insert(&mut self, key: impl Hash, seq: Seq) {
        self.add((self.hash(key), seq.0 as u32));
    }

    pub(super) fn remove(&mut self, key: impl Hash, seq: Seq) {
        let place = (self.hash(key), seq.0 as u32);
        if let Ok(found) = self.places.find_entry(spread(&place), |other| *other == place) {
            found.remove();
        }
    }

    /// Where entries with this key may lie, in no order, as distances from `first`, the lowest seq that there is.
    pub(super) fn candidates(&self, key: impl Hash, first: Seq) -> impl Iterator<Item = usize> {
        let hash = self.hash(key);
        let places = self.places.iter_hash(spread(&(hash, 0))).filter(move |(other, _)| *other == hash);
        places.map(move |(_, low)| low.wrapping_sub(first.0 as u32) as usize)
    }
}
