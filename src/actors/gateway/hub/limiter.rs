//! How much each user (or whatever is counted: an address) may do in a minute, by the generic cell rate algorithm (ITU-T
//! I.371): one number for each who came lately, exact, and it tells when the next one will pass.
//!
//! What costs more than one goes through as soon as anything would, and the next one waits until that is paid for: whatever
//! may be asked for at all is never refused for good, however small the burst is.

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
/// Users of a shard that are remembered at most: some 30 MB in all. Above it the half that owes least is forgotten, which lets
/// them have a burst too many.
const MOST: usize = 16 * 1024;
/// Microseconds that anybody has to wait at most, whatever was spent.
const LONGEST: u64 = 5 * 60 * 1_000_000;

/// How much is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// How many in a minute, in the long run; 0 for no bound.
    pub(crate) per_minute: u32,
    /// How many may come at once; at least 1.
    pub(crate) burst: u32,
}

/// See the module.
pub(crate) struct Limiter<K = UserId> {
    /// Microseconds between two in the long run; 0 for no bound.
    interval: u64,
    /// Microseconds by which a user may be ahead.
    tolerance: u64,
    clock: Arc<dyn Clock>,
    shards: [Mutex<Shard<K>>; SHARDS],
}

struct Shard<K> {
    /// By user: when one would come if all came evenly, in microseconds.
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
    pub(crate) fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let interval = 60_000_000u64.checked_div(u64::from(rate.per_minute)).unwrap_or(0);
        let tolerance = interval * u64::from(rate.burst.max(1) - 1);
        Self { interval, tolerance, clock, shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Counts one of this user.
    ///
    /// # Errors
    /// It is one too many and does not count; milliseconds until the next one will pass.
    pub(crate) fn admit(&self, user: &K) -> Result<(), u64> {
        self.admit_cost(user, 1)
    }

    /// Counts something that costs as much as `cost` of them. What costs nothing passes if one would.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(crate) fn admit_cost(&self, user: &K, cost: u32) -> Result<(), u64> {
        self.spend(user, cost, true)
    }

    /// Counts what is known to have cost so much only afterwards, and refuses nothing.
    pub(crate) fn charge(&self, user: &K, cost: u32) {
        let _ = self.spend(user, cost, false);
    }

    fn spend(&self, user: &K, cost: u32, may_refuse: bool) -> Result<(), u64> {
        if self.interval == 0 {
            return Ok(());
        }
        let now = self.clock.steady().0 * 1_000;
        let place = Xxh3DefaultBuilder::new().hash_one(user) % SHARDS as u64;
        let mut shard = lock(&self.shards[place as usize]);
        let due = shard.due.get(user).copied().unwrap_or(0);
        // Nobody is ever further ahead than this: somebody who is shows that the clock went back.
        let latest = now + self.tolerance + LONGEST;
        let due = due.clamp(now, latest);
        if may_refuse && due > now + self.tolerance {
            return Err((due - now - self.tolerance).div_ceil(1_000));
        }
        if cost > 0 {
            shard.due.insert(user.clone(), (due + self.interval.saturating_mul(u64::from(cost))).min(latest));
            shard.sweep(now);
        }
        Ok(())
    }
}

impl<K: Hash + Eq + Clone> Shard<K> {
    fn sweep(&mut self, now: u64) {
        if self.due.len() <= self.sweep_above.max(SWEEP) {
            return;
        }
        self.due.retain(|_, due| *due > now);
        if self.due.len() > MOST {
            let mut dues: Vec<u64> = self.due.values().copied().collect();
            let middle = dues.len() / 2;
            let (_, median, _) = dues.select_nth_unstable(middle);
            let median = *median;
            self.due.retain(|_, due| *due > median);
        }
        self.sweep_above = (self.due.len() * 2).min(MOST);
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
                    // Asks too seldom to use what is allowed.
                    continue;
                }
                let (limiter, clock) = limiter(per_minute, burst);
                let minutes = 20;
                let mut passed = 0;
                for _ in 0..minutes * 60_000 / step {
                    // Asks as fast as it goes.
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
        assert!(wait <= LONGEST / 1_000, "{wait}");
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

    #[test]
    fn what_costs_more_passes_at_once_and_is_paid_for_afterwards() {
        let (limiter, clock) = limiter(60, 20);
        assert_eq!(limiter.admit_cost(&user("ann"), 50), Ok(()), "more than the burst");
        assert_eq!(limiter.admit_cost(&user("ann"), 0), Err(31_000), "50 seconds' worth, 19 of them ahead");
        clock.advance(31_000);
        assert_eq!(limiter.admit(&user("ann")), Ok(()));
        limiter.charge(&user("ann"), 10);
        assert_eq!(limiter.admit(&user("ann")), Err(11_000));
        limiter.charge(&user("ann"), u32::MAX);
        assert_eq!(limiter.admit(&user("ann")), Err(LONGEST / 1_000), "nobody waits longer");
    }

    #[test]
    fn however_many_come_at_once_a_bounded_number_is_remembered_and_who_owes_most_among_them() {
        let (limiter, _) = limiter(60, 20);
        limiter.charge(&user("ann"), 200);
        for n in 0..2 * SHARDS * MOST {
            assert_eq!(limiter.admit(&user(&format!("u{n}"))), Ok(()));
        }
        let known: usize = limiter.shards.iter().map(|shard| lock(shard).due.len()).sum();
        assert!(known <= SHARDS * (MOST + 1), "{known}");
        assert!(limiter.admit(&user("ann")).is_err());
    }
}
