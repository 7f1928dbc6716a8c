//! The crash run over real engines: brokers, database, Redis, workers and node are killed and paused, a disk fills up, and the same
//! clients and the same checker look whether a promise was broken. `scripts/faults` runs it; docs/cluster.md says how.
//!
//! A run is made of rounds. Each has rooms and users of its own on the same set-up, and is checked when it is through.

mod inflict;
mod leaders;
mod plan;
mod report;
mod site;
mod stalls;
mod workers;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::checker;
use crate::crowd::Crowd;
use crate::history::{Entry, Recorder};
use crate::reading;
use crate::rng::Rng;
use crate::rooms::{self, Size};
use crate::sql::Database;
use inflict::Torment;
use plan::{Deck, Fault};
use report::{LEADER_LOST_MS, Report};
use site::{PATIENCE, Site};

/// Faults of one round.
const ROUND: usize = 20;
/// Few enough for two cores that carry three brokers as well.
const SIZE: Size = Size { clients: 40, groups: 4, pace_ms: (40, 200) };

/// What a run is to do.
struct Plan {
    seed: u64,
    deck: Deck,
    faults: usize,
    /// No round begins after so long.
    time: Duration,
}

/// Runs it, and leaves a report at `target/faults`.
#[expect(clippy::print_stdout, reason = "the figures of the run")]
async fn run(plan: Plan) -> Report {
    println!("faults with seed {}", plan.seed);
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/faults");
    fs::create_dir_all(&results).unwrap();
    let begin = Instant::now();
    let mut rng = Rng::new(plan.seed);
    // What goes wrong leaves its logs behind.
    let folder = tempfile::Builder::new().prefix("kervan-faults-").disable_cleanup(true).tempdir().unwrap();
    println!("data and logs in {}", folder.path().display());
    let mut site = Site::start(folder.path()).unwrap();
    let mut report = Report::new(plan.seed);
    let drawn = plan::draw(plan.deck, plan.faults, &mut rng);
    for (number, faults) in drawn.chunks(ROUND).enumerate() {
        if begin.elapsed() > plan.time {
            println!("time is up after {} faults", report.faults());
            break;
        }
        let (again, entries) = round(number, faults, site, &mut rng, &mut report).await;
        site = again;
        report.seconds = begin.elapsed().as_secs();
        let text = serde_json::to_string_pretty(&report.as_json()).unwrap();
        fs::write(results.join("report.json"), text).unwrap();
        if !report.anomalies.is_empty() || std::env::var_os("KERVAN_FAULTS_KEEP").is_some() {
            write_down(&results.join(format!("round-{number}.txt")), &entries);
        }
        if !report.anomalies.is_empty() {
            break;
        }
    }
    site.stop().unwrap();
    println!("{report}");
    if report.anomalies.is_empty() {
        fs::remove_dir_all(folder.path()).unwrap();
    }
    report
}

/// One round; gives back the set-up, and what was seen.
async fn round(
    number: usize,
    faults: &[Fault],
    site: Site,
    rng: &mut Rng,
    report: &mut Report,
) -> (Site, Vec<(u64, Entry)>) {
    let recorder = Arc::new(Recorder::default());
    let made = rooms::make(&site.node.url(), &format!("round-{number}-"), SIZE, rng).await;
    let (rooms, plans) = made.unwrap_or_else(|error| panic!("rooms can be made: {error}: {}", site.node.log_tail()));
    let mut crowd = Crowd::new(plans, &recorder, rng, (PATIENCE, PATIENCE));
    crowd.begin(&site.node).await;
    let mut torment = Torment { site, rooms: rooms.clone(), recorder: Arc::clone(&recorder), rng: rng.fork() };
    let faults = faults.to_vec();
    let inflicting = tokio::task::spawn_blocking(move || {
        let inflicted: Vec<_> = faults.into_iter().filter_map(|fault| torment.inflict(fault)).collect();
        (torment.site, inflicted)
    });
    let (site, inflicted) = inflicting.await.unwrap();
    let database = Database::Postgres(&site.postgres);
    crowd.rest(&site.node, &database, &rooms, &recorder).await;
    reading::rows(&database, &rooms, &recorder).await.expect("the database can be read");
    let resumed = recorder.resumed();
    let (entries, moments_ms) = recorder.take();
    let anomalies = checker::check(&entries);
    let stalls = stalls::measure(&entries, &moments_ms, &resumed, &inflicted);
    report.add(&entries, &inflicted, stalls, anomalies);
    (site, moments_ms.into_iter().zip(entries).collect())
}

/// All that was seen, for whoever looks for the reason of an anomaly.
fn write_down(path: &Path, entries: &[(u64, Entry)]) {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    for (moment_ms, entry) in entries {
        writeln!(file, "{moment_ms} {entry:?}").unwrap();
    }
}

fn seed() -> u64 {
    crate::number("KERVAN_CRASH_SEED", crate::random_seed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "four minutes with real engines: scripts/faults short"]
async fn a_short_run_of_faults_of_real_engines_breaks_no_promise() {
    let faults = plan::SHORT.iter().map(|(_, times)| times).sum();
    let report = run(Plan { seed: seed(), deck: plan::SHORT, faults, time: Duration::MAX }).await;
    assert!(report.anomalies.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "half an hour with real engines: scripts/faults long"]
async fn a_long_run_of_faults_of_real_engines_breaks_no_promise() {
    let faults = crate::number("KERVAN_FAULTS", 200) as usize;
    let time = Duration::from_secs(60 * crate::number("KERVAN_FAULTS_MINUTES", 60));
    let report = run(Plan { seed: seed(), deck: plan::LONG, faults, time }).await;
    assert!(report.anomalies.is_empty(), "{report}");
    let lost = report.leader_lost_ms().unwrap_or(0);
    assert!(lost <= LEADER_LOST_MS, "P7: rooms stood still for {lost} ms when they lost their leader: {report}");
}
