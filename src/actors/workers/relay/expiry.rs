//! The expiry scanner: a room that nobody touches does not notice that its time is over. A send is refused by time even
//! before; the record makes it known to its members, and ends the scan for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::watch;
use uuid::Uuid;

use super::Append;
use crate::actors::room::commands::{Command, Expire, RoomCommand};
use crate::actors::room::payload;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::Running;
use crate::env::Env;
use crate::ids::{Partition, RoomId, Timestamp};
use crate::limits;
use crate::storage::journal::Journal;
use crate::storage::journal::record::Addressed;
use crate::storage::store::Store;

/// How long the store may take for a page before its partitions are left to the next scan.
const STORED: Duration = Duration::from_secs(2);

/// The record that ends a room whose time is over. If it is not, the fold ignores it.
#[must_use]
pub(crate) fn record(room: RoomId, id: Uuid, now: Timestamp) -> Addressed {
    let ttl_ms = limits::COMMAND_TTL_MS;
    payload::address(Command { room, id, issued_at: now, ttl_ms, body: RoomCommand::Expire(Expire) })
}

/// Remembers for which rooms a record is on its way, so that each scan does not append another. Pure.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    sent: BTreeMap<RoomId, Timestamp>,
}

impl Scanner {
    /// Of the rooms that the store says are over, those for which a record is due. One that had no effect (the journal's
    /// clock was behind) is due again after its time to live.
    pub(crate) fn due(&mut self, over: Vec<(RoomId, Timestamp)>, now: Timestamp) -> Vec<RoomId> {
        self.sent.retain(|_, at| now.since(*at) <= limits::COMMAND_TTL_MS && *at <= now);
        let due: Vec<RoomId> =
            over.into_iter().map(|(room, _)| room).filter(|room| !self.sent.contains_key(room)).collect();
        self.sent.extend(due.iter().map(|room| (*room, now)));
        due
    }

    /// The record for the room was not appended: it is due again at the next scan.
    pub(crate) fn failed(&mut self, room: RoomId) {
        self.sent.remove(&room);
    }
}

/// What the scanner works with.
#[derive(Clone)]
pub(crate) struct Deps {
    /// Knows when rooms expire.
    pub store: Arc<dyn Store>,
    /// Knows where the rooms' partitions end.
    pub journal: Arc<dyn Journal>,
    /// How far each partition is stored.
    pub stored: Arc<Watermarks>,
    /// Appends to the rooms' partitions.
    pub append: Append,
    /// Clock and ids.
    pub env: Env,
    /// Looks whether the clocks agree: if not, rooms that are not over would expire, and it tells nothing.
    pub may_expire: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Time between two scans.
    pub every: Duration,
}

/// How it is, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExpiryStatus {
    /// Scans so far.
    pub scans: u64,
}

/// Starts it. The next scan does again what failed.
#[must_use]
pub(crate) fn spawn(deps: Deps) -> Running<ExpiryStatus> {
    Running::start(|status, stopping| run(deps, status, stopping))
}

async fn run(deps: Deps, status: watch::Sender<ExpiryStatus>, mut stopping: watch::Receiver<bool>) {
    let mut scanner = Scanner::default();
    while !*stopping.borrow() {
        scan(&deps, &mut scanner, &stopping).await;
        status.send_modify(|status| status.scans += 1);
        tokio::select! {
            () = tokio::time::sleep(deps.every) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }
}

/// One scan over all rooms whose time is over, page by page. A partition that takes nothing, or whose rows are not stored
/// in time, is left to the next scan, and the others go on. Between two pages it waits until the store has the first: a
/// hundred thousand rooms that are over at the same moment are not put before what others do.
async fn scan(deps: &Deps, scanner: &mut Scanner, stopping: &watch::Receiver<bool>) {
    if !(deps.may_expire)() {
        return;
    }
    let now = deps.env.now();
    let (mut after, mut refused) = (None, BTreeSet::new());
    while !*stopping.borrow() {
        let over = match deps.store.expiring(now, after, limits::EXPIRY_PAGE).await {
            Ok(over) => over,
            Err(error) => {
                tracing::warn!(%error, "the scan for expired rooms failed; the next one tries again");
                return;
            }
        };
        let Some((room, at)) = over.last().copied() else { return };
        after = Some((at, room));
        let whole = over.len() < limits::EXPIRY_PAGE;
        let open = over.into_iter().filter(|(room, _)| !refused.contains(&room.partition())).collect();
        let told = tell(deps, scanner, open, now, &mut refused).await;
        if whole {
            return;
        }
        for partition in &told {
            let end = deps.journal.bounds(*partition).end;
            if tokio::time::timeout(STORED, deps.stored.reach(*partition, end)).await.is_err() {
                refused.insert(*partition);
            }
        }
    }
}

/// Appends the records of a page that are due, to all partitions at the same time. Returns those that took theirs.
async fn tell(
    deps: &Deps,
    scanner: &mut Scanner,
    over: Vec<(RoomId, Timestamp)>,
    now: Timestamp,
    refused: &mut BTreeSet<Partition>,
) -> Vec<Partition> {
    let mut records: BTreeMap<Partition, Vec<(RoomId, Bytes)>> = BTreeMap::new();
    for room in scanner.due(over, now) {
        let Addressed { partition, record } = record(room, deps.env.ids.next(), now);
        records.entry(partition).or_default().push((room, record));
    }
    let appends = records.into_iter().map(async |(partition, rooms)| {
        let batch = rooms.iter().map(|(_, record)| record.clone()).collect();
        (partition, rooms, (deps.append)(partition, batch).await)
    });
    let mut told = Vec::new();
    for (partition, rooms, appended) in join_all(appends).await {
        match appended {
            Ok(()) => told.push(partition),
            Err(error) => {
                tracing::warn!(%partition, %error, "expired rooms could not be told; the next scan tries again");
                rooms.iter().for_each(|(room, _)| scanner.failed(*room));
                refused.insert(partition);
            }
        }
    }
    told
}
