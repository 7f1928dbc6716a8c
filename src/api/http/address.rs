//! How many connections there are, in all and from each address, and who is at the other end of one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;

/// The other end of a connection; an extension of each request. A connection counts until the last clone is dropped:
/// whoever takes it over after an upgrade keeps one as long as the socket lives.
#[derive(Clone, Debug)]
pub struct Peer {
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
    open: Gauge,
    counts: Mutex<Counts>,
}

#[derive(Default, Debug)]
struct Counts {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
}

#[derive(Debug)]
struct Slot {
    key: IpAddr,
    shared: Arc<Shared>,
}

/// Why a connection is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// Too many from this address.
    Address,
    /// Too many in all.
    Total,
}

impl Connections {
    /// Bounds, 0 for none; `open` shows the number.
    pub(super) fn new(per_address: u32, total: u32, open: Gauge) -> Self {
        Self(Arc::new(Shared { per_address, total, open, counts: Mutex::default() }))
    }

    pub(super) fn admit(&self, address: SocketAddr) -> Result<Peer, Refusal> {
        let key = network(address.ip());
        let mut counts = self.0.counts();
        if self.0.total > 0 && counts.total >= self.0.total {
            return Err(Refusal::Total);
        }
        let of_address = counts.by_address.entry(key).or_insert(0);
        if self.0.per_address > 0 && *of_address >= self.0.per_address {
            return Err(Refusal::Address);
        }
        *of_address += 1;
        counts.total += 1;
        self.0.open.inc();
        drop(counts);
        Ok(Peer { address, _slot: Arc::new(Slot { key, shared: self.0.clone() }) })
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
        counts.total = counts.total.saturating_sub(1);
        if let Some(of_address) = counts.by_address.get_mut(&self.key) {
            *of_address -= 1;
            if *of_address == 0 {
                counts.by_address.remove(&self.key);
            }
        }
        self.shared.open.dec();
    }
}

/// What counts as one address: of IPv6 a whole /64, which is what one customer is given.
#[must_use]
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
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
        let connections = Connections::new(2, 0, open.clone());
        let first = connections.admit(address("10.0.0.1")).unwrap();
        let clone = first.clone();
        let _second = connections.admit(address("::ffff:10.0.0.1")).unwrap();
        assert_eq!(connections.admit(address("10.0.0.1")).unwrap_err(), Refusal::Address);
        let _other = connections.admit(address("10.0.0.2")).unwrap();
        drop(first);
        assert_eq!(connections.admit(address("10.0.0.1")).unwrap_err(), Refusal::Address, "a clone holds the place");
        drop(clone);
        assert_eq!(open.get(), 2);
        let _again = connections.admit(address("10.0.0.1")).unwrap();
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_count_as_one() {
        let connections = Connections::new(1, 0, Gauge::default());
        let _first = connections.admit(address("2001:db8::1")).unwrap();
        assert!(connections.admit(address("2001:db8::ffff:2")).is_err());
        assert!(connections.admit(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn there_is_a_bound_for_all_addresses_together() {
        let connections = Connections::new(0, 1, Gauge::default());
        let first = connections.admit(address("10.0.0.1")).unwrap();
        assert_eq!(connections.admit(address("10.0.0.2")).unwrap_err(), Refusal::Total);
        drop(first);
        assert!(connections.admit(address("10.0.0.2")).is_ok());
        assert!(connections.0.counts().by_address.is_empty(), "nothing is remembered of who has left");
    }
}
