//! The three engines: started and stopped side by side.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, anyhow};
use kervan_devcluster::kafka::{self, Brokers};
use kervan_devcluster::postgres::{self, Server};
use kervan_devcluster::redis::{self, Cluster};
use kervan_devcluster::{Engine, ports, random};

use super::{Arguments, say};

/// See the module.
pub(super) struct Engines {
    pub kafka: Brokers,
    pub redis: Cluster,
    pub postgres: Server,
}

impl Engines {
    /// Starts them with their data in folders of `dir`.
    ///
    /// # Errors
    /// One of them does not start; the others are ended.
    pub(super) fn start(dir: &Path, arguments: &Arguments) -> anyhow::Result<Self> {
        let kafka_ports = free_ports::<{ kafka::COUNT }>("Kafka", arguments.kafka_port)?;
        let redis_ports = free_ports::<{ redis::COUNT }>("Redis", arguments.redis_port)?;
        let [postgres_port] = free_ports("PostgreSQL", arguments.postgres_port)?;
        let postgres_folder = postgres_folder(dir)?;
        say::line(
            "starting Apache Kafka (fetched by Maven the first time: about a minute), Redis Cluster and PostgreSQL",
        );
        let since = Instant::now();
        std::thread::scope(|scope| {
            let kafka = scope.spawn(|| {
                let brokers = Brokers::start(&dir.join("kafka"), Some(kafka_ports))?;
                ready(since, "Kafka", &brokers.addresses());
                anyhow::Ok(brokers)
            });
            let redis = scope.spawn(|| {
                let cluster = Cluster::start(&dir.join("redis"), Some(redis_ports))?;
                ready(since, "Redis Cluster", &cluster.addresses());
                anyhow::Ok(cluster)
            });
            let postgres = scope.spawn(|| {
                let server = Server::start(&postgres_folder, Some(postgres_port))?;
                ready(since, "PostgreSQL", &format!("127.0.0.1:{postgres_port}"));
                anyhow::Ok(server)
            });
            Ok(Self { kafka: joined(kafka.join())?, redis: joined(redis.join())?, postgres: joined(postgres.join())? })
        })
    }

    /// Each, with the name of one of its servers.
    pub(super) fn all(&mut self) -> [(&'static str, &mut (dyn Engine + Send)); 3] {
        [("Kafka broker", &mut self.kafka), ("Redis node", &mut self.redis), ("PostgreSQL server", &mut self.postgres)]
    }

    /// Ends them; says whether all ended by themselves.
    ///
    /// # Errors
    /// The system refuses a signal.
    pub(super) fn stop(&mut self) -> anyhow::Result<bool> {
        std::thread::scope(|scope| {
            let stopping = self.all().map(|(_, engine)| scope.spawn(|| engine.stop()));
            let stopped = stopping.map(|thread| joined(thread.join()));
            stopped.into_iter().try_fold(true, |all, one| Ok(all & one?))
        })
    }
}

fn joined<T>(result: std::thread::Result<anyhow::Result<T>>) -> anyhow::Result<T> {
    result.unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
}

fn ready(since: Instant, name: &str, addresses: &str) {
    say::line(&format!("  {name} is ready after {:.1} s: {addresses}", since.elapsed().as_secs_f32()));
}

/// Where PostgreSQL keeps its data. Where it can't be this program's user, root, and its own user may not enter `dir`, as in
/// /root, it is a folder that is linked to.
fn postgres_folder(dir: &Path) -> anyhow::Result<PathBuf> {
    let folder = dir.join("postgres");
    if folder.exists() || postgres::can_enter(dir)? {
        return Ok(folder);
    }
    // What hangs in the air is of a folder that somebody has removed.
    let _ = std::fs::remove_file(&folder);
    let elsewhere = Path::new("/var/tmp").join(format!("kervan-postgres-{}", random::digits()?));
    std::fs::create_dir(&elsewhere).with_context(|| elsewhere.display().to_string())?;
    std::os::unix::fs::symlink(&elsewhere, &folder).with_context(|| folder.display().to_string())?;
    say::line(&format!(
        "PostgreSQL's own user may not enter {}: its data are in {}",
        dir.display(),
        elsewhere.display()
    ));
    Ok(folder)
}

/// So many free ports from `wanted` on; says so if they are others than those wanted.
fn free_ports<const N: usize>(name: &str, wanted: u16) -> anyhow::Result<[u16; N]> {
    let mut found = [0; N];
    let mut next = wanted;
    for (port, wanted) in found.iter_mut().zip(wanted..) {
        *port = ports::free_from(next)?;
        if *port != wanted {
            say::line(&format!("{name}: port {wanted} is taken, it listens on {port}"));
        }
        next = *port + 1;
    }
    Ok(found)
}
