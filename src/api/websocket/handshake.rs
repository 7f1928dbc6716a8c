//! The opening handshake (RFC 6455, section 4.2): who may connect, in which format.

use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::api::http::HttpError;
use crate::api::protocol::{Format, PROTOBUF_SUBPROTOCOL};

/// What clients of the JSON format may ask for in `Sec-WebSocket-Protocol`.
const JSON_SUBPROTOCOL: &str = "centrifuge-json";
/// RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Which web pages may connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origins {
    /// All of them.
    Any,
    /// Those of the host that was asked.
    SameHost,
    /// These, as `https://chat.example.com`.
    List(Vec<String>),
}

impl Origins {
    /// As configured: `*` is every page; nothing is every page in development and the same host in production.
    #[must_use]
    pub fn new(allowed: &[String], production: bool) -> Self {
        if allowed.iter().any(|origin| origin == "*") || (allowed.is_empty() && !production) {
            Self::Any
        } else if allowed.is_empty() {
            Self::SameHost
        } else {
            Self::List(allowed.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect())
        }
    }

    /// Whether a page of this origin may connect to this host. Clients that are no browsers name no origin.
    pub(in crate::api) fn allow(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return *self == Self::Any };
        match self {
            Self::Any => true,
            Self::SameHost => {
                let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
                let of_page = origin.split_once("://").map(|(_, host)| host);
                host.zip(of_page).is_some_and(|(host, page)| host.eq_ignore_ascii_case(page))
            }
            Self::List(list) => list.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)),
        }
    }
}

/// What was agreed upon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Agreed {
    pub format: Format,
    /// To be named in the answer.
    protocol: Option<&'static str>,
    accept: HeaderValue,
}

impl Agreed {
    /// The answer that makes the connection a WebSocket.
    pub fn response(&self) -> Response {
        let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(protocol) = self.protocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        response
    }
}

/// Judges a request.
pub(super) fn agree<B>(request: &Request<B>, origins: &Origins) -> Result<Agreed, HttpError> {
    let headers = request.headers();
    if request.method() != Method::GET {
        return Err(HttpError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "a WebSocket begins with GET",
        ));
    }
    if !names(headers, header::CONNECTION, "upgrade") || !names(headers, header::UPGRADE, "websocket") {
        let message = "this is a WebSocket endpoint: connect with a Centrifuge SDK, see docs/protocol.md";
        return Err(HttpError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", message));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(HttpError::new(StatusCode::BAD_REQUEST, "bad_request", "Sec-WebSocket-Version must be 13"));
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes())) else {
        return Err(HttpError::new(StatusCode::BAD_REQUEST, "bad_request", "Sec-WebSocket-Key must be 16 bytes"));
    };
    if !origins.allow(headers) {
        return Err(HttpError::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "pages of this origin may not connect",
        ));
    }
    let (format, protocol) = format(headers, request.uri());
    let accept = accept(key.as_bytes()).ok_or_else(HttpError::internal)?;
    Ok(Agreed { format, protocol, accept })
}

/// The format asked for, and the sub-protocol to be named: the first one in the client's order of preference that is known.
fn format(headers: &HeaderMap, uri: &Uri) -> (Format, Option<&'static str>) {
    let known = |name: &str| {
        let known = [(Format::Json, JSON_SUBPROTOCOL), (Format::Protobuf, PROTOBUF_SUBPROTOCOL)];
        known.into_iter().find(|(_, protocol)| name.eq_ignore_ascii_case(protocol))
    };
    if let Some((format, protocol)) = tokens(headers, header::SEC_WEBSOCKET_PROTOCOL).find_map(known) {
        return (format, Some(protocol));
    }
    let protobuf = uri.query().unwrap_or_default().split('&').any(|pair| pair == "cf_protocol=protobuf");
    (if protobuf { Format::Protobuf } else { Format::Json }, None)
}

/// Whether a header's list of tokens has this one.
fn names(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

/// A header's list of tokens, in its order, over all lines of that name.
fn tokens(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

fn is_key(key: &[u8]) -> bool {
    STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16)
}

fn accept(key: &[u8]) -> Option<HeaderValue> {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key);
    hash.update(GUID);
    HeaderValue::from_str(&STANDARD.encode(hash.digest().bytes())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::get("/connection/websocket?a=b&cf_protocol=protobuf")
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("host", "chat.example.com");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn status(request: &Request<()>, origins: &Origins) -> StatusCode {
        match agree(request, origins) {
            Ok(agreed) => agreed.response().status(),
            Err(error) => error.into_response().status(),
        }
    }

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        let agreed = agree(&request(&[]), &Origins::Any).unwrap();
        assert_eq!(agreed.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(agreed.response().status(), StatusCode::SWITCHING_PROTOCOLS);
    }

    #[test]
    fn the_format_is_what_the_client_asks_for() {
        let by_query = agree(&request(&[]), &Origins::Any).unwrap();
        assert_eq!((by_query.format, by_query.protocol), (Format::Protobuf, None));
        let named = agree(&request(&[("sec-websocket-protocol", "x, centrifuge-protobuf")]), &Origins::Any).unwrap();
        assert_eq!((named.format, named.protocol), (Format::Protobuf, Some("centrifuge-protobuf")));
        let json = agree(&request(&[("sec-websocket-protocol", "centrifuge-json")]), &Origins::Any).unwrap();
        assert_eq!((json.format, json.protocol), (Format::Json, Some("centrifuge-json")));
    }

    #[test]
    fn of_several_sub_protocols_the_first_one_that_is_known_counts() {
        let both = "centrifuge-json, centrifuge-protobuf";
        for (lines, expected) in [
            (&[both][..], (Format::Json, Some("centrifuge-json"))),
            (&["centrifuge-protobuf,centrifuge-json"], (Format::Protobuf, Some("centrifuge-protobuf"))),
            (&["x", "Centrifuge-JSON", "centrifuge-protobuf"], (Format::Json, Some("centrifuge-json"))),
            (&["x, y"], (Format::Protobuf, None)),
        ] {
            let headers: Vec<_> = lines.iter().map(|line| ("sec-websocket-protocol", *line)).collect();
            let agreed = agree(&request(&headers), &Origins::Any).unwrap();
            assert_eq!((agreed.format, agreed.protocol), expected, "{lines:?}");
        }
    }

    #[test]
    fn pages_of_other_origins_are_refused_where_they_are() {
        let from = |origin: &str| request(&[("origin", origin)]);
        let list = Origins::new(&["https://chat.example.com/".to_owned()], true);
        let same = Origins::new(&[], true);
        assert_eq!(Origins::new(&[], false), Origins::Any);
        assert_eq!(Origins::new(&["*".to_owned()], true), Origins::Any);
        for (request, origins, expected) in [
            (from("https://chat.example.com"), &list, 101),
            (from("https://Chat.Example.com"), &list, 101),
            (from("http://chat.example.com"), &list, 403),
            (from("https://chat.example.com.evil.org"), &list, 403),
            (from("null"), &list, 403),
            (request(&[]), &list, 101),
            (from("https://chat.example.com"), &same, 101),
            (from("https://evil.org"), &same, 403),
            (from("null"), &same, 403),
            (from("https://evil.org"), &Origins::Any, 101),
        ] {
            assert_eq!(status(&request, origins).as_u16(), expected, "{:?} {origins:?}", request.headers());
        }
    }

    #[test]
    fn what_is_no_websocket_is_told_so() {
        let mut plain = request(&[]);
        plain.headers_mut().remove("upgrade");
        let mut old = request(&[]);
        old.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("8"));
        let mut keyless = request(&[]);
        keyless.headers_mut().insert("sec-websocket-key", HeaderValue::from_static("short"));
        let mut post = request(&[]);
        *post.method_mut() = Method::POST;
        for (request, expected) in [(plain, 426), (old, 400), (keyless, 400), (post, 405)] {
            assert_eq!(status(&request, &Origins::Any).as_u16(), expected);
        }
    }
}
