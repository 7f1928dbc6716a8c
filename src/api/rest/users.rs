//! Users as others see them: presence, blocks; and one's own devices.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::WithIds;
use super::{ApiError, Body, CurrentUser, Rest};
use crate::api::http::HttpError;
use crate::api::http::Path;
use crate::api::operations::input::{Device, Presence, Whom};
use crate::api::operations::view::{Done, PresencePage};
use crate::ids::{DeviceId, UserId};

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(presence))
        .routes(routes!(block, unblock))
        .routes(routes!(device, forget_device))
}

/// Nothing beside the ids.
#[derive(Deserialize)]
struct Only {}

/// A device.
#[derive(Deserialize, ToSchema)]
pub(super) struct DeviceFacts {
    /// `web`, `ios`, `android`, …
    #[serde(default)]
    #[schema(required = false)]
    platform: String,
    /// Where pushes go, at most 512 bytes.
    #[serde(default)]
    #[schema(required = false)]
    push_token: String,
}

/// Who is online
#[utoipa::path(get, path = "/api/users/presence", tag = "users", 
    params(("ids" = String, Query, description = "User ids with commas between them, at most 100; or `ids` for each of them")),
    security(("bearer" = [])),
    responses((status = 200, body = PresencePage)))]
async fn presence(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    WithIds(ids, Only {}): WithIds<Only>,
) -> Result<Json<PresencePage>, ApiError> {
    let bad = |why: String| HttpError::new(StatusCode::BAD_REQUEST, "bad_request", format!("ids: {why}"));
    let ids = ids.ok_or_else(|| bad("whose?".to_owned()))?;
    let users: Result<Vec<_>, _> = ids.iter().map(|id| UserId::new(id)).collect();
    let users = users.map_err(|why| bad(why.to_string()))?;
    Ok(Json(rest.handlers.presence(&me, Presence { users }).await?))
}

/// Block a user
#[utoipa::path(put, path = "/api/users/{user}/block", tag = "users", params(("user" = UserId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn block(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(user): Path<UserId>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.block(&me, Whom { user }).await?))
}

/// Take a block back
#[utoipa::path(delete, path = "/api/users/{user}/block", tag = "users", params(("user" = UserId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn unblock(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(user): Path<UserId>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.unblock(&me, Whom { user }).await?))
}

/// Make one of one's devices known
#[utoipa::path(put, path = "/api/users/me/devices/{device}", tag = "users", params(("device" = DeviceId,)),
    request_body = DeviceFacts, security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn device(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(device): Path<DeviceId>,
    Body(DeviceFacts { platform, push_token }): Body<DeviceFacts>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.device(&me, Device { device, platform, push_token, remove: false }).await?))
}

/// Forget one
#[utoipa::path(delete, path = "/api/users/me/devices/{device}", tag = "users", params(("device" = DeviceId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn forget_device(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(device): Path<DeviceId>,
) -> Result<Json<Done>, ApiError> {
    let (platform, push_token) = (String::new(), String::new());
    Ok(Json(rest.handlers.device(&me, Device { device, platform, push_token, remove: true }).await?))
}
