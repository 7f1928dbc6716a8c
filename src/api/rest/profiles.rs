//! `/api/users`: one's own account, and finding others.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::WithIds;
use super::{ApiError, Body, CurrentUser, Rest};
use crate::actors::user::commands::NewPreferences;
use crate::api::http::HttpError;
use crate::api::http::Path;
use crate::api::operations::admission::Cost;
use crate::ids::{Timestamp, UserId};
use crate::storage::accounts::{Account, AccountError, Profile};

/// Users in an answer at most.
const PAGE: u32 = 50;

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(me, change_me)).routes(routes!(find)).routes(routes!(get))
}

/// One's own account.
#[derive(Serialize, ToSchema)]
pub(super) struct MyAccount {
    id: UserId,
    /// To sign in with. Absent: this user comes with tokens of a back end only.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(required = false)]
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    email: Option<String>,
    first_name: String,
    last_name: String,
    /// May be empty.
    avatar_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>, required = false)]
    notification_preferences: Option<Box<RawValue>>,
    created_at: Timestamp,
}

impl MyAccount {
    pub(super) fn of(account: Account) -> Self {
        let Account { id, username, email, first_name, last_name, avatar_url, created_at, banned_at: _ } = account;
        Self { id, username, email, first_name, last_name, avatar_url, notification_preferences: None, created_at }
    }
}

/// A user as others see them.
#[derive(Serialize, ToSchema)]
pub(super) struct Person {
    id: UserId,
    username: String,
    first_name: String,
    last_name: String,
    /// May be empty.
    avatar_url: String,
}

impl Person {
    fn of(account: Account) -> Self {
        let Account { id, username, first_name, last_name, avatar_url, .. } = account;
        Self { id, username, first_name, last_name, avatar_url }
    }
}

/// Users.
#[derive(Serialize, ToSchema)]
pub(super) struct People {
    users: Vec<Person>,
}

/// What is to be different; what is not named stays.
#[derive(Deserialize, ToSchema)]
pub(super) struct MyChange {
    /// At most 64 bytes.
    #[schema(required = false, nullable = false)]
    first_name: Option<String>,
    /// At most 64 bytes.
    #[schema(required = false, nullable = false)]
    last_name: Option<String>,
    /// An `https://` address, or empty.
    #[schema(required = false, nullable = false)]
    avatar_url: Option<String>,
    /// A JSON object of at most 8 KiB.
    #[schema(value_type = Option<serde_json::Value>, required = false)]
    notification_preferences: Option<Box<RawValue>>,
}

/// Whom to find: by the start of a name, or by ids.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProfileQuery {
    /// Start of a username, name or last name, at least one letter.
    #[param(required = false, nullable = false)]
    q: Option<String>,
    /// How many, 20 unless said otherwise.
    #[param(minimum = 1, maximum = 50, required = false, nullable = false)]
    limit: Option<u32>,
}

/// One's own account
#[utoipa::path(get, path = "/api/users/me", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = MyAccount)))]
async fn me(State(rest): State<Rest>, CurrentUser(me): CurrentUser) -> Result<Json<MyAccount>, ApiError> {
    let mut mine = match rest.accounts.account(&me.user).await? {
        Some(account) => MyAccount::of(account),
        None => MyAccount {
            id: me.user.clone(),
            username: String::new(),
            email: None,
            first_name: String::new(),
            last_name: String::new(),
            avatar_url: String::new(),
            notification_preferences: None,
            created_at: Timestamp::ZERO,
        },
    };
    mine.notification_preferences =
        rest.handlers.preferences(&me, NewPreferences { preferences: None }).await?.preferences;
    Ok(Json(mine))
}

/// Change one's own account
#[utoipa::path(patch, path = "/api/users/me", tag = "users", request_body = MyChange, security(("bearer" = [])),
    responses((status = 200, body = MyAccount)))]
async fn change_me(
    state: State<Rest>,
    CurrentUser(caller): CurrentUser,
    Body(change): Body<MyChange>,
) -> Result<Json<MyAccount>, ApiError> {
    let State(rest) = &state;
    let MyChange { first_name, last_name, avatar_url, notification_preferences } = change;
    if first_name.is_some() || last_name.is_some() || avatar_url.is_some() {
        rest.admit(&caller.user, Cost::CHANGE)?;
        let old = rest.accounts.account(&caller.user).await?.ok_or(AccountError::Unknown)?;
        let profile = Profile {
            first_name: first_name.unwrap_or(old.first_name),
            last_name: last_name.unwrap_or(old.last_name),
            avatar_url: avatar_url.unwrap_or(old.avatar_url),
        };
        rest.accounts.set_profile(&caller.user, profile).await?;
    }
    if notification_preferences.is_some() {
        rest.handlers.preferences(&caller, NewPreferences { preferences: notification_preferences }).await?;
    }
    me(state, CurrentUser(caller)).await
}

/// Find users
#[utoipa::path(get, path = "/api/users", tag = "users", 
    params(ProfileQuery, ("ids" = Option<String>, Query, description = "Ids with commas between them, at most 50; or `ids` for each")),
    security(("bearer" = [])),
    responses((status = 200, body = People)))]
async fn find(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    WithIds(ids, wanted): WithIds<ProfileQuery>,
) -> Result<Json<People>, ApiError> {
    let bad = |why: &str| ApiError::from(HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why));
    let limit = wanted.limit.unwrap_or(20);
    if !(1..=PAGE).contains(&limit) {
        return Err(bad("limit: 1 to 50"));
    }
    let users = match (wanted.q.as_deref().map(str::trim), ids) {
        (Some(start), None) if !start.is_empty() && start.len() <= 64 => {
            rest.admit(&me.user, Cost::Search)?;
            rest.accounts.find(start, limit).await?
        }
        (None, Some(ids)) => {
            if ids.len() > PAGE as usize {
                return Err(bad("ids: at most 50"));
            }
            rest.admit(&me.user, Cost::Question { rows: ids.len() })?;
            let mut users = Vec::new();
            for id in ids {
                let id = UserId::new(&id).map_err(|why| bad(&format!("ids: {why}")))?;
                users.extend(rest.accounts.account(&id).await?);
            }
            users
        }
        _ => return Err(bad("give q, 1 to 64 bytes, or ids")),
    };
    Ok(Json(People { users: users.into_iter().map(Person::of).collect() }))
}

/// A user
#[utoipa::path(get, path = "/api/users/{user}", tag = "users", params(("user" = UserId,)), security(("bearer" = [])),
    responses((status = 200, body = Person)))]
async fn get(
    State(rest): State<Rest>,
    CurrentUser(me): CurrentUser,
    Path(user): Path<UserId>,
) -> Result<Json<Person>, ApiError> {
    rest.admit(&me.user, Cost::QUESTION)?;
    let account = rest.accounts.account(&user).await?.ok_or(AccountError::Unknown)?;
    Ok(Json(Person::of(account)))
}
