//! Many seeds, and the same seed twice.

use super::*;

/// Safety only for now: a run whose last phase does not settle in time is told, and does not fail the test.
#[test]
#[ignore = "seeds 3 (does not settle) and 7 (refused, yet written) are not understood yet; run by scripts/sim"]
fn no_seed_breaks_a_safety_promise() {
    let cast = Cast::new();
    let only: Option<u64> = std::env::var("KERVAN_SIM_SEED").ok().and_then(|seed| seed.parse().ok());
    let count: u64 = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(20);
    let seeds = only.map_or(1..count + 1, |seed| seed..seed + 1);
    let mut unsettled = 0;
    for seed in seeds {
        if let Err(failure) = run(&cast, seed, None) {
            let failure = failure.to_string();
            assert!(failure.contains("liveness:"), "{failure}");
            unsettled += 1;
            println!("{failure}");
        }
    }
    println!("runs that did not settle: {unsettled}");
}

#[test]
#[ignore = "now and then two runs of one seed differ: some order is not the seed's yet; run by scripts/sim"]
fn the_same_seed_is_the_same_run() {
    let cast = Cast::new();
    for seed in 1..4 {
        let one = run(&cast, seed, None);
        assert_eq!(one, run(&cast, seed, None));
    }
}

#[test]
fn print_traces() {
    let cast = Cast::new();
    let count: u64 = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(20);
    if let Ok(seed) = std::env::var("KERVAN_SIM_SEED") {
        let (result, story) = tell(&cast, seed.parse().unwrap(), None);
        for line in story {
            println!("{line}");
        }
        println!("{result:?}");
        return;
    }
    for seed in 1..=count {
        println!("TRACE {seed} {:?}", run(&cast, seed, None).map(|(trace, _)| trace).map_err(|f| f.to_string()));
    }
}

#[test]
fn hunt() {
    let cast = Cast::new();
    let count: u64 = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(20);
    for bug in Bug::ALL {
        let mut found = 0;
        for seed in 1..=count {
            let result = std::panic::catch_unwind(|| run(&cast, seed, Some(bug)));
            let why = match result {
                Ok(Ok(_)) => continue,
                Ok(Err(failure)) => failure.to_string(),
                Err(_) => format!("seed {seed} PANIC"),
            };
            found += 1;
            println!("BUG {bug:?} {}", &why[..why.len().min(200)]);
            if found == 4 {
                break;
            }
        }
        println!("BUG {bug:?} found {found}");
    }
}
