//! The server API of Centrifugo, for back ends: `POST /api/publish` and its kin, with the header `X-API-Key`.
//!
//! Off without `[api] key`. A refusal is an answer 200 with `{"error":{"code","message"}}`, with the numbers of the client
//! protocol, as back ends that know Centrifugo expect; a request that is none (no key, no JSON) has a status of its own and
//! the error shape of the rest of `/api`. A back end is trusted: it may write as any user. Rate limits are for users.
//!
//! | file | holds |
//! |---|---|
//! | here | routes, the key, one call or many of them |
//! | `input`, `output` | what is asked, what is answered |
//! | `publish` | `publish`, `broadcast` |
//! | `connections` | `subscribe`, `unsubscribe`, `disconnect`, `refresh` |
//! | `channels` | `presence`, `presence_stats`, `history`, `history_remove`, `info`, `channels` |

mod channels;
mod connections;
mod input;
mod output;
mod publish;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::input::Command;
use self::output::{Answer, Batched, Outcome};
use super::extract::body_refused;
use super::{Refused, Rest};
use crate::api::handlers::input::parse;
use crate::api::http::HttpError;
use crate::api::protocol::Error;

/// The header with the key.
pub const KEY: &str = "X-API-Key";
/// Bytes of a request: many publications in one.
const BODY_BYTES: usize = 4 * 1024 * 1024;
/// Calls in a batch, and channels of a broadcast.
const MOST: usize = 1_000;

/// What a back end that has shown the key asks for.
struct Order<T>(T);

impl<T: DeserializeOwned> FromRequest<Rest> for Order<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, Refused> {
        let shown = key(request.headers());
        if !rest.config.api.key.as_ref().zip(shown).is_some_and(|(key, shown)| key.is(shown)) {
            let why = "this takes the key of [api] in the header X-API-Key";
            return Err(HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", why).into());
        }
        // Whatever the content type says: back ends send what their HTTP library sends.
        let bytes = Bytes::from_request(request, rest).await.map_err(body_refused)?;
        Ok(Self(parse(&bytes)?))
    }
}

/// The key as it is shown: in its own header, or as `Authorization: apikey …`.
fn key(headers: &HeaderMap) -> Option<&str> {
    if let Some(shown) = headers.get(KEY) {
        return shown.to_str().ok();
    }
    let (scheme, shown) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("apikey").then(|| shown.trim())
}

macro_rules! calls {
    ($($(#[doc = $doc:literal])* $name:ident($Input:ident) -> $Output:ident = $path:tt, $Variant:ident;)*) => {
        $(
            $(#[doc = $doc])*
            #[utoipa::path(post, path = $path, tag = "server", security(("api_key" = [])),
                request_body = input::$Input, responses((status = 200, body = Answer<output::$Output>), Refused))]
            async fn $name(
                State(rest): State<Rest>,
                Order(asked): Order<input::$Input>,
            ) -> Json<Answer<output::$Output>> {
                Json(rest.$name(asked).await.into())
            }
        )*

        impl Rest {
            /// Carries out one call of a batch.
            async fn carry_out(&self, command: Command) -> Batched {
                match command {
                    $(Command::$Variant(asked) => self.$name(asked).await.map_or_else(Batched::from, |result| {
                        Batched::Result(Outcome::$Variant(result))
                    }),)*
                }
            }
        }

        /// The routes.
        pub(super) fn routes() -> OpenApiRouter<Rest> {
            let router = OpenApiRouter::new();
            $(let router = router.routes(routes!($name));)*
            router.routes(routes!(batch)).layer(DefaultBodyLimit::max(BODY_BYTES))
        }
    };
}

calls! {
    /// Publish into a channel
    publish(Publish) -> Published = "/api/publish", Publish;
    /// Publish the same into many channels
    broadcast(Broadcast) -> Broadcasted = "/api/broadcast", Broadcast;
    /// Subscribe a user's connections to a channel
    subscribe(Subscribe) -> Nothing = "/api/subscribe", Subscribe;
    /// Unsubscribe a user's connections from a channel
    unsubscribe(Unsubscribe) -> Nothing = "/api/unsubscribe", Unsubscribe;
    /// Close a user's connections
    disconnect(Disconnect) -> Nothing = "/api/disconnect", Disconnect;
    /// Say until when a user's connections are good
    refresh(Refresh) -> Nothing = "/api/refresh", Refresh;
    /// Who is subscribed to a channel
    presence(Channel) -> Present = "/api/presence", Presence;
    /// How many are subscribed to a channel
    presence_stats(Channel) -> Numbers = "/api/presence_stats", PresenceStats;
    /// What was published into a channel
    history(History) -> Page = "/api/history", History;
    /// Forget what was published into a channel
    history_remove(Channel) -> Nothing = "/api/history_remove", HistoryRemove;
    /// The nodes
    info(Unasked) -> Nodes = "/api/info", Info;
    /// Channels with subscribers
    channels(Pattern) -> Names = "/api/channels", Channels;
}

/// Many calls in one request
#[utoipa::path(post, path = "/api/batch", tag = "server", security(("api_key" = [])),
    request_body = input::Batch, responses((status = 200, body = output::Replies), Refused))]
async fn batch(State(rest): State<Rest>, Order(asked): Order<input::Batch>) -> Result<Json<output::Replies>, Refused> {
    let input::Batch { commands, parallel } = asked;
    if commands.len() > MOST {
        return Err(crate::api::handlers::Error::TooMany { what: "commands", max: MOST }.into());
    }
    let replies = if parallel {
        join_all(commands.into_iter().map(|command| rest.carry_out(command))).await
    } else {
        let mut replies = Vec::with_capacity(commands.len());
        for command in commands {
            replies.push(rest.carry_out(command).await);
        }
        replies
    };
    Ok(Json(output::Replies { replies }))
}

/// What came of a call.
type Done<T> = Result<T, Error>;
