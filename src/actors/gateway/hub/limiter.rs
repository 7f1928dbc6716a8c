//! Messages in a minute for each user (or whatever is counted: attempts from an address), by the generic cell rate
//! algorithm (ITU-T I.371): one number for each user who sent lately, exact, and it tells when the next message will pass.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Arc, Mutex};

use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::lock;
use crate::env::Clock;
use crate::ids::UserId;

const SHARDS: usize = 16;
/// Users of a shard above which those whose time has passed are forgotten.
const SWEEP: usize = 1024;

/// How much is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Messages in a minute, in the long run; 0 for no bound.
    pub per_minute: u32,
    /// Messages that may come at once; at least 1.
    pub burst: u32,
}

/// See the module.
pub struct Limiter<K = UserId> {
    /// Microseconds between two messages in the long run; 0 for no bound.
    interval: u64,
    /// Microseconds by which a user may be ahead.
    tolerance: u64,
    clock: Arc<dyn Clock>,
    shards: [Mutex<Shard<K>>; SHARDS],
}

struct Shard<K> {
    /// By user: when a message would come if all came evenly, in microseconds.
    due: HashMap<K, u64>,
    sweep_above: usize,
}

impl<K> Default for Shard<K> {
    fn default() -> Self {
        Self { due: HashMap::new(), sweep_above: 0 }
    }
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// A limiter that has seen nobody.
    #[must_use]
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let interval = 60_000_000u64.checked_div(u64::from(rate.per_minute)).unwrap_or(0);
        let tolerance = interval * u64::from(rate.burst.max(1) - 1);
        Self { interval, tolerance, clock, shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Counts a message of this user.
    ///
    /// # Errors
    /// It is one too many and does not count; milliseconds until the next one will pass.
    pub fn admit(&self, user: &K) -> Result<(), u64> {
        if self.interval == 0 {
            return Ok(());
        }
        let now = self.clock.steady().0 * 1_000;
        let place = Xxh3DefaultBuilder::new().hash_one(user) % SHARDS as u64;
        let mut shard = lock(&self.shards[place as usize]);
        let due = shard.due.get(user).copied().unwrap_or(0);
        // Nobody is ever further ahead than one interval beyond the tolerance: if he is, the clock went back.
        let due = due.clamp(now, now + self.tolerance + self.interval);
        if due > now + self.tolerance {
            return Err((due - now - self.tolerance).div_ceil(1_000));
        }
        shard.due.insert(user.clone(), due + self.interval);
        if shard.due.len() > shard.sweep_above.max(SWEEP) {
            shard.due.retain(|_, due| *due > now);
            shard.sweep_above = shard.due.len() * 2;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::ManualClock;
    use crate::ids::Timestamp;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn limiter(per_minute: u32, burst: u32) -> (Limiter, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp(1_700_000_000_000)));
        (Limiter::new(Rate { per_minute, burst }, clock.clone()), clock)
    }

    #[test]
    fn the_rate_is_exact_to_ten_percent_whatever_the_pace() {
        for (per_minute, burst) in [(1, 1), (60, 20), (90, 1), (1_000, 50), (6_000, 100)] {
            for step in [1, 7, 100, 999] {
                if step * u64::from(per_minute) / 60_000 >= u64::from(burst) {
                    // He comes too seldom to use what he may.
                    continue;
                }
                let (limiter, clock) = limiter(per_minute, burst);
                let minutes = 20;
                let mut passed = 0;
                for _ in 0..minutes * 60_000 / step {
                    // As fast as he can.
                    while limiter.admit(&user("ann")).is_ok() {
                        passed += 1;
                    }
                    clock.advance(step);
                }
                let exact = f64::from(per_minute) * minutes as f64 + f64::from(burst);
                let off = (f64::from(passed) - exact).abs() / exact;
                assert!(off < 0.1, "{per_minute}/min, burst {burst}, every {step} ms: {passed} of {exact}");
            }
        }
    }

    #[test]
    fn a_burst_passes_at_once_and_the_next_one_when_it_was_told() {
        let (limiter, clock) = limiter(60, 20);
        for _ in 0..20 {
            assert_eq!(limiter.admit(&user("ann")), Ok(()));
        }
        let wait = limiter.admit(&user("ann")).unwrap_err();
        assert_eq!(wait, 1_000);
        assert_eq!(limiter.admit(&user("bob")), Ok(()), "another user is not touched");
        clock.advance(wait - 1);
        assert_eq!(limiter.admit(&user("ann")), Err(1));
        clock.advance(1);
        assert_eq!(limiter.admit(&user("ann")), Ok(()));
        assert_eq!(limiter.admit(&user("ann")), Err(1_000));
    }

    #[test]
    fn a_clock_that_goes_back_locks_nobody_out() {
        let (limiter, clock) = limiter(60, 20);
        for _ in 0..20 {
            assert_eq!(limiter.admit(&user("ann")), Ok(()));
        }
        clock.set(Timestamp(1_600_000_000_000));
        let wait = limiter.admit(&user("ann")).unwrap_err();
        assert!(wait <= 1_000, "{wait}");
    }

    #[test]
    fn zero_is_no_bound() {
        let (limiter, _) = limiter(0, 0);
        assert!((0..10_000).all(|_| limiter.admit(&user("ann")).is_ok()));
    }

    #[test]
    fn users_whose_time_has_passed_are_forgotten() {
        let (limiter, clock) = limiter(60, 20);
        for n in 0..200_000 {
            clock.advance(10);
            assert_eq!(limiter.admit(&user(&format!("u{n}"))), Ok(()));
        }
        let known: usize = limiter.shards.iter().map(|shard| lock(shard).due.len()).sum();
        assert!(known < SHARDS * (2 * SWEEP + 2), "{known}");
    }
}
