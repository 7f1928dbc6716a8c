//! The life of the program. Start: what is missing, the folder's lock, the engines, workers and node. Stop: the node first, as it
//! drains into the engines, then the workers, which store what it left. What it started ends with it in any case, and nothing else does.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kervan_devcluster::Engine as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::engines::Engines;
use super::nodes::{self, Kervan, Nodes};
use super::record::Record;
use super::watch::Watch;
use super::workers::Workers;
use super::{Arguments, Refused, install, say};

/// Between two looks at what runs.
const LOOK: Duration = Duration::from_millis(200);

/// Says whether everything ended by itself.
///
/// # Errors
/// Something is missing, or could not be started.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let since = Instant::now();
    let kervan = nodes::program(arguments)?;
    let configured = nodes::configured_port(&kervan)?;
    install::what_is_missing()?;
    std::fs::create_dir_all(&arguments.data).with_context(|| arguments.data.display().to_string())?;
    let dir = &arguments.data.canonicalize()?;
    let _lock = lock(dir)?;
    let record = Record::of(dir);

    let signals = Signals::new()?;
    let mut engines = Engines::start(dir, arguments)?;
    let kervan = Kervan::new(kervan, &engines);
    let mut nodes = Nodes::prepare(kervan.clone(), dir, arguments.port.unwrap_or(configured))?;
    let mut workers = Workers::launch_all(kervan, dir)?;
    nodes.start()?;
    workers.until_all_started()?;
    record.write(&nodes, &workers, &engines)?;
    signals.wait_for_the_second();
    say_hello(&arguments.data, &nodes, &engines, since);

    let mut watch = Watch::default();
    while !signals.told_to_stop() {
        std::thread::sleep(LOOK);
        let now = Instant::now();
        let mut started = watch.look("Kervan node", &mut nodes, now)?;
        started |= watch.look("Kervan worker", &mut workers, now)?;
        for (name, engine) in engines.all() {
            started |= watch.look(name, engine, now)?;
        }
        if started {
            record.write(&nodes, &workers, &engines)?;
        }
    }

    say::line("stopping the node, then workers and engines; a second Ctrl-C kills them");
    let since = Instant::now();
    let by_themselves = nodes.stop()? & workers.stop()? & engines.stop()?;
    let how = if by_themselves { "" } else { ", some of them killed" };
    say::line(&format!("all have ended after {:.1} s{how}", since.elapsed().as_secs_f32()));
    Ok(by_themselves)
}

/// One program for a folder.
fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join("LOCK");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => bail!(Refused(format!(
            "another program runs the cluster in {0}\nhint: {0}/cluster.json says what runs; --data DIR is another cluster",
            dir.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// Ctrl-C and SIGTERM. The first one is a wish to stop; while it still starts, and at the second one, the program ends at
/// once, and the kernel kills what it started.
struct Signals {
    stop: Arc<AtomicBool>,
    at_once: Arc<AtomicBool>,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let signals = Self { stop: Arc::default(), at_once: Arc::new(AtomicBool::new(true)) };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal is not taken for the second.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.at_once))?;
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop))?;
            flag::register(signal, Arc::clone(&signals.stop))?;
        }
        Ok(signals)
    }

    /// From now on the first signal is a wish.
    fn wait_for_the_second(&self) {
        self.at_once.store(false, Ordering::SeqCst);
    }

    fn told_to_stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

fn say_hello(dir: &Path, nodes: &Nodes, engines: &Engines, since: Instant) {
    let (_, port, admin) = nodes.place(1);
    let dir = dir.display();
    let line = |name: &str, value: &str| say::line(&format!("  {name:<11}{value}"));
    say::line(&format!("the cluster is ready after {:.1} s", since.elapsed().as_secs_f32()));
    line("Open", &format!("http://127.0.0.1:{port}/"));
    line("Inspector", &format!("http://127.0.0.1:{admin}/"));
    line("Kafka", &engines.kafka.addresses());
    line("Redis", &engines.redis.addresses());
    line(
        "PostgreSQL",
        &format!("127.0.0.1:{}, user kervan, password in {dir}/postgres/password", engines.postgres.port(1)),
    );
    line("Logs", &format!("{dir}/kervan/*/log, {dir}/kafka/n*/log, {dir}/redis/n*/log, {dir}/postgres/log"));
    line("Runs", &format!("{dir}/cluster.json"));
    line("Stop", "Ctrl-C, which ends all of them and keeps what they hold");
}
