//! Many seeds, the same seed twice, and planted bugs.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::*;

/// Seeds that are run when nobody says how many.
const SEEDS: u64 = 200;

/// A seed that catches each bug, and what it then says. A change of the simulation may need other seeds; the test that
/// fails names one.
const PINNED: [(Bug, u64, &str); Bug::ALL.len()] = [
    (Bug::AckBeforeVerified, 10, "I2"),
    (Bug::EffectsAfterFailedAppend, 1, "I2"),
    (Bug::UnknownToldAsRefused, 10, "said not to be written"),
    (Bug::SeqBeforeLog, 1, "I2"),
    (Bug::DedupeByHighestId, 1, "P3"),
    (Bug::KickOutsideFold, 4, "no member"),
    (Bug::TtlByWallClock, 2, "muted"),
    (Bug::TtlByFoldTime, 2, "muted"),
    (Bug::FoldTimeGoesBack, 2, "time goes back"),
    (Bug::RelayWithoutSourceNumbers, 1, "is told after"),
    (Bug::ProjectorWithoutGuard, 4, "I6"),
    (Bug::StaleSnapshot, 15, "I10"),
    (Bug::AnySnapshotWillDo, 4, "I10"),
    (Bug::ReplaySkippedAfterDeath, 19, "I2"),
    (Bug::TruncationIgnored, 116, "I2"),
    (Bug::LastMessageNeverAnnounced, 584, "liveness"),
    (Bug::GapCheckSkipped, 2, "I5"),
    (Bug::SubscribeOutsideOrder, 2, "I5"),
    (Bug::RemovalIgnored, 5, "P6"),
];

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// Runs seeds 1 to `count` and gives what they did, added up.
fn run_all(cast: &Cast, count: u64) -> Stats {
    let (next, sum, failures) = (AtomicU64::new(1), Mutex::new(Stats::default()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > count {
                return;
            }
            match run(cast, seed, None) {
                Ok((_, stats)) => sum.lock().unwrap().add(&stats),
                Err(failure) => failures.lock().unwrap().push(failure.to_string()),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| _ = scope.spawn(work)));
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {count} seeds fail:\n{}", failures.len(), failures.join("\n"));
    sum.into_inner().unwrap()
}

/// Seeds 1 to `SEEDS`; or one, `KERVAN_SIM_SEED`, with all that happened in words.
#[test]
fn no_seed_breaks_a_promise() {
    let cast = Cast::new();
    if let Some(seed) = setting("KERVAN_SIM_SEED") {
        let (result, story) = tell(&cast, seed, None);
        story.iter().for_each(|line| println!("{line}"));
        println!("{:#?}", result.unwrap_or_else(|failure| panic!("{failure}")).1);
        return;
    }
    let (start, count) = (Instant::now(), setting("SEEDS").unwrap_or(SEEDS));
    let sum = run_all(&cast, count);
    println!("{count} seeds in {} ms: {sum:#?}", start.elapsed().as_millis());
    if count >= SEEDS {
        assert_eq!(sum.never(), Vec::<&str>::new(), "what never happened in all these seeds is not tested");
    }
}

/// The trace holds every step, delivery and answer; the story all that happened in words.
#[test]
fn the_same_seed_is_the_same_run() {
    let cast = Cast::new();
    for seed in 1..=5 {
        let one = run(&cast, seed, None).expect("it passes");
        assert_eq!(one, run(&Cast::new(), seed, None).expect("it passes"));
    }
    let (one, another) = (tell(&cast, 6, None), tell(&cast, 6, None));
    assert_eq!(one.0, another.0);
    assert!(one.1 == another.1, "two stories of one seed");
}

fn catches(cast: &Cast, seed: u64, bug: Bug, what: &str) -> bool {
    run(cast, seed, Some(bug)).is_err_and(|failure| failure.why.contains(what)) && run(cast, seed, None).is_ok()
}

#[test]
fn every_planted_bug_is_caught() {
    let cast = Cast::new();
    let mut others = Vec::new();
    for (bug, (pinned, seed, what)) in Bug::ALL.into_iter().zip(PINNED) {
        assert_eq!(bug, pinned, "each bug is pinned, in their order");
        if !catches(&cast, seed, bug, what) {
            let another = (1..=10_000).find(|seed| catches(&cast, *seed, bug, what));
            others.push(format!("seed {seed} does not catch {bug:?} ({what}); the first that does is {another:?}"));
        }
    }
    assert!(others.is_empty(), "{others:#?}");
}
