//! Follows one partition: reads when the writer has published something that its reader does not know of.
//!
//! Everything readable is durable here, so nothing is ever lost of what a tail told.

use std::sync::Arc;

use async_trait::async_trait;

use super::{Shared, read};
use crate::ids::{Offset, Partition};
use crate::storage::journal::tail::Step;
use crate::storage::journal::{Place, ReadError, Tail, Tailed};

/// See the module.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    partition: Partition,
    place: Arc<Place>,
}

impl Follower {
    pub(crate) fn new(shared: Arc<Shared>, partition: Partition, from: Offset) -> Self {
        let place = Place::new(from, 0);
        shared.tails.follow(partition, &place);
        Self { shared, partition, place }
    }
}

#[async_trait]
impl Tail for Follower {
    async fn next(&mut self, max_bytes: usize) -> Result<Tailed, ReadError> {
        loop {
            match self.place.step() {
                Step::Tell(told) => return Ok(told),
                Step::Read { from, first } => {
                    let end = self.shared.tails.bounds(self.partition).end;
                    if first || from < end {
                        let records = read(&self.shared, self.partition, from, max_bytes).await?;
                        // More may have been published since: the end that is told never lies below what was read.
                        let end = records.last().map_or(end, |record| end.max(record.offset.next()));
                        if let Some(told) = self.place.told(from, records, end) {
                            return Ok(told);
                        }
                    } else {
                        self.place.moved().await;
                    }
                }
            }
        }
    }

    fn place(&self) -> &Arc<Place> {
        &self.place
    }
}
