//! The tail of one partition. The reader brings what others wrote; what is far behind is fetched.

use std::sync::Arc;

use async_trait::async_trait;

use super::Shared;
use super::parts::{LogPart, Pace, Whereabouts};
use super::reader::log;
use crate::ids::{Offset, Partition};
use crate::storage::journal::tail::Step;
use crate::storage::journal::{Place, ReadError, StoredRecord, Tail, Tailed};

/// What a tail has to do.
pub(super) enum Glance {
    /// Tell this.
    Tell(Tailed),
    /// Wait until it is woken.
    Wait,
    /// Fetch records from here up to the other offset, and tell them with [`told`].
    Fetch(Offset, Offset),
    /// Look again: the place has moved meanwhile.
    Again,
}

/// What a tail that stands at `place` has to do, by what is known of its partition.
///
/// # Errors
/// [`ReadError::Trimmed`].
pub(super) fn glance(
    part: &LogPart,
    partition: Partition,
    place: &Place,
    max_bytes: usize,
) -> Result<Glance, ReadError> {
    let (from, first) = match place.step() {
        Step::Tell(told) => return Ok(Glance::Tell(told)),
        Step::Read { from, first } => (from, first),
    };
    let records = match part.find(from, max_bytes) {
        Whereabouts::Trimmed(start) => return Err(ReadError::Trimmed { partition, asked: from, start }),
        Whereabouts::Here(records) => records,
        Whereabouts::Nothing if first => Vec::new(),
        Whereabouts::Nothing | Whereabouts::Coming => return Ok(Glance::Wait),
        Whereabouts::Older(to) => return Ok(Glance::Fetch(from, to)),
    };
    Ok(told(part, place, from, records).map_or(Glance::Again, Glance::Tell))
}

/// These are to be told, read from `from` on. `None` if the place is another one by now.
pub(super) fn told(part: &LogPart, place: &Place, from: Offset, records: Vec<StoredRecord>) -> Option<Tailed> {
    let end = part.bounds().end;
    let end = records.last().map_or(end, |record| end.max(record.offset.next()));
    place.told(from, records, end)
}

/// See the module.
pub(super) struct KafkaTail {
    shared: Arc<Shared>,
    partition: Partition,
    place: Arc<Place>,
}

impl KafkaTail {
    pub(super) fn new(shared: Arc<Shared>, partition: Partition, from: Offset) -> Self {
        let part = shared.parts.of(partition);
        let place = Place::new(from, part.losses());
        part.followers.add(&place);
        shared.readers.begin(part, partition, from);
        Self { shared, partition, place }
    }
}

#[async_trait]
impl Tail for KafkaTail {
    async fn next(&mut self, max_bytes: usize) -> Result<Tailed, ReadError> {
        let part = self.shared.parts.of(self.partition);
        loop {
            if part.resumes() {
                log(self.shared.readers.of(part.pace()).resume(self.partition));
            }
            match glance(part, self.partition, &self.place, max_bytes)? {
                Glance::Tell(told) => return Ok(told),
                Glance::Again => {}
                Glance::Wait => {
                    if part.is_left_behind() {
                        self.shared.readers.change(part, self.partition, Pace::Prompt);
                    }
                    self.place.moved().await;
                }
                Glance::Fetch(from, to) => {
                    let records = self.shared.fetch(self.partition, from, to, max_bytes).await?;
                    if let Some(told) = told(part, &self.place, from, records) {
                        return Ok(told);
                    }
                }
            }
        }
    }

    fn place(&self) -> &Arc<Place> {
        &self.place
    }
}
