//! How many connections there are, in all and from each address, and who is at the other end of one.
//!
//! A trusted proxy has as many as it likes. What it brings is counted for the client that it names, from the request's head to
//! the end of the answer or of what the request has become.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;

use super::forwarded::client_address;
use crate::config::Network;
use crate::metrics::Gauge;

/// The other end of a connection; an extension of each request. A connection counts until the last clone is dropped:
/// the task that takes it over after an upgrade keeps one as long as the socket lives.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub address: SocketAddr,
    _slot: Arc<Slot>,
}

/// The connections of a listener.
#[derive(Clone, Debug)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    per_address: u32,
    total: u32,
    proxies: Arc<[Network]>,
    open: Gauge,
    warned: AtomicBool,
    counts: Mutex<Counts>,
}

#[derive(Default, Debug)]
struct Counts {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

#[derive(Debug)]
struct Slot {
    /// Whose it counts as; none of a proxy's own.
    key: Option<IpAddr>,
    /// The connection that brings the request for which this is; none if this is a connection's.
    of: Option<Arc<Slot>>,
    shared: Arc<Shared>,
}

/// Why a connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ConnectionRefusal {
    /// Too many from this address.
    Address,
    /// Too many in all.
    Total,
}

impl Connections {
    /// Bounds, 0 for none; `open` shows the number.
    pub(super) fn new(per_address: u32, total: u32, proxies: Arc<[Network]>, open: Gauge) -> Self {
        Self(Arc::new(Shared {
            per_address,
            total,
            proxies,
            open,
            warned: AtomicBool::new(false),
            counts: Mutex::default(),
        }))
    }

    /// Counts a connection.
    pub(super) fn admit(&self, address: SocketAddr) -> Result<Peer, ConnectionRefusal> {
        let mut counts = self.0.counts();
        if self.0.total > 0 && counts.total >= self.0.total {
            return Err(ConnectionRefusal::Total);
        }
        self.count(&mut counts, address)
    }

    /// The same, though all places are taken: a connection is about to leave its own.
    pub(super) fn admit_instead(&self, address: SocketAddr) -> Result<Peer, ConnectionRefusal> {
        self.count(&mut self.0.counts(), address)
    }

    fn count(&self, counts: &mut Counts, address: SocketAddr) -> Result<Peer, ConnectionRefusal> {
        let key = (!self.is_proxy(address.ip())).then(|| network(address.ip()));
        if let Some(key) = key {
            counts.one_more(key, self.0.per_address)?;
        }
        counts.total += 1;
        self.0.open.inc();
        Ok(Peer { address, _slot: Arc::new(Slot { key, of: None, shared: self.0.clone() }) })
    }

    /// Counts a request that a proxy's connection has brought for its client. What others bring is counted already.
    pub(super) fn admit_request(&self, peer: &Peer, headers: &HeaderMap) -> Result<Peer, ConnectionRefusal> {
        let ip = peer.address.ip();
        if !self.is_proxy(ip) {
            self.warn_of_proxy(ip, headers);
            return Ok(peer.clone());
        }
        let client = client_address(ip, headers, &self.0.proxies);
        if self.is_proxy(client) {
            // It asks on its own behalf.
            return Ok(peer.clone());
        }
        let key = network(client);
        self.0.counts().one_more(key, self.0.per_address)?;
        let slot = Slot { key: Some(key), of: Some(Arc::clone(&peer._slot)), shared: self.0.clone() };
        Ok(Peer { address: peer.address, _slot: Arc::new(slot) })
    }

    /// A proxy that nobody has named makes one of all its clients: said once.
    fn warn_of_proxy(&self, ip: IpAddr, headers: &HeaderMap) {
        let is_near = match ip.to_canonical() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
        };
        if is_near && headers.contains_key("x-forwarded-for") && !self.0.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                proxy = %ip,
                "requests say X-Forwarded-For, and server.trusted_proxies does not name who brings them: all his clients \
                 count as one, and the limits of one lock out all"
            );
        }
    }

    fn is_proxy(&self, ip: IpAddr) -> bool {
        self.0.proxies.iter().any(|network| network.holds(ip.to_canonical()))
    }
}

impl Counts {
    fn one_more(&mut self, key: IpAddr, most: u32) -> Result<(), ConnectionRefusal> {
        let count = self.by_address.entry(key).or_insert(0);
        if most > 0 && *count >= most {
            return Err(ConnectionRefusal::Address);
        }
        *count += 1;
        Ok(())
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.shared.counts();
        if let Some(key) = &self.key
            && let Some(of_address) = counts.by_address.get_mut(key)
        {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(key);
            }
        }
        if self.of.is_none() {
            counts.total = counts.total.saturating_sub(1);
            self.shared.open.dec();
        }
    }
}

/// What counts as one address: of IPv6 a whole /64, which is what one customer is given.
#[must_use]
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    masked(ip, 64)
}

/// What one owner may have at most: of IPv6 a /48, 65,536 networks. Others may be in it, too, so it is given more.
#[must_use]
pub(crate) fn site(ip: IpAddr) -> IpAddr {
    masked(ip, 48)
}

fn masked(ip: IpAddr, bits: u32) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - bits)))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 1)
    }

    #[test]
    fn an_address_is_refused_at_its_bound_and_others_are_not() {
        let open = Gauge::default();
        let connections = Connections::new(2, 0, Arc::default(), open.clone());
        let first = connections.admit(address("10.0.0.1")).unwrap();
        let clone = first.clone();
        let _second = connections.admit(address("::ffff:10.0.0.1")).unwrap();
        assert_eq!(connections.admit(address("10.0.0.1")).unwrap_err(), ConnectionRefusal::Address);
        let _other = connections.admit(address("10.0.0.2")).unwrap();
        drop(first);
        assert_eq!(
            connections.admit(address("10.0.0.1")).unwrap_err(),
            ConnectionRefusal::Address,
            "a clone holds the place"
        );
        drop(clone);
        assert_eq!(open.get(), 2);
        let _again = connections.admit(address("10.0.0.1")).unwrap();
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        let connections = Connections::new(1, 0, Arc::default(), Gauge::default());
        let _first = connections.admit(address("2001:db8::1")).unwrap();
        assert!(connections.admit(address("2001:db8::ffff:2")).is_err());
        assert!(connections.admit(address("2001:db8:0:1::1")).is_ok());
        let site = |text: &str| site(text.parse().unwrap()).to_string();
        assert_eq!(
            (site("2001:db8:7:1::1"), site("::ffff:10.0.0.1")),
            ("2001:db8:7::".to_owned(), "10.0.0.1".to_owned())
        );
    }

    #[test]
    fn what_a_proxy_brings_counts_for_the_clients_that_it_names() {
        let open = Gauge::default();
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let connections = Connections::new(2, 0, proxies.into(), open.clone());
        let of_proxy: Vec<_> = (0..9).map(|_| connections.admit(address("10.0.0.1")).unwrap()).collect();
        let asked = |peer: &Peer, client: &str| {
            let headers = HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), client.parse().unwrap())]);
            connections.admit_request(peer, &headers)
        };
        let first = asked(&of_proxy[0], "203.0.113.7").unwrap();
        let _second = asked(&of_proxy[1], "203.0.113.7").unwrap();
        assert_eq!(asked(&of_proxy[2], "203.0.113.7").unwrap_err(), ConnectionRefusal::Address);
        let _other = asked(&of_proxy[2], "203.0.113.8").unwrap();
        assert!(connections.admit_request(&of_proxy[3], &HeaderMap::new()).is_ok(), "the proxy's own");
        let stranger = connections.admit(address("203.0.113.9")).unwrap();
        let _again = connections.admit(address("203.0.113.9")).unwrap();
        assert!(asked(&stranger, "198.51.100.1").is_ok(), "a stranger's header says nothing");
        assert_eq!(connections.admit(address("203.0.113.9")).unwrap_err(), ConnectionRefusal::Address);
        assert_eq!(open.get(), 11);
        drop(first);
        assert!(asked(&of_proxy[2], "203.0.113.7").is_ok());
        // A socket goes on when its connection is the driver's alone.
        let socket = asked(&of_proxy[4], "203.0.113.7").unwrap();
        drop(of_proxy);
        assert_eq!(open.get(), 5, "those that requests hold, and the stranger's");
        drop(socket);
        assert_eq!(open.get(), 4);
    }

    #[test]
    fn there_is_a_bound_for_all_addresses_together() {
        let connections = Connections::new(0, 1, Arc::default(), Gauge::default());
        let first = connections.admit(address("10.0.0.1")).unwrap();
        assert_eq!(connections.admit(address("10.0.0.2")).unwrap_err(), ConnectionRefusal::Total);
        drop(first);
        assert!(connections.admit(address("10.0.0.2")).is_ok());
        assert!(connections.0.counts().by_address.is_empty(), "nothing is remembered of who has left");
    }
}
