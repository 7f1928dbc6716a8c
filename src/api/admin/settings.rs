//! `GET /admin/config` and `/admin/limits`: what is in force, where it comes from, and how much of it is used.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};

use super::AdminState;
use crate::api::http::HttpError;
use crate::config::ShownSetting;
use crate::ids::millis;
use crate::limits;

/// The configuration.
#[derive(Serialize)]
pub(super) struct Settings {
    file: Option<String>,
    items: Vec<ShownSetting>,
    warnings: Vec<String>,
}

/// `GET /admin/config`. Secrets are `***`.
pub(super) async fn config(State(admin): AdminState) -> Json<Settings> {
    let loaded = &admin.loaded;
    Json(Settings {
        file: loaded.file.as_ref().map(|file| file.display().to_string()),
        items: loaded.settings(),
        warnings: loaded.warnings.clone(),
    })
}

/// A bound.
#[derive(Serialize)]
pub(super) struct Limit {
    name: &'static str,
    unit: &'static str,
    /// 0: no bound.
    value: u64,
    /// How much of it is taken now, where that is known.
    used: Option<u64>,
    /// Whether an operator may change it.
    configurable: bool,
}

/// `GET /admin/limits`.
pub(super) async fn limits(State(admin): AdminState) -> Result<Json<Value>, HttpError> {
    let (set, metrics) = (&admin.loaded.config.limits, &admin.metrics);
    let used = |gauge: i64| Some(u64::try_from(gauge).unwrap_or(0));
    let own = |name, unit, value: u64, used| Limit { name, unit, value, used, configurable: true };
    let fixed = |name, unit, value: usize| Limit { name, unit, value: value as u64, used: None, configurable: false };
    let items = vec![
        own("connections", "connections", set.connections.into(), used(metrics.connections.get())),
        own("connections_per_address", "connections", set.connections_per_address.into(), None),
        own("resident_rooms", "rooms", set.resident_rooms.into(), used(metrics.resident_rooms.get())),
        own("resident_users", "users", set.resident_users.into(), used(metrics.resident_users.get())),
        own("room_memory", "bytes", set.room_memory.0 as u64, used(metrics.room_memory_bytes.get())),
        own("messages_per_minute", "messages of a user", set.messages_per_minute.into(), None),
        own("burst", "messages of a user", set.burst.into(), None),
        own("changes_per_minute", "changes of a user", set.changes_per_minute.into(), None),
        own("changes_burst", "changes of a user", set.changes_burst.into(), None),
        own("questions_per_minute", "questions of a user", set.questions_per_minute.into(), None),
        own("questions_burst", "questions of a user", set.questions_burst.into(), None),
        own("frame", "bytes", set.frame.0 as u64, None),
        own("body", "bytes", set.body.0 as u64, None),
        own("outbox", "bytes of a connection", set.outbox.0 as u64, None),
        own("idle", "ms", millis(set.idle), None),
        own("slow_grace", "ms", millis(set.slow_grace), None),
        own("handshake_timeout", "ms", millis(set.handshake_timeout), None),
        fixed("partition_queue", "bytes of a partition", limits::PARTITION_QUEUE_BYTES),
        fixed("append", "bytes", limits::APPEND_BYTES),
        fixed("record", "bytes", limits::RECORD_BYTES),
        fixed("members", "users of a room", limits::MEMBERS),
        fixed("rooms_per_user", "rooms of a user", limits::ROOMS_PER_USER),
        fixed("session_inflight", "commands of a connection", limits::SESSION_INFLIGHT),
        fixed("session_subscriptions", "subscriptions of a connection", limits::SESSION_SUBSCRIPTIONS),
    ];
    Ok(Json(json!({ "items": items })))
}
