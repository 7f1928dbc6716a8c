//! REST under `/api`: JSON over the same handlers as the socket's rpc methods.
//!
//! A route reads its request ([`extract`]), calls one handler, and says what came of it; a refusal becomes a status and a
//! stable code in one place ([`error`]). Nothing is decided here. The OpenAPI document is made from the same code
//! ([`document`]); a test holds routes and document together.
//!
//! | file | routes |
//! |---|---|
//! | `chats` | `/api/chats`, one chat, joining and leaving |
//! | `members` | `/api/chats/{chat}/members` |
//! | `messages` | `/api/chats/{chat}/messages`, marks, typing |
//! | `sign_in` | `/api/auth` |
//! | `profiles` | one's own account, finding others |
//! | `notifications` | `/api/notifications`, `/api/events` |
//! | `uploads` | `/api/uploads` |
//! | `users` | presence, blocks, devices |
//! | [`backend`] | the server API: `/api/publish` and its kin |
//! | `about` | `/api/config`, `/api/openapi.json`, `/api/asyncapi.json` |

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use utoipa_axum::router::OpenApiRouter;

use crate::actors::gateway::hub::{Limiter, Rate};
use crate::api::accounts::Accounts;
use crate::api::auth::Verifier;
use crate::api::failures::Credential;
use crate::api::http::{self, HttpError, Origins};
use crate::api::operations::Handlers;
use crate::api::operations::admission::{Cost, Payer};
use crate::api::session::Server;
use crate::api::uploads::Uploads;
use crate::config::Config;
use crate::ids::UserId;
use crate::limits::ATTEMPTS_OF_SITE;
use crate::storage::analytics::Analytics;
use crate::storage::notifications::Notifications;

mod about;
mod asyncapi;
pub mod backend;
mod chats;
mod cors;
mod document;
mod error;
mod examples;
mod extract;
mod members;
mod messages;
mod notifications;
mod profiles;
mod refusals;
mod sign_in;
#[cfg(test)]
pub(in crate::api) mod tests;
mod uploads;
mod users;

pub use document::document;
pub(crate) use error::{ApiError, ErrorBody};
pub use extract::Body;
pub(crate) use extract::CurrentUser;

/// Bytes of a body, where a route does not say otherwise: a message with its metadata and some air.
const BODY_BYTES: usize = 64 * 1024;
/// How long a request may take, its body included.
const DEADLINE: Duration = Duration::from_secs(20);

/// What the routes work with.
#[derive(Clone)]
pub(crate) struct Rest(Arc<Shared>);

/// See [`Rest`].
pub struct Shared {
    handlers: Arc<Handlers>,
    verifier: Arc<Verifier>,
    sessions: Arc<Server>,
    accounts: Arc<Accounts>,
    uploads: Arc<Uploads>,
    notifications: Notifications,
    analytics: Analytics,
    attempts: Limiter<IpAddr>,
    site_attempts: Limiter<IpAddr>,
    config: Arc<Config>,
    documents: about::Documents,
}

impl std::ops::Deref for Rest {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Rest {
    /// Over the same handlers, keys and limits as the sockets.
    #[must_use]
    pub(crate) fn new(
        handlers: Arc<Handlers>,
        verifier: Arc<Verifier>,
        sessions: Arc<Server>,
        accounts: Arc<Accounts>,
        uploads: Arc<Uploads>,
        notifications: Notifications,
        analytics: Analytics,
        config: Arc<Config>,
    ) -> Self {
        let rate = config.limits.sign_ins_per_minute;
        let attempts = Limiter::new(Rate { per_minute: rate, burst: rate }, sessions.clock());
        let rate = rate.saturating_mul(ATTEMPTS_OF_SITE);
        let site_attempts = Limiter::new(Rate { per_minute: rate, burst: rate }, sessions.clock());
        let documents = about::Documents::new();
        Self(Arc::new(Shared {
            handlers,
            verifier,
            sessions,
            accounts,
            uploads,
            notifications,
            analytics,
            attempts,
            site_attempts,
            config,
            documents,
        }))
    }

    /// The handlers.
    #[must_use]
    pub(crate) fn handlers(&self) -> &Arc<Handlers> {
        &self.handlers
    }

    /// Something was shown that is not good.
    fn failed(&self, kind: Credential, from: Option<IpAddr>, why: &str) {
        self.sessions.failures().note(kind, from, why);
    }

    /// Counts an attempt to sign in or register from this address's network.
    ///
    /// # Errors
    /// It is one too many: 429.
    fn attempt(&self, address: IpAddr) -> Result<(), ApiError> {
        let of_site = self.site_attempts.admit(&http::site(address));
        of_site.and_then(|()| self.attempts.admit(&http::network(address))).map_err(|ms| {
            let why = "too many attempts from this address";
            self.failed(Credential::SignIn, Some(address), "too_many_requests");
            HttpError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", why).retry_after(ms).into()
        })
    }

    /// Lets a user do what is done beside the handlers, which charge for themselves: whatever is written or looked for in
    /// the rows of accounts, files, notifications and events.
    ///
    /// # Errors
    /// It is one too many: 429.
    fn admit(&self, user: &UserId, cost: Cost) -> Result<(), ApiError> {
        Ok(self.handlers.admission().admit(&Payer::of(user, None), cost)?)
    }
}

/// The routes with what the document says of them, also of those that are off.
fn described() -> OpenApiRouter<Rest> {
    of_clients().merge(backend::routes()).merge(uploads::routes(0))
}

fn of_clients() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .merge(about::routes())
        .merge(chats::routes())
        .merge(members::routes())
        .merge(messages::routes())
        .merge(notifications::routes())
        .merge(profiles::routes())
        .merge(sign_in::routes())
        .merge(users::routes())
}

/// The routes.
pub(crate) fn routes(rest: Rest, origins: &Origins) -> Router {
    let (mut router, _) = of_clients().split_for_parts();
    if rest.config.api.key.is_some() {
        router = router.merge(backend::routes().split_for_parts().0);
    }
    let (uploads, _) = uploads::routes(rest.uploads.most()).split_for_parts();
    if rest.config.auth.is_development() {
        router = router.merge(sign_in::development());
    }
    let router = router
        .layer(axum::middleware::from_fn(deadline))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .merge(uploads)
        .method_not_allowed_fallback(http::wrong_method)
        .with_state(rest);
    allowing(router, origins)
}

/// The same routes, for pages of these origins as well.
pub(crate) fn allowing(router: Router, origins: &Origins) -> Router {
    router.layer(cors::layer(origins))
}

/// Cuts off what takes too long: a body that trickles in, or a handler.
async fn deadline(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    match tokio::time::timeout(DEADLINE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let why = "it took too long; what it was to do may have happened";
            HttpError::new(StatusCode::REQUEST_TIMEOUT, "timeout", why).into_response()
        }
    }
}
