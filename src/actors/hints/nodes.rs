//! What Redis says of its nodes, read from the texts of `INFO` and `CLUSTER NODES`: pure.

use std::time::Duration;

/// A server, or a node of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisNode {
    /// Where it is, as `host:port`.
    pub address: String,
    /// Its version and its role, or why it does not say.
    pub state: Result<RedisState, String>,
}

/// How a node is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisState {
    /// Such as "7.0.15".
    pub version: String,
    /// "master" or "slave", as Redis calls them.
    pub role: String,
    /// How long it took to answer.
    pub round_trip: Duration,
}

/// A field of the text of `INFO`.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

/// Whether the text of `INFO cluster` is that of a node of a cluster.
pub(super) fn is_in_a_cluster(info: &str) -> bool {
    field(info, "cluster_enabled") == Some("1")
}

/// Host and port of each node in the text of `CLUSTER NODES` that has an address and is not given up.
pub(super) fn addresses(nodes: &str) -> Vec<(String, u16)> {
    nodes.lines().filter_map(address).collect()
}

/// `ID HOST:PORT@BUS,NAME FLAGS …`; the host of an IPv6 address has colons of its own.
fn address(line: &str) -> Option<(String, u16)> {
    let mut words = line.split(' ').skip(1);
    let (place, flags) = (words.next()?, words.next()?);
    let gone = flags.split(',').any(|flag| flag == "noaddr" || flag == "handshake");
    let place = place.split(['@', ',']).next()?;
    let (host, port) = place.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!gone && !host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_with_an_address_are_found() {
        let text = "a 127.0.0.1:7001@17001 myself,master - 0 0 1 connected 0-5460\n\
                    b ::1:7002@17002,redis-2 slave a 0 0 1 connected\n\
                    c :0@0 master,noaddr - 0 0 1 disconnected\n\
                    d 10.0.0.4:7004@17004 handshake - 0 0 0 connected\n\
                    e 10.0.0.5:7005@17005 master,fail - 0 0 0 disconnected\n\n";
        let found = [("127.0.0.1", 7001), ("::1", 7002), ("10.0.0.5", 7005)];
        assert_eq!(addresses(text), found.map(|(host, port)| (host.to_owned(), port)));
    }

    #[test]
    fn a_cluster_says_that_it_is_one() {
        assert!(is_in_a_cluster("# Cluster\r\ncluster_enabled:1\r\n"));
        assert!(!is_in_a_cluster("# Cluster\r\ncluster_enabled:0\r\n"));
        assert_eq!(field("redis_version:7.0.15\r\nrole:master\r\n", "role"), Some("master"));
    }
}
