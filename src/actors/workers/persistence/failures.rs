//! What a failure of the projector leads to: how long it waits, whether its cached states are still what the rows say, and which
//! partition halts. One that halts stays so; only an operator can help it, so a partition never halts for another one's fault.

use std::collections::BTreeMap;
use std::time::Duration;

use super::projector::{Halt, Moved, Projector};
use crate::actors::workers::back_off;
use crate::ids::Partition;
use crate::storage::store::StoreError;

/// Why a round came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProjectorRoundError {
    /// Rows could not be read now. Nothing was folded, so what is cached is still what the rows say.
    #[error(transparent)]
    Unread(StoreError),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Moved(Moved),
    #[error("the fold panicked: {0}")]
    Panic(String),
}

impl ProjectorRoundError {
    /// Whether the states that are cached may be ahead of the rows, or behind them.
    pub(super) fn spoils_the_cache(&self) -> bool {
        match self {
            Self::Unread(error) => !error.is_retryable(),
            Self::Store(_) | Self::Moved(_) | Self::Panic(_) => true,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Failures {
    /// After damage or a panic: one partition in a round, so that the one that causes it is found and only that one halts.
    pub isolates: bool,
    in_a_row: u32,
    halted: BTreeMap<Partition, Halt>,
}

impl Failures {
    /// How long to wait before the next attempt: longer after each failure in a row.
    pub(super) fn next_wait(&mut self, first: Duration, most: Duration) -> Duration {
        let wait = back_off(first, self.in_a_row, most);
        self.in_a_row = self.in_a_row.saturating_add(1);
        wait
    }

    pub(super) fn succeeded(&mut self) {
        self.in_a_row = 0;
    }

    /// Something is wrong with one of the batch's partitions, and trying again does not help. If it is certain which one,
    /// that one halts.
    pub(super) fn suspect(&mut self, batch: &[Partition], why: Halt) {
        match batch {
            [partition] => _ = self.halted.insert(*partition, why),
            _ => self.isolates = true,
        }
    }

    /// A projector that begins anew at the store's watermarks halts what is halted.
    pub(super) fn halt_again(&self, projector: &mut Projector) {
        self.halted.iter().for_each(|(partition, why)| projector.halt(*partition, why.clone()));
    }

    /// Remembers what the projector has halted by itself, and brings the operator's list up to date.
    pub(super) fn note_halted(&mut self, projector: Option<&Projector>, told: &mut Vec<(Partition, String)>) {
        for (partition, why) in projector.into_iter().flat_map(Projector::halted) {
            self.halted.entry(partition).or_insert_with(|| why.clone());
        }
        if told.len() < self.halted.len() {
            *told = self.halted.iter().map(|(partition, why)| (*partition, why.to_string())).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A busy moment of the readers must not cost the states of all busy rooms, which is what makes the next one busier.
    #[test]
    fn what_is_cached_outlives_rows_that_could_not_be_read() {
        let unavailable = StoreError::Unavailable("no reader is free".to_owned());
        assert!(!ProjectorRoundError::Unread(unavailable.clone()).spoils_the_cache());
        assert!(ProjectorRoundError::Store(unavailable).spoils_the_cache(), "a commit may have been written");
        assert!(ProjectorRoundError::Unread(StoreError::Damaged("a row".to_owned())).spoils_the_cache());
    }

    #[test]
    fn a_partition_halts_only_when_it_was_alone_in_the_batch_that_failed() {
        let (mut failures, mut told) = (Failures::default(), Vec::new());
        failures.suspect(&Partition::all().take(2).collect::<Vec<_>>(), Halt::Panic);
        failures.note_halted(None, &mut told);
        assert!(failures.isolates && told.is_empty(), "it may be either");
        failures.suspect(&[Partition::FIRST], Halt::Panic);
        failures.note_halted(None, &mut told);
        assert_eq!(told, [(Partition::FIRST, Halt::Panic.to_string())]);
    }
}
