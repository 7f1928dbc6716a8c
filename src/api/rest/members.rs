//! `/api/chats/{chat}/members`: who is in. `/api/invitations`: who is asked in and has not answered.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{ApiError, Body, CurrentUser, Rest};
use crate::api::http::{Path, Query};
use crate::api::operations::input::{Members, RoomRef, Uninvite, UserInRoom};
use crate::api::operations::view::{Happened, MemberPage, TakenBack};
use crate::ids::{RoomId, UserId};

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(list, invite)).routes(routes!(kick)).routes(routes!(uninvite))
}

/// A page of members.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MembersQuery {
    /// How many, 100 unless said otherwise.
    #[param(minimum = 1, maximum = 300, required = false, nullable = false)]
    limit: Option<u64>,
    /// The last user of the last page.
    #[param(required = false, nullable = false)]
    after: Option<UserId>,
    /// With each one's read mark.
    #[serde(default)]
    #[param(required = false)]
    marks: bool,
}

/// Somebody to be asked in.
#[derive(Deserialize, ToSchema)]
pub(super) struct Invitation {
    /// Who.
    user: UserId,
}

/// Members, by user id
#[utoipa::path(get, path = "/api/chats/{chat}/members", tag = "members", params(("chat" = RoomId,), MembersQuery),
    security(("bearer" = [])), responses((status = 200, body = MemberPage)))]
async fn list(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
    Query(page): Query<MembersQuery>,
) -> Result<Json<MemberPage>, ApiError> {
    let MembersQuery { limit, after, marks } = page;
    Ok(Json(rest.handlers.members(&me, Members { room, limit, after, marks }).await?))
}

/// Invite a user
#[utoipa::path(post, path = "/api/chats/{chat}/members", tag = "members", params(("chat" = RoomId,)),
    request_body = Invitation, security(("bearer" = [])), responses((status = 200, body = Happened)))]
async fn invite(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(room): Path<RoomRef>,
    Body(Invitation { user }): Body<Invitation>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.invite(&me, UserInRoom { room, user }).await?))
}

/// Remove a member, or take an invitation back
#[utoipa::path(delete, path = "/api/chats/{chat}/members/{user}", tag = "members",
    params(("chat" = RoomId,), ("user" = UserId,)), security(("bearer" = [])),
    responses((status = 200, body = Happened)))]
async fn kick(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path((room, user)): Path<(RoomRef, UserId)>,
) -> Result<Json<Happened>, ApiError> {
    Ok(Json(rest.handlers.kick(&me, UserInRoom { room, user }).await?))
}

/// Which invitations.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct InvitationsQuery {
    /// Only those into this chat.
    #[param(value_type = RoomId, required = false, nullable = false)]
    chat: Option<RoomRef>,
    /// Only those of this user.
    #[param(required = false, nullable = false)]
    user: Option<UserId>,
    /// Whose they are, if not one's own: `chat` is then one of one's own making.
    #[param(required = false, nullable = false)]
    inviter: Option<UserId>,
}

/// Take back invitations that are not answered
#[utoipa::path(delete, path = "/api/invitations", tag = "members", params(InvitationsQuery), security(("bearer" = [])),
    responses((status = 200, body = TakenBack)))]
async fn uninvite(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Query(which): Query<InvitationsQuery>,
) -> Result<Json<TakenBack>, ApiError> {
    let InvitationsQuery { chat, user, inviter } = which;
    Ok(Json(rest.handlers.uninvite(&me, Uninvite { room: chat, user, inviter }).await?))
}
