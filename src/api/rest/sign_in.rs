//! `/api/auth`: making an account, signing in, staying signed in, and taking that back.

use std::net::IpAddr;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::extract::{From, SignedIn};
use super::profiles::MyAccount;
use super::{ApiError, Body, Rest};
use crate::actors::user::commands::DeviceFacts;
use crate::api::accounts::{Client, Names, Refusal, Tokens};
use crate::api::development::USERS;
use crate::api::failures::Credential;
use crate::api::http::Path;
use crate::api::http::{self, HttpError};
use crate::api::operations::admission::{Cost, Payer};
use crate::api::operations::request::OfDevice;
use crate::api::operations::{self, Caller};
use crate::config::Secret;
use crate::ids::{DeviceId, Timestamp, UserId};
use crate::storage::accounts::Profile;

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(password))
        .routes(routes!(sign_ins))
        .routes(routes!(end_sign_in))
}

/// What is there in development mode only.
pub(super) fn development() -> axum::Router<Rest> {
    axum::Router::new().route("/api/auth/development", axum::routing::post(log_in_as))
}

/// A password on its way in: never shown.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Password(String);

impl Password {
    fn secret(self) -> Secret {
        Secret::new(self.0)
    }
}

/// A new account.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewAccount {
    /// To sign in with: 3 to 32 letters a-z, digits, `_` `.` `-`; kept in lower case.
    username: String,
    /// 8 to 256 bytes.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 256)]
    password: Password,
    /// To sign in with, too.
    #[schema(required = false, nullable = false)]
    email: Option<String>,
    /// At most 64 bytes.
    #[serde(default)]
    #[schema(required = false)]
    first_name: String,
    /// At most 64 bytes.
    #[serde(default)]
    #[schema(required = false)]
    last_name: String,
}

/// Who, and the password.
#[derive(Deserialize, ToSchema)]
pub(super) struct Login {
    /// The username; or `email`.
    #[schema(required = false, nullable = false)]
    username: Option<String>,
    /// The address.
    #[schema(required = false, nullable = false)]
    email: Option<String>,
    /// The password.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 256)]
    password: Password,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
pub(super) struct RefreshToken {
    /// The one of the last answer.
    refresh_token: String,
}

/// How much is to be signed out.
#[derive(Deserialize, ToSchema)]
pub(super) struct LogOut {
    /// On all devices.
    #[serde(default)]
    #[schema(required = false)]
    all: bool,
    /// The device that signs out: it is forgotten, so that no push reaches it any more. With `all` every one is.
    #[schema(required = false, nullable = false)]
    device: Option<DeviceId>,
}

/// Another password.
#[derive(Deserialize, ToSchema)]
pub(super) struct NewPassword {
    /// As it is.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 256)]
    current_password: Password,
    /// As it shall be.
    #[schema(value_type = String, format = Password, min_length = 8, max_length = 256)]
    new_password: Password,
}

/// A user of the development mode.
#[derive(Deserialize)]
struct WhoElse {
    user: String,
}

/// What somebody who has signed in is given.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedInAs {
    /// Who.
    user: MyAccount,
    /// For `Authorization: Bearer`, and for `connect` on the socket.
    access_token: String,
    /// To be exchanged for the next pair.
    refresh_token: String,
    /// Seconds for which the access token is good.
    expires_in: u64,
}

impl std::convert::From<Tokens> for SignedInAs {
    fn from(tokens: Tokens) -> Self {
        let Tokens { account, access, refresh, expires_in } = tokens;
        Self {
            user: MyAccount::of(account),
            access_token: access,
            refresh_token: refresh,
            expires_in: expires_in.as_secs(),
        }
    }
}

/// A time that one signed in.
#[derive(Serialize, ToSchema)]
pub(super) struct SignInView {
    /// Its id.
    id: Uuid,
    /// When.
    created_at: Timestamp,
    /// When it was used last.
    used_at: Timestamp,
    /// When it is over unless it is used before.
    expires_at: Timestamp,
    /// What signed in, in its own words.
    agent: String,
    /// Whether this is the one that asks.
    current: bool,
}

/// All of them.
#[derive(Serialize, ToSchema)]
pub(super) struct SignIns {
    /// The oldest first.
    sessions: Vec<SignInView>,
}

fn client(address: IpAddr, headers: &HeaderMap) -> Client<'_> {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    Client { network: http::network(address), agent }
}

/// Tells of what was shown and is not good.
fn told<T>(rest: &Rest, kind: Credential, address: IpAddr, done: Result<T, Refusal>) -> Result<T, Refusal> {
    let why = match &done {
        Err(Refusal::Wrong) => "wrong_credentials",
        Err(Refusal::Over) => "signed_out",
        Err(Refusal::Banned) => "banned",
        Err(Refusal::TooMany { .. }) => "too_many_requests",
        _ => return done,
    };
    rest.failed(kind, Some(address), why);
    done
}

/// Make an account
#[utoipa::path(post, path = "/api/auth/register", tag = "sign-in", request_body = NewAccount,
    responses((status = 201, body = SignedInAs)))]
async fn register(
    State(rest): State<Rest>,
    From(address): From,
    headers: HeaderMap,
    Body(new): Body<NewAccount>,
) -> Result<(StatusCode, Json<SignedInAs>), ApiError> {
    rest.attempt(address)?;
    let NewAccount { username, password, email, first_name, last_name } = new;
    let names = Names { username, email, profile: Profile { first_name, last_name, avatar_url: String::new() } };
    // Not told as a failure: names that are taken or no names are nobody's attack.
    let tokens = rest.accounts.register(names, &password.secret(), client(address, &headers)).await?;
    Ok((StatusCode::CREATED, Json(tokens.into())))
}

/// Sign in
#[utoipa::path(post, path = "/api/auth/login", tag = "sign-in", request_body = Login,
    responses((status = 200, body = SignedInAs)))]
async fn log_in(
    State(rest): State<Rest>,
    From(address): From,
    headers: HeaderMap,
    Body(login): Body<Login>,
) -> Result<Json<SignedInAs>, ApiError> {
    rest.attempt(address)?;
    let Login { username, email, password } = login;
    let Some(name) = username.or(email) else {
        return Err(HttpError::new(StatusCode::BAD_REQUEST, "bad_request", "username or email is missing").into());
    };
    let tokens = rest.accounts.log_in(&name, &password.secret(), client(address, &headers)).await;
    Ok(Json(told(&rest, Credential::SignIn, address, tokens)?.into()))
}

/// Sign in as a user of the development mode; not in the document, because it is not there otherwise.
async fn log_in_as(
    State(rest): State<Rest>,
    From(address): From,
    headers: HeaderMap,
    Body(WhoElse { user }): Body<WhoElse>,
) -> Result<Json<SignedInAs>, ApiError> {
    let user = USERS.iter().find(|known| **known == user).and_then(|user| UserId::new(user).ok());
    let Some(user) = user else {
        return Err(HttpError::new(StatusCode::NOT_FOUND, "not_found", "there are alice and bob").into());
    };
    Ok(Json(rest.accounts.log_in_as(&user, client(address, &headers)).await?.into()))
}

/// Exchange a refresh token for the next pair
///
/// Each counts once. Shown again within 30 seconds it gives the same pair once more, for answers that were lost; later the
/// whole sign-in is taken back: somebody has stolen it.
#[utoipa::path(post, path = "/api/auth/refresh", tag = "sign-in", request_body = RefreshToken,
    responses((status = 200, body = SignedInAs)))]
async fn refresh(
    State(rest): State<Rest>,
    From(address): From,
    Body(RefreshToken { refresh_token }): Body<RefreshToken>,
) -> Result<Json<SignedInAs>, ApiError> {
    let admit = |user: &UserId| match rest.handlers.admission().admit(&Payer::of(user, None), Cost::CHANGE) {
        Err(operations::Error::TooManyRequests { retry_after_ms, .. }) => Err(retry_after_ms),
        Ok(()) | Err(_) => Ok(()),
    };
    let refreshed = rest.accounts.refresh(&refresh_token, http::network(address), admit).await;
    match told(&rest, Credential::Refresh, address, refreshed) {
        Ok(tokens) => Ok(Json(tokens.into())),
        Err(refusal @ Refusal::TooMany { .. }) => Err(refusal.into()),
        Err(refusal) => {
            // Only guesses count: pages behind one address refresh all the time.
            rest.attempt(address)?;
            Err(refusal.into())
        }
    }
}

/// Sign out: here, or on all devices. Sockets are closed
#[utoipa::path(post, path = "/api/auth/logout", tag = "sign-in", request_body = LogOut, security(("bearer" = [])),
    responses((status = 204, description = "signed out")))]
async fn log_out(
    State(rest): State<Rest>,
    SignedIn { user, sign_in }: SignedIn,
    Body(LogOut { all, device }): Body<LogOut>,
) -> Result<StatusCode, ApiError> {
    // Before the token is refused: whoever is not told that it worked asks again.
    if let Some(device) = device.filter(|_| !all) {
        let forgotten = DeviceFacts { remove: true, ..DeviceFacts::default() };
        rest.handlers.device(&Caller::in_the_name_of(user.clone()), OfDevice { device }, forgotten).await?;
    }
    if all {
        rest.handlers.forget_devices(&user).await;
    }
    match sign_in {
        _ if all => _ = rest.accounts.end_all(&user, None).await?,
        Some(id) => rest.accounts.end(&user, id).await?,
        // A back end's token is its back end's matter.
        None => {}
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Change one's password; all other sign-ins are taken back
#[utoipa::path(post, path = "/api/auth/password", tag = "sign-in", request_body = NewPassword,
    security(("bearer" = [])), responses((status = 204, description = "changed")))]
async fn password(
    State(rest): State<Rest>,
    From(address): From,
    SignedIn { user, sign_in }: SignedIn,
    Body(new): Body<NewPassword>,
) -> Result<StatusCode, ApiError> {
    rest.attempt(address)?;
    let NewPassword { current_password, new_password } = new;
    let (current, new) = (current_password.secret(), new_password.secret());
    let changed = rest.accounts.change_password(&user, sign_in, &current, &new, http::network(address)).await;
    told(&rest, Credential::SignIn, address, changed)?;
    // Whoever knew the old password may have named a device. One's own come back with the next connection.
    rest.handlers.forget_devices(&user).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Where one is signed in
#[utoipa::path(get, path = "/api/auth/sessions", tag = "sign-in", security(("bearer" = [])),
    responses((status = 200, body = SignIns)))]
async fn sign_ins(State(rest): State<Rest>, SignedIn { user, sign_in }: SignedIn) -> Result<Json<SignIns>, ApiError> {
    let all = rest.accounts.sign_ins(&user).await?.into_iter();
    let sessions = all.map(|one| SignInView {
        id: one.id,
        created_at: one.created_at,
        used_at: one.rotated_at,
        expires_at: one.expires_at,
        agent: one.agent,
        current: Some(one.id) == sign_in,
    });
    Ok(Json(SignIns { sessions: sessions.collect() }))
}

/// Take one of one's sign-ins back
#[utoipa::path(delete, path = "/api/auth/sessions/{id}", tag = "sign-in", params(("id" = Uuid,)),
    security(("bearer" = [])), responses((status = 204, description = "taken back")))]
async fn end_sign_in(
    State(rest): State<Rest>,
    SignedIn { user, .. }: SignedIn,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, ApiError> {
    rest.accounts.end(&user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
