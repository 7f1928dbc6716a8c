//! The tail of one partition. The reader brings what others wrote; what is far behind is fetched.

use std::sync::Arc;

use async_trait::async_trait;

use super::Shared;
use super::parts::{Pace, Whereabouts};
use super::reader::log;
use crate::ids::{Offset, Partition};
use crate::storage::journal::tail::Step;
use crate::storage::journal::{Place, ReadError, Tail, Tailed};

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
            let (from, first) = match self.place.step() {
                Step::Tell(told) => return Ok(told),
                Step::Read { from, first } => (from, first),
            };
            let records = match part.find(from, max_bytes) {
                Whereabouts::Trimmed(start) => {
                    return Err(ReadError::Trimmed { partition: self.partition, asked: from, start });
                }
                Whereabouts::Here(records) => records,
                Whereabouts::Nothing if first => Vec::new(),
                Whereabouts::Nothing | Whereabouts::Coming => {
                    if part.is_left_behind() {
                        self.shared.readers.change(part, self.partition, Pace::Prompt);
                    }
                    self.place.moved().await;
                    continue;
                }
                Whereabouts::Older(to) => self.shared.fetch(self.partition, from, to, max_bytes).await?,
            };
            let end = records.last().map_or(part.bounds().end, |record| part.bounds().end.max(record.offset.next()));
            if let Some(told) = self.place.told(from, records, end) {
                return Ok(told);
            }
        }
    }

    fn place(&self) -> &Arc<Place> {
        &self.place
    }
}
