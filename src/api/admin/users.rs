//! Users as the store has them: list, detail; sending one's connections away, signing out, and banning.
//!
//! A ban goes the way of the accounts: all tokens are refused, a back end's too, and it outlasts a restart.

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::extract::{OptionalBody, Page, bad, not_found, page_size, stored};
use super::guard::Who;
use super::names;
use super::sessions::AdminSession;
use super::{Admin, AdminState, Live};
use crate::actors::wire::Entity;
use crate::api::accounts::Refusal;
use crate::api::http::{HttpError, Path, Query};
use crate::api::protocol::codes::Disconnect;
use crate::ids::{DeviceId, RoomId, Seq, Timestamp, UserId};
use crate::storage::store::rows::UserRow;

/// Rooms that a detail names at most.
const ROOMS: usize = 100;

/// A line of the list.
#[derive(Serialize)]
pub(super) struct AdminUser {
    id: UserId,
    /// What people call somebody with an account.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    head: Seq,
    partition: u16,
    resident: bool,
    sessions: usize,
    banned: bool,
}

impl AdminUser {
    fn of(live: &Live, row: UserRow) -> Self {
        Self {
            created_at: row.created_at,
            updated_at: row.updated_at,
            head: row.head,
            partition: row.user.partition().get(),
            sessions: live.hub.sessions().of(&row.user).len(),
            banned: live.accounts.is_banned(&row.user),
            resident: live.node.directory().resident(&Entity::User(row.user.clone())).is_some(),
            name: None,
            id: row.user,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserFilter {
    after: Option<String>,
    limit: Option<usize>,
    /// A part of the id, or the start of a name.
    text: Option<String>,
}

/// `GET /admin/users`: by id.
pub(super) async fn list(
    State(admin): AdminState,
    Query(wanted): Query<UserFilter>,
) -> Result<Json<Page<AdminUser>>, HttpError> {
    let live = admin.live()?;
    let limit = page_size(wanted.limit)?;
    let after = wanted.after.as_deref().map(UserId::new).transpose().map_err(|_| bad("after: expected a user's id"))?;
    let mut page = match wanted.text.as_deref().filter(|text| !text.is_empty()) {
        None => {
            let rows = live.node.rows().await.users(after.as_ref(), limit + 1).await.map_err(stored)?;
            Page::new(rows, limit, |row: &UserRow| row.user.to_string())
        }
        Some(text) => search(live, text, after, limit).await?,
    };
    let next = page.next.take();
    let mut items: Vec<_> = page.items.into_iter().map(|row| AdminUser::of(live, row)).collect();
    if items.len() <= names::NAMED {
        for row in &mut items {
            row.name = names::of_user(live, &row.id).await;
        }
    }
    Ok(Json(Page { items, next }))
}

/// By a part of the id. Those whose name fits, at most [`names::NAMED`], come first, on the first page, and on no later one;
/// if they alone would fill it, they come where their ids stand.
async fn search(live: &Live, text: &str, after: Option<UserId>, limit: usize) -> Result<Page<UserRow>, HttpError> {
    let called = names::users_called(live, text, names::NAMED).await;
    let come_first = called.len() < limit;
    let store = live.node.rows().await;
    let mut first = Vec::new();
    if come_first && after.is_none() {
        for user in &called {
            first.extend(store.user(user).await.map_err(stored)?.user);
        }
    }
    let read = |after: Option<UserId>, limit| async move { store.users(after.as_ref(), limit).await };
    let fits = |row: &UserRow| match called.contains(&row.user) {
        true => !come_first,
        false => names::holds(text, [row.user.as_str()]),
    };
    let mut page = names::search(after, limit - first.len(), read, |row| row.user.clone(), fits).await?;
    page.items.splice(0..0, first);
    Ok(page)
}

/// One user.
#[derive(Serialize)]
pub(super) struct AdminUserDetail {
    #[serde(flatten)]
    row: AdminUser,
    /// The name of the account; none of a user who comes with a back end's token.
    username: Option<String>,
    /// How many rooms the user is in.
    room_count: usize,
    /// Some of them.
    rooms: Vec<AdminMembership>,
    devices: Vec<AdminDevice>,
    blocks: usize,
    connections: Vec<AdminSession>,
}

#[derive(Serialize)]
struct AdminMembership {
    room: RoomId,
    state: u8,
    seq: Seq,
}

#[derive(Serialize)]
struct AdminDevice {
    device: DeviceId,
    platform: String,
    seen_at: Timestamp,
}

pub(super) fn user_of(text: &str) -> Result<UserId, HttpError> {
    UserId::new(text).map_err(|_| not_found("user"))
}

/// `GET /admin/users/{user}`.
pub(super) async fn detail(
    State(admin): AdminState,
    Path(user): Path<String>,
) -> Result<Json<AdminUserDetail>, HttpError> {
    let live = admin.live()?;
    let user = user_of(&user)?;
    let found = live.node.rows().await.user(&user).await.map_err(stored)?;
    let connections: Vec<_> =
        live.hub.sessions().of(&user).iter().map(|connection| AdminSession::of(&admin.env, connection)).collect();
    let row = match found.user {
        Some(row) => row,
        // Connected, and nothing of the user is in the journal yet.
        None if !connections.is_empty() => UserRow::unsaid(user.clone()),
        None => return Err(not_found("user")),
    };
    let account = live.accounts.account(&user).await.map_err(|error| refused(&error))?;
    let rooms = found.rooms.iter().take(ROOMS);
    Ok(Json(AdminUserDetail {
        row: AdminUser::of(live, row),
        username: account.map(|account| account.username).filter(|name| !name.is_empty()),
        room_count: found.rooms.len(),
        rooms: rooms.map(|known| AdminMembership { room: known.room, state: known.state, seq: known.seq }).collect(),
        devices: found
            .devices
            .into_iter()
            .map(|device| AdminDevice { device: device.device, platform: device.platform, seen_at: device.seen_at })
            .collect(),
        blocks: found.blocks.len(),
        connections,
    }))
}

/// How connections are closed.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct DisconnectMode {
    /// The client is told to stay away; else to come back.
    #[serde(default)]
    pub stay_away: bool,
}

impl DisconnectMode {
    pub(crate) fn code(&self) -> u16 {
        if self.stay_away { Disconnect::FORCE_NO_RECONNECT.code } else { Disconnect::FORCE_RECONNECT.code }
    }
}

/// What came of it.
#[derive(Serialize)]
pub(super) struct Closed {
    closed: usize,
}

impl Closed {
    pub(crate) fn new(closed: usize) -> Self {
        Self { closed }
    }
}

/// `POST /admin/users/{user}/disconnect`.
pub(super) async fn disconnect(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(user): Path<String>,
    OptionalBody(mode): OptionalBody<DisconnectMode>,
) -> Result<Json<Closed>, HttpError> {
    let live = admin.live()?;
    let user = user_of(&user)?;
    let closed = live.hub.sessions().disconnect(&user, mode.code());
    admin.note(&who, "user.disconnect", user.as_str(), None).await?;
    Ok(Json(Closed { closed }))
}

/// Whom an act is meant for.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Meant {
    /// Also somebody of whom nothing is known here: a back end may make tokens for whom it likes. Without it a slip of the
    /// fingers is told instead of carried out.
    #[serde(default)]
    force: bool,
}

/// What is done to a user's tokens.
#[derive(Clone, Copy)]
enum Act {
    Ban,
    Unban,
    SignOut,
}

/// `POST /admin/users/{user}/ban`: whether there is an account or not.
pub(super) async fn ban(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(user): Path<String>,
    OptionalBody(meant): OptionalBody<Meant>,
) -> Result<Json<Closed>, HttpError> {
    act(&admin, &who, &user, &meant, Act::Ban).await
}

/// `POST /admin/users/{user}/unban`.
pub(super) async fn unban(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(user): Path<String>,
    OptionalBody(meant): OptionalBody<Meant>,
) -> Result<Json<Closed>, HttpError> {
    act(&admin, &who, &user, &meant, Act::Unban).await
}

/// `POST /admin/users/{user}/sign-out`: all sign-ins are ended, and all tokens made until now refused, a back end's too.
pub(super) async fn sign_out(
    State(admin): AdminState,
    Extension(who): Extension<Who>,
    Path(user): Path<String>,
    OptionalBody(meant): OptionalBody<Meant>,
) -> Result<Json<Closed>, HttpError> {
    act(&admin, &who, &user, &meant, Act::SignOut).await
}

async fn act(admin: &Admin, who: &Who, user: &str, meant: &Meant, act: Act) -> Result<Json<Closed>, HttpError> {
    let (live, user) = (admin.live()?, user_of(user)?);
    if !meant.force && !is_known(live, &user).await? {
        let why = "nothing is known of such a user; force (--force) means it all the same";
        return Err(HttpError::new(StatusCode::NOT_FOUND, "not_found", why));
    }
    let done = match act {
        Act::Ban => live.accounts.ban(&user, true).await,
        Act::Unban => live.accounts.ban(&user, false).await,
        Act::SignOut => live.accounts.revoke_tokens(&user).await,
    };
    if done.is_ok() && !matches!(act, Act::Unban) {
        live.handlers.forget_devices(&user).await;
    }
    let done = done.map_err(|error| refused(&error));
    let what = match act {
        Act::Ban => "user.ban",
        Act::Unban => "user.unban",
        Act::SignOut => "user.sign_out",
    };
    admin.note(who, what, user.as_str(), done.as_ref().err()).await?;
    done.map(|closed| Json(Closed { closed }))
}

/// Whether anything is known of a user: the store or the accounts have the user, or there is a ban, or a connection.
async fn is_known(live: &Live, user: &UserId) -> Result<bool, HttpError> {
    if live.accounts.is_banned(user) || !live.hub.sessions().of(user).is_empty() {
        return Ok(true);
    }
    Ok(live.node.rows().await.user(user).await.map_err(stored)?.user.is_some())
}

fn refused(error: &Refusal) -> HttpError {
    tracing::warn!(%error, "the accounts, asked by an operator");
    HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", error.to_string())
}
