//! Accounts: making one, giving it another password, removing it. A password is in a request's body, never in an answer, a
//! log line or the audit log.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::extract::OptionalBody;
use super::guard::Who;
use super::users::{Closed, user_of};
use super::{Admin, AdminState};
use crate::api::accounts::{Names, Refusal};
use crate::api::http::{HttpError, Path};
use crate::api::rest;
use crate::config::Secret;
use crate::ids::UserId;
use crate::storage::accounts::{Account, Profile};

/// An account that is to be made.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct New {
    username: String,
    password: String,
    email: Option<String>,
    first_name: String,
    last_name: String,
}

/// One that was made.
#[derive(Serialize)]
pub(super) struct Made {
    id: UserId,
    username: String,
}

/// `POST /admin/users`: 201.
pub(super) async fn create(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    OptionalBody(new): OptionalBody<New>,
) -> Result<(StatusCode, Json<Made>), HttpError> {
    let New { username, password, email, first_name, last_name } = new;
    let profile = Profile { first_name, last_name, avatar_url: String::new() };
    let target = username.clone();
    let done = admin.live()?.accounts.create(Names { username, email, profile }, &Secret::new(password)).await;
    let Account { id, username, .. } = noted(&admin, &who, "user.create", &target, done).await?;
    Ok((StatusCode::CREATED, Json(Made { id, username })))
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PasswordReset {
    password: String,
}

/// What came of another password.
#[derive(Serialize)]
pub(super) struct Ended {
    /// Sign-ins that were taken back.
    ended: usize,
}

/// `POST /admin/users/{user}/password`.
pub(super) async fn password(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(user): Path<String>,
    OptionalBody(new): OptionalBody<PasswordReset>,
) -> Result<Json<Ended>, HttpError> {
    let user = user_of(&user)?;
    let live = admin.live()?;
    let done = live.accounts.set_password(&user, &Secret::new(new.password)).await;
    if done.is_ok() {
        live.handlers.forget_devices(&user).await;
    }
    let ended = noted(&admin, &who, "user.password", user.as_str(), done).await?;
    Ok(Json(Ended { ended }))
}

/// `DELETE /admin/users/{user}`.
pub(super) async fn remove(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(user): Path<String>,
) -> Result<Json<Closed>, HttpError> {
    let user = user_of(&user)?;
    let live = admin.live()?;
    let done = live.accounts.remove(&user).await;
    if done.is_ok() {
        live.handlers.forget_devices(&user).await;
    }
    let closed = noted(&admin, &who, "user.delete", user.as_str(), done).await?;
    Ok(Json(Closed::new(closed)))
}

/// Writes into the audit log what came of it, and turns a refusal into the answer that REST gives.
async fn noted<T>(
    admin: &Admin,
    who: &Who,
    what: &str,
    target: &str,
    done: Result<T, Refusal>,
) -> Result<T, HttpError> {
    let done = done.map_err(|refusal| HttpError::from(rest::ApiError::from(refusal)));
    admin.note(who, what, target, done.as_ref().err()).await?;
    done
}
