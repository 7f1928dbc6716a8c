//! Many seeds, and the same seed twice.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;

/// Seeds that are run when nobody says how many.
const SEEDS: u64 = 200;
/// From so many seeds on each kind of fault must have happened: the rarest is in one seed of some two hundred.
const ALL_KINDS: u64 = 2_000;
/// Seeds that fail before no more are run, unless `ENOUGH` says otherwise: further ones seldom say more.
const ENOUGH: u64 = 10;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// Runs seeds 1 to `count` and gives what they did, added up.
fn run_all(cast: &Cast, count: u64) -> Stats {
    let enough = setting("ENOUGH").unwrap_or(ENOUGH);
    let (next, sum, failures) = (AtomicU64::new(1), Mutex::new(Stats::default()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > count || failures.lock().unwrap().len() as u64 >= enough {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| run(cast, seed))) {
                Ok(Ok((_, stats))) => sum.lock().unwrap().add(&stats),
                Ok(Err(failure)) => failures.lock().unwrap().push(failure.to_string()),
                Err(_) => failures.lock().unwrap().push(format!("seed {seed} panics, see above")),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} seeds fail of those up to {}:\n{}",
        failures.len(),
        next.into_inner() - 1,
        failures.join("\n")
    );
    sum.into_inner().unwrap()
}

/// Seeds 1 to `SEEDS`; or one, `KERVAN_SIM_SEED`, with all that happened in words.
#[test]
fn no_seed_breaks_a_promise() {
    let cast = Cast::new();
    if let Some(seed) = setting("KERVAN_SIM_SEED") {
        let (result, story) = tell(&cast, seed);
        story.iter().for_each(|line| println!("{line}"));
        println!("{:#?}", result.unwrap_or_else(|failure| panic!("{failure}")).1);
        return;
    }
    let (start, count) = (Instant::now(), setting("SEEDS").unwrap_or(SEEDS));
    let sum = run_all(&cast, count);
    println!("{count} seeds in {} s:\n{sum}", start.elapsed().as_secs());
    if count >= ALL_KINDS {
        assert_eq!(sum.never(), Vec::<String>::new(), "what never happened in all these seeds is not tested");
    }
}

/// The trace holds every step, delivery and answer; the story all that happened in words.
#[test]
fn the_same_seed_is_the_same_run() {
    let cast = Cast::new();
    for seed in 1..=5 {
        let one = run(&cast, seed).expect("it passes");
        assert_eq!(one, run(&Cast::new(), seed).expect("it passes"));
    }
    let (one, another) = (tell(&cast, 6), tell(&cast, 6));
    assert_eq!(one.0, another.0);
    assert!(one.1 == another.1, "two stories of one seed");
}
