//! The pure core of the relay: what is to be appended for the next rows of an outbox, and what is noted once it is durable.
//! No tokio, no store.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::actors::workers::persistence::facts;
use crate::ids::{Offset, Partition, RoomId, UserId};
use crate::storage::journal::record::{Envelope, RecordError};
use crate::storage::store::rows::{INVITED, MEMBER, MemberRow, OutboxRow};

/// What is to be done next for one source partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Append these, each list in order to its partition, and note [`Then`] when all of them are durable. If one is not:
    /// do the whole step again. Who got it already drops it.
    Deliver {
        /// The records by partition, each with its place in the outbox.
        records: BTreeMap<Partition, Vec<(Place, Bytes)>>,
        /// What then.
        then: Then,
    },
    /// Read the members of the room after `after`, and go on with [`fan_out`].
    Members {
        /// The room.
        room: RoomId,
        /// Those up to this one are told already.
        after: Option<UserId>,
    },
}

/// A record's place in the outbox of its source: offset, place in that, and in a fan-out the member.
pub type Place = (Offset, u32, Option<UserId>);

/// How far each target was told by each source in a step that is not through yet. When it is taken again because another
/// target failed, they are not told again: while one partition can't be reached, the others do not fill up with repetitions.
#[derive(Debug, Default)]
pub struct Told(BTreeMap<(Partition, Partition), Place>);

impl Told {
    /// Takes out what the targets were told already.
    pub fn rest(&self, source: Partition, records: &mut BTreeMap<Partition, Vec<(Place, Bytes)>>) {
        records.retain(|target, records| {
            if let Some(told) = self.0.get(&(source, *target)) {
                records.retain(|(place, _)| place > told);
            }
            !records.is_empty()
        });
    }

    /// A target was told up to here.
    pub fn note(&mut self, source: Partition, target: Partition, place: Place) {
        self.0.insert((source, target), place);
    }

    /// The step is through and noted in the store.
    pub fn done(&mut self, source: Partition) {
        self.0.retain(|(of, _), _| *of != source);
    }
}

/// What is noted after a delivery.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Then {
    /// The rows of the source up to this one are delivered.
    Done {
        /// The source.
        source: Partition,
        /// The row's offset.
        offset: Offset,
        /// And its place in that.
        ord: u32,
    },
    /// The fan-out came up to and including this member.
    Advance {
        /// The source.
        source: Partition,
        /// The row's offset.
        offset: Offset,
        /// And its place in that.
        ord: u32,
        /// The member.
        after: UserId,
    },
}

/// The next step for the rows of one source partition, given in order: all rows up to the first fan-out, or the fan-out if
/// that is first; but never two for the same room or user. Of two records that are under way at the same time the first may
/// get lost and the second not, and whoever knows the second drops the first when it comes again. `None` if there are no
/// rows.
#[must_use]
pub fn next(rows: &[OutboxRow]) -> Option<Step> {
    let first = rows.first()?;
    if let Some(fan_out) = &first.fan_out {
        return Some(Step::Members { room: fan_out.room, after: fan_out.after.clone() });
    }
    let mut records: BTreeMap<Partition, Vec<(Place, Bytes)>> = BTreeMap::new();
    let mut last = first;
    let mut told = BTreeSet::new();
    for row in rows.iter().take_while(|row| row.fan_out.is_none() && row.source == first.source) {
        // What can't be read concerns nobody: its partition's owner refuses it.
        let key = Envelope::decode_record(&row.record).map(|envelope| envelope.key);
        if key.is_ok_and(|key| !told.insert(key)) {
            break;
        }
        records.entry(row.target).or_default().push(((row.offset, row.ord, None), row.record.clone()));
        last = row;
    }
    Some(Step::Deliver { records, then: done(last) })
}

/// The step for a page of members of a fan-out. `whole` says that the page ends the list.
///
/// # Errors
/// The row's pattern is no record.
pub fn fan_out(row: &OutboxRow, page: &[MemberRow], whole: bool) -> Result<Step, RecordError> {
    let pattern = Envelope::decode_record(&row.record)?;
    let mut records: BTreeMap<Partition, Vec<(Place, Bytes)>> = BTreeMap::new();
    for member in page.iter().filter(|member| member.state == MEMBER || member.state == INVITED) {
        let addressed = facts::for_member(&pattern, &member.user);
        let place = (row.offset, row.ord, Some(member.user.clone()));
        records.entry(addressed.partition).or_default().push((place, addressed.record));
    }
    let then = match page.last() {
        Some(last) if !whole => {
            Then::Advance { source: row.source, offset: row.offset, ord: row.ord, after: last.user.clone() }
        }
        _ => done(row),
    };
    Ok(Step::Deliver { records, then })
}

fn done(row: &OutboxRow) -> Then {
    Then::Done { source: row.source, offset: row.offset, ord: row.ord }
}
