//! Finds what a window holds by a key, in a few bytes an entry: of a key only a hash is kept, and where the entry lies.
//!
//! Several entries may lie under one hash: a lookup only names candidates, and whoever asks compares them. The hashes are of
//! this process alone, so that nobody can choose keys that meet; nothing that is decided may depend on them.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, RandomState};

use super::window::WindowEntry;
use crate::ids::Seq;

/// Bytes of a key, about, with its part of the tree.
pub(in crate::actors) const LOOKUP_BYTES: usize = 15;

/// (hash, low half of the seq): a window is much smaller than what the low half tells apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookup {
    places: BTreeSet<(u32, u32)>,
    hasher: RandomState,
}

impl Lookup {
    /// What is kept of a key.
    pub(super) fn hash(&self, key: impl Hash) -> u32 {
        self.hasher.hash_one(key) as u32
    }

    /// All of some entries at once, which is cheaper than one after the other, with the hashes of another lookup.
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a WindowEntry>, like: &Self) -> Self {
        let hasher = like.hasher.clone();
        let keys = entries.flat_map(|entry| {
            let (made_by, sent_as) = (like.hash(entry.id), entry.sent_as().map(|sent_as| like.hash(sent_as)));
            [Some(made_by), sent_as].into_iter().flatten().map(|hash| (hash, entry.seq.0 as u32))
        });
        Self { places: keys.collect(), hasher }
    }

    pub(super) fn insert(&mut self, key: impl Hash, seq: Seq) {
        self.places.insert((self.hash(key), seq.0 as u32));
    }

    pub(super) fn remove(&mut self, key: impl Hash, seq: Seq) {
        self.places.remove(&(self.hash(key), seq.0 as u32));
    }

    /// Where entries with this key may lie, as distances from `first`, the lowest seq that there is.
    pub(super) fn candidates(&self, key: impl Hash, first: Seq) -> impl Iterator<Item = usize> {
        let hash = self.hash(key);
        self.places.range((hash, 0)..=(hash, u32::MAX)).map(move |(_, low)| low.wrapping_sub(first.0 as u32) as usize)
    }
}
