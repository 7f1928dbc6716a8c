//! The expiry scanner: a room that nobody touches does not notice that its time is over. A send is refused by time even
//! before; the record makes it known to its members, and ends the scan for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use super::Append;
use crate::actors::room::command::{Command, RoomCommand};
use crate::actors::room::payload;
use crate::actors::workers::Running;
use crate::env::Env;
use crate::ids::{Partition, RoomId, Timestamp};
use crate::limits;
use crate::storage::journal::record::Addressed;
use crate::storage::store::Store;

/// The record that ends a room whose time is over. If it is not, the fold ignores it.
#[must_use]
pub fn record(room: RoomId, id: Uuid, now: Timestamp) -> Addressed {
    let ttl_ms = limits::COMMAND_TTL_MS;
    payload::address(&Command { room, id, issued_at: now, ttl_ms, body: RoomCommand::Expire })
}

/// Remembers for which rooms a record is on its way, so that each scan does not append another. Pure.
#[derive(Debug, Default)]
pub struct Scanner {
    sent: BTreeMap<RoomId, Timestamp>,
}

impl Scanner {
    /// Of the rooms that the store says are over, those for which a record is due. One that had no effect (the journal's
    /// clock was behind) is due again after its time to live.
    pub fn due(&mut self, over: Vec<(RoomId, Timestamp)>, now: Timestamp) -> Vec<RoomId> {
        self.sent.retain(|_, at| now.since(*at) <= limits::COMMAND_TTL_MS && *at <= now);
        let due: Vec<RoomId> =
            over.into_iter().map(|(room, _)| room).filter(|room| !self.sent.contains_key(room)).collect();
        self.sent.extend(due.iter().map(|room| (*room, now)));
        due
    }

    /// The record for the room was not appended: it is due again at the next scan.
    pub fn failed(&mut self, room: RoomId) {
        self.sent.remove(&room);
    }
}

/// What the scanner works with.
#[derive(Clone)]
pub struct Deps {
    /// Knows when rooms expire.
    pub store: Arc<dyn Store>,
    /// Appends to the rooms' partitions.
    pub append: Append,
    /// Clock and ids.
    pub env: Env,
    /// Time between two scans.
    pub every: Duration,
}

/// How it is, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Scans so far.
    pub scans: u64,
}

/// Starts it. The next scan does again what failed.
#[must_use]
pub fn spawn(deps: Deps) -> Running<Status> {
    Running::start(|status, stopping| run(deps, status, stopping))
}

async fn run(deps: Deps, status: watch::Sender<Status>, mut stopping: watch::Receiver<bool>) {
    let mut scanner = Scanner::default();
    while !*stopping.borrow() {
        scan(&deps, &mut scanner).await;
        status.send_modify(|status| status.scans += 1);
        tokio::select! {
            () = tokio::time::sleep(deps.every) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }
}

/// One scan. A page of rooms; the rest comes with the next scans.
async fn scan(deps: &Deps, scanner: &mut Scanner) {
    let now = deps.env.now();
    let over = match deps.store.expiring(now, None, limits::EXPIRY_PAGE).await {
        Ok(over) => over,
        Err(error) => {
            tracing::warn!(%error, "the scan for expired rooms failed; the next one tries again");
            return;
        }
    };
    let mut records: BTreeMap<Partition, Vec<(RoomId, Bytes)>> = BTreeMap::new();
    for room in scanner.due(over, now) {
        let Addressed { partition, record } = record(room, deps.env.ids.next(), now);
        records.entry(partition).or_default().push((room, record));
    }
    for (partition, rooms) in records {
        let batch = rooms.iter().map(|(_, record)| record.clone()).collect();
        if let Err(error) = (deps.append)(partition, batch).await {
            tracing::warn!(%partition, %error, "expired rooms could not be told; the next scan tries again");
            rooms.iter().for_each(|(room, _)| scanner.failed(*room));
        }
    }
}
