//! The HTTP shell: health, the page that names the endpoints, metrics; and the listeners under it all.
//!
//! Other parts of the API bring their own routes and are merged in. Nothing here knows a room or a user.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::health::{self, Health};
use crate::metrics::Metrics;

mod address;
mod error;
mod extract;
mod forwarded;
mod host;
mod lingering_close;
mod listener;
mod manners;
mod moving;
mod origins;
mod packed;
mod pages;
mod patience;
mod seats;
mod timely;

#[cfg(test)]
mod tests;

pub(crate) use address::{Peer, network, site};
pub use error::HttpError;
pub(in crate::api) use extract::{Path, Query};
pub(crate) use forwarded::{client_address, client_network};
pub(crate) use host::names_this_machine;
pub use listener::{Listener, Options};
pub(crate) use moving::Moving;
pub(crate) use origins::Origins;
pub(crate) use patience::Heard;
pub(crate) use timely::timely;

/// What `/` says to who wants no page.
const WELCOME: &str = "Kervan, a chat engine. Open this address in a browser for the demo.

  /connection/websocket   the Centrifuge client protocol, version 2 (JSON, Protobuf)
  /connection/http_stream, /connection/sse with /emulation: the same without WebSocket
  /api/openapi.json       the REST API: sign-in, chats, messages, users; /docs shows it, and /api/asyncapi.json
  /api/health             health as JSON
  /livez  /readyz         for probes; /readyz?verbose says why
";

/// The same on the admin port.
const WELCOME_OPERATOR: &str = "Kervan, the operator's port. Open this address in a browser for the inspector.

  /admin                  the operator's API, see docs/admin.md
  /metrics                for Prometheus
  /livez  /readyz         for probes; /readyz?verbose says why
";

#[derive(Clone)]
struct Shared {
    health: Health,
    metrics: Arc<Metrics>,
    started: Instant,
}

/// The public routes that need no engine. Merge the others into it; it brings the answer to unknown paths.
pub fn public(health: Health, metrics: Arc<Metrics>) -> Router {
    let shared = Shared { health, metrics, started: Instant::now() };
    Router::new()
        .merge(pages::demo(WELCOME))
        .merge(pages::viewer())
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/api/health", get(status))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

/// Routes that development mode offers to this machine only: a page that had its own name point here gets nothing.
pub(crate) fn on_this_machine(routes: Router) -> Router {
    routes.layer(from_fn(host::this_machine_only))
}

/// The routes of the admin listener that need no engine. Merge the others into it.
pub fn admin(health: Health, metrics: Arc<Metrics>) -> Router {
    health_and_metrics(health, metrics)
        .merge(pages::inspector(WELCOME_OPERATOR))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
}

/// The routes of a worker's public listener: its health.
pub(crate) fn worker(health: Health, metrics: Arc<Metrics>) -> Router {
    let shared = Shared { health, metrics, started: Instant::now() };
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(shared)
}

/// The routes of a worker's admin listener: health and metrics.
pub(crate) fn worker_admin(health: Health, metrics: Arc<Metrics>) -> Router {
    health_and_metrics(health, metrics).fallback(unknown_path).method_not_allowed_fallback(wrong_method)
}

fn health_and_metrics(health: Health, metrics: Arc<Metrics>) -> Router {
    let shared = Shared { health, metrics, started: Instant::now() };
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        // They take no password.
        .layer(from_fn(host::no_foreign_name))
        .with_state(shared)
}

/// The process answers: nothing else is asked.
async fn live() -> Response {
    text(StatusCode::OK, "live\n")
}

async fn ready(State(shared): State<Shared>, RawQuery(query): RawQuery) -> Response {
    let report = shared.health.report();
    let mut page = String::new();
    if query.is_some_and(|query| query.split('&').any(|q| q == "verbose" || q.starts_with("verbose="))) {
        for (name, state) in &report.checks {
            match state {
                health::State::Up => page.push_str(&format!("{name}: up\n")),
                health::State::Warning(why) => page.push_str(&format!("{name}: up, but {why}\n")),
                health::State::Down(why) => page.push_str(&format!("{name}: down: {why}\n")),
            }
        }
        if report.draining {
            page.push_str("draining\n");
        }
    }
    if report.ready() {
        text(StatusCode::OK, page + "ready\n")
    } else {
        text(StatusCode::SERVICE_UNAVAILABLE, page + "not ready\n")
    }
}

async fn status(State(shared): State<Shared>) -> Response {
    let report = shared.health.report();
    let status = match (report.draining, report.ready()) {
        (true, _) => "draining",
        (false, true) => "ok",
        (false, false) => "unavailable",
    };
    let checks: serde_json::Map<_, _> = report
        .checks
        .iter()
        .map(|(name, state)| match state {
            health::State::Up => ((*name).to_owned(), json!("up")),
            health::State::Warning(why) => ((*name).to_owned(), json!(format!("up, but {why}"))),
            health::State::Down(why) => ((*name).to_owned(), json!(format!("down: {why}"))),
        })
        .collect();
    let code = if report.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "status": status,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_seconds": shared.started.elapsed().as_secs(),
        "checks": checks,
    });
    (code, no_store(), axum::Json(body)).into_response()
}

async fn metrics_page(State(shared): State<Shared>) -> Response {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], shared.metrics.page()).into_response()
}

async fn unknown_path() -> HttpError {
    HttpError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path; / names what there is")
}

pub(in crate::api) async fn wrong_method() -> HttpError {
    HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
}

fn text(code: StatusCode, page: impl Into<String>) -> Response {
    (code, no_store(), page.into()).into_response()
}

fn no_store() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}
