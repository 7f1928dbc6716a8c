//! `/api/chats/{chat}/members`: who is in. `/api/invitations`: who is asked in and has not answered.

use axum::Json;
use axum::extract::State;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiError, Body, CurrentUser, Rest};
use crate::actors::room::commands::Unanswered;
use crate::api::http::{Path, Query};
use crate::api::operations::members::MembersQuery;
use crate::api::operations::request::{InRoom, OfUser};
use crate::api::operations::view::{Happened, MemberPage, TakenBack};
use crate::ids::{RoomId, UserId};

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(list, invite)).routes(routes!(kick)).routes(routes!(uninvite))
}

/// Members, by user id
#[utoipa::path(get, path = "/api/chats/{chat}/members", tag = "members", params(("chat" = RoomId,), MembersQuery),
    security(("bearer" = [])), responses((status = 200, body = MemberPage)))]
async fn list(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
    Query(page): Query<MembersQuery>,
) -> Result<Json<MemberPage>, ApiError> {
    Ok(Json(rest.handlers.members(&me, InRoom { room }, page).await?))
}

/// Invite a user
#[utoipa::path(post, path = "/api/chats/{chat}/members", tag = "members", params(("chat" = RoomId,)),
    request_body = OfUser, security(("bearer" = [])), responses((status = 200, body = Happened)))]
async fn invite(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomId>,
    Body(whom): Body<OfUser>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.invite(&me, InRoom { room }, whom).await?))
}

/// Remove a member, or take an invitation back
#[utoipa::path(delete, path = "/api/chats/{chat}/members/{user}", tag = "members",
    params(("chat" = RoomId,), ("user" = UserId,)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn kick(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, user)): Path<(RoomId, UserId)>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.kick(&me, InRoom { room }, OfUser { user }).await?))
}

/// Take back invitations that are not answered
#[utoipa::path(delete, path = "/api/invitations", tag = "members", params(Unanswered), security(("bearer" = [])),
    responses((status = 200, body = TakenBack)))]
async fn uninvite(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Query(which): Query<Unanswered>,
) -> Result<Json<TakenBack>, ApiError> {
    Ok(Json(rest.handlers.uninvite(&me, which).await?))
}
