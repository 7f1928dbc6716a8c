//! Where Redis is: one or more addresses, each of which may hold a password.

use std::fmt;

use super::value::{Raw, Value, quoted};

/// `redis://[USER:PASSWORD@]HOST[:PORT]`, and more of them behind commas. Never shown with what stands before the `@`.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

const SCHEME: &str = "redis://";

impl RedisUrl {
    /// The addresses, as they were given. Not for logs.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = &str> {
        self.0.split(',').map(str::trim)
    }

    /// The addresses without users and passwords.
    #[must_use]
    pub fn places(&self) -> String {
        let place = |address: &str| {
            let rest = address.strip_prefix(SCHEME).unwrap_or(address);
            rest.rsplit_once('@').map_or(rest, |(_, place)| place).to_owned()
        };
        self.addresses().map(place).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.places())
    }
}

impl Value for RedisUrl {
    fn read(raw: &Raw) -> Result<Self, String> {
        let url = Self(String::read(raw)?);
        if url.addresses().any(|address| address.starts_with("rediss://")) {
            return Err("TLS to Redis (rediss://) is not supported: expected redis://…".to_owned());
        }
        // An address that is none may hold a password: it is not repeated.
        let expected = "expected redis://[USER:PASSWORD@]HOST[:PORT], and more of them behind commas";
        if url.addresses().all(is_address) { Ok(url) } else { Err(expected.to_owned()) }
    }

    fn show(&self) -> String {
        let shown = |address: &str| match address.strip_prefix(SCHEME).and_then(|rest| rest.rsplit_once('@')) {
            Some((_, place)) => format!("{SCHEME}***@{place}"),
            None => address.to_owned(),
        };
        quoted(&self.addresses().map(shown).collect::<Vec<_>>().join(","))
    }
}

/// Whether it has a host, and a port that is one if it has one.
fn is_address(address: &str) -> bool {
    let Some(rest) = address.strip_prefix(SCHEME) else { return false };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split_once('/').map_or(place, |(place, _)| place);
    match place.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => !host.is_empty() && port.parse::<u16>().is_ok(),
        _ => !place.is_empty(),
    }
}

/// An address, for tests.
#[cfg(test)]
pub(crate) fn redis_url(text: &str) -> RedisUrl {
    RedisUrl::read(&Raw::Text(text.to_owned())).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_passwords() {
        let url = redis_url("redis://u:hidden@r1:7001, redis://r2");
        assert_eq!(url.addresses().collect::<Vec<_>>(), ["redis://u:hidden@r1:7001", "redis://r2"]);
        assert_eq!((url.places().as_str(), format!("{url:?}").as_str()), ("r1:7001,r2", "r1:7001,r2"));
        assert_eq!(redis_url("redis://[::1]:7001/2,redis://[::1]").places(), "[::1]:7001/2,[::1]");
        assert_eq!(url.show(), "\"redis://***@r1:7001,redis://r2\"");
        for wrong in [
            "hidden@r",
            "rediss://:hidden@r",
            "redis://r,",
            "redis://",
            "http://hidden",
            "redis://r:hidden",
            "redis://hidden@:1",
        ] {
            let said = RedisUrl::read(&Raw::Text(wrong.to_owned())).unwrap_err();
            assert!(said.contains("expected redis://") && !said.contains("hidden"), "{said}");
        }
    }
}
