//! Users as others see them: presence, blocks; and one's own devices.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::WithIds;
use super::{ApiError, Body, CurrentUser, Rest};
use crate::actors::user::commands::DeviceFacts;
use crate::api::http::HttpError;
use crate::api::http::Path;
use crate::api::operations::request::{OfDevice, OfUser};
use crate::api::operations::users::PresenceQuery;
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
    Ok(Json(rest.handlers.presence(&me, PresenceQuery { users }).await?))
}

/// Block a user
#[utoipa::path(put, path = "/api/users/{user}/block", tag = "users", params(("user" = UserId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn block(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(user): Path<UserId>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.block(&me, OfUser { user }).await?))
}

/// Take a block back
#[utoipa::path(delete, path = "/api/users/{user}/block", tag = "users", params(("user" = UserId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn unblock(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(user): Path<UserId>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.unblock(&me, OfUser { user }).await?))
}

/// Make one of one's devices known
#[utoipa::path(put, path = "/api/users/me/devices/{device}", tag = "users", params(("device" = DeviceId,)),
    request_body = DeviceFacts, security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn device(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(device): Path<DeviceId>,
    Body(facts): Body<DeviceFacts>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.device(&me, OfDevice { device }, facts).await?))
}

/// Forget one
#[utoipa::path(delete, path = "/api/users/me/devices/{device}", tag = "users", params(("device" = DeviceId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn forget_device(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(device): Path<DeviceId>,
) -> Result<Json<Done>, ApiError> {
    let forgotten = DeviceFacts { remove: true, ..DeviceFacts::default() };
    Ok(Json(rest.handlers.device(&me, OfDevice { device }, forgotten).await?))
}
