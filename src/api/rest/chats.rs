//! `/api/chats`: rooms, their settings, coming and going.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiError, Body, CurrentUser, Rest};
use crate::api::http::{Path, Query};
use crate::api::operations::input::{Create, InRoom, Kind, List, RoomRef, Senders, Ttl, Update};
use crate::api::operations::view::{Created, Happened, RoomPage, RoomView};
use crate::ids::{ClientId, RoomId, UserId};

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, update, end))
        .routes(routes!(join))
        .routes(routes!(leave))
}

/// A chat to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewChat {
    /// Its kind.
    #[serde(default)]
    #[schema(inline, required = false)]
    kind: Kind,
    /// The other one, in a direct chat.
    #[schema(required = false, nullable = false)]
    user: Option<UserId>,
    /// Who else is in, at most 1,000.
    #[serde(default)]
    #[schema(required = false)]
    members: Vec<UserId>,
    /// At most 256 bytes.
    #[serde(default)]
    #[schema(required = false)]
    title: String,
    /// Whether users may join by themselves.
    #[serde(default)]
    #[schema(required = false)]
    public: bool,
    /// Who may send.
    #[schema(inline, required = false, nullable = false)]
    may_send: Option<Senders>,
    /// Names the group: a retry with it gives the same chat.
    #[schema(required = false, nullable = false)]
    client_id: Option<ClientId>,
    /// Milliseconds, or a text such as "24h"; 0 for ever.
    #[schema(value_type = u64, required = false, nullable = false)]
    ttl: Option<Ttl>,
}

/// Settings to be changed; what is not named stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct ChatChange {
    /// At most 256 bytes.
    #[schema(required = false, nullable = false)]
    title: Option<String>,
    /// Milliseconds from now on, or a text such as "24h"; 0 for ever.
    #[schema(value_type = u64, required = false, nullable = false)]
    ttl: Option<Ttl>,
    /// Who may send.
    #[schema(inline, required = false, nullable = false)]
    may_send: Option<Senders>,
    /// Whether users may join by themselves.
    #[schema(required = false, nullable = false)]
    public: Option<bool>,
}

/// A page of chats.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChatsQuery {
    /// How many, 50 unless said otherwise.
    #[param(minimum = 1, maximum = 300, required = false, nullable = false)]
    limit: Option<u64>,
    /// Where the last page ended.
    #[param(required = false, nullable = false)]
    cursor: Option<String>,
    /// The chats that have ended or expired instead of those that live.
    #[serde(default)]
    #[param(required = false)]
    ended: bool,
}

/// Make a chat, or open the direct chat with a user
#[utoipa::path(post, path = "/api/chats", tag = "chats", request_body = NewChat, security(("bearer" = [])),
    responses((status = 201, description = "made", body = Created), (status = 200, description = "it was there", body = Created)))]
async fn create(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Body(new): Body<NewChat>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    let NewChat { kind, user, members, title, public, may_send, client_id, ttl } = new;
    let create = Create { kind, user, members, title, public, may_send, client_id, ttl };
    let created = rest.handlers.create(&me, create).await?;
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
    let ChatsQuery { limit, cursor, ended } = page;
    Ok(Json(rest.handlers.list(&me, List { limit, cursor, ended }).await?))
}

/// A chat as it is
#[utoipa::path(get, path = "/api/chats/{chat}", tag = "chats", params(("chat" = RoomId,)), security(("bearer" = [])),
    responses((status = 200, body = RoomView)))]
async fn get(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
) -> Result<Json<RoomView>, ApiError> {
    Ok(Json(rest.handlers.get(&me, InRoom { room }).await?))
}

/// Change settings
#[utoipa::path(patch, path = "/api/chats/{chat}", tag = "chats", params(("chat" = RoomId,)), request_body = ChatChange,
    security(("bearer" = [])), responses((status = 200, body = Happened)))]
async fn update(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
    Body(change): Body<ChatChange>,
) -> Result<Json<Happened>, ApiError> {
    let ChatChange { title, ttl, may_send, public } = change;
    Ok(Json(rest.handlers.update(&me, Update { room, title, ttl, may_send, public }).await?))
}

/// End a chat
#[utoipa::path(delete, path = "/api/chats/{chat}", tag = "chats", params(("chat" = RoomId,)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn end(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.end(&me, InRoom { room }).await?))
}

/// Enter a chat: accept an invitation, or join a public one
#[utoipa::path(post, path = "/api/chats/{chat}/join", tag = "chats", params(("chat" = RoomId,)),
    security(("bearer" = [])), responses((status = 200, body = Happened)))]
async fn join(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.join(&me, InRoom { room }).await?))
}

/// Leave a chat, or decline an invitation
#[utoipa::path(post, path = "/api/chats/{chat}/leave", tag = "chats", params(("chat" = RoomId,)),
    security(("bearer" = [])), responses((status = 200, body = Happened)))]
async fn leave(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.leave(&me, InRoom { room }).await?))
}
