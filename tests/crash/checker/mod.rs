//! The history checker: a pure function from what was observed to what is wrong with it. Knows the promises and nothing
//! of the server. The server names a total order (seq), so one walk with a few maps is enough: O(n log n).

mod access;
mod index;
mod pages;
mod personal;
mod rows;
mod sends;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use crate::history::Entry;
use index::Index;

/// What can be wrong. The names follow those of Jepsen's log checkers where there is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Kind {
    /// Acknowledged and not in the final stream.
    LostAck,
    /// Two acknowledgements of one client id, or acknowledgement and stream, name different seqs or ids.
    WrongSeq,
    /// One client id of one sender made two messages.
    DuplicateClientId,
    /// One seq twice in one final stream or in one subscription.
    DuplicateSeq,
    /// A seq is missing in the middle, and nobody said `recovered: false`.
    Gap,
    /// A settled subscription never got the last events.
    LostTail,
    /// A lower seq after a higher one.
    Reorder,
    /// One seq is two different events, depending on who looks.
    Divergence,
    /// Seen by somebody and absent in the end.
    Phantom,
    /// Every attempt was refused for certain, and yet it is there.
    FailedButPresent,
    /// There, and nobody sent it.
    FromNowhere,
    /// A device's messages in another order than it sent them.
    SenderOrder,
    /// Acknowledged before another one was sent, and yet behind it.
    RealTime,
    /// `recovered: true` with a hole behind the position that was asked for.
    StaleResume,
    /// The position in a subscribe reply is not the one after its publications.
    WrongPosition,
    /// A new subscription starts below what was acknowledged before.
    StaleHead,
    /// A page asked for after an acknowledgement lacks the caller's own message.
    ReadYourWrite,
    /// Somebody received what lies above their removal, or was never a member.
    Leak,
    /// A publication without a subscription.
    Stray,
    /// The generation changed though nobody removed history.
    EpochChanged,
    /// Another text than the one that was sent.
    WrongText,
    /// A deleted message whose text can still be had.
    Unredacted,
    /// Message numbers are not 1, 2, 3, … in the order of seq.
    MessageNumbers,
    /// Fold time goes backwards.
    TimeRegress,
    /// What happened to a user's membership is not in the personal stream.
    NotTold,
    /// The personal stream tells what did not happen, or tells it twice or in another order than the room has it.
    WronglyTold,
    /// The unread count does not fit the messages and the marks.
    Unread,
    /// The database says something else than the stream.
    RowsDiffer,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Anomaly {
    pub kind: Kind,
    pub room: String,
    pub detail: String,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} in {}: {}", self.kind, self.room, self.detail)
    }
}

/// Collects anomalies; the rules see only this side of it.
#[derive(Default)]
pub(crate) struct Findings(Vec<Anomaly>);

impl Findings {
    fn add(&mut self, kind: Kind, room: &str, detail: String) {
        self.0.push(Anomaly { kind, room: room.to_owned(), detail });
    }
}

/// Everything that is wrong with the history, in no particular order.
pub(crate) fn check(history: &[Entry]) -> Vec<Anomaly> {
    let mut findings = Findings::default();
    let index = Index::build(history, &mut findings);
    streams::finals(&index, &mut findings);
    streams::deliveries(history, &index, &mut findings);
    sends::check(&index, &mut findings);
    pages::check(&index, &mut findings);
    access::check(history, &index, &mut findings);
    rows::check(&index, &mut findings);
    personal::check(&index, &mut findings);
    findings.0
}

/// How many of each kind, for a summary.
pub(crate) fn count(anomalies: &[Anomaly]) -> BTreeMap<Kind, usize> {
    anomalies.iter().fold(BTreeMap::new(), |mut counts, anomaly| {
        *counts.entry(anomaly.kind).or_default() += 1;
        counts
    })
}
