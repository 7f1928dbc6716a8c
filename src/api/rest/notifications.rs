//! `/api/notifications`: what others did that concerns the user. And `/api/events`: what an application wants to be counted.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{ApiError, Body, CurrentUser, Rest};
use crate::actors::bounds::{self, BadInput};
use crate::actors::user::commands::WhatIsRead;
use crate::api::http::HttpError;
use crate::api::http::Query;
use crate::api::operations;
use crate::api::operations::admission::Cost;
use crate::api::operations::view::json;
use crate::api::protocol::shape::objects;
use crate::ids::{RoomId, Timestamp};
use crate::storage::analytics::AnalyticsEvent;
use crate::storage::notifications::Notification;

/// Of a page, and of events in one request.
const MOST: u32 = 100;
/// Bytes of an event's type.
const TYPE_BYTES: usize = 64;
/// Bytes of what it says.
const DATA_BYTES: usize = 4 * 1024;
/// Bytes of the session that an event belongs to.
const SESSION_BYTES: usize = 64;

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(take))
}

/// Which notifications.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Only those that are unread.
    #[serde(default)]
    #[param(required = false)]
    unread: bool,
    /// Older than this one.
    #[param(required = false, nullable = false)]
    before: Option<Uuid>,
    /// 1 to 100; 50.
    #[param(required = false, nullable = false)]
    limit: Option<u32>,
}

/// Something that the user should notice.
#[derive(Serialize, ToSchema)]
struct NotificationView {
    /// Its id.
    id: Uuid,
    /// `room.invited`, `room.joined`, `room.kicked`, `room.ended`, `room.reopened`; `message` if notifications are on.
    #[serde(rename = "type")]
    kind: String,
    /// In a few words.
    title: String,
    /// In a sentence.
    message: String,
    /// The room, and who did it; of a message its `seq`, too.
    #[schema(value_type = serde_json::Value)]
    data: Option<Box<RawValue>>,
    /// Whether the user has seen it.
    is_read: bool,
    /// When.
    created_at: Timestamp,
}

impl From<Notification> for NotificationView {
    fn from(one: Notification) -> Self {
        let Notification { id, kind, title, message, data, read, at } = one;
        Self { id, kind, title, message, data: json(data), is_read: read, created_at: at }
    }
}

/// A page of notifications.
#[derive(Serialize, ToSchema)]
struct NotificationPage {
    /// The newest first.
    notifications: Vec<NotificationView>,
    /// How many are unread in all; 1,000 for more.
    unread: u64,
    /// Whether there are older ones.
    more: bool,
}

/// What an application saw.
#[derive(Deserialize, ToSchema)]
struct NewEvent {
    /// What, in the application's words: at most 64 bytes.
    #[serde(rename = "type")]
    kind: String,
    /// The chat that it is about.
    #[schema(required = false, nullable = false)]
    chat: Option<RoomId>,
    /// JSON of at most 4 KiB.
    #[schema(value_type = serde_json::Value, required = false, nullable = false)]
    data: Option<Box<RawValue>>,
    /// The application's own session that it belongs to: at most 64 bytes.
    #[schema(required = false, nullable = false)]
    session_id: Option<String>,
}

/// Events.
#[derive(Deserialize, ToSchema)]
struct NewEvents {
    /// At most 100.
    #[serde(deserialize_with = "objects")]
    events: Vec<NewEvent>,
}

/// What came of them.
#[derive(Serialize, ToSchema)]
struct EventsTaken {
    /// How many were taken.
    accepted: usize,
}

/// What others did that concerns me
#[utoipa::path(get, path = "/api/notifications", tag = "notifications", params(Which), security(("bearer" = [])),
    responses((status = 200, body = NotificationPage)))]
async fn list(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Query(which): Query<Which>,
) -> Result<Json<NotificationPage>, ApiError> {
    let Which { unread, before, limit } = which;
    let limit = limit.unwrap_or(50);
    if !(1..=MOST).contains(&limit) {
        return Err(bad(format!("limit is 1 to {MOST}")));
    }
    rest.admit(&me.user, Cost::Question { rows: limit as usize })?;
    rest.handlers.own_notifications(&me).await?;
    let stored = operations::Error::from;
    let (mut found, unread) = rest.notifications.list(&me.user, before, unread, limit + 1).await.map_err(stored)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    Ok(Json(NotificationPage { notifications: found.into_iter().map(Into::into).collect(), unread, more }))
}

/// Mark notifications as read
#[utoipa::path(post, path = "/api/notifications/read", tag = "notifications", request_body = WhatIsRead,
    security(("bearer" = [])), responses((status = 204, description = "marked")))]
async fn read(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Body(seen): Body<WhatIsRead>,
) -> Result<StatusCode, ApiError> {
    rest.handlers.read_notifications(&me, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hand in events for analysis
#[utoipa::path(post, path = "/api/events", tag = "events", request_body = NewEvents, security(("bearer" = [])),
    responses((status = 202, body = EventsTaken)))]
async fn take(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Body(NewEvents { events }): Body<NewEvents>,
) -> Result<(StatusCode, Json<EventsTaken>), ApiError> {
    if events.len() > MOST as usize {
        return Err(operations::Error::from(BadInput::TooMany { what: "events", max: MOST as usize }).into());
    }
    let bytes = events.iter().map(|event| event.kind.len() + event.data.as_ref().map_or(0, |data| data.get().len()));
    rest.admit(&me.user, Cost::CHANGE.with_bytes(bytes.sum()))?;
    let now = rest.sessions.clock().now();
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        bounds::text("type", &event.kind, TYPE_BYTES).map_err(operations::Error::from)?;
        if event.kind.is_empty() {
            return Err(bad("type must not be empty".to_owned()));
        }
        let data = event.data.map_or_else(|| "null".to_owned(), |json| json.get().to_owned());
        bounds::text("data", &data, DATA_BYTES).map_err(operations::Error::from)?;
        if let Some(session) = &event.session_id {
            bounds::text("session_id", session, SESSION_BYTES).map_err(operations::Error::from)?;
        }
        rows.push(AnalyticsEvent {
            id: Uuid::now_v7(),
            kind: event.kind,
            user: me.user.clone(),
            chat: event.chat,
            data,
            session: event.session_id,
            at: now,
        });
    }
    let accepted = rows.len();
    rest.analytics.take(rows).await.map_err(operations::Error::from)?;
    Ok((StatusCode::ACCEPTED, Json(EventsTaken { accepted })))
}

fn bad(why: String) -> ApiError {
    HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why).into()
}
