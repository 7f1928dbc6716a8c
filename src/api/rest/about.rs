//! What a client wants to know before it signs in, and the document of it all.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Rest;
use crate::api::development::USERS;
use crate::config::VapidKey;

/// The documents as they are sent: making one takes milliseconds, and anybody may ask for it.
pub(super) struct Documents {
    rest: Bytes,
    socket: Bytes,
}

impl Documents {
    pub(super) fn new() -> Self {
        let rest = super::document().to_json().unwrap_or_default();
        Self { rest: rest.into(), socket: super::asyncapi::document().to_string().into() }
    }
}

pub(super) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(config)).routes(routes!(openapi)).routes(routes!(asyncapi))
}

/// What a client wants to know before it signs in.
#[derive(Serialize, ToSchema)]
pub(super) struct About {
    /// The server's version.
    version: &'static str,
    /// Whether it is in development mode.
    development: bool,
    /// Whether people may make accounts by themselves.
    registration: bool,
    /// Users that one may sign in as without a password, in development mode.
    development_users: &'static [&'static str],
    /// Bytes of a message's body at most.
    body_bytes: usize,
    /// The public key that a browser subscribes to pushes with, if the server pushes to browsers.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    web_push_key: Option<String>,
}

/// What a client wants to know before it signs in
#[utoipa::path(get, path = "/api/config", tag = "about", responses((status = 200, body = About)))]
async fn config(State(rest): State<Rest>) -> Json<About> {
    let development = rest.config.auth.is_development();
    Json(About {
        version: env!("CARGO_PKG_VERSION"),
        development,
        registration: rest.accounts.registration(),
        development_users: if development { &USERS } else { &[] },
        body_bytes: rest.config.limits.body.0,
        web_push_key: rest.config.notifications.vapid_key.as_ref().map(VapidKey::public),
    })
}

/// This document
#[utoipa::path(get, path = "/api/openapi.json", tag = "about",
    responses((status = 200, description = "OpenAPI", body = serde_json::Value)))]
async fn openapi(State(rest): State<Rest>) -> Response {
    written(rest.documents.rest.clone())
}

/// The document of the socket
#[utoipa::path(get, path = "/api/asyncapi.json", tag = "about",
    responses((status = 200, description = "AsyncAPI", body = serde_json::Value)))]
async fn asyncapi(State(rest): State<Rest>) -> Response {
    written(rest.documents.socket.clone())
}

fn written(json: Bytes) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response()
}
