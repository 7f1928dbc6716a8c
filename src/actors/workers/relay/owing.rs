//! Whose facts wait, at a node beside which another process relays: counted in the outbox, as far as its beginning goes. Admission
//! holds back users who are far ahead; the bound is theirs alone, so that what is not counted holds back nobody who should not be.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Owed;
use crate::actors::watermarks::Watermarks;
use crate::actors::workers::Running;
use crate::actors::workers::persistence::outbox;
use crate::ids::{Partition, UserId};
use crate::limits;
use crate::storage::journal::record::Envelope;
use crate::storage::store::rows::OutboxPlace;
use crate::storage::store::{Store, StoreError};

/// Between two counts.
const EVERY: Duration = Duration::from_millis(limits::OWING_LOOK_MS);

/// What it works with.
#[derive(Clone)]
pub(crate) struct Deps {
    /// Holds the outbox.
    pub store: Arc<dyn Store>,
    /// Changes when there may be more in it.
    pub outbox: Arc<Watermarks>,
    /// Told what was counted.
    pub owed: Arc<Owed>,
}

/// How it is, for health.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwingStatus {
    /// The last failure of the store, until it answers again.
    pub failing: Option<String>,
}

/// Starts it.
#[must_use]
pub(crate) fn spawn(deps: Deps) -> Running<OwingStatus> {
    Running::start(|status, stopping| run(deps, status, stopping))
}

async fn run(deps: Deps, status: watch::Sender<OwingStatus>, stopping: watch::Receiver<bool>) {
    let mut changes = deps.outbox.changes();
    let mut stop = stopping.clone();
    while !*stopping.borrow() {
        changes.borrow_and_update();
        let counted = count(&*deps.store).await;
        let failing = counted.as_ref().err().map(ToString::to_string);
        let is_settled = match counted {
            Ok(owed) => {
                let is_empty = owed.is_empty();
                deps.owed.set(owed);
                is_empty
            }
            // What was counted last stays.
            Err(_) => false,
        };
        status.send_if_modified(|status| {
            let is_changed = status.failing != failing;
            status.failing = failing;
            is_changed
        });
        let next = async {
            if is_settled {
                _ = changes.changed().await;
            }
            tokio::time::sleep(EVERY).await;
        };
        tokio::select! {
            () = next => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}

/// The users of whom many facts stand in the outbox's first rows.
async fn count(store: &dyn Store) -> Result<HashMap<UserId, usize>, StoreError> {
    let (mut counts, mut from) = (HashMap::<UserId, usize>::new(), OutboxPlace::first_of(Partition::FIRST));
    for _ in 0..limits::OWING_PAGES {
        let rows = store.relay_next(from, limits::RELAY_ROWS).await?;
        for row in rows.iter().filter(|row| row.fan_out.is_none()) {
            let envelope = Envelope::decode_record(&row.record).ok();
            if let Some(user) = envelope.as_ref().and_then(outbox::caused_by) {
                *counts.entry(user).or_default() += 1;
            }
        }
        match rows.last() {
            Some(last) if rows.len() == limits::RELAY_ROWS => from = last.place().next(),
            _ => break,
        }
    }
    counts.retain(|_, facts| *facts >= limits::OWED);
    Ok(counts)
}
