//! Who a client is behind proxies.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::config::Network;

/// The client's address. `X-Forwarded-For` is read from its end, as far as each hop is a trusted proxy: what stands before
/// the first one that is not, anybody may have written.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.holds(*address));
    let mut client = peer.to_canonical();
    let lists: Vec<&str> = headers.get_all("x-forwarded-for").iter().filter_map(|list| list.to_str().ok()).collect();
    let mut hops = lists.iter().flat_map(|list| list.split(',')).map(str::trim).collect::<Vec<_>>().into_iter().rev();
    while is_trusted(&client)
        && let Some(Ok(hop)) = hops.next().map(str::parse::<IpAddr>)
    {
        client = hop.to_canonical();
    }
    client
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
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }
}
