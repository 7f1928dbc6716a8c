//! The set-up that `make cluster` starts, as a test has it: three brokers, a Redis Cluster, a PostgreSQL, and a node and
//! workers on them. Everything is started here, and only that is ended.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use kervan_devcluster::kafka::Brokers;
use kervan_devcluster::process::{Process, Starter, bound_to_parent};
use kervan_devcluster::{Engine, postgres, redis};

use super::leaders::Leaders;
use super::plan::Part;
use super::workers::Workers;
use crate::server::{Server, Setup, binary};
use crate::small_disk::SmallDisk;

/// Bytes of the disk that one broker has for itself.
const DISK_BYTES: u64 = 640 * 1024 * 1024;
/// The broker that has it.
pub(crate) const BROKER_WITH_DISK: usize = 3;
/// How long anything may need to be whole again, on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// All that runs. The node ends first.
pub(crate) struct Site {
    pub node: Server,
    pub persistence: Workers,
    pub realtime: Workers,
    pub leaders: Leaders,
    pub brokers: Brokers,
    pub redis: redis::Cluster,
    pub postgres: postgres::Server,
    /// Or why there is none.
    pub disk: Result<SmallDisk, String>,
}

impl Site {
    /// Starts everything in `folder`, and waits until the node is ready.
    pub(crate) fn start(folder: &Path) -> anyhow::Result<Self> {
        // PostgreSQL is another user if this one is root.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let kafka = folder.join("kafka");
        let disk = SmallDisk::mount(&kafka.join(format!("n{BROKER_WITH_DISK}")), DISK_BYTES);
        let (brokers, redis, postgres) = std::thread::scope(|scope| {
            let brokers = scope.spawn(|| Brokers::start(&kafka, None));
            let redis = scope.spawn(|| redis::Cluster::start(&folder.join("redis"), None));
            let postgres = postgres::Server::start(&folder.join("postgres"), None);
            anyhow::Ok((brokers.join().unwrap()?, redis.join().unwrap()?, postgres?))
        })?;
        let environment =
            vec![("KAFKA_BROKERS".to_owned(), brokers.addresses()), ("DATABASE_URL".to_owned(), postgres.url())];
        make_topics(folder, &environment)?;
        let start = |kind| Workers::start(kind, &folder.join(kind), &environment);
        let (persistence, realtime) = (start("persistence")?, start("realtime")?);
        let node = folder.join("node");
        fs::create_dir(&node)?;
        let role = ("KERVAN_SERVER__ROLE".to_owned(), "api".to_owned());
        let environment = environment.into_iter().chain([role]).collect();
        let mut node = Server::start(&node, Setup { environment, ..Setup::default() });
        node.wait_ready(PATIENCE);
        let leaders = Leaders::of(&brokers.addresses());
        Ok(Self { node, persistence, realtime, leaders, brokers, redis, postgres, disk })
    }

    /// What a part that is no node consists of.
    pub(crate) fn engine(&mut self, part: Part) -> &mut dyn Engine {
        match part {
            Part::Broker => &mut self.brokers,
            Part::Redis => &mut self.redis,
            Part::Postgres => &mut self.postgres,
            Part::Persistence => &mut self.persistence,
            Part::Realtime => &mut self.realtime,
            Part::Node => unreachable!("a node is no engine"),
        }
    }

    /// Waits until the node is ready, and every broker has every record.
    pub(crate) fn until_whole(&mut self) {
        self.node.wait_ready(PATIENCE);
        // Pauses: the bound of the wait below.
        let end = Instant::now() + PATIENCE;
        while !self.leaders.is_whole() {
            assert!(Instant::now() < end, "the brokers have not all records after {PATIENCE:?}");
            // Pauses: between looks, within a bound.
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends everything in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.node.terminate();
        let status = self.node.wait_end(PATIENCE);
        anyhow::ensure!(status.success(), "after SIGTERM: {status}: {}", self.node.log_tail());
        for workers in [&mut self.realtime, &mut self.persistence] {
            anyhow::ensure!(workers.stop()?, "the workers end by themselves: {}", workers.log(1).display());
        }
        // The engines hold nothing that anybody needs any more: they are killed as they are dropped.
        Ok(())
    }
}

fn make_topics(folder: &Path, environment: &[(String, String)]) -> anyhow::Result<()> {
    let mut command = bound_to_parent(&binary());
    command.args(["topics", "create"]).current_dir(folder);
    command.env_clear().envs(environment.iter().cloned()).env("PATH", std::env::var_os("PATH").unwrap());
    let starter = Starter::new()?;
    Process::start(&starter, "kervan topics create", command, &folder.join("topics.log"))?.until_done(PATIENCE)
}
