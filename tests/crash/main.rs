//! The proof from outside: real clients, real processes, kill -9, and a history checker that knows nothing of the server.
//!
//! Everything here speaks through sockets, the command line and the SQLite file, never through the crate's code.
//!
//! `cargo test --test crash` runs the checker's own tests and the short runs. The full run (100 clients, twenty kills):
//! `cargo build --release && cargo test --release --test crash -- --ignored --nocapture`; `KERVAN_CRASH_KILLS`,
//! `KERVAN_CRASH_SECONDS` and `KERVAN_CRASH_SEED` change it, `KERVAN_BIN` names another binary.

#![allow(clippy::unwrap_used, reason = "all of it is a test")]

mod checker;
mod client;
mod crowd;
mod damage;
mod disk;
mod faults;
mod history;
mod member;
mod reading;
mod rng;
mod rooms;
mod scenario;
mod server;
mod small_disk;
mod sql;
mod watch;
mod wire;

use std::time::Duration;

use damage::Damage;
use rng::Rng;
use rooms::Size;
use scenario::{Report, Run};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn random_seed() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0 % 1_000_000
}

#[expect(clippy::print_stdout, reason = "the figures of the run")]
async fn judge(run: Run) -> Report {
    println!("{} with seed {}", server::binary().display(), run.seed);
    let folder = tempfile::tempdir().unwrap();
    let report = scenario::run(run, folder.path()).await;
    println!("{report}");
    assert!(report.anomalies.is_empty(), "{report}");
    assert_eq!(report.recoveries_refused(), 0, "{report}");
    report
}

fn run(kills: u64, seconds: u64, size: Option<Size>) -> Run {
    let seed = number("KERVAN_CRASH_SEED", random_seed());
    Run { seed, kills, work: Duration::from_secs(seconds), size, gently: false }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_mid_sentence_loses_nothing() {
    judge(run(3, 4, None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_kills_under_sixteen_clients_lose_nothing() {
    let report = judge(run(2, 4, Some(Size::SMALL))).await;
    // And had there been something, the checker would have said so.
    let mut rng = Rng::new(report.run.seed);
    for damage in Damage::ALL {
        for _ in 0..5 {
            let damaged =
                damage.inflict(&report.history, &mut rng).unwrap_or_else(|| panic!("no place for {damage:?}"));
            assert!(!checker::check(&damaged).is_empty(), "{damage:?} goes unseen in {report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_tells_everybody_to_come_back_and_loses_nothing() {
    let report = judge(Run { gently: true, ..run(2, 4, Some(Size::SMALL)) }).await;
    // 3000 to 3499: SDKs reconnect. 0 would be a connection that just broke.
    let told: usize = report.endings.range(3000..3500).map(|(_, count)| count).sum();
    let all: usize = report.endings.values().sum();
    assert!(told == all && told >= 16, "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the full run takes one to three minutes"]
async fn twenty_kills_under_a_hundred_clients_lose_nothing() {
    let seconds = number("KERVAN_CRASH_SECONDS", 60);
    judge(run(number("KERVAN_CRASH_KILLS", 20), seconds, Some(Size::FULL))).await;
}
