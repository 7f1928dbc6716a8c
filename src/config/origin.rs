//! Which web pages may connect: the `Origin` header of a browser against `server.allowed_origins`. One rule, for every way
//! in. It protects users of browsers only (RFC 6455, 10.2): other clients send no `Origin`, or any they like.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::Server;
use super::value::{Raw, Value, quoted};

/// An entry of `server.allowed_origins`: `*`, or `scheme://host[:port]` in lower case. `*.` before a host stands for every
/// name below it, and `*` as the port for every port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AllowedOrigin {
    /// Every page.
    Every,
    /// These pages.
    Pages {
        /// `https`, or an application's own.
        scheme: String,
        /// The host, with `*.` before it for those below it.
        host: String,
        /// The port, the scheme's own if there was none; `*` for all.
        port: String,
    },
}

impl AllowedOrigin {
    /// Whether a page of this origin may connect.
    #[must_use]
    pub(crate) fn fits(&self, origin: &str) -> bool {
        let Self::Pages { scheme, host, port } = self else { return true };
        let origin = origin.to_ascii_lowercase();
        let Some(page) = Page::read(&origin) else { return false };
        let is_host = match host.strip_prefix('*') {
            Some(parent) => page.host.len() > parent.len() && page.host.ends_with(parent),
            None => page.host == host,
        };
        page.scheme == scheme && is_host && (port == "*" || page.port == port)
    }
}

impl FromStr for AllowedOrigin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Every);
        }
        let lower = text.to_ascii_lowercase();
        let bad = || {
            format!(
                "expected \"*\" or scheme://host[:port] without a path, where the host may begin with \"*.\" and the port \
                 be \"*\"; found {text:?}"
            )
        };
        let page = Page::read(&lower).ok_or_else(bad)?;
        let bare = page.host.strip_prefix("*.").unwrap_or(page.host);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let is_address = bare.starts_with('[') && bare.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_port = page.port == "*" || page.port.is_empty() || page.port.parse::<u16>().is_ok_and(|port| port > 0);
        let is_scheme = page.scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        if bare.is_empty() || !(bare.chars().all(is_name) || is_address) || !is_port || !is_scheme {
            return Err(bad());
        }
        Ok(Self::Pages { scheme: page.scheme.to_owned(), host: page.host.to_owned(), port: page.port.to_owned() })
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every => f.write_str("*"),
            Self::Pages { scheme, host, port } if port == default_port(scheme) => write!(f, "{scheme}://{host}"),
            Self::Pages { scheme, host, port } => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl Value for Vec<AllowedOrigin> {
    fn read(raw: &Raw) -> Result<Self, String> {
        Vec::<String>::read(raw)?.iter().map(|text| text.parse()).collect()
    }
    fn show(&self) -> String {
        format!("[{}]", self.iter().map(|origin| quoted(&origin.to_string())).collect::<Vec<_>>().join(", "))
    }
}

/// An origin in its parts, in lower case.
struct Page<'a> {
    scheme: &'a str,
    host: &'a str,
    port: &'a str,
}

impl<'a> Page<'a> {
    fn read(origin: &'a str) -> Option<Self> {
        let (scheme, authority) = origin.split_once("://")?;
        let (host, port) = split_port(authority);
        let port = if port.is_empty() { default_port(scheme) } else { port };
        (!scheme.is_empty() && !host.is_empty()).then_some(Self { scheme, host, port })
    }
}

/// Host and port of `host[:port]`; IPv6 addresses stay in their brackets.
fn split_port(authority: &str) -> (&str, &str) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (authority, ""),
    }
}

fn default_port(scheme: &str) -> &'static str {
    match scheme {
        "http" => "80",
        "https" => "443",
        _ => "",
    }
}

/// Whether a host, in lower case and without its port, is this machine by its very name. Others may point here, too:
/// the owner of any domain can let it.
fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

impl Server {
    /// Whether a page of this `Origin` may call, where `Host` is what it called. Who names no origin is no page.
    ///
    /// Without a list: in production pages of the host that was called, in development pages of this machine, and of the host
    /// that was called where `development_anywhere` lets others call at all.
    #[must_use]
    pub(crate) fn origin_allowed(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        if !self.allowed_origins.is_empty() {
            return self.allowed_origins.iter().any(|allowed| allowed.fits(origin));
        }
        let origin = origin.to_ascii_lowercase();
        let Some(page) = Page::read(&origin) else { return false };
        if !self.production && is_loopback(page.host) {
            return true;
        }
        // In development others are kept out by the names that this machine is asked by.
        (self.production || self.development_anywhere)
            && host.is_some_and(|called| {
                let called = called.to_ascii_lowercase();
                let (host, port) = split_port(&called);
                host == page.host && (if port.is_empty() { default_port(page.scheme) } else { port }) == page.port
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(production: bool, allowed: &[&str]) -> Server {
        let allowed_origins = allowed.iter().map(|text| text.parse().unwrap()).collect();
        Server { production, allowed_origins, ..Server::default() }
    }

    #[test]
    fn a_listed_page_may_connect_and_another_may_not() {
        for (allowed, fits, others) in [
            (
                "https://chat.example.com",
                &["https://chat.example.com", "https://Chat.Example.com"][..],
                &[
                    "http://chat.example.com",
                    "https://chat.example.com.evil.test",
                    "https://chat.example.com:8443",
                    "null",
                ][..],
            ),
            ("HTTPS://Chat.example.com:443", &["https://chat.example.com"], &["https://chat.example.com:444"]),
            ("http://chat.example.com:80", &["http://chat.example.com"], &["https://chat.example.com"]),
            (
                "https://*.example.com",
                &["https://a.example.com", "https://a.b.example.com"],
                &[
                    "https://example.com",
                    "https://.example.com.evil.test",
                    "https://evilexample.com",
                    "http://a.example.com",
                ],
            ),
            ("http://localhost:*", &["http://localhost", "http://localhost:5173"], &["http://localhost.evil.test:1"]),
            ("http://[::1]:5173", &["http://[::1]:5173"], &["http://[::1]", "http://[::2]:5173"]),
            ("capacitor://localhost", &["capacitor://localhost"], &["http://localhost"]),
            ("*", &["https://evil.test", "null", ""], &[]),
        ] {
            let server = server(true, &[allowed]);
            for origin in fits {
                assert!(server.origin_allowed(Some(origin), None), "{allowed} {origin}");
            }
            for origin in others {
                assert!(!server.origin_allowed(Some(origin), None), "{allowed} {origin}");
            }
            assert!(server.origin_allowed(None, None), "a client that is no browser");
        }
    }

    #[test]
    fn what_could_never_fit_is_refused() {
        for text in [
            "",
            "chat.example.com",
            "https://",
            "https://a/",
            "https://a/b",
            "https://a*b.example.com",
            "https://*",
            "https://chat.*",
            "https://*.",
            "https://a:b",
            "https://a:0",
            "https://a:65536",
            "https://ä.example.com",
            "https://a b",
            "*://a",
            "null",
            "https://user@a",
            "https://[x]",
            "https://a?b",
        ] {
            assert!(text.parse::<AllowedOrigin>().is_err(), "{text}");
        }
        let shown = |text: &str| text.parse::<AllowedOrigin>().unwrap().to_string();
        assert_eq!(shown("https://Chat.example.com:443"), "https://chat.example.com");
        assert_eq!(shown("https://*.example.com:*"), "https://*.example.com:*");
        assert_eq!(shown("tauri://localhost"), "tauri://localhost");
    }

    #[test]
    fn without_a_list_production_lets_in_pages_of_its_own_host_and_development_those_of_this_machine() {
        let (production, development) = (server(true, &[]), server(false, &[]));
        for (origin, host, own) in [
            ("https://chat.example.com:3000", "chat.example.com:3000", true),
            ("https://Chat.example.com", "chat.example.com", true),
            ("https://chat.example.com", "chat.example.com:443", true),
            ("https://chat.example.com", "chat.example.com:3000", false),
            ("https://evil.test", "chat.example.com", false),
            ("null", "null", false),
        ] {
            assert_eq!(production.origin_allowed(Some(origin), Some(host)), own, "{origin} {host}");
            assert!(!development.origin_allowed(Some(origin), Some(host)), "{origin} {host}");
        }
        assert!(!production.origin_allowed(Some("https://chat.example.com"), None));
        let anywhere = Server { development_anywhere: true, ..server(false, &[]) };
        assert!(anywhere.origin_allowed(Some("http://192.168.0.7:3000"), Some("192.168.0.7:3000")));
        assert!(!anywhere.origin_allowed(Some("https://evil.test"), Some("192.168.0.7:3000")));
        for origin in [
            "http://localhost:5173",
            "http://127.0.0.1",
            "https://127.8.9.1:1",
            "http://[::1]:3000",
            "http://a.localhost",
        ] {
            assert!(development.origin_allowed(Some(origin), Some("localhost:3000")), "{origin}");
        }
        for origin in ["http://localhost.evil.test", "http://127.0.0.1.evil.test", "null", "http://192.168.0.1", ""] {
            assert!(!development.origin_allowed(Some(origin), Some("localhost:3000")), "{origin}");
        }
    }
}
