//! The protocol for clients that no WebSocket reaches, behind bad proxies: messages come in the body of one long response,
//! commands go in requests of their own.
//!
//! `POST /connection/http_stream` (JSON lines, or length-delimited Protobuf) and `GET /connection/sse` (server-sent events)
//! begin with the `connect` command; its reply names the session and the node, and `POST /emulation` brings further
//! commands to them. Official SDKs do this by themselves when they are given several transports. The session is the same
//! as a socket's, with the same bounds; only what a WebSocket says with its close frame is said as a push. Requests may
//! overtake each other, so the order of a client's messages (P5) is the SDK's or the client's own (`prev`).

mod driver;
mod pipe;
mod registry;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use prost::Message as _;
use serde::Deserialize;
use serde_json::value::RawValue;

use self::driver::StreamDriver;
use self::registry::Registry;
use super::http::{self, HttpError, Origins, Peer};
use super::protocol::Format;
use super::protocol::shape::read_object;
use super::session::Server;

/// How long commands may wait for a session that is busy.
const DEADLINE: Duration = Duration::from_secs(10);
/// Bytes around the commands of an emulation request.
const ENVELOPE_BYTES: usize = 1024;

struct Endpoint {
    server: Arc<Server>,
    origins: Origins,
    registry: Registry,
}

/// The endpoints' routes. Pages of other origins must be allowed by CORS, too.
pub(crate) fn routes(server: Arc<Server>, origins: Origins) -> Router {
    // JSON text in a JSON string: a quote takes two bytes.
    let most = 2 * server.frame_bytes() + ENVELOPE_BYTES;
    Router::new()
        .route("/connection/http_stream", post(http_stream))
        .route("/connection/sse", get(sse))
        .route("/emulation", post(emulation))
        .method_not_allowed_fallback(http::wrong_method)
        .layer(DefaultBodyLimit::max(most))
        .layer(from_fn(http::timely))
        .with_state(Arc::new(Endpoint { server, origins, registry: Registry::default() }))
}

/// How messages stand in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Style {
    /// One JSON object a line.
    Lines,
    /// One JSON object an event.
    Events,
    /// Protobuf messages after their lengths.
    Delimited,
}

impl Style {
    fn format(self) -> Format {
        if self == Self::Delimited { Format::Protobuf } else { Format::Json }
    }

    fn media_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Lines => "application/json",
            Self::Events => "text/event-stream",
            Self::Delimited => "application/octet-stream",
        })
    }

    /// Messages as a piece of the body. One may be several JSON objects, a line each.
    fn piece(self, messages: &[Bytes]) -> Bytes {
        let mut piece = Vec::with_capacity(messages.iter().map(|message| message.len() + 8).sum());
        for message in messages {
            match self {
                Self::Lines => {
                    piece.extend_from_slice(message);
                    piece.push(b'\n');
                }
                Self::Events => {
                    for line in message.split(|byte| *byte == b'\n') {
                        piece.extend_from_slice(b"data: ");
                        piece.extend_from_slice(line);
                        piece.extend_from_slice(b"\n\n");
                    }
                }
                Self::Delimited => piece.extend_from_slice(message),
            }
        }
        piece.into()
    }
}

/// How a server-sent stream begins: a GET has no body.
#[derive(Deserialize)]
struct Begun {
    cf_connect: String,
}

/// Commands for a stream.
#[derive(Deserialize)]
struct Emulated {
    session: String,
    /// The commands as text. Another JSON value is a command itself.
    data: Box<RawValue>,
}

/// The same in Protobuf.
#[derive(Clone, PartialEq, prost::Message)]
struct EmulatedBytes {
    /// The node.
    #[prost(string, tag = "1")]
    node: String,
    /// The stream's name.
    #[prost(string, tag = "2")]
    session: String,
    /// The commands, after their lengths.
    #[prost(bytes = "bytes", tag = "3")]
    data: Bytes,
}

type Connection = Option<Extension<Peer>>;

async fn http_stream(
    State(endpoint): State<Arc<Endpoint>>,
    peer: Connection,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, HttpError> {
    let begun = body.map_err(|error| refused(&error))?;
    let style = if is_protobuf(&headers) { Style::Delimited } else { Style::Lines };
    endpoint.begin(style, &headers, &begun, peer)
}

async fn sse(
    State(endpoint): State<Arc<Endpoint>>,
    peer: Connection,
    headers: HeaderMap,
    asked: Result<Query<Begun>, QueryRejection>,
) -> Result<Response, HttpError> {
    let Query(Begun { cf_connect }) =
        asked.map_err(|_| bad("the connect command stands in the parameter cf_connect"))?;
    endpoint.begin(Style::Events, &headers, cf_connect.as_bytes(), peer)
}

/// 204 when the stream's session has the commands: what comes of them is told in the stream.
async fn emulation(
    State(endpoint): State<Arc<Endpoint>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, HttpError> {
    endpoint.origins.admit(&headers)?;
    let body = body.map_err(|error| refused(&error))?;
    let (session, frame) = if is_protobuf(&headers) {
        let EmulatedBytes { session, data, .. } =
            EmulatedBytes::decode(body).map_err(|_| bad("this is no emulation request"))?;
        (session, data)
    } else {
        let Emulated { session, data } =
            read_object(&body).map_err(|_| bad("this takes {\"session\",\"node\",\"data\"}"))?;
        let text = serde_json::from_str::<String>(data.get());
        (session, text.unwrap_or_else(|_| data.get().to_owned()).into())
    };
    if frame.len() > endpoint.server.frame_bytes() {
        return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the commands are too large"));
    }
    let gone = || HttpError::new(StatusCode::NOT_FOUND, "not_found", "there is no such stream: connect again");
    let inbox = endpoint.registry.find(&session).ok_or_else(gone)?;
    match tokio::time::timeout(DEADLINE, inbox.send(frame)).await {
        Ok(Ok(())) => Ok(StatusCode::NO_CONTENT),
        Ok(Err(_)) => Err(gone()),
        Err(_) => {
            let why = "the session has enough to do: nothing happened";
            Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", why).retry_after(1_000))
        }
    }
}

impl Endpoint {
    /// Starts a stream's task; the response is its other end.
    fn begin(&self, style: Style, headers: &HeaderMap, begun: &[u8], peer: Connection) -> Result<Response, HttpError> {
        self.origins.admit(headers)?;
        if begun.is_empty() {
            return Err(bad("a stream begins with a connect command"));
        }
        if begun.len() > self.server.frame_bytes() {
            return Err(HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the command is too large"));
        }
        let shutdown = self.server.shutdown();
        if shutdown.is_draining() {
            return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "this node goes down"));
        }
        let (guard, (writer, reader)) = (shutdown.guard(), pipe::pipe());
        let network = peer.as_ref().map(|peer| http::client_network(peer, headers, self.server.trusted_proxies()));
        let driver = StreamDriver::new(style, Arc::clone(&self.server), self.registry.enter(), writer, begun, network);
        tokio::spawn(async move {
            driver.run().await;
            // The connection counts, and holds up a drain, until here.
            drop((guard, peer));
        });
        let mut response = Response::new(Body::from_stream(reader));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, style.media_type());
        // For what stands between: neither keep nor gather any of it.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache, no-store, no-transform"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

fn is_protobuf(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/octet-stream")
}

fn bad(why: &str) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why)
}

fn refused(rejection: &BytesRejection) -> HttpError {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large")
        }
        _ => bad("the body did not arrive whole"),
    }
}
