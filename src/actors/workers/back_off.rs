//! How long a worker waits before it tries again.

use std::time::Duration;

/// The wait after `failures` failures in a row, the last one not counted: `first`, twice as long after each, and `most` at
/// most. Without chance: each worker is alone with its store, and the simulation replays.
pub(super) fn back_off(first: Duration, failures: u32, most: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_twice_the_one_before_up_to_the_longest() {
        let ms = Duration::from_millis;
        let waits: Vec<_> = (0..6).map(|failures| back_off(ms(50), failures, ms(700))).collect();
        assert_eq!(waits, [50, 100, 200, 400, 700, 700].map(ms));
        assert_eq!(back_off(ms(50), u32::MAX, ms(700)), ms(700));
    }
}
