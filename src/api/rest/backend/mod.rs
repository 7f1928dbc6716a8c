//! The server API of Centrifugo, for back ends: `POST /api/publish` and its kin, with the header `X-API-Key`.
//!
//! Off without `[api] key`. A refusal is an answer 200 with `{"error":{"code","message"}}`, with the numbers of the client
//! protocol, as back ends that know Centrifugo expect; a request that is none (no key, no JSON) has a status of its own and
//! the error shape of the rest of `/api`. Among many calls one that can't be read spoils no other: its error stands in its
//! place. A back end is trusted: it may write as any user. Rate limits are for users.
//!
//! | file | holds |
//! |---|---|
//! | here | routes, the key, one call or many of them: `batch`, and lines of `{"method", "params"}` |
//! | `input`, `output` | what is asked, what is answered |
//! | `publish` | `publish`, `broadcast` |
//! | `connections` | `subscribe`, `unsubscribe`, `disconnect`, `refresh` |
//! | `channels` | `presence`, `presence_stats`, `history`, `history_remove`, `info`, `channels` |

mod channels;
mod connections;
mod input;
mod output;
mod publish;

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::input::Call;
use self::output::{Answer, Batched, Outcome, Plain};
use super::extract::{address, body_refused};
use super::{ApiError, Rest};
use crate::actors::bounds::BadInput;
use crate::api::failures::Credential;
use crate::api::http::HttpError;
use crate::api::operations;
use crate::api::operations::request::parse;
use crate::api::protocol::Error;
use crate::api::protocol::codes::ErrorCode;
use crate::api::protocol::shape::{Object, read_object};

/// The header with the key.
pub const KEY: &str = "X-API-Key";
/// Bytes of a request: many publications in one.
const BODY_BYTES: usize = 4 * 1024 * 1024;
/// Calls in a batch, and channels of a broadcast.
const MOST: usize = 1_000;

/// The body of a back end that has shown the key: many calls, each of which is read by itself.
struct Many(Bytes);

impl FromRequest<Rest> for Many {
    type Rejection = ApiError;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, ApiError> {
        let shown = key(request.headers());
        if !rest.config.api.key.as_ref().zip(shown).is_some_and(|(key, shown)| key.is(shown)) {
            if shown.is_some() {
                rest.failed(Credential::ApiKey, address(request.headers(), request.extensions(), rest), "wrong key");
            }
            let why = "this takes the key of [api] in the header X-API-Key";
            let refused = HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", why);
            return Err(refused.with(header::WWW_AUTHENTICATE, "apikey realm=\"kervan\"").into());
        }
        // Whatever the content type says: back ends send what their HTTP library sends.
        Ok(Self(Bytes::from_request(request, rest).await.map_err(body_refused)?))
    }
}

/// One call.
struct Order<T>(T);

impl<T: DeserializeOwned> FromRequest<Rest> for Order<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, rest: &Rest) -> Result<Self, ApiError> {
        let Many(bytes) = Many::from_request(request, rest).await?;
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
                request_body = input::$Input, responses((status = 200, body = Answer<output::$Output>)))]
            async fn $name(
                State(rest): State<Rest>,
                Order(asked): Order<input::$Input>,
            ) -> Json<Answer<output::$Output>> {
                Json(rest.$name(asked).await.into())
            }
        )*

        impl Rest {
            /// Carries out one call of many.
            async fn carry_out(&self, command: Done<Call>) -> Done<Outcome> {
                match command? {
                    $(Call::$Variant(asked) => self.$name(asked).await.map(Outcome::$Variant),)*
                }
            }
        }

        impl Call {
            /// Reads what the call of this name asks for.
            ///
            /// # Errors
            /// 104 for an unknown name, 107 for what can't be read.
            fn read(name: &str, params: &[u8]) -> Done<Self> {
                match name {
                    $(stringify!($name) => Ok(Self::$Variant(parse(params).map_err(|error| error.to_protocol())?)),)*
                    _ => Err(ErrorCode::METHOD_NOT_FOUND.into()),
                }
            }
        }

        /// The routes.
        pub(super) fn routes() -> OpenApiRouter<Rest> {
            let router = OpenApiRouter::new();
            $(let router = router.routes(routes!($name));)*
            router.routes(routes!(batch)).routes(routes!(lines)).layer(DefaultBodyLimit::max(BODY_BYTES))
        }
    };
}

calls! {
    /// Publish into a channel
    publish(Publish) -> Placed = "/api/publish", Publish;
    /// Publish the same into many channels
    broadcast(Broadcast) -> Broadcasted = "/api/broadcast", Broadcast;
    /// Subscribe a user's connections to a channel
    subscribe(Subscribe) -> Nothing = "/api/subscribe", Subscribe;
    /// Unsubscribe a user's connections from a channel
    unsubscribe(UnsubscribeCall) -> Nothing = "/api/unsubscribe", Unsubscribe;
    /// Close a user's connections
    disconnect(DisconnectCall) -> Nothing = "/api/disconnect", Disconnect;
    /// Say until when a user's connections are good
    refresh(RefreshCall) -> Nothing = "/api/refresh", Refresh;
    /// Who is subscribed to a channel
    presence(ChannelRef) -> Present = "/api/presence", Presence;
    /// How many are subscribed to a channel
    presence_stats(ChannelRef) -> Numbers = "/api/presence_stats", PresenceStats;
    /// What was published into a channel
    history(HistoryCall) -> ChannelHistory = "/api/history", History;
    /// Forget what was published into a channel
    history_remove(ChannelRef) -> Nothing = "/api/history_remove", HistoryRemove;
    /// The nodes
    info(Unasked) -> Nodes = "/api/info", Info;
    /// Channels with subscribers
    channels(Pattern) -> ChannelNames = "/api/channels", Channels;
}

/// Many calls in one request
#[utoipa::path(post, path = "/api/batch", tag = "server", security(("api_key" = [])),
    request_body = input::Batch, responses((status = 200, body = output::Replies)))]
async fn batch(State(rest): State<Rest>, Many(asked): Many) -> Result<Json<output::Replies>, ApiError> {
    let input::Batch { commands, parallel } = read_object(&asked).map_err(|why| no_call(&why))?;
    bounded(commands.len())?;
    let replies = commands.iter().map(|command| rest.carry_out(one_of(command)));
    let replies = if parallel { join_all(replies).await } else { in_turn(replies).await };
    let replies = replies.into_iter().map(|done| done.map_or_else(Batched::from, Batched::Result)).collect();
    Ok(Json(output::Replies { replies }))
}

/// A call by its name, or many: one JSON object after the other, answered a line each
#[utoipa::path(post, path = "/api", tag = "server", security(("api_key" = [])),
    request_body = input::Line, responses((status = 200, body = output::LineAnswer)))]
async fn lines(State(rest): State<Rest>, Many(asked): Many) -> Result<Response, ApiError> {
    let calls = serde_json::Deserializer::from_slice(&asked).into_iter::<Object<input::Line>>();
    let calls = calls.take(MOST + 1).collect::<Result<Vec<_>, _>>().map_err(|why| no_call(&why))?;
    if calls.is_empty() {
        return Err(operations::Error::bad("no call").into());
    }
    bounded(calls.len())?;
    let mut answers = Vec::with_capacity(calls.len());
    for Object(input::Line { id, method, params }) in calls {
        let params = params.as_ref().map_or("{}", |params| params.get());
        let done = rest.carry_out(Call::read(&method.to_ascii_lowercase(), params.as_bytes())).await;
        let (result, error) = match done {
            Ok(done) => (Some(Plain(done)), None),
            Err(error) => (None, Some(error.into())),
        };
        let answer = serde_json::to_string(&output::LineAnswer { id, result, error });
        answers.push(answer.map_err(|_| HttpError::internal())?);
    }
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((json, answers.join("\n")).into_response())
}

/// The call in an object that has its name and what it asks for.
fn one_of(call: &RawValue) -> Done<Call> {
    let call: BTreeMap<String, Option<&RawValue>> =
        serde_json::from_str(call.get()).map_err(|_| ErrorCode::BAD_REQUEST.because("a call is {\"name\": {…}}"))?;
    let mut named = call.iter().filter_map(|(name, params)| Some((name, (*params)?)));
    let (name, params) = named.next().ok_or(ErrorCode::METHOD_NOT_FOUND)?;
    if named.next().is_some() {
        return Err(ErrorCode::BAD_REQUEST.because("one call at a time"));
    }
    Call::read(name, params.get().as_bytes())
}

/// One after the other.
async fn in_turn<T>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut done = Vec::new();
    for call in calls {
        done.push(call.await);
    }
    done
}

fn bounded(calls: usize) -> Result<(), ApiError> {
    if calls > MOST {
        return Err(operations::Error::from(BadInput::TooMany { what: "commands", max: MOST }).into());
    }
    Ok(())
}

fn no_call(why: &serde_json::Error) -> ApiError {
    operations::Error::bad(why.to_string()).into()
}

/// What came of a call.
type Done<T> = Result<T, Error>;
