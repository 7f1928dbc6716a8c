//! The verified prefix (I2, I4): the one place that decides whether a record may have an effect.
//!
//! A journal may show a record that is lost later (a broker's high watermark ran ahead of its replicas). What lies below
//! the end of one's own successful delivery report can't be lost any more, nor can anything before it. The same holds below
//! the end that a record carries of its writer, if writer and reader have read the same log up to there
//! (`actors::digest`). So the prefix ends at the higher of the two, and a [`Verified`] record can be made nowhere else.

use crate::ids::Offset;
use crate::storage::journal::Appended;

/// What a journal's readable end is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Everything readable is durable (embedded: records become readable after their fsync).
    ReadableIsDurable,
    /// Only delivery reports count, own ones or those of other writers (Kafka, and the simulation's journal).
    OwnReports,
}

/// Something of the verified prefix. Only [`VerifiedPrefix::admit`] makes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Verified<T>(T);

impl<T> Verified<T> {
    /// The same, seen another way.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Verified<U> {
        Verified(change(self.0))
    }

    /// What it is, borrowed.
    pub(crate) fn get(&self) -> &T {
        &self.0
    }
}

/// How far a partition is verified, as seen from here.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedPrefix {
    rule: Rule,
    end: Offset,
    visible: Offset,
}

impl VerifiedPrefix {
    /// Nothing below `start` is doubted: it has been verified before (the store's watermark lies there).
    #[must_use]
    pub(crate) fn new(rule: Rule, start: Offset) -> Self {
        Self { rule, end: start, visible: start }
    }

    /// An append of our own was confirmed.
    pub(crate) fn delivered(&mut self, report: &Appended) {
        self.end = self.end.max(report.end);
        self.visible = self.visible.max(report.end);
    }

    /// Another writer has verified what lies below `end`, and has read the same there.
    pub(crate) fn vouched(&mut self, end: Offset) {
        self.end = self.end.max(end);
        self.visible = self.visible.max(end);
    }

    /// The journal's readable end is here now.
    pub(crate) fn sees(&mut self, end: Offset) {
        self.visible = self.visible.max(end);
        if self.rule == Rule::ReadableIsDurable {
            self.end = self.end.max(end);
        }
    }

    /// The journal lost what nobody had confirmed: what is readable ends at `end` now.
    pub(crate) fn truncated(&mut self, end: Offset) {
        self.visible = end.max(self.end);
    }

    /// One past the last verified offset.
    #[must_use]
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Whether records of others stand behind the prefix, so that a barrier record of our own is due if nothing else of
    /// ours is in flight.
    #[must_use]
    pub(crate) fn wants_barrier(&self) -> bool {
        self.visible > self.end
    }

    /// The record, if it lies in the prefix; else it comes back.
    ///
    /// # Errors
    /// The record itself, to be tried again when the prefix has grown.
    pub(crate) fn admit<T>(&self, offset: Offset, record: T) -> Result<Verified<T>, T> {
        if offset < self.end { Ok(Verified(record)) } else { Err(record) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Timestamp;

    fn report(first: u64, end: u64) -> Appended {
        Appended { first: Offset(first), end: Offset(end), time: Timestamp(1), is_dense: true, losses: 0 }
    }

    #[test]
    fn a_readable_record_of_others_is_not_verified_until_an_own_report_covers_it() {
        let mut prefix = VerifiedPrefix::new(Rule::OwnReports, Offset(0));
        prefix.sees(Offset(3));
        assert!(prefix.admit(Offset(2), ()).is_err());
        assert!(prefix.wants_barrier());
        prefix.delivered(&report(3, 4));
        assert!(prefix.admit(Offset(2), ()).is_ok() && prefix.admit(Offset(3), ()).is_ok());
        assert!(prefix.admit(Offset(4), ()).is_err() && !prefix.wants_barrier());
    }

    #[test]
    fn a_late_report_never_shrinks_the_prefix() {
        let mut prefix = VerifiedPrefix::new(Rule::OwnReports, Offset(0));
        prefix.delivered(&report(8, 9));
        prefix.delivered(&report(2, 3));
        assert_eq!(prefix.end(), Offset(9));
    }

    #[test]
    fn where_readable_is_durable_no_barrier_is_needed() {
        let mut prefix = VerifiedPrefix::new(Rule::ReadableIsDurable, Offset(0));
        prefix.sees(Offset(5));
        assert!(prefix.admit(Offset(4), ()).is_ok() && !prefix.wants_barrier());
    }
}
