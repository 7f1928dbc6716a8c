//! `/api/chats/{chat}/messages`: sending, pages, edits, deletions; and how far one has come.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiError, Body, CurrentUser, Rest};
use crate::actors::room::commands::Reaction;
use crate::api::http::HttpError;
use crate::api::http::{Path, Query};
use crate::api::operations::input::{AtSeq, Delete, Edit, History, InRoom, Message, React, RoomRef};
use crate::api::operations::view::{Done, Happened, HistoryPage, Marked, Sent};
use crate::ids::{ClientId, DeviceId, RoomId};

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

/// A message to be sent. It needs a body or metadata.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewMessage {
    /// Makes a retry harmless. The header `Idempotency-Key` stands for it.
    #[schema(required = false, nullable = false)]
    client_id: Option<ClientId>,
    /// The sending device.
    #[schema(required = false, nullable = false)]
    device: Option<DeviceId>,
    /// The client id that the same device sent before: 409 `need_prev` if that never arrived.
    #[schema(required = false, nullable = false)]
    prev: Option<ClientId>,
    /// Text, at most 32 KiB.
    #[serde(default)]
    #[schema(required = false)]
    body: String,
    /// `text` unless said otherwise, at most 32 bytes.
    #[serde(rename = "type")]
    #[schema(required = false, nullable = false)]
    message_type: Option<String>,
    /// Any JSON, at most 8 KiB.
    #[schema(value_type = Option<serde_json::Value>, required = false)]
    metadata: Option<Box<RawValue>>,
    /// The seq of the message that this one answers.
    #[schema(minimum = 1, required = false, nullable = false)]
    reply_to: Option<u64>,
}

/// A new body.
#[derive(Deserialize, ToSchema)]
pub(super) struct MessageChange {
    /// The new text.
    body: String,
    /// The new metadata; without it the old one stays.
    #[schema(value_type = Option<serde_json::Value>, required = false)]
    metadata: Option<Box<RawValue>>,
}

/// A page of messages: the newest, the newest below `before`, or the oldest above `after`.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MessagesQuery {
    /// Messages below this seq.
    #[param(required = false, nullable = false)]
    before: Option<u64>,
    /// Messages above this seq; not together with `before`.
    #[param(required = false, nullable = false)]
    after: Option<u64>,
    /// How many, 50 unless said otherwise.
    #[param(minimum = 1, maximum = 300, required = false, nullable = false)]
    limit: Option<u64>,
}

/// Up to an event.
#[derive(Deserialize, ToSchema)]
pub(super) struct UpTo {
    /// Its seq.
    #[schema(minimum = 1)]
    seq: u64,
}

/// A page of messages in their present form
#[utoipa::path(get, path = "/api/chats/{chat}/messages", tag = "messages", params(("chat" = RoomId,), MessagesQuery),
    security(("bearer" = [])), responses((status = 200, body = HistoryPage)))]
async fn history(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
    Query(page): Query<MessagesQuery>,
) -> Result<Json<HistoryPage>, ApiError> {
    let MessagesQuery { before, after, limit } = page;
    Ok(Json(rest.handlers.history(&me, History { room, before, after, limit }).await?))
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
    Path(room): Path<RoomRef>,
    headers: HeaderMap,
    Body(new): Body<NewMessage>,
) -> Result<(StatusCode, Json<Sent>), ApiError> {
    let NewMessage { client_id, device, prev, body, message_type, metadata, reply_to } = new;
    let client_id = match client_id {
        Some(id) => Some(id),
        None => named_in(&headers)?,
    };
    let message = Message { room, client_id, device, prev, body, message_type, metadata, reply_to };
    let sent = rest.handlers.send(&me, message).await?;
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
    params(("chat" = RoomId,), ("seq" = u64, minimum = 1)), request_body = MessageChange, security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn edit(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, target)): Path<(RoomRef, u64)>,
    Body(MessageChange { body, metadata }): Body<MessageChange>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.edit(&me, Edit { room, target, body, metadata }).await?))
}

/// Redact one's own message
#[utoipa::path(delete, path = "/api/chats/{chat}/messages/{seq}", tag = "messages",
    params(("chat" = RoomId,), ("seq" = u64, minimum = 1)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn delete(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, target)): Path<(RoomRef, u64)>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.delete(&me, Delete { room, target }).await?))
}

/// Put an emoji on a message
#[utoipa::path(put, path = "/api/chats/{chat}/messages/{seq}/reactions/{emoji}", tag = "messages",
    params(("chat" = RoomId,), ("seq" = u64, minimum = 1), ("emoji" = String,)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn react(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, target, emoji)): Path<(RoomRef, u64, String)>,
) -> Result<Json<Happened>, ApiError> {
    let reaction = Reaction { emoji, remove: false };
    Ok(Json(rest.handlers.react(&me, React { room, target, client_id: None, reaction }).await?))
}

/// Take an emoji back
#[utoipa::path(delete, path = "/api/chats/{chat}/messages/{seq}/reactions/{emoji}", tag = "messages",
    params(("chat" = RoomId,), ("seq" = u64, minimum = 1), ("emoji" = String,)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn unreact(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, target, emoji)): Path<(RoomRef, u64, String)>,
) -> Result<Json<Happened>, ApiError> {
    let reaction = Reaction { emoji, remove: true };
    Ok(Json(rest.handlers.react(&me, React { room, target, client_id: None, reaction }).await?))
}

/// Move one's read mark
#[utoipa::path(post, path = "/api/chats/{chat}/read", tag = "messages", params(("chat" = RoomId,)),
    request_body = UpTo, security(("bearer" = [])), responses((status = 200, body = Marked)))]
async fn read(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
    Body(UpTo { seq }): Body<UpTo>,
) -> Result<Json<Marked>, ApiError> {
    Ok(Json(rest.handlers.mark_read(&me, AtSeq { room, seq }).await?))
}

/// Tell the others how far messages came to this device
#[utoipa::path(post, path = "/api/chats/{chat}/delivered", tag = "messages", params(("chat" = RoomId,)),
    request_body = UpTo, security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn delivered(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
    Body(UpTo { seq }): Body<UpTo>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.mark_delivered(&me, AtSeq { room, seq }).await?))
}

/// Tell the others that one is typing
#[utoipa::path(post, path = "/api/chats/{chat}/typing", tag = "messages", params(("chat" = RoomId,)),
    security(("bearer" = [])), responses((status = 200, body = Done)))]
async fn typing(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
) -> Result<Json<Done>, ApiError> {
    Ok(Json(rest.handlers.typing(&me, InRoom { room }).await?))
}
