//! What tells a browser that a page of another origin may call and read the answers. Which one may is decided in
//! [`Origins`]. Tokens come in a header, never in a cookie: no credentials.

use std::time::Duration;

use axum::http::{Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::api::http::Origins;

/// How long a browser may remember the answer.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The layer for these origins.
pub(super) fn layer(origins: &Origins) -> CorsLayer {
    let allowed = if origins.is_every() {
        AllowOrigin::any()
    } else {
        let origins = origins.clone();
        AllowOrigin::predicate(move |origin, request| origins.allow(origin, &request.headers))
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, super::messages::IDEMPOTENCY_KEY])
        .expose_headers([header::RETRY_AFTER, header::LOCATION])
        .max_age(MAX_AGE)
}
