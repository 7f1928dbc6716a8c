//! A Redis Cluster on the loopback interface: three masters and a replica of each, with failures on request.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use crate::engine::{Engine, at};
use crate::needs::must_have;
use crate::ports::Port;
use crate::process::{self, Process, Starter, bound_to_parent};
use crate::settings::{REDIS, REDIS_MASTERS};

/// How many nodes there are.
pub const COUNT: usize = 2 * REDIS_MASTERS;

/// How long a node may take to load what it holds, and the cluster to agree.
const START: Duration = Duration::from_secs(90);

/// How long a node may take to write its last snapshot.
const LAST_SNAPSHOT: Duration = Duration::from_secs(20);

/// A running Redis Cluster; its nodes are numbered 1 to 6.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    // Before the starter: they are to have ended when its thread does.
    processes: Vec<Process>,
    starter: Starter,
    _ports: Vec<Port>,
}

/// A node's place: its folder, and where clients and other nodes find it.
#[derive(Debug)]
struct Node {
    number: usize,
    folder: PathBuf,
    port: u16,
    bus: u16,
}

impl Cluster {
    /// Starts the nodes with their data in `dir` (made if it is new; otherwise they go on with what is there) at the given
    /// ports, or at free ones, and makes them a cluster; returns when all slots are served and all replicas follow. Node N
    /// logs to `dir/nN/log`.
    ///
    /// # Errors
    /// No Redis, a port that is taken, or a node that does not start: its log's end is told.
    pub fn start(dir: &Path, ports: Option<[u16; COUNT]>) -> anyhow::Result<Self> {
        ["redis-server", "redis-cli"].into_iter().try_for_each(must_have)?;
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        let dir = dir.canonicalize()?;
        let made = dir.join("made");
        let starter = Starter::new()?;
        let mut cluster = Self { nodes: Vec::new(), processes: Vec::new(), starter, _ports: Vec::new() };
        for number in 1..=COUNT {
            let folder = dir.join(format!("n{number}"));
            if !made.exists() && folder.exists() {
                // A cluster whose making was cut short: nothing was ever kept in it.
                std::fs::remove_dir_all(&folder)?;
            }
            std::fs::create_dir_all(&folder)?;
            let port = ports.map_or_else(Port::free, |ports| Port::exactly(ports[at(number)]))?;
            let bus = Port::free()?;
            cluster.nodes.push(Node { number, folder, port: port.number(), bus: bus.number() });
            cluster._ports.extend([port, bus]);
            let process = cluster.nodes[at(number)].start(&cluster.starter)?;
            cluster.processes.push(process);
        }
        for number in 1..=COUNT {
            cluster.until_answers(number)?;
        }
        if made.exists() {
            cluster.introduce()?;
        } else {
            cluster.create()?;
        }
        for number in 1..=COUNT {
            cluster.until_started(number)?;
        }
        std::fs::write(&made, "")?;
        Ok(cluster)
    }

    /// Where clients find the nodes: "127.0.0.1:P1,…,127.0.0.1:P6".
    #[must_use]
    pub fn addresses(&self) -> String {
        self.nodes.iter().map(Node::address).collect::<Vec<_>>().join(",")
    }

    /// What `redis-cli` says to a command, asked at node `number`; a key of another node is asked for there.
    ///
    /// # Errors
    /// There is no `redis-cli`, or it could not connect.
    pub fn ask(&self, number: usize, command: &[&str]) -> anyhow::Result<String> {
        cli(&[&["-c", "-p", &self.port(number).to_string()], command].concat())
    }

    fn until_answers(&mut self, number: usize) -> anyhow::Result<()> {
        let port = self.port(number);
        self.processes[at(number)].until("answered", START, |_| Ok(node_says(port, &["ping"]).trim_end() == "PONG"))
    }

    /// Three masters with a third of the slots each, and a replica each.
    fn create(&self) -> anyhow::Result<()> {
        let addresses: Vec<_> = self.nodes.iter().map(Node::address).collect();
        let addresses = addresses.iter().map(String::as_str);
        let command: Vec<_> = ["--cluster", "create"].into_iter().chain(addresses).collect();
        let said = cli(&[&command[..], &["--cluster-replicas", "1", "--cluster-yes"]].concat())?;
        ensure!(said.contains("[OK] All 16384 slots covered."), "no cluster was made:\n{said}");
        Ok(())
    }

    /// Tells each node where the others are: they know each other's ports of the last time, which may be other ones.
    fn introduce(&self) -> anyhow::Result<()> {
        for node in &self.nodes {
            for other in self.nodes.iter().filter(|other| other.number != node.number) {
                let (own, port, bus) = (node.port.to_string(), other.port.to_string(), other.bus.to_string());
                cli(&["-e", "-p", &own, "cluster", "meet", "127.0.0.1", &port, &bus])?;
            }
        }
        Ok(())
    }
}

impl Engine for Cluster {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    fn port(&self, number: usize) -> u16 {
        self.nodes[at(number)].port
    }

    fn launch(&mut self, number: usize) -> anyhow::Result<()> {
        self.must_have_ended(number)?;
        self.processes[at(number)] = self.nodes[at(number)].start(&self.starter)?;
        Ok(())
    }

    /// A node does its work when it sees all slots served and, as a replica, follows its master.
    fn until_started(&mut self, number: usize) -> anyhow::Result<()> {
        let port = self.port(number);
        let process = &mut self.processes[at(number)];
        process.until("become a part of the cluster", START, |_| Ok(is_a_part_of_the_cluster(port)))
    }

    fn stop(&mut self) -> anyhow::Result<bool> {
        process::end_all(&mut self.processes, Signal::TERM, LAST_SNAPSHOT)
    }
}

impl Node {
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn start(&self, starter: &Starter) -> anyhow::Result<Process> {
        let configuration = self.folder.join("redis.conf");
        let own = [
            ("bind", "127.0.0.1".to_owned()),
            ("port", self.port.to_string()),
            ("cluster-port", self.bus.to_string()),
            ("cluster-config-file", "nodes.conf".to_owned()),
            ("daemonize", "no".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| format!("{name} {value}\n"));
        let text: String = own.chain(REDIS.iter().map(|(name, value)| format!("{name} {value}\n"))).collect();
        std::fs::write(&configuration, text).with_context(|| configuration.display().to_string())?;
        let mut command = bound_to_parent(Path::new("redis-server"));
        // Its files are made in the working directory.
        command.arg(&configuration).current_dir(&self.folder);
        Process::start(starter, &format!("Redis node {}", self.number), command, &self.folder.join("log"))
    }
}

fn is_a_part_of_the_cluster(port: u16) -> bool {
    let cluster = node_says(port, &["cluster", "info"]);
    let replication = node_says(port, &["info", "replication"]);
    let has = |text: &str, line: &str| text.lines().any(|found| found == line);
    let master_has_replica = || has(&replication, "role:master") && has(&replication, "connected_slaves:1");
    has(&cluster, "cluster_state:ok") && (has(&replication, "master_link_status:up") || master_has_replica())
}

/// What a node answers, or nothing: it may not be there yet.
fn node_says(port: u16, command: &[&str]) -> String {
    cli(&[&["-p", &port.to_string()], command].concat()).unwrap_or_default()
}

fn cli(arguments: &[&str]) -> anyhow::Result<String> {
    let run = Command::new("redis-cli").args(arguments).stdin(Stdio::null()).output();
    let run = run.context("redis-cli")?;
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    ensure!(run.status.success(), "redis-cli {}: {}", arguments.join(" "), said.trim_end());
    Ok(said)
}
