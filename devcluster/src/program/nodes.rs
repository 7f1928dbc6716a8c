//! The Kervan nodes: children that get this program's environment, and where the engines are.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use kervan_devcluster::Engine;
use kervan_devcluster::ports::{self, Port};
use kervan_devcluster::process::{Process, Starter, bound_to_parent, end_all};
use rustix::process::Signal;

use super::engines::Engines;
use super::{Arguments, Refused, say};

/// What says in an environment where engines are. A node gets all of them: empty ones take back what a `.env` says, which
/// may be other engines.
const VARIABLES: &[&str] = &[
    "KAFKA_BROKERS",
    "KAFKA_BROKERS_FILE",
    "REDIS_HOST",
    "REDIS_PORT",
    "REDIS_PASSWORD",
    "REDIS_PASSWORD_FILE",
    "REDIS_URL",
    "REDIS_URL_FILE",
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DATABASE_REPLICA_URL",
    "DATABASE_REPLICA_URL_FILE",
    "DB_HOST",
    "DB_PORT",
    "DB_NAME",
    "DB_USER",
    "DB_PASSWORD",
    "DB_PASSWORD_FILE",
];

/// The same by the names of the settings, which would go before: a node does not get these.
const FULL_NAMES: &[&str] = &[
    "KERVAN_JOURNAL__KAFKA_BROKERS",
    "KERVAN_STORE__DATABASE_URL",
    "KERVAN_STORE__DATABASE_URL_FILE",
    "KERVAN_STORE__REPLICA_URL",
    "KERVAN_STORE__REPLICA_URL_FILE",
    "KERVAN_REDIS__URL",
    "KERVAN_REDIS__URL_FILE",
];

/// How long a node may take to be ready, and to drain.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A name or a port of the environment.
type Variable = (&'static str, String);

/// The `kervan` program, and the environment that says where the engines are.
#[derive(Clone)]
pub(super) struct Kervan {
    path: PathBuf,
    environment: Vec<Variable>,
}

/// The running nodes.
pub(super) struct Nodes {
    kervan: Kervan,
    nodes: Vec<Node>,
    // Before the starter: they are to have ended when its thread does.
    processes: Vec<Process>,
    starter: Starter,
}

/// A node's place.
struct Node {
    name: String,
    folder: PathBuf,
    public: Port,
    admin: Port,
}

/// The `kervan` program that is to be run.
pub(super) fn program(arguments: &Arguments) -> anyhow::Result<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("kervan"));
    let path = arguments.kervan.clone().or_else(beside).context("where this program is")?;
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) => {
            bail!(Refused(format!("{}: {error}\nhint: cargo build --release, or --kervan FILE", path.display())))
        }
    }
}

/// The port that the nodes' configuration says, after a look whether there is anything wrong with it.
pub(super) fn configured_port(kervan: &Path) -> anyhow::Result<u16> {
    let mut command = Command::new(kervan);
    command.args(["config", "show"]).envs(VARIABLES.iter().map(|name| (name, "")));
    command.stdin(Stdio::null());
    let shown = command.output().with_context(|| kervan.display().to_string())?;
    if !shown.status.success() {
        let said = String::from_utf8_lossy(&shown.stderr);
        bail!(Refused(said.trim().trim_start_matches("error: ").to_owned()));
    }
    let said = String::from_utf8_lossy(&shown.stdout).into_owned();
    let port = said.lines().find_map(|line| line.strip_prefix("port = ")?.trim().parse().ok());
    port.context("`kervan config show` says no port")
}

impl Kervan {
    pub(super) fn new(path: PathBuf, engines: &Engines) -> Self {
        Self { path, environment: environment(engines) }
    }

    /// The program with its environment, its arguments to follow.
    pub(super) fn command(&self) -> Command {
        let mut command = bound_to_parent(&self.path);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        for name in FULL_NAMES {
            command.env_remove(name);
        }
        command
    }
}

impl Nodes {
    /// One node with its data in `dir`, at `wanted` or the next free port, and the topics that it needs. It is launched by
    /// [`Self::start`].
    ///
    /// # Errors
    /// There are no topics: the log's end is told.
    pub(super) fn prepare(kervan: Kervan, dir: &Path, wanted: u16) -> anyhow::Result<Self> {
        let folder = dir.join("kervan/n1");
        std::fs::create_dir_all(&folder)?;
        let (public, admin) = two_ports(wanted)?;
        if wanted != 0 && public.number() != wanted {
            say::line(&format!("Kervan: port {wanted} or {} is taken, it listens on {}", wanted + 1, public.number()));
        }
        let node = Node { name: "node1".to_owned(), folder, public, admin };
        let nodes = Self { kervan, nodes: vec![node], processes: Vec::new(), starter: Starter::new()? };
        nodes.make_topics()?;
        Ok(nodes)
    }

    /// Starts the node, and waits until it is ready.
    ///
    /// # Errors
    /// It does not start: its log's end is told.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        let process = self.process(0)?;
        self.processes.push(process);
        self.until_started(1)
    }

    /// The topics that the nodes need, unless they are there.
    fn make_topics(&self) -> anyhow::Result<()> {
        let mut command = self.kervan.command();
        command.args(["topics", "create"]);
        let log = self.nodes[0].folder.join("log");
        Process::start(&self.starter, "kervan topics create", command, &log)?.until_done(PATIENCE)
    }

    fn process(&self, place: usize) -> anyhow::Result<Process> {
        let node = &self.nodes[place];
        let mut command = self.kervan.command();
        command.args(["serve", "--role", "api", "--data-dir"]).arg(node.folder.join("data"));
        command.args(["--port", &node.public.number().to_string()]);
        command.env("KERVAN_SERVER__ADMIN_PORT", node.admin.number().to_string());
        Process::start(&self.starter, &node.name, command, &node.folder.join("log"))
    }

    /// Name, public and admin port of node `number`.
    pub(super) fn place(&self, number: usize) -> (&str, u16, u16) {
        let node = &self.nodes[number - 1];
        (&node.name, node.public.number(), node.admin.number())
    }
}

impl Engine for Nodes {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    fn port(&self, number: usize) -> u16 {
        self.nodes[number - 1].public.number()
    }

    fn launch(&mut self, number: usize) -> anyhow::Result<()> {
        self.must_have_ended(number)?;
        self.processes[number - 1] = self.process(number - 1)?;
        Ok(())
    }

    fn until_started(&mut self, number: usize) -> anyhow::Result<()> {
        let port = self.port(number);
        self.processes[number - 1].until("become ready", PATIENCE, |_| Ok(is_ready(port).unwrap_or(false)))
    }

    fn stop(&mut self) -> anyhow::Result<bool> {
        end_all(&mut self.processes, Signal::TERM, PATIENCE)
    }
}

/// The wanted port and the next one, or the next two that are free.
pub(super) fn two_ports(wanted: u16) -> anyhow::Result<(Port, Port)> {
    // 0 is any free one.
    let mut first = if wanted == 0 { Port::free()?.number() } else { wanted };
    loop {
        let public = Port::exactly(ports::free_from(first)?)?;
        first = public.number() + 1;
        if let Ok(admin) = Port::exactly(first) {
            return Ok((public, admin));
        }
    }
}

/// Where the engines are.
fn environment(engines: &Engines) -> Vec<Variable> {
    let taken_back = VARIABLES.iter().map(|name| (*name, String::new()));
    let said = [
        ("KAFKA_BROKERS", engines.kafka.addresses()),
        ("REDIS_HOST", engines.redis.addresses()),
        ("DATABASE_URL", engines.postgres.url()),
    ];
    taken_back.chain(said).collect()
}

pub(super) fn is_ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}
