//! What HTTP asks of every request and every answer, whatever the route: one `Host`, and answers that no browser guesses
//! about and nobody keeps, unless the route says otherwise.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use axum::response::Response;

use super::HttpError;

/// Refuses a request that does not name one host (RFC 9112, 3.2): what stands between client and server could read another
/// one in it than we do.
///
/// # Errors
/// 400.
pub(super) fn one_host(version: Version, headers: &HeaderMap) -> Result<(), HttpError> {
    let mut named = headers.get_all(header::HOST).iter();
    let is_good = match (named.next(), named.next()) {
        (None, _) => version < Version::HTTP_11,
        (Some(host), None) => host.is_empty() || is_host(host),
        (Some(_), Some(_)) => false,
    };
    if is_good {
        return Ok(());
    }
    Err(HttpError::new(StatusCode::BAD_REQUEST, "bad_request", "a request names one host, in one Host header"))
}

fn is_host(host: &HeaderValue) -> bool {
    let authority = Authority::try_from(host.as_bytes());
    authority.is_ok_and(|authority| !authority.as_str().contains('@') && !authority.host().is_empty())
}

/// Adds what every answer says unless it says something else.
pub(super) fn finish(response: &mut Response) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let headers = response.headers_mut();
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    // Answers hold tokens and messages.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
