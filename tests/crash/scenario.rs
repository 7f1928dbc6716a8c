//! The run: a child server, clients that never give up, kill -9 at random moments; then quiet, and the whole story goes
//! to the checker.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::checker::{self, Anomaly};
use crate::crowd::Crowd;
use crate::history::{Entry, Recorder};
use crate::reading;
use crate::rng::Rng;
use crate::rooms::{self, Size};
use crate::server::{Server, Setup};
use crate::sql::Database;

/// What the run does.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub seed: u64,
    pub kills: u64,
    /// How long the clients work; the kills fall into this time.
    pub work: Duration,
    /// `None` for one sender and one receiver.
    pub size: Option<Size>,
    /// SIGTERM instead of SIGKILL: the server may say goodbye.
    pub gently: bool,
}

/// How long a server may need until it listens.
const START: Duration = Duration::from_secs(20);
/// How long the clients may need to finish what they began, and to catch up, once nothing is killed any more.
const SETTLE: Duration = Duration::from_secs(45);

/// What came of it.
pub(crate) struct Report {
    pub run: Run,
    pub history: Vec<Entry>,
    pub anomalies: Vec<Anomaly>,
    pub kills: u64,
    /// How connections ended that no client ended, with counts.
    pub endings: BTreeMap<u16, usize>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |fits: fn(&Entry) -> bool| self.history.iter().filter(|entry| fits(entry)).count();
        write!(
            f,
            "seed {} kills {} acks {} ({} duplicates) refused {} unknown {} deliveries {} recoveries {} (+ {} refused) \
             pages {} removals {} endings {:?} anomalies {} {:?}",
            self.run.seed,
            self.kills,
            count(|entry| matches!(entry, Entry::Ok { .. })),
            count(|entry| matches!(entry, Entry::Ok { duplicate: true, .. })),
            count(|entry| matches!(entry, Entry::Fail { .. })),
            count(|entry| matches!(entry, Entry::Unknown { .. })),
            count(|entry| matches!(entry, Entry::Delivered { .. })),
            count(|entry| matches!(entry, Entry::Subscribed { recovered: true, .. })),
            self.recoveries_refused(),
            count(|entry| matches!(entry, Entry::Page { .. })),
            count(|entry| matches!(entry, Entry::Unsubscribed { code: 2000, .. })),
            self.endings,
            self.anomalies.len(),
            checker::count(&self.anomalies),
        )?;
        for anomaly in self.anomalies.iter().take(20) {
            write!(f, "\n  {anomaly}")?;
        }
        Ok(())
    }
}

impl Report {
    /// See [`recoveries_refused`].
    pub(crate) fn recoveries_refused(&self) -> usize {
        recoveries_refused(&self.history)
    }
}

/// How often a position was shown and the answer was `recovered: false`. No history is removed in a run, so honest servers
/// have no reason for it.
pub(crate) fn recoveries_refused(history: &[Entry]) -> usize {
    let mut asked = HashMap::new();
    let mut refused = 0;
    for entry in history {
        match entry {
            Entry::Subscribing { sub, from: Some(_), .. } => drop(asked.insert(*sub, ())),
            Entry::Subscribed { sub, recovered: false, .. } if asked.contains_key(sub) => refused += 1,
            _ => {}
        }
    }
    refused
}

/// Runs it in `folder`.
pub(crate) async fn run(run: Run, folder: &Path) -> Report {
    let mut rng = Rng::new(run.seed);
    let recorder = Arc::new(Recorder::default());
    let mut server = Server::start(folder, Setup::default());
    server.wait_ready(START);
    let made = match run.size {
        Some(size) => rooms::make(&server.url(), "", size, &mut rng).await,
        None => rooms::pair(&server.url()).await,
    };
    let (rooms, plans) = made.unwrap_or_else(|error| panic!("rooms can be made: {error}: {}", server.log_tail()));
    let mut crowd = Crowd::new(plans, &recorder, &mut rng, (START, SETTLE));
    crowd.begin(&server).await;
    let kills = torment(&run, &mut crowd, &mut server, &mut rng).await;
    server.wait_ready(START);
    let database = Database::open(&server.data).await.expect("the database can be read");
    crowd.rest(&server, &database, &rooms, &recorder).await;
    server.terminate();
    let status = server.wait_end(Duration::from_secs(30));
    assert!(status.success(), "after SIGTERM: {status}: {}", server.log_tail());
    reading::rows(&database, &rooms, &recorder).await.expect("the database can be read");
    let history = recorder.entries();
    let anomalies = checker::check(&history);
    let mut endings = BTreeMap::new();
    for code in crowd.views.iter().flat_map(|view| view.endings.lock().unwrap().clone()) {
        *endings.entry(code).or_default() += 1;
    }
    Report { run, history, anomalies, kills, endings }
}

/// Kills and starts again, at random moments over the time of work: in the middle of everything, and now and then right
/// after a start.
async fn torment(run: &Run, crowd: &mut Crowd, server: &mut Server, rng: &mut Rng) -> u64 {
    let start = Instant::now();
    let mut moments: Vec<u64> = (0..run.kills).map(|_| rng.range(500, run.work.as_millis() as u64)).collect();
    moments.sort_unstable();
    for (kills, moment) in moments.iter().enumerate() {
        let left = Duration::from_millis(*moment).saturating_sub(start.elapsed());
        if !left.is_zero() {
            // Most of the time let it come up; but a start is a moment like any other.
            // Pauses: the schedule of the faults.
            sleep(left).await;
        } else if rng.chance(70) {
            server.wait_ready(START);
            // Pauses: the schedule of the faults.
            sleep(Duration::from_millis(rng.range(0, 400))).await;
        }
        if run.gently {
            server.wait_ready(START);
            // Whoever is not back yet is told nothing: the goodbye is counted.
            crowd.begin(server).await;
            server.terminate();
            let status = server.wait_end(Duration::from_secs(30));
            assert!(status.success(), "after SIGTERM: {status}: {}", server.log_tail());
        } else {
            server.kill9();
        }
        assert!(start.elapsed() < run.work + Duration::from_secs(120), "restarts take too long, {kills} kills so far");
        // Pauses: the schedule of the faults.
        sleep(Duration::from_millis(rng.range(0, 300))).await;
        server.restart();
    }
    // Pauses: the schedule of the faults.
    sleep(run.work.saturating_sub(start.elapsed())).await;
    run.kills
}
