//! The protocol's `epoch`: an opaque text that names the history to which a client's position belongs.
//!
//! It is made of the journal's identity and the stream's generation. A position of another history could name other
//! events than those that its client has, so it must never be taken for one of this history (P4): a new data folder, a
//! restored backup and a changed generation each give another text.

use uuid::Uuid;

use crate::ids::Generation;

/// The history that a node serves, named by the identity of its journal: new with a new journal, renewed when a journal
/// is restored from a backup, the same when only rows are restored or built anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct History(u64);

/// What the epoch of a client's position says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Epoch {
    /// Nothing: the text is empty. The position counts as one of the present history, as in the reference server.
    Unnamed,
    /// This generation of the present history.
    Of(Generation),
    /// Another history, or no text of ours at all.
    Foreign,
}

impl History {
    /// The history of the journal with this identity. Half of the id is enough: two histories of one channel get the same
    /// text with a chance of one in 2^62.
    #[must_use]
    pub(crate) const fn of(journal: Uuid) -> Self {
        Self(journal.as_u64_pair().1)
    }

    /// The epoch of a stream of this generation, as it goes to clients.
    #[must_use]
    pub(crate) fn epoch(self, generation: Generation) -> String {
        format!("{:016x}.{generation}", self.0)
    }

    /// What the epoch that a client names means here.
    #[must_use]
    pub(crate) fn read(self, text: &str) -> Epoch {
        if text.is_empty() {
            return Epoch::Unnamed;
        }
        let own = text.rsplit_once('.').and_then(|(_, generation)| generation.parse().ok()).map(Generation);
        own.filter(|generation| self.epoch(*generation) == text).map_or(Epoch::Foreign, Epoch::Of)
    }
}

impl Epoch {
    /// Whether a position of this epoch is one of a stream that is of `generation` now.
    #[must_use]
    pub fn fits(self, generation: Generation) -> bool {
        match self {
            Self::Unnamed => true,
            Self::Of(named) => named == generation,
            Self::Foreign => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_epoch_names_none_and_fits_every_generation() {
        let history = History::of(Uuid::from_u128(7));
        assert_eq!(history.read(""), Epoch::Unnamed);
        assert!(Epoch::Unnamed.fits(Generation::FIRST) && Epoch::Unnamed.fits(Generation(9)));
    }

    #[test]
    fn what_is_no_epoch_of_ours_is_foreign() {
        let history = History::of(Uuid::from_u128(7));
        let own = history.epoch(Generation::FIRST);
        let padded = own.replace(".1", ".01");
        for text in ["1", "7", ".1", "0.1", " ", "other", &own[1..], &padded, &format!("{own} "), &own.replace('.', "")]
        {
            assert_eq!(history.read(text), Epoch::Foreign, "{text:?}");
        }
        assert!(!Epoch::Foreign.fits(Generation::FIRST));
    }

    proptest! {
        #[test]
        fn an_epoch_fits_its_own_history_and_generation_only(one: u128, other: u128, now: u32, then: u32) {
            let (here, there) = (History::of(Uuid::from_u128(one)), History::of(Uuid::from_u128(other)));
            let text = here.epoch(Generation(then));
            prop_assert_eq!(here.read(&text), Epoch::Of(Generation(then)));
            prop_assert_eq!(here.read(&text).fits(Generation(now)), now == then);
            prop_assert_eq!(there.read(&text) == Epoch::Foreign, here != there);
        }
    }
}
