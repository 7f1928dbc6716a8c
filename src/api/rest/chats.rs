//! `/api/chats`: rooms, their settings, coming and going.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiError, Body, CurrentUser, Rest};
use crate::actors::room::commands::{NewRoom, NewSettings};
use crate::actors::user::commands::MuteTime;
use crate::api::http::{Path, Query};
use crate::api::operations::list::ChatsQuery;
use crate::api::operations::request::{InRoom, NoParams};
use crate::api::operations::view::{Created, Done, Happened, MutesView, RoomPage, RoomView};
use crate::ids::RoomId;

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, update, end))
        .routes(routes!(join))
        .routes(routes!(leave))
        .routes(routes!(mute, unmute))
        .routes(routes!(mutes))
}

/// Make a chat, or open the direct chat with a user
#[utoipa::path(post, path = "/api/chats", tag = "chats", request_body = NewRoom, security(("bearer" = [])),
    responses((status = 201, description = "made", body = Created), (status = 200, description = "it was there", body = Created)))]
async fn create(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Body(new): Body<NewRoom>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    let created = rest.handlers.create(&me, new).await?;
    let status = if created.existing { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(created)))
}

/// One's chats and invitations, the latest activity first
#[utoipa::path(get, path = "/api/chats", tag = "chats", params(ChatsQuery), security(("bearer" = [])),
    responses((status = 200, body = RoomPage)))]
async fn list(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Query(page): Query<ChatsQuery>,
) -> Result<Json<RoomPage>, ApiError> {
    Ok(Json(rest.handlers.list(&me, page).await?))
}

/// A chat as it is
#[utoipa::path(get, path = "/api/chats/{chat}", tag = "chats", params(("chat" = RoomId,)), security(("bearer" = [])),
    responses((status = 200, body = RoomView)))]
async fn get(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
) -> Result<Json<RoomView>, ApiError> {
    Ok(Json(rest.handlers.get(&me, InRoom { room }).await?))
}

/// Change settings
#[utoipa::path(patch, path = "/api/chats/{chat}", tag = "chats", params(("chat" = RoomId,)), request_body = NewSettings,
    security(("bearer" = [])), responses((status = 200, body = Happened)))]
async fn update(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
    Body(change): Body<NewSettings>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.update(&me, InRoom { room }, change).await?))
}

/// End a chat
#[utoipa::path(delete, path = "/api/chats/{chat}", tag = "chats", params(("chat" = RoomId,)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn end(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.end(&me, InRoom { room }).await?))
}

/// Enter a chat: accept an invitation, or join a public one
#[utoipa::path(post, path = "/api/chats/{chat}/join", tag = "chats", params(("chat" = RoomId,)),
    security(("bearer" = [])), responses((status = 200, body = Happened)))]
async fn join(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.join(&me, InRoom { room }).await?))
}

/// Leave a chat, or decline an invitation
#[utoipa::path(post, path = "/api/chats/{chat}/leave", tag = "chats", params(("chat" = RoomId,)),
    security(("bearer" = [])), responses((status = 200, body = Happened)))]
async fn leave(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.leave(&me, InRoom { room }).await?))
}

/// Mute a chat: its messages notify one no more
#[utoipa::path(put, path = "/api/chats/{chat}/mute", tag = "chats", params(("chat" = RoomId,)), request_body = MuteTime,
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn mute(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
    Body(time): Body<MuteTime>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.mute(&me, InRoom { room }, time).await?))
}

/// Take that back
#[utoipa::path(delete, path = "/api/chats/{chat}/mute", tag = "chats", params(("chat" = RoomId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn unmute(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.unmute(&me, InRoom { room }).await?))
}

/// The chats that one has muted
#[utoipa::path(get, path = "/api/users/me/mutes", tag = "chats", security(("bearer" = [])),
    responses((status = 200, body = MutesView)))]
async fn mutes(State(rest): State<Rest>, CurrentUser(me): CurrentUser) -> Result<Json<MutesView>, ApiError> {
    Ok(Json(rest.handlers.mutes(&me, NoParams {}).await?))
}
