//! The opening handshake (RFC 6455, section 4.2): who may connect, in which format.

use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::api::http::{HttpError, Origins};
use crate::api::protocol::{Format, PROTOBUF_SUBPROTOCOL};

/// What clients of the JSON format may ask for in `Sec-WebSocket-Protocol`.
const JSON_SUBPROTOCOL: &str = "centrifuge-json";
/// RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

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
    pub(crate) fn response(&self) -> Response {
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
        let why = "a WebSocket begins with GET";
        let refused = HttpError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", why);
        return Err(refused.with(header::ALLOW, "GET"));
    }
    // What HTTP/1.0 says of an upgrade is not heard (RFC 9110, 7.8).
    let wishes = request.version() >= Version::HTTP_11
        && names(headers, header::CONNECTION, "upgrade")
        && names(headers, header::UPGRADE, "websocket");
    if !wishes {
        return Err(upgrade_required(
            "this is a WebSocket endpoint: connect with a Centrifuge SDK, see docs/protocol.md",
        ));
    }
    let mut versions = headers.get_all(header::SEC_WEBSOCKET_VERSION).iter();
    if (versions.next().map(HeaderValue::as_bytes), versions.next()) != (Some(b"13"), None) {
        return Err(upgrade_required("Sec-WebSocket-Version must be 13").with(header::SEC_WEBSOCKET_VERSION, "13"));
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next().filter(|key| is_key(key.as_bytes())), keys.next()) else {
        return Err(bad("Sec-WebSocket-Key must be 16 bytes"));
    };
    // Its bytes would be read as frames.
    if headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
    {
        return Err(bad("a request for a WebSocket has no body"));
    }
    origins.admit(headers)?;
    let (format, protocol) = format(headers, request.uri());
    let accept = accept(key.as_bytes()).ok_or_else(HttpError::internal)?;
    Ok(Agreed { format, protocol, accept })
}

fn bad(why: &str) -> HttpError {
    HttpError::new(StatusCode::BAD_REQUEST, "bad_request", why)
}

/// RFC 9110, 15.5.22: it names what to upgrade to.
fn upgrade_required(why: &str) -> HttpError {
    let refused = HttpError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", why);
    refused.with(header::UPGRADE, "websocket").with(header::CONNECTION, "Upgrade")
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
    use std::sync::Arc;

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

    fn development() -> Origins {
        Origins::new(Arc::default())
    }

    fn status(request: &Request<()>, origins: &Origins) -> StatusCode {
        match agree(request, origins) {
            Ok(agreed) => agreed.response().status(),
            Err(error) => error.into_response().status(),
        }
    }

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        let agreed = agree(&request(&[]), &development()).unwrap();
        assert_eq!(agreed.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(agreed.response().status(), StatusCode::SWITCHING_PROTOCOLS);
    }

    #[test]
    fn the_format_is_what_the_client_asks_for() {
        let by_query = agree(&request(&[]), &development()).unwrap();
        assert_eq!((by_query.format, by_query.protocol), (Format::Protobuf, None));
        let named = agree(&request(&[("sec-websocket-protocol", "x, centrifuge-protobuf")]), &development()).unwrap();
        assert_eq!((named.format, named.protocol), (Format::Protobuf, Some("centrifuge-protobuf")));
        let json = agree(&request(&[("sec-websocket-protocol", "centrifuge-json")]), &development()).unwrap();
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
            let agreed = agree(&request(&headers), &development()).unwrap();
            assert_eq!((agreed.format, agreed.protocol), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        for (origin, expected) in [("http://localhost:5173", 101), ("https://evil.org", 403), ("null", 403)] {
            assert_eq!(status(&request(&[("origin", origin)]), &development()).as_u16(), expected, "{origin}");
        }
        let two = request(&[("origin", "http://localhost"), ("origin", "http://localhost")]);
        assert_eq!(status(&two, &development()).as_u16(), 403);
        assert_eq!(status(&request(&[]), &development()).as_u16(), 101, "no page at all");
    }

    #[test]
    fn what_is_no_websocket_is_told_so_with_what_it_lacks() {
        let said = |change: &dyn Fn(&mut Request<()>)| {
            let mut request = request(&[]);
            change(&mut request);
            let response = agree(&request, &development()).map(|_| ()).unwrap_err().into_response();
            let text = |name: &str| {
                response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
            };
            (response.status().as_u16(), text("upgrade"), text("sec-websocket-version"), text("allow"))
        };
        let refusal = |status, upgrade: &str, version: &str, allow: &str| {
            (status, upgrade.to_owned(), version.to_owned(), allow.to_owned())
        };
        let set = |name: &'static str, value: &'static str| {
            move |request: &mut Request<()>| {
                request.headers_mut().insert(name, HeaderValue::from_static(value));
            }
        };
        let plain = |request: &mut Request<()>| drop(request.headers_mut().remove("upgrade"));
        assert_eq!(said(&plain), refusal(426, "websocket", "", ""));
        assert_eq!(said(&|request| *request.version_mut() = Version::HTTP_10), refusal(426, "websocket", "", ""));
        for version in ["8", "", "13, 8", "014"] {
            assert_eq!(said(&set("sec-websocket-version", version)), refusal(426, "websocket", "13", ""));
        }
        assert_eq!(said(&set("sec-websocket-key", "short")), refusal(400, "", "", ""));
        assert_eq!(said(&set("content-length", "5")), refusal(400, "", "", ""));
        assert_eq!(said(&set("transfer-encoding", "chunked")), refusal(400, "", "", ""));
        assert_eq!(said(&|request| *request.method_mut() = Method::POST), refusal(405, "", "", "GET"));
        let empty = request(&[("content-length", "0")]);
        assert_eq!(status(&empty, &development()).as_u16(), 101, "no body");
    }
}
