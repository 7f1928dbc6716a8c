//! `GET /admin/partitions`: how far each one is.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::extract::not_found;
use super::{AdminState, Live};
use crate::api::http::{HttpError, Path};
use crate::ids::{Offset, Partition, SLOTS_PER_PARTITION};
use crate::limits;
use crate::storage::journal::Bounds;
use crate::storage::retention::Covered;

/// A partition. `start` to `head` is what the journal holds; `verified`, `applied` and `watermark` are how far the owner
/// knows it to be final, has folded it, and the store has it.
#[derive(Serialize)]
pub(super) struct AdminPartition {
    partition: u16,
    slots: [u16; 2],
    /// The node that owns it.
    owner: String,
    /// Counts its owners; 0 while there is one node.
    epoch: u64,
    state: &'static str,
    halted: Option<String>,
    start: Offset,
    head: Offset,
    verified: Offset,
    applied: Offset,
    watermark: Offset,
    /// Records that the store does not have yet, but for barriers at the end: they mean nothing, and may never be stored.
    lag: u64,
    /// The first offset that the newest backup does not have.
    mark: Option<Offset>,
    /// Why the journal does not begin later.
    held_by: Option<&'static str>,
    depth: u32,
    rate: f64,
    restarts: u16,
    residents: usize,
    queued_bytes: usize,
    queue_bytes: usize,
}

pub(super) fn row(live: &Live, partition: Partition) -> AdminPartition {
    let (node, directory) = (&live.node, live.node.directory());
    let bounds = node.journal().bounds(partition);
    let figures = directory.partition(partition).figures(directory.now());
    let watermark = node.stored().get(partition);
    let first = partition.get() * SLOTS_PER_PARTITION;
    let halted = node.halted().reason(partition);
    let covered = live.retention.covered(partition);
    AdminPartition {
        partition: partition.get(),
        slots: [first, first + SLOTS_PER_PARTITION - 1],
        owner: format!("node-{}", live.node.router().node().number),
        epoch: 0,
        state: if halted.is_some() { "halted" } else { figures.state.name() },
        halted,
        start: bounds.start,
        head: bounds.end,
        verified: directory.verified_end(partition),
        applied: node.applied().get(partition),
        watermark,
        lag: node.unstored(partition),
        mark: covered.map(|covered| covered.marked),
        held_by: held_by(live.retention.trims(), covered, bounds),
        depth: figures.depth,
        rate: f64::from(figures.rate_milli) / 1_000.0,
        restarts: figures.restarts,
        residents: directory.residents(partition),
        queued_bytes: node.queued_bytes(partition),
        queue_bytes: limits::PARTITION_QUEUE_BYTES,
    }
}

/// Why the journal holds what it holds of a partition: there is no backup, or who needs its records; `age` if nobody does and they
/// are young, or share a segment with such ones. `None`: nothing is to be trimmed, or nothing is there.
fn held_by(trims: bool, covered: Option<Covered>, held: Bounds) -> Option<&'static str> {
    if !trims || held.start == held.end {
        return None;
    }
    let Some(covered) = covered else { return Some("backup") };
    // The last record that nobody needs stays.
    Some(if held.start.next() < covered.up_to { "age" } else { covered.holder.name() })
}

/// All of them.
#[derive(Serialize)]
pub(super) struct All {
    items: Vec<AdminPartition>,
}

/// `GET /admin/partitions`.
pub(super) async fn list(State(admin): AdminState) -> Result<Json<All>, HttpError> {
    let live = admin.live()?;
    live.node.directory().sample();
    Ok(Json(All { items: live.node.router().owned().iter().map(|partition| row(live, partition)).collect() }))
}

/// `GET /admin/partitions/{number}`.
pub(super) async fn detail(
    State(admin): AdminState,
    Path(number): Path<String>,
) -> Result<Json<AdminPartition>, HttpError> {
    let live = admin.live()?;
    let partition = number.parse().ok().and_then(Partition::new).ok_or_else(|| not_found("partition"))?;
    live.node.directory().sample();
    Ok(Json(row(live, partition)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::retention::Holder;

    #[test]
    fn what_holds_a_partition_is_said_in_a_word() {
        let held = |start, end| Bounds { start: Offset(start), end: Offset(end) };
        let covered = Some(Covered { up_to: Offset(5), marked: Offset(9), holder: Holder::Rows });
        assert_eq!(held_by(false, covered, held(0, 9)), None, "nothing is to be trimmed");
        assert_eq!(held_by(true, None, held(4, 4)), None, "nothing is there");
        assert_eq!(held_by(true, None, held(0, 9)), Some("backup"));
        assert_eq!(held_by(true, covered, held(3, 9)), Some("age"));
        assert_eq!(held_by(true, covered, held(4, 9)), Some("rows"), "the last one that is covered stays");
    }
}
