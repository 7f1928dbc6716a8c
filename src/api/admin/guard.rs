//! Who may ask: a bearer token (the key in the data folder, or `[admin] token`); in development also anybody on this machine.
//!
//! A page in a browser on the operator's machine reaches the admin port as the operator does. So a request that names another
//! origin is refused, whoever asks; without a token, a host name that is not this machine's is refused (DNS rebinding);
//! and a change takes a header that no other page can send.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Admin;
use crate::api::failures::Credential;
use crate::api::http::{HttpError, Peer, names_this_machine};
use crate::config::Secret;

/// The header that a change takes, with any value. A value `user@machine` is who says to ask, for the audit log.
pub const HEADER: &str = "x-kervan-admin";
/// Bytes of such a name at most.
const NAME: usize = 128;

/// Who asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// `key` (of the data folder), `token`, or `loopback`.
    pub by: &'static str,
    /// The name that the client gives itself. It may give any: it helps among colleagues, and proves nothing.
    pub name: Option<String>,
    /// From where.
    pub from: Option<SocketAddr>,
}

impl Who {
    /// For the audit log.
    pub(super) fn text(&self) -> String {
        self.name.as_ref().map_or_else(|| self.by.to_owned(), |name| format!("{}: {name}", self.by))
    }
}

/// What is known of whom to let in.
pub(super) struct Guard {
    key: Secret,
    token: Option<Secret>,
    production: bool,
}

impl Guard {
    pub(crate) fn new(key: String, token: Option<&Secret>, production: bool) -> Self {
        Self { key: Secret::new(key), token: token.cloned(), production }
    }

    /// Judges a request by its method, its headers and where it comes from.
    fn judge(&self, method: &Method, headers: &HeaderMap, from: Option<SocketAddr>) -> Result<Who, HttpError> {
        of_this_page(headers)?;
        let by = match bearer(headers)? {
            Some(shown) if self.key.is(shown) => "key",
            Some(shown) if self.token.as_ref().is_some_and(|token| token.is(shown)) => "token",
            Some(_) => return Err(unauthorized("the bearer token is not the one of [admin] token")),
            None if self.production => return Err(unauthorized("the admin API takes a bearer token: [admin] token")),
            None if !from.is_some_and(|from| from.ip().to_canonical().is_loopback()) => {
                return Err(unauthorized("from another machine the admin API takes a bearer token: [admin] token"));
            }
            None if !names_this_machine(headers) => {
                let why = "without a token the admin API is asked by localhost, 127.0.0.1 or [::1] only";
                return Err(HttpError::new(StatusCode::FORBIDDEN, "host_not_allowed", why));
            }
            None => "loopback",
        };
        if !method.is_safe() && !headers.contains_key(HEADER) {
            let why = format!("a change takes the header {HEADER}, with any value");
            return Err(HttpError::new(StatusCode::FORBIDDEN, "header_missing", why));
        }
        Ok(Who { by, name: name(headers), from })
    }
}

fn name(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(HEADER)?.to_str().ok()?;
    (name.contains('@') && name.len() <= NAME).then(|| name.to_owned())
}

/// Lets a request through, with [`Who`] among its extensions, or answers it.
pub(super) async fn check(State(admin): State<Arc<Admin>>, mut request: Request, next: Next) -> Response {
    let from = request.extensions().get::<Peer>().map(|peer| peer.address);
    match admin.guard.judge(request.method(), request.headers(), from) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            let mut response = next.run(request).await;
            response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => {
            // Without anything shown it is a stray page or a probe.
            if request.headers().contains_key(header::AUTHORIZATION) {
                admin.failures.note(Credential::Admin, from.map(|from| from.ip()), error.code());
            }
            tracing::debug!(from = ?from, path = request.uri().path(), "an admin request is refused");
            error.into_response()
        }
    }
}

fn unauthorized(why: &str) -> HttpError {
    HttpError::new(StatusCode::UNAUTHORIZED, "unauthorized", why)
}

/// A browser says from which page a request comes: only those of this very port may ask.
fn of_this_page(headers: &HeaderMap) -> Result<(), HttpError> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let origin = text(header::ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    let foreign = origin.is_some_and(|page| text(header::HOST).is_none_or(|host| !host.eq_ignore_ascii_case(page)));
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    if foreign || site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        let why = "pages of another origin may not ask the admin API";
        return Err(HttpError::new(StatusCode::FORBIDDEN, "origin_not_allowed", why));
    }
    Ok(())
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, HttpError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let shown = value.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
    shown.map(Some).ok_or_else(|| unauthorized("expected Authorization: Bearer TOKEN"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "127.0.0.1:50000";
    const ELSEWHERE: &str = "192.0.2.7:50000";

    fn judged(production: bool, method: &Method, from: &str, headers: &[(&'static str, &str)]) -> String {
        let guard = Guard::new("key".to_owned(), Some(&Secret::new("token")), production);
        let map = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        match guard.judge(method, &map, Some(from.parse().unwrap())) {
            Ok(who) => who.by.to_owned(),
            Err(error) => error.code().to_owned(),
        }
    }

    #[test]
    fn the_table_of_who_may_ask() {
        const LOCAL: (&str, &str) = ("host", "localhost:3001");
        const KEY: (&str, &str) = ("authorization", "Bearer key");
        const TOKEN: (&str, &str) = ("authorization", "Bearer token");
        let get = Method::GET;
        for (production, from, headers, expected) in [
            (false, HERE, &[LOCAL][..], "loopback"),
            (false, "[::1]:50000", &[("host", "[::1]:3001")], "loopback"),
            (false, "[::ffff:127.0.0.1]:50000", &[("host", "127.0.0.1")], "loopback"),
            (false, HERE, &[("host", "evil.test:3001")], "host_not_allowed"),
            (false, HERE, &[("host", "localhost.evil.test")], "host_not_allowed"),
            (false, HERE, &[], "host_not_allowed"),
            (false, ELSEWHERE, &[LOCAL], "unauthorized"),
            (true, HERE, &[LOCAL], "unauthorized"),
            (true, HERE, &[LOCAL, KEY], "key"),
            (true, ELSEWHERE, &[("host", "admin.example.com"), TOKEN], "token"),
            (false, HERE, &[LOCAL, ("authorization", "Bearer keyy")], "unauthorized"),
            (false, HERE, &[LOCAL, ("authorization", "Bearer ")], "unauthorized"),
            (false, HERE, &[LOCAL, ("authorization", "Basic a2V5")], "unauthorized"),
            (false, HERE, &[LOCAL, ("origin", "http://localhost:3001")], "loopback"),
            (false, HERE, &[LOCAL, ("origin", "http://localhost:3000")], "origin_not_allowed"),
            (false, HERE, &[LOCAL, ("origin", "null")], "origin_not_allowed"),
            (true, HERE, &[LOCAL, KEY, ("origin", "https://evil.test")], "origin_not_allowed"),
            (false, HERE, &[LOCAL, ("sec-fetch-site", "cross-site")], "origin_not_allowed"),
            (false, HERE, &[LOCAL, ("sec-fetch-site", "same-site")], "origin_not_allowed"),
            (false, HERE, &[LOCAL, ("sec-fetch-site", "same-origin")], "loopback"),
        ] {
            assert_eq!(judged(production, &get, from, headers), expected, "{production} {from} {headers:?}");
        }
    }

    #[test]
    fn who_says_a_name_is_noted_with_it() {
        let guard = Guard::new("key".to_owned(), None, true);
        let said = |name: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, header::HeaderValue::from_static("Bearer key"));
            headers.insert(HEADER, name.parse().unwrap());
            guard.judge(&Method::POST, &headers, None).unwrap().text()
        };
        assert_eq!(said("ann@ops1"), "key: ann@ops1");
        assert_eq!(said("1"), "key");
        assert_eq!(said(&format!("@{}", "x".repeat(NAME))), "key");
    }

    #[test]
    fn a_change_takes_the_header_that_no_other_page_can_send() {
        let local = ("host", "localhost:3001");
        assert_eq!(judged(false, &Method::POST, HERE, &[local]), "header_missing");
        assert_eq!(judged(false, &Method::POST, HERE, &[local, (HEADER, "1")]), "loopback");
        let key = ("authorization", "Bearer key");
        assert_eq!(judged(true, &Method::DELETE, HERE, &[local, key]), "header_missing");
        assert_eq!(judged(true, &Method::DELETE, HERE, &[local, key, (HEADER, "1")]), "key");
    }
}
