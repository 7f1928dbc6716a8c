//! What an operator does in rooms: ending one, sending a member away, deleting a message, taking invitations back.
//!
//! The fold decides, as for everybody, so each act is done in the name of somebody who may: the room's creator, a member of
//! a direct chat, a message's author. The members see it as theirs; that it was an operator stands in the audit log. The user in whose name it
//! is done pays nothing for it: an account that is empty, as a spammer's is, does not hold an operator up.

use axum::Json;
use axum::extract::{Extension, State};
use serde::Deserialize;

use super::extract::{OptionalBody, bad, conflict, not_found, stored};
use super::guard::Who;
use super::rooms::{chat, room_of};
use super::users::user_of;
use super::{Admin, AdminState, Live};
use crate::actors::room::commands::Unanswered;
use crate::actors::wire::{Reject, RoomKind};
use crate::api::http::{HttpError, Path};
use crate::api::operations::request::{InRoom, OfMessage, OfUser};
use crate::api::operations::view::{Happened, TakenBack};
use crate::api::operations::{Caller, Error};
use crate::api::rest;
use crate::ids::{RoomId, Seq, UserId};
use crate::storage::store::SeqRange;
use crate::storage::store::rows::ChatRow;

/// `POST /admin/rooms/{room}/end`.
pub(super) async fn end(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(room): Path<String>,
) -> Result<Json<Happened>, HttpError> {
    let live = admin.live()?;
    let chat = chat(live, room_of(&room)?).await?;
    let by = somebody_who_may_end(live, &chat).await?;
    let done = live.handlers.end(&Caller::in_the_name_of(by), InRoom { room: chat.room }).await;
    noted(&admin, &who, "room.end", &chat.room.to_string(), done).await
}

/// In a direct chat everybody who is in may end it; elsewhere the creator.
async fn somebody_who_may_end(live: &Live, chat: &ChatRow) -> Result<UserId, HttpError> {
    if RoomKind::from_number(chat.kind) != Some(RoomKind::Direct) {
        return creator(chat);
    }
    let members = live.node.store().members(chat.room, None, 1).await.map_err(stored)?;
    members.into_iter().next().map(|member| member.user).ok_or_else(|| conflict("not_possible", "nobody is in it"))
}

fn creator(chat: &ChatRow) -> Result<UserId, HttpError> {
    let nobodys =
        || conflict("wrong_kind", "an open channel, or a room that nobody is in, has no creator and no members");
    chat.creator.clone().filter(|_| RoomKind::from_number(chat.kind) != Some(RoomKind::Open)).ok_or_else(nobodys)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KickedUser {
    user: String,
}

/// `POST /admin/rooms/{room}/kick`.
pub(super) async fn kick(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(room): Path<String>,
    OptionalBody(whom): OptionalBody<KickedUser>,
) -> Result<Json<Happened>, HttpError> {
    let live = admin.live()?;
    let user = UserId::new(&whom.user).map_err(|_| bad("user: expected a user's id"))?;
    let chat = chat(live, room_of(&room)?).await?;
    let by = creator(&chat)?;
    if by == user {
        return Err(conflict("wrong_kind", "its creator can't be sent away: end the room, or ban the user"));
    }
    let target = format!("{} {user}", chat.room);
    let done = live.handlers.kick(&Caller::in_the_name_of(by), InRoom { room: chat.room }, OfUser { user }).await;
    noted(&admin, &who, "room.kick", &target, done).await
}

/// `DELETE /admin/users/{user}/invitations`: those that are not answered.
pub(super) async fn uninvite(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(user): Path<String>,
) -> Result<Json<TakenBack>, HttpError> {
    let (live, user) = (admin.live()?, user_of(&user)?);
    let done = live.handlers.uninvite(&Caller::in_the_name_of(user.clone()), Unanswered::default()).await;
    noted(&admin, &who, "user.uninvite", user.as_str(), done).await
}

/// `DELETE /admin/rooms/{room}/messages/{seq}`.
pub(super) async fn delete(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path((room, seq)): Path<(String, String)>,
) -> Result<Json<Happened>, HttpError> {
    let live = admin.live()?;
    let target = Seq(seq.parse().map_err(|_| bad("expected a message's seq"))?);
    let chat = chat(live, room_of(&room)?).await?;
    let author = author(live, chat.room, target).await?;
    let done = live.handlers.delete(&Caller::in_the_name_of(author), OfMessage { room: chat.room, target }).await;
    noted(&admin, &who, "room.delete_message", &format!("{} {target}", chat.room), done).await
}

async fn author(live: &Live, room: RoomId, seq: Seq) -> Result<UserId, HttpError> {
    let rows = live.node.store().messages(room, SeqRange::new(seq, seq), 1).await.map_err(stored)?;
    rows.into_iter().next().and_then(|row| row.sender).ok_or_else(|| not_found("message with an author"))
}

async fn noted<T>(
    admin: &Admin,
    who: &Who,
    what: &str,
    target: &str,
    done: Result<T, Error>,
) -> Result<Json<T>, HttpError> {
    let done = done.map_err(|error| match error {
        Error::Rejected(Reject::NotMember) => {
            conflict("not_member", "not while that user is not in the room: a message of somebody who has left stays")
        }
        error => HttpError::from(rest::ApiError::from(error)),
    });
    admin.note(who, what, target, done.as_ref().err()).await?;
    done.map(Json)
}
