//! What is to be done to move a data folder, and in which order; how much of a partition is still to be written; what stands
//! against it. Pure: it knows neither brokers nor files.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{Offset, Partition};
use crate::storage::journal::Bounds;

/// The steps, in their order. Each may be done again, and is done again if it was cut short.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// The topics are there, have the journal's identity, and take times as they are given.
    Topics,
    /// Each record lies in the topic.
    Records,
    /// The topic is the journal, by its running hashes.
    Compare,
    /// The topic's partitions begin where the journal's do.
    Trim,
    /// Each row stands in the database, by counts and hashes of the tables.
    Rows,
    /// Each room and user that is made of the new rows is the one that is made of the old ones.
    States,
    /// Each upload lies in the object store, by its hash.
    Uploads,
    /// The data folder belongs to the past.
    Seal,
    /// The topic takes the brokers' times: a server may start.
    Open,
}

impl Step {
    /// All of them.
    pub(super) const ALL: [Self; 9] = [
        Self::Topics,
        Self::Records,
        Self::Compare,
        Self::Trim,
        Self::Rows,
        Self::States,
        Self::Uploads,
        Self::Seal,
        Self::Open,
    ];

    /// The one behind `done`; `None` if that was the last.
    #[must_use]
    pub(super) fn after(done: Option<Self>) -> Option<Self> {
        Self::ALL.into_iter().find(|step| done.is_none_or(|done| *step > done))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topics => "topics",
            Self::Records => "records",
            Self::Compare => "records compared",
            Self::Trim => "start of the partitions",
            Self::Rows => "rows",
            Self::States => "rooms and users compared",
            Self::Uploads => "uploads",
            Self::Seal => "data folder sealed",
            Self::Open => "topic opened",
        })
    }
}

/// What is still to be written of a partition: so many empty records, and then those from `from` to below `to`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rest {
    pub fillers: u64,
    pub from: Offset,
    pub to: Offset,
}

impl Rest {
    /// How many records are to be copied.
    pub(super) fn records(self) -> u64 {
        self.to.0 - self.from.0
    }
}

/// The partition of the topic holds what is not in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("partition {partition} of the topic holds {} to {}, the journal has {} to {}", .found.start, .found.end, .source_has.start, .source_has.end)]
pub(super) struct Misplaced {
    partition: Partition,
    source_has: Bounds,
    found: Bounds,
}

/// Goes on at the end of what is there.
pub(super) fn rest(partition: Partition, source: Bounds, target: Bounds) -> Result<Rest, Misplaced> {
    if target.end > source.end || target.start > source.start {
        return Err(Misplaced { partition, source_has: source, found: target });
    }
    let fillers = source.start.0.saturating_sub(target.end.0);
    Ok(Rest { fillers, from: target.end.max(source.start), to: source.end })
}

/// What is known of the place that a folder is to be moved to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    /// The journal that the control topic names; `None` if it is empty or not there.
    pub journal: Option<Uuid>,
    /// Records that the journal's topic holds, or held.
    pub records: u64,
    /// It takes times as they are given.
    pub is_loading: bool,
    /// What else is wrong with the topics.
    pub wrong: Vec<String>,
    /// The journal that the database's rows are made from, as it says.
    pub rows_of: Option<String>,
    /// It has rows.
    pub has_rows: bool,
    /// It takes none.
    pub reads_only: bool,
}

impl Target {
    /// What stands against moving the journal `id` there; `is_moved`: all was done before but opening it.
    pub(super) fn refusals(&self, id: Uuid, is_moved: bool) -> Vec<String> {
        let mut against = self.wrong.clone();
        if let Some(other) = self.journal.filter(|found| *found != id) {
            against.push(format!("the topics belong to the journal {other}, and this one is {id}: name other topics"));
        } else if self.records > 0 && self.journal.is_none() {
            against.push("the journal's topic holds records, and no journal's identity: name another one".to_owned());
        } else if self.records > 0 && !self.is_loading && !is_moved {
            against.push(
                "the topic has this journal already, and was opened: a server may be using it; nothing is moved into it"
                    .to_owned(),
            );
        }
        let own = id.to_string();
        match &self.rows_of {
            Some(other) if *other != own => {
                against.push(format!("the database has rows of the journal {other}: name an empty database"));
            }
            Some(_) if self.has_rows && !is_moved && !(self.is_loading && self.journal == Some(id)) => against.push(
                "the database has rows of this journal already, and the topics are not half loaded with it: a server may be \
                 using them; name an empty database"
                    .to_owned(),
            ),
            None if self.has_rows => {
                against
                    .push("the database has rows, and they are of no known journal: name an empty database".to_owned());
            }
            _ => {}
        }
        if self.reads_only {
            against.push("the database takes no rows: it is a standby, or was told so".to_owned());
        }
        against
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn partition() -> Partition {
        Partition::FIRST
    }

    #[test]
    fn the_folder_is_sealed_before_the_topic_is_opened_and_after_all_is_compared() {
        let mut done = None;
        let mut order = Vec::new();
        while let Some(step) = Step::after(done) {
            order.push(step);
            done = Some(step);
        }
        assert_eq!(order, Step::ALL);
        let at = |step: Step| order.iter().position(|other| *other == step).unwrap();
        assert_eq!(at(Step::Open), order.len() - 1);
        assert!(at(Step::Seal) < at(Step::Open));
        assert!([Step::Compare, Step::States, Step::Uploads].into_iter().all(|step| at(step) < at(Step::Seal)));
        // What is compared is compared before what lies below it is deleted.
        assert!(at(Step::Compare) < at(Step::Trim));
    }

    proptest! {
        /// However often it is killed, and after however many records: what lies in the topic is what lies in the journal, at
        /// its place and once.
        #[test]
        fn a_copy_that_is_killed_again_and_again_is_the_journal(
            start in 0u64..40,
            held in 0u64..40,
            lives in prop::collection::vec(0u64..30, 0..12),
        ) {
            let source = Bounds { start: Offset(start), end: Offset(start + held) };
            // What each place of the topic holds: nothing that counts, or the record of this offset.
            let mut topic: Vec<Option<u64>> = Vec::new();
            for life in lives.into_iter().chain([u64::MAX]) {
                let found = Bounds { start: Offset::ZERO, end: Offset(topic.len() as u64) };
                let rest = rest(partition(), source, found).unwrap();
                let fillers = (0..rest.fillers).map(|_| None);
                let records = (rest.from.0..rest.to.0).map(Some);
                prop_assert_eq!(records.clone().count() as u64, rest.records());
                topic.extend(fillers.chain(records).take(usize::try_from(life).unwrap_or(usize::MAX)));
            }
            let expected: Vec<_> = (0..start).map(|_| None).chain((start..start + held).map(Some)).collect();
            prop_assert_eq!(topic, expected);
        }

        /// A topic that was trimmed, or that holds more than the journal, is not gone on with.
        #[test]
        fn what_is_not_the_journals_is_refused(start in 0u64..40, held in 0u64..40, from in 0u64..90, more in 0u64..90) {
            let source = Bounds { start: Offset(start), end: Offset(start + held) };
            let found = Bounds { start: Offset(from), end: Offset(from + more) };
            let taken = rest(partition(), source, found);
            prop_assert_eq!(taken.is_err(), found.end > source.end || found.start > source.start);
            if let Ok(rest) = taken {
                prop_assert!(rest.from >= source.start && rest.from <= rest.to && rest.to == source.end);
            }
        }
    }

    #[test]
    fn only_what_is_empty_or_half_loaded_with_this_journal_is_moved_into() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let empty = Target {
            journal: None,
            records: 0,
            is_loading: false,
            wrong: Vec::new(),
            rows_of: None,
            has_rows: false,
            reads_only: false,
        };
        let half = Target {
            journal: Some(own),
            records: 5,
            is_loading: true,
            rows_of: Some(own.to_string()),
            has_rows: true,
            ..empty.clone()
        };
        for good in [&empty, &half] {
            assert_eq!(good.refusals(own, false), [""; 0]);
        }
        let opened = Target { is_loading: false, ..half.clone() };
        assert_eq!(opened.refusals(own, true), [""; 0], "its own, and all but the last step is done");
        let bad = [
            (Target { has_rows: false, ..opened }, "was opened"),
            (Target { journal: Some(other), ..empty.clone() }, "belong to the journal"),
            (Target { records: 1, ..empty.clone() }, "no journal's identity"),
            (Target { rows_of: Some(other.to_string()), ..empty.clone() }, "has rows of the journal"),
            (Target { rows_of: Some(own.to_string()), has_rows: true, ..empty.clone() }, "of this journal already"),
            (Target { has_rows: true, ..empty.clone() }, "of no known journal"),
            (Target { reads_only: true, ..empty.clone() }, "takes no rows"),
            (Target { wrong: vec!["3 partitions".to_owned()], ..empty }, "3 partitions"),
        ];
        for (target, why) in bad {
            let against = target.refusals(own, false);
            assert!(against.len() == 1 && against[0].contains(why), "{why}: {against:?}");
        }
    }
}
