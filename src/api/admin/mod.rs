//! The operator's REST API on the admin port: what actors publish, rooms, users, sessions, partitions, settings; and the few
//! things that an operator may do, each of which is written to the audit log.
//!
//! It decides nothing that a fold decides, and reads no message body unless it is asked to in as many words. Its JSON is
//! in `docs/admin.md`.
//!
//! | file | holds |
//! |---|---|
//! | here | what the routes share, and the list of routes |
//! | [`guard`] | who may ask |
//! | `extract` | parameters, pages and errors |
//! | `audit` | who did what |
//! | [`backup`] | a backup of the running engine |
//! | `tree` | the names of actors, and the walk over them |
//! | `actors`, `actions` | actors: list, detail, stop and the like |
//! | `rooms`, `users`, `sessions` | what they are named after |
//! | `accounts`, `moderation` | what is done to accounts, and in rooms |
//! | `partitions`, `overview`, `settings` | the node's state and its configuration |
//! | `notifications` | notifications that no provider took |
//! | [`log`], `warnings`, `traces` | log lines, what deserves a look, the way of a few commands |
//!
mod accounts;
mod actions;
mod actors;
mod audit;
pub mod backup;
mod extract;
pub mod guard;
pub mod log;
mod moderation;
mod names;
mod notifications;
mod overview;
mod partitions;
mod rooms;
mod sessions;
mod settings;
#[cfg(test)]
mod tests;
mod traces;
mod tree;
mod users;
mod warnings;

use std::sync::{Arc, Mutex, OnceLock};

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};

use self::guard::Guard;
use self::log::LogRing;
use self::warnings::Accepts;
use crate::actors::gateway::hub::Hub;
use crate::actors::node::Node;
use crate::api::accounts::Accounts;
use crate::api::audit::Audit;
use crate::api::failures::Failures;
use crate::api::http::{self, HttpError};
use crate::api::operations::Handlers;
use crate::config::Loaded;
use crate::env::Env;
use crate::epoch::History;
use crate::health::Health;
use crate::ids::Timestamp;
use crate::metrics::Metrics;
use crate::storage::notifications::outbox::NotificationOutbox;
use crate::storage::retention::Retention;

/// What the routes are given before the engine starts.
pub struct Deps {
    /// The configuration with its origins.
    pub loaded: Loaded,
    /// The key of the data folder: who can read it may do everything.
    pub key: String,
    /// Clock and ids.
    pub env: Env,
    /// Whether the node is ready.
    pub health: Health,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What is logged.
    pub log: Arc<LogRing>,
}

/// The running engine, as the routes see it.
pub struct Live {
    /// The node.
    pub node: Arc<Node>,
    /// The hub.
    pub hub: Arc<Hub>,
    /// Backups and trimming.
    pub(crate) retention: Arc<Retention>,
    /// Accounts and bans.
    pub(crate) accounts: Arc<Accounts>,
    /// What positions belong to.
    pub(crate) history: History,
    /// The operations of the chat.
    pub handlers: Arc<Handlers>,
    /// Notifications on their way to providers.
    pub(crate) outbox: NotificationOutbox,
    /// Whether this node decides who is notified.
    pub(crate) notifies: bool,
}

/// What all routes share.
pub struct Admin {
    loaded: Loaded,
    env: Env,
    health: Health,
    metrics: Arc<Metrics>,
    guard: Guard,
    audit: Arc<Audit>,
    failures: Arc<Failures>,
    log: Arc<LogRing>,
    accepts: Mutex<Accepts>,
    started: Timestamp,
    live: OnceLock<Live>,
}

type AdminState = axum::extract::State<Arc<Admin>>;

impl Admin {
    /// The engine is still starting.
    #[must_use]
    pub fn new(deps: Deps) -> Self {
        let Deps { loaded, key, env, health, metrics, log } = deps;
        let config = &loaded.config;
        let guard = Guard::new(key, config.admin.token.as_ref(), config.server.production);
        let audit = Arc::new(Audit::new(&config.data.dir));
        let failures = Failures::new(Arc::clone(&metrics), Arc::clone(&env.clock)).audited_in(Arc::clone(&audit));
        let failures = Arc::new(failures);
        let (started, accepts) = (env.steady(), Mutex::default());
        Self { guard, audit, failures, log, accepts, started, loaded, env, health, metrics, live: OnceLock::new() }
    }

    /// Where changes are noted.
    #[must_use]
    pub fn audit(&self) -> &Arc<Audit> {
        &self.audit
    }

    /// Where keys and tokens are told of that are not good.
    #[must_use]
    pub(crate) fn failures(&self) -> &Arc<Failures> {
        &self.failures
    }

    /// From now on there is an engine to look at.
    pub fn open(&self, live: Live) {
        // A second one would be the same engine.
        let _ = self.live.set(live);
    }

    fn live(&self) -> Result<&Live, HttpError> {
        let starting = || HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "starting", "the server is starting");
        self.live.get().ok_or_else(starting)
    }
}

/// The routes, to be merged into those of the admin listener.
pub fn routes(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/admin/overview", get(overview::overview))
        .route("/admin/actors", get(actors::list))
        .route("/admin/actors/{*path}", get(actors::detail).post(actions::act))
        .route("/admin/partitions", get(partitions::list))
        .route("/admin/partitions/{number}", get(partitions::detail))
        .route("/admin/rooms", get(rooms::list))
        .route("/admin/rooms/{room}", get(rooms::detail))
        .route("/admin/rooms/{room}/members", get(rooms::members))
        .route("/admin/rooms/{room}/messages", get(rooms::messages))
        .route("/admin/rooms/{room}/messages/{seq}", delete(moderation::delete))
        .route("/admin/rooms/{room}/end", post(moderation::end))
        .route("/admin/rooms/{room}/kick", post(moderation::kick))
        .route("/admin/users", get(users::list).post(accounts::create))
        .route("/admin/users/{user}", get(users::detail).delete(accounts::remove))
        .route("/admin/users/{user}/password", post(accounts::password))
        .route("/admin/users/{user}/invitations", delete(moderation::uninvite))
        .route("/admin/users/{user}/disconnect", post(users::disconnect))
        .route("/admin/users/{user}/ban", post(users::ban))
        .route("/admin/users/{user}/unban", post(users::unban))
        .route("/admin/users/{user}/sign-out", post(users::sign_out))
        .route("/admin/sessions", get(sessions::list))
        .route("/admin/sessions/{client}", get(sessions::detail))
        .route("/admin/sessions/{client}/disconnect", post(sessions::disconnect))
        .route("/admin/notifications/dead", get(notifications::dead))
        .route("/admin/notifications/dead/replay", post(notifications::replay))
        .route("/admin/notifications/end", post(notifications::end))
        .route("/admin/limits", get(settings::limits))
        .route("/admin/config", get(settings::config))
        .route("/admin/traces", get(traces::list).post(traces::follow))
        .route("/admin/log", get(log::tail))
        .route("/admin/warnings", get(warnings::list))
        .route("/admin/audit", get(audit::list))
        .layer(from_fn(http::timely))
        .layer(from_fn_with_state(Arc::clone(&admin), guard::check))
        .with_state(admin)
}
