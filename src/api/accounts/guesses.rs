//! How often a password may be guessed at: for each account, from all networks together. Networks from which its owner came
//! before do not count and are never held up, so nobody can lock the owner out with wrong passwords.
//!
//! In memory only: after a restart a network is known again with the first refresh from it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::actors::gateway::hub::{Limiter, Rate};
use crate::env::Clock;
use crate::limits;

/// An account, or a name that is none: who guesses must not see a difference.
type Whose = [u8; 32];

/// See the module.
pub(super) struct Guesses {
    limiter: Limiter<Whose>,
    known: Mutex<Known>,
}

/// Pairs of account and network in two generations: when the younger one is full it takes the place of the older one.
#[derive(Default)]
struct Known {
    younger: HashSet<(Whose, IpAddr)>,
    older: HashSet<(Whose, IpAddr)>,
}

impl Guesses {
    /// So many guesses in a minute at an account; 0 for no bound.
    pub(crate) fn new(per_minute: u32, clock: Arc<dyn Clock>) -> Self {
        Self { limiter: Limiter::new(Rate { per_minute, burst: per_minute }, clock), known: Mutex::default() }
    }

    /// Counts a guess.
    ///
    /// # Errors
    /// It is one too many; milliseconds until there may be another one.
    pub(crate) fn admit(&self, whose: &str, network: IpAddr) -> Result<(), u64> {
        let pair = (Sha256::digest(whose).into(), network);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).holds(&pair);
        if known { Ok(()) } else { self.limiter.admit(&pair.0) }
    }

    /// The owner came from this network.
    pub(crate) fn came(&self, whose: &str, network: IpAddr) {
        let pair = (Sha256::digest(whose).into(), network);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).add(pair);
    }
}

impl Known {
    fn holds(&self, pair: &(Whose, IpAddr)) -> bool {
        self.younger.contains(pair) || self.older.contains(pair)
    }

    fn add(&mut self, pair: (Whose, IpAddr)) {
        if self.younger.len() >= limits::KNOWN_NETWORKS / 2 {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(pair);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::ManualClock;

    fn network(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn guesses_from_everywhere_are_bounded_and_lock_no_owner_out() {
        let clock = Arc::new(ManualClock::default());
        let guesses = Guesses::new(3, clock.clone());
        guesses.came("ada", network(1));
        assert!((10..13).all(|n| guesses.admit("ada", network(n)).is_ok()));
        assert!(guesses.admit("ada", network(13)).is_err(), "another network is none too few");
        assert!(guesses.admit("bob", network(13)).is_ok(), "another account is not touched");
        assert!(guesses.admit("ada", network(1)).is_ok(), "the owner gets in from where he was before");
        clock.advance(20_000);
        assert!(guesses.admit("ada", network(13)).is_ok());
    }

    #[test]
    fn of_known_networks_only_so_many_are_kept_and_the_latest_are_among_them() {
        let guesses = Guesses::new(1, Arc::new(ManualClock::default()));
        for n in 0..3 * u32::try_from(limits::KNOWN_NETWORKS).unwrap() {
            guesses.came("ada", network(n));
        }
        let known = guesses.known.lock().unwrap();
        assert!(known.younger.len() + known.older.len() <= limits::KNOWN_NETWORKS);
        assert!(known.holds(&(Sha256::digest("ada").into(), network(3 * limits::KNOWN_NETWORKS as u32 - 1))));
    }
}
