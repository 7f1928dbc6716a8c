//! `/api/chats/{chat}/messages`: sending, pages, edits, deletions; and how far one has come.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiError, Body, CurrentUser, Rest};
use crate::actors::room::commands::{NewBody, NewMessage, Reaction};
use crate::actors::user::commands::UpTo;
use crate::api::http::HttpError;
use crate::api::http::{Path, Query};
use crate::api::operations::history::MessagesQuery;
use crate::api::operations::request::{InRoom, OfMessage};
use crate::api::operations::view::{Done, Happened, HistoryPage, Marked, Sent};
use crate::ids::{ClientId, RoomId, Seq};

/// Stands for the client id where the body has none.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(history, send))
        .routes(routes!(edit, delete))
        .routes(routes!(react, unreact))
        .routes(routes!(read))
        .routes(routes!(delivered))
        .routes(routes!(typing))
}

/// A page of messages in their present form
#[utoipa::path(get, path = "/api/chats/{chat}/messages", tag = "messages", params(("chat" = RoomId,), MessagesQuery),
    security(("bearer" = [])), responses((status = 200, body = HistoryPage)))]
async fn history(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
    Query(page): Query<MessagesQuery>,
) -> Result<Json<HistoryPage>, ApiError> {
    Ok(Json(rest.handlers.history(&me, InRoom { room }, page).await?))
}

/// Send a message
///
/// Answered when it is durable and has its place. With a client id a retry is answered with the first result (200).
#[utoipa::path(post, path = "/api/chats/{chat}/messages", tag = "messages",
    params(("chat" = RoomId,), ("Idempotency-Key" = Option<ClientId>, Header, nullable = false)),
    request_body = NewMessage, security(("bearer" = [])),
    responses((status = 201, description = "sent", body = Sent), (status = 200, description = "had been sent", body = Sent)))]
async fn send(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
    headers: HeaderMap,
    Body(mut new): Body<NewMessage>,
) -> Result<(StatusCode, Json<Sent>), ApiError> {
    if new.client_id.is_none() {
        new.client_id = named_in(&headers)?;
    }
    let sent = rest.handlers.send(&me, InRoom { room }, new).await?;
    let status = if sent.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(sent)))
}

fn named_in(headers: &HeaderMap) -> Result<Option<ClientId>, HttpError> {
    let bad = |why: String| HttpError::new(StatusCode::BAD_REQUEST, "bad_request", format!("Idempotency-Key: {why}"));
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = key.to_str().map_err(|why| bad(why.to_string()))?;
    ClientId::new(key).map(Some).map_err(|why| bad(why.to_string()))
}

/// Give one's own message a new body
#[utoipa::path(patch, path = "/api/chats/{chat}/messages/{seq}", tag = "messages",
    params(("chat" = RoomId,), ("seq" = u64, minimum = 1)), request_body = NewBody, security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn edit(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, target)): Path<(RoomId, Seq)>,
    Body(new): Body<NewBody>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.edit(&me, OfMessage { room, target }, new).await?))
}

/// Redact one's own message
#[utoipa::path(delete, path = "/api/chats/{chat}/messages/{seq}", tag = "messages",
    params(("chat" = RoomId,), ("seq" = u64, minimum = 1)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn delete(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, target)): Path<(RoomId, Seq)>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.delete(&me, OfMessage { room, target }).await?))
}

/// Put an emoji on a message
#[utoipa::path(put, path = "/api/chats/{chat}/messages/{seq}/reactions/{emoji}", tag = "messages",
    params(("chat" = RoomId,), ("seq" = u64, minimum = 1), ("emoji" = String,)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn react(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, target, emoji)): Path<(RoomId, Seq, String)>,
) -> Result<Json<Happened>, ApiError> {
    let reaction = Reaction { client_id: None, emoji, remove: false };
    Ok(Json(rest.handlers.react(&me, OfMessage { room, target }, reaction).await?))
}

/// Take an emoji back
#[utoipa::path(delete, path = "/api/chats/{chat}/messages/{seq}/reactions/{emoji}", tag = "messages",
    params(("chat" = RoomId,), ("seq" = u64, minimum = 1), ("emoji" = String,)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn unreact(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, target, emoji)): Path<(RoomId, Seq, String)>,
) -> Result<Json<Happened>, ApiError> {
    let reaction = Reaction { client_id: None, emoji, remove: true };
    Ok(Json(rest.handlers.react(&me, OfMessage { room, target }, reaction).await?))
}

/// Move one's read mark
#[utoipa::path(post, path = "/api/chats/{chat}/read", tag = "messages", params(("chat" = RoomId,)),
    request_body = UpTo, security(("bearer" = [])), responses((status = 200, body = Marked)))]
async fn read(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
    Body(up_to): Body<UpTo>,
) -> Result<Json<Marked>, ApiError> {
    Ok(Json(rest.handlers.mark_read(&me, InRoom { room }, up_to).await?))
}

/// Tell the others how far messages came to this device
#[utoipa::path(post, path = "/api/chats/{chat}/delivered", tag = "messages", params(("chat" = RoomId,)),
    request_body = UpTo, security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn delivered(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
    Body(up_to): Body<UpTo>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.mark_delivered(&me, InRoom { room }, up_to).await?))
}

/// Tell the others that one is typing
#[utoipa::path(post, path = "/api/chats/{chat}/typing", tag = "messages", params(("chat" = RoomId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn typing(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.typing(&me, InRoom { room }).await?))
}
