//! Which pages of other origins may call (`ALLOWED_ORIGINS`). Without an entry there are no CORS headers, and a browser
//! lets only pages of the same origin read the answers. Tokens come in a header, never in a cookie: no credentials.

use std::time::Duration;

use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember the answer.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The layer for these origins; none if there are none.
pub(super) fn layer(allowed: &[String]) -> Option<CorsLayer> {
    if allowed.is_empty() {
        return None;
    }
    let origins = match allowed.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => {
            let names = allowed.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase());
            AllowOrigin::list(names.filter_map(|origin| HeaderValue::from_str(&origin).ok()))
        }
    };
    Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, super::messages::IDEMPOTENCY_KEY])
            .expose_headers([header::RETRY_AFTER, header::LOCATION])
            .max_age(MAX_AGE),
    )
}
