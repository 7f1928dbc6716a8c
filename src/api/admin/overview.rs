//! `GET /admin/overview`: the figures of a page's head.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::AdminState;
use crate::api::http::HttpError;
use crate::health;

/// `GET /admin/overview`. Answers also while the server is starting.
pub(super) async fn overview(State(admin): AdminState) -> Result<Json<Value>, HttpError> {
    let report = admin.health.report();
    let status = match (report.draining, report.ready()) {
        (true, _) => "draining",
        (false, true) => "ok",
        (false, false) => "unavailable",
    };
    let down = |state: &health::State| match state {
        health::State::Up | health::State::Warning(_) => None,
        health::State::Down(why) => Some(why.clone()),
    };
    let checks: serde_json::Map<_, _> =
        report.checks.iter().map(|(name, state)| ((*name).to_owned(), json!(down(state)))).collect();
    let metrics = &admin.metrics;
    let mut figures = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "status": status,
        "checks": checks,
        "production": admin.loaded.config.server.production,
        "now": admin.env.now(),
        "uptime_ms": admin.env.steady().since(admin.started),
        "connections": metrics.connections.get(),
        "clients": metrics.clients.get(),
        "resident_rooms": metrics.resident_rooms.get(),
        "resident_users": metrics.resident_users.get(),
        "messages_accepted": metrics.messages_accepted.get(),
        "deliveries": metrics.deliveries.get(),
        "actor_restarts": metrics.actor_restarts.get(),
        "lag_records": metrics.projector_lag_records.get(),
        "watermark_age_seconds": metrics.watermark_age_seconds.get(),
    });
    if let Ok(live) = admin.live() {
        let directory = live.node.directory();
        directory.sample();
        let (mut depth, mut rate, mut halted) = (0, 0, 0);
        for partition in live.node.router().owned().iter() {
            let (own, sums) = (directory.partition(partition).figures(directory.now()), directory.sums(partition));
            depth += u64::from(own.depth) + sums.depth;
            rate += u64::from(own.rate_milli) + sums.rate_milli;
            halted += usize::from(live.node.halted().is(partition));
        }
        figures["mailbox_depth"] = json!(depth);
        figures["rate"] = json!(rate as f64 / 1_000.0);
        figures["halted_partitions"] = json!(halted);
        figures["feeds"] = json!(live.hub.feeds());
    }
    Ok(Json(figures))
}
