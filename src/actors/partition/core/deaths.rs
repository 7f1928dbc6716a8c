//! Entities that died: each is made anew, unless one record kills it again and again.

use std::collections::VecDeque;

use super::residency::{Parked, Residency};
use super::{Action, Core};
use crate::actors::wire::Entity;
use crate::ids::Offset;
use crate::limits;

impl Core {
    /// The entity died over what it did. If it is over one and the same record again and again, the partition halts rather
    /// than skip it.
    pub(crate) fn died(&mut self, entity: &Entity, out: &mut Vec<Action>) {
        if let Some(at) = self.unfinished(entity) {
            let (place, times) = self.deaths.entry(entity.clone()).or_insert((at, 0));
            *times = if *place == at { *times + 1 } else { 1 };
            *place = at;
            if *times > limits::DEATHS_OVER_A_RECORD {
                let reason = format!("the record at offset {at} of partition {} kills its fold", self.partition);
                return self.halt(reason, out);
            }
        }
        self.remake(entity, out);
    }

    /// The entity ended and is made anew from the store. Batches that it had not finished are given to it again.
    pub(crate) fn remake(&mut self, entity: &Entity, out: &mut Vec<Action>) {
        // After a halt, or while it is loaded again, what died is nobody any more.
        let Some(Residency::Ready { batches, applied, announcements, .. }) = self.residents.get_mut(entity) else {
            return;
        };
        let (batches, applied, announcements) = (std::mem::take(batches), *applied, *announcements);
        self.still_announced(entity, announcements);
        let unfinished: Vec<_> = batches.into_iter().filter(|batch| !batch.is_finished()).collect();
        let replay_to = unfinished.first().map_or(applied, |batch| batch.first());
        let held: VecDeque<_> = unfinished.into_iter().map(Parked::Batch).collect();
        let must = !held.is_empty();
        self.load_holding(entity.clone(), held, must, replay_to, out);
    }

    /// The first offset that a resident entity has not finished.
    fn unfinished(&self, entity: &Entity) -> Option<Offset> {
        match self.residents.get(entity)? {
            Residency::Ready { batches, .. } => batches.iter().find(|b| !b.is_finished()).map(|b| b.first()),
            Residency::Loading { .. } => None,
        }
    }
}
