//! Who a client is behind proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use super::address::{Peer, network};
use crate::config::Network;

/// The network that a client comes from: of its connection, or whom a trusted proxy names.
#[must_use]
pub(crate) fn client_network(peer: &Peer, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    network(client_address(peer.address.ip(), headers, trusted))
}

/// The client's address. `X-Forwarded-For` is read from its end, as far as each hop is a trusted proxy: what stands before
/// the first one that is not, anybody may have written.
#[must_use]
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.holds(*address));
    let mut client = peer.to_canonical();
    let lists: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|list| list.to_str().ok()).collect();
    let hops = lists.iter().rev().flat_map(|list| list.rsplit(',')).map(str::trim);
    let mut hops = hops.filter(|hop| !hop.is_empty());
    while is_trusted(&client)
        && let Some(Some(hop)) = hops.next().map(address)
    {
        client = hop.to_canonical();
    }
    client
}

/// A hop's address, in each form that proxies write: bare, with a port, IPv6 in brackets, in quotes.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.strip_prefix('"').and_then(|hop| hop.strip_suffix('"')).unwrap_or(hop);
    if let Ok(address) = hop.parse() {
        return Some(address);
    }
    if let Ok(with_port) = hop.parse::<SocketAddr>() {
        return Some(with_port.ip());
    }
    hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "::1/128"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for list in forwarded {
            headers.append("x-forwarded-for", list.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_what_trusted_proxies_have_written_is_believed() {
        assert_eq!(client("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "a stranger may write what he likes");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("::ffff:10.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["6.6.6.6", "198.51.100.1:4711, 10.0.0.2:80,"]), "198.51.100.1");
    }

    #[test]
    fn an_address_is_read_in_every_form_that_proxies_write() {
        for (hop, address) in [
            ("203.0.113.7:4711", "203.0.113.7"),
            ("\"203.0.113.7\"", "203.0.113.7"),
            ("\"203.0.113.7:4711\"", "203.0.113.7"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("[::ffff:203.0.113.7]:1", "203.0.113.7"),
        ] {
            assert_eq!(client("10.0.0.1", &[hop]), address, "{hop}");
        }
        for hop in ["unknown", "_hidden", "203.0.113.7:", "203.0.113.7:x", "[2001:db8::1", "2001:db8::1]", "\"", ":80"]
        {
            assert_eq!(client("10.0.0.1", &[hop]), "10.0.0.1", "{hop}");
        }
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
