//! What the last backup has, and how far nobody needs the journal any more. Pure.

use serde::{Deserialize, Serialize};

use crate::ids::{Offset, Partition, Timestamp};
use crate::storage::notifications::outbox::NotificationCursor;
use crate::storage::store::rows::WatermarkRow;

/// The backup that counts, as its note or its mark says.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {
    pub taken_at: Timestamp,
    pub watermarks: Vec<Offset>,
}

/// How far nobody needs a partition any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Covered {
    /// The first offset that somebody needs.
    pub up_to: Offset,
    /// The first one that the backup does not have.
    pub marked: Offset,
    /// Who needs `up_to`: the first of them, if there are several.
    pub holder: Holder,
}

/// Who needs records of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holder {
    /// The backup does not have them.
    Backup,
    /// The rows are not made, or not flushed.
    Rows,
    /// It is not decided whom they notify.
    Notifications,
}

impl Holder {
    /// In a word.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Rows => "rows",
            Self::Notifications => "notifications",
        }
    }
}

impl Note {
    /// How far nobody needs the journal any more, by partition number: the backup has it, a store that falls back to where it was
    /// flushed last still has it, and it is decided whom it notifies. Who relays to others reads rows.
    pub(super) fn covers(&self, flushed: &[WatermarkRow], notified: Option<&[NotificationCursor]>) -> Vec<Covered> {
        let of = |partition: Partition| {
            let marked = self.watermarks.get(partition.index()).copied().unwrap_or_default();
            let stored = flushed.iter().find(|row| row.partition == partition).map(|row| row.next_offset);
            let notified = notified.map(|cursors| {
                let cursor = cursors.iter().find(|at| at.partition == partition);
                cursor.map_or(Offset::ZERO, |at| at.next)
            });
            let mut covered = Covered { up_to: marked, marked, holder: Holder::Backup };
            let rest = [(stored.or(Some(Offset::ZERO)), Holder::Rows), (notified, Holder::Notifications)];
            for (at, holder) in rest {
                if let Some(up_to) = at.filter(|at| *at < covered.up_to) {
                    covered = Covered { up_to, holder, ..covered };
                }
            }
            covered
        };
        Partition::all().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn nothing_is_covered_that_a_backup_the_store_or_who_notifies_lacks(
            rows in proptest::collection::vec((0u64..9, 0u64..9, 0u64..9), 0..4), notifies in proptest::bool::ANY,
        ) {
            let of = |n: usize| Partition::all().nth(n * 80).unwrap();
            let row = |n: usize, at: u64| WatermarkRow { next_offset: Offset(at), ..WatermarkRow::start(of(n)) };
            let stored: Vec<_> = rows.iter().enumerate().map(|(n, (at, ..))| row(n, *at)).collect();
            let cursor = |n: usize, at: u64| NotificationCursor {
                partition: of(n), next: Offset(at), after: None, latest: Timestamp::ZERO,
            };
            let cursors: Vec<_> = rows.iter().enumerate().map(|(n, (_, at, _))| cursor(n, *at)).collect();
            let mut watermarks = vec![Offset::ZERO; 256];
            rows.iter().enumerate().for_each(|(n, (.., at))| watermarks[of(n).index()] = Offset(*at));
            let note = Note { taken_at: Timestamp(1), watermarks };
            let covered = note.covers(&stored, notifies.then_some(&cursors[..]));
            prop_assert_eq!(covered.len(), 256);
            for (n, (stored, notified, backed_up)) in rows.iter().enumerate() {
                let found = covered[of(n).index()];
                let least = stored.min(backed_up).min(if notifies { notified } else { stored });
                prop_assert_eq!((found.up_to, found.marked), (Offset(*least), Offset(*backed_up)));
                let holds = match found.holder {
                    Holder::Backup => backed_up,
                    Holder::Rows => stored,
                    Holder::Notifications => notified,
                };
                prop_assert_eq!(holds, least, "{:?}", found);
            }
            let others = covered.iter().enumerate().filter(|(n, _)| n % 80 != 0 || n / 80 >= rows.len());
            prop_assert!(others.clone().all(|(_, found)| found.up_to == Offset::ZERO), "of others nothing is known");
        }
    }
}
