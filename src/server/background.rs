//! What runs beside the engine until it drains: trimming, sweeping, keys and sign-ins, health and gauges, the goodbye.
//!
//! None of it answers anybody; a task that fails says so and tries again.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::gateway::hub::Hub;
use crate::actors::node::Node;
use crate::api::accounts::Accounts;
use crate::api::protocol::codes::Disconnect;
use crate::api::uploads::{self, Uploads};
use crate::env::Clock;
use crate::health::{Check, Health};
use crate::ids::Timestamp;
use crate::shutdown::Shutdown;
use crate::storage::analytics::Analytics;
use crate::storage::journal::maintenance::Maintenance;
use crate::storage::retention::Retention;

/// How often it is looked whether the journal can be trimmed.
const TRIM_EVERY: Duration = Duration::from_secs(60);
/// How often it is looked whether the signing keys have changed.
const KEEP_EVERY: Duration = Duration::from_secs(2);
/// How long events for analysis are kept.
const EVENTS_KEPT_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// Trims the journal now and then: what a backup covers grows old by itself.
pub(super) async fn trim(retention: Arc<Retention>) {
    let mut ticks = tokio::time::interval(TRIM_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = retention.trim().await {
            tracing::warn!(%error, "the journal could not be trimmed; the next try is in a minute");
        }
    }
}

/// Deletes bytes that have no row, and events that are old, now and then.
pub(super) async fn sweep(uploads: Arc<Uploads>, analytics: Analytics, clock: Arc<dyn Clock>) {
    let mut ticks = tokio::time::interval(uploads::SWEEP_EVERY);
    loop {
        ticks.tick().await;
        match uploads.sweep().await {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "uploads that a crash left half done are swept"),
            Err(error) => tracing::warn!(%error, "uploads can't be swept; the next try is in a day"),
        }
        let before = Timestamp(clock.now().0.saturating_sub(EVENTS_KEPT_MS));
        if let Err(error) = analytics.sweep(before).await {
            tracing::warn!(%error, "old events can't be swept; the next try is in a day");
        }
    }
}

/// Looks after keys and sign-ins.
pub(super) async fn keep(accounts: Arc<Accounts>) {
    let mut ticks = tokio::time::interval(KEEP_EVERY);
    loop {
        ticks.tick().await;
        accounts.upkeep().await;
    }
}

/// Sends everybody away when the drain begins, over the time of `spread`, and also who authenticated meanwhile.
pub(super) async fn say_goodbye(hub: Arc<Hub>, shutdown: Shutdown, spread: Duration) {
    shutdown.draining().await;
    loop {
        hub.sessions().disconnect_all(Disconnect::SHUTDOWN.code, spread).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the engine says of its own health.
pub(super) struct Checks {
    journal: Check,
    store: Check,
    clock: Check,
}

impl Checks {
    pub(crate) fn of(health: &Health) -> Self {
        Self { journal: health.check("journal"), store: health.check("store"), clock: health.check("clock") }
    }
}

/// Keeps health and gauges up to date, once a second.
pub(super) async fn watch(node: Arc<Node>, journal: Maintenance, checks: Checks, retention: Arc<Retention>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        look(&node, &journal, &checks).await;
        let taken = retention.last_backup().map_or(0, |at| at.0 / 1_000);
        node.context().metrics.backup_last_seconds.set(i64::try_from(taken).unwrap_or(i64::MAX));
    }
}

pub(super) async fn look(node: &Node, journal: &Maintenance, checks: &Checks) {
    match journal.failure() {
        None => checks.journal.up(),
        Some(why) => checks.journal.down(why),
    }
    match node.store().health().await {
        Ok(()) => checks.store.up(),
        Err(error) => checks.store.down(error.to_string()),
    }
    node.measure().await;
    match node.context().clocks.trouble() {
        None => checks.clock.up(),
        Some(trouble) => checks.clock.warn(trouble.to_string()),
    }
}
