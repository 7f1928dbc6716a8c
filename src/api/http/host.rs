//! Whether a request asks for this machine by one of its own names. A page in a browser that had its own name point here (DNS
//! rebinding) asks by that name: where nothing else keeps it out, the name does.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::address::Peer;
use super::error::HttpError;

/// Whether the one `Host` is `localhost` or a loopback address.
#[must_use]
pub(crate) fn names_this_machine(headers: &HeaderMap) -> bool {
    name(headers).is_some_and(|name| name.eq_ignore_ascii_case("localhost") || address(name).is_some_and(is_loopback))
}

/// Whether the one `Host` is `localhost` or any address: a page can't have been led here by its own name.
#[must_use]
pub(crate) fn is_no_foreign_name(headers: &HeaderMap) -> bool {
    name(headers).is_some_and(|name| name.eq_ignore_ascii_case("localhost") || address(name).is_some())
}

/// Lets requests through that ask for this machine.
pub(super) async fn this_machine_only(request: Request, next: Next) -> Response {
    if names_this_machine(request.headers()) {
        return next.run(request).await;
    }
    let why = "development mode is asked by localhost, 127.0.0.1 or [::1] only; see server.development_anywhere";
    HttpError::new(StatusCode::FORBIDDEN, "host_not_allowed", why).into_response()
}

/// Lets requests through that no page of another name on this machine can have sent. What asks from elsewhere has been let in
/// by the operator, and calls this by whatever name it knows.
pub(super) async fn no_foreign_name(request: Request, next: Next) -> Response {
    let from_here = request.extensions().get::<Peer>().is_some_and(|peer| is_loopback(peer.address.ip()));
    if !from_here || is_no_foreign_name(request.headers()) {
        return next.run(request).await;
    }
    let why = "from this machine this is asked by localhost or an address only";
    HttpError::new(StatusCode::FORBIDDEN, "host_not_allowed", why).into_response()
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// An address, in brackets if it is IPv6.
fn address(name: &str) -> Option<IpAddr> {
    match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse().ok().filter(IpAddr::is_ipv6),
        None => name.parse().ok().filter(IpAddr::is_ipv4),
    }
}

/// The host of the one `Host` header, without its port. What is no `host[:port]` has none.
fn name(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::HOST).iter();
    let host = all.next()?.to_str().ok()?;
    if all.next().is_some() {
        return None;
    }
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at(end);
    let is_port = |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_this_machine_and_nothing_that_looks_like_one() {
        for (hosts, here, foreign) in [
            (&["localhost:3000"][..], true, false),
            (&["LocalHost"], true, false),
            (&["127.0.0.1"], true, false),
            (&["127.9.9.9:1"], true, false),
            (&["[::1]:3000"], true, false),
            (&["[::ffff:127.0.0.1]"], true, false),
            (&["192.0.2.7:3001"], false, false),
            (&["[2001:db8::1]"], false, false),
            (&["evil.test"], false, true),
            (&["localhost.evil.test:3000"], false, true),
            (&["localhost:3000@evil.test"], false, true),
            (&["127.0.0.1:3000, evil.test"], false, true),
            (&["localhost:"], true, false),
            (&["localhost:123456"], false, true),
            (&["[::1]evil.test"], false, true),
            (&["[::1"], false, true),
            (&["[localhost]"], false, true),
            (&["::1"], false, true),
            (&["127.1"], false, true),
            (&[""], false, true),
            (&[], false, true),
            (&["localhost", "evil.test"], false, true),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            assert_eq!((names_this_machine(&headers), !is_no_foreign_name(&headers)), (here, foreign), "{hosts:?}");
        }
    }
}
