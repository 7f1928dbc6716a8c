//! Authenticated connections: list, one, and closing one.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::AdminState;
use super::extract::{OptionalBody, Page, bad, not_found, page_size};
use super::guard::Who;
use super::users::DisconnectMode;
use crate::actors::gateway::hub::{Connection, Wire};
use crate::actors::gateway::order::Order;
use crate::api::http::{HttpError, Path, Query};
use crate::env::Env;
use crate::ids::{Timestamp, UserId};

/// A connection.
#[derive(Serialize)]
pub(super) struct AdminSession {
    client: Uuid,
    user: UserId,
    format: &'static str,
    since: Timestamp,
    age_ms: u64,
    commands: u32,
    outbox_items: usize,
    outbox_bytes: usize,
}

impl AdminSession {
    pub(crate) fn of(env: &Env, connection: &Connection) -> Self {
        let (outbox_items, outbox_bytes) = connection.outbox.waits();
        Self {
            client: connection.client,
            user: connection.user.clone(),
            format: match connection.wire {
                Wire::Json => "json",
                Wire::Protobuf => "protobuf",
            },
            since: connection.since,
            age_ms: env.now().since(connection.since),
            commands: connection.commands.load(Relaxed),
            outbox_items,
            outbox_bytes,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionFilter {
    user: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// `GET /admin/sessions`: by client id, which is by age.
pub(super) async fn list(
    State(admin): AdminState,
    Query(wanted): Query<SessionFilter>,
) -> Result<Json<Page<AdminSession>>, HttpError> {
    let live = admin.live()?;
    let limit = page_size(wanted.limit)?;
    let after = wanted.after.as_deref().map(str::parse).transpose();
    let after: Option<Uuid> = after.map_err(|_| bad("after: expected a client's id"))?;
    let user = wanted.user.as_deref().map(UserId::new).transpose().map_err(|_| bad("user: expected a user's id"))?;
    let mut first = BinaryHeap::new();
    let mut see = |connection: &Arc<Connection>| {
        if after.is_none_or(|after| connection.client > after) {
            first.push(connection.client);
            if first.len() > limit + 1 {
                first.pop();
            }
        }
    };
    match &user {
        Some(user) => live.hub.sessions().of(user).iter().for_each(see),
        None => live.hub.sessions().each(&mut see),
    }
    let first = first.into_sorted_vec();
    let mut found = Vec::with_capacity(first.len());
    live.hub.sessions().each(|connection| {
        if first.binary_search(&connection.client).is_ok() {
            found.push(AdminSession::of(&admin.env, connection));
        }
    });
    found.sort_unstable_by_key(|session| session.client);
    Ok(Json(Page::new(found, limit, |session: &AdminSession| session.client.to_string())))
}

/// `GET /admin/sessions/{client}`.
pub(super) async fn detail(
    State(admin): AdminState,
    Path(client): Path<String>,
) -> Result<Json<AdminSession>, HttpError> {
    let live = admin.live()?;
    let connection = client.parse().ok().and_then(|client| live.hub.sessions().find(client));
    connection.map(|connection| Json(AdminSession::of(&admin.env, &connection))).ok_or_else(|| not_found("session"))
}

/// `POST /admin/sessions/{client}/disconnect`.
pub(super) async fn disconnect(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(client): Path<String>,
    OptionalBody(mode): OptionalBody<DisconnectMode>,
) -> Result<StatusCode, HttpError> {
    let live = admin.live()?;
    let found = client.parse().ok().and_then(|client| live.hub.sessions().find(client));
    let connection = found.ok_or_else(|| not_found("session"))?;
    connection.outbox.order(Order::close(mode.code()));
    admin.note(&who, "session.disconnect", &client, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
