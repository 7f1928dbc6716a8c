//! One node of the three: its configuration, its folder, its process.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{COUNT, Distribution, FORMAT};
use crate::process::{Process, Starter};
use crate::settings::{KAFKA_FAILOVER, KAFKA_SAFETY, KAFKA_SMALL};

/// A broker's place: number, port, folder.
#[derive(Debug)]
pub(crate) struct Member {
    number: usize,
    port: u16,
    folder: PathBuf,
}

impl Member {
    /// Makes its folder in `dir`, and writes its configuration.
    pub(super) fn new(dir: &Path, number: usize, port: u16, controllers: [u16; COUNT]) -> anyhow::Result<Self> {
        let member = Self { number, port, folder: dir.join(format!("n{number}")) };
        std::fs::create_dir_all(&member.folder).with_context(|| member.folder.display().to_string())?;
        let text = properties(number, port, &controllers, &member.data());
        std::fs::write(member.configuration(), text).with_context(|| member.configuration().display().to_string())?;
        Ok(member)
    }

    /// Where clients find it, on 127.0.0.1.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Where it logs what it does.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Where it keeps its records.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn name(&self) -> String {
        format!("broker {}", self.number)
    }

    pub(super) fn start(&self, kafka: &Distribution, starter: &Starter) -> anyhow::Result<Process> {
        let mut command = kafka.java("kafka.Kafka");
        command.arg(self.configuration());
        Process::start(starter, &self.name(), command, &self.log())
    }
}

/// Formats the folders of those that have none yet, all at once.
pub(super) fn format(kafka: &Distribution, starter: &Starter, cluster: &str, members: &[Member]) -> anyhow::Result<()> {
    let is_new = |member: &&Member| !member.data().join("meta.properties").exists();
    let start = |member: &Member| {
        let mut command = kafka.java("kafka.tools.StorageTool");
        command.args(["format", "-t", cluster, "-c"]).arg(member.configuration());
        Process::start(starter, &format!("formatting {}", member.name()), command, &member.log())
    };
    let running: Vec<_> = members.iter().filter(is_new).map(start).collect::<Result<_, _>>()?;
    running.into_iter().try_for_each(|mut process| process.until_done(FORMAT))
}

/// The text of a node's configuration. Broker and controller of node N are in one process.
pub(super) fn properties(number: usize, port: u16, controllers: &[u16], data: &Path) -> String {
    let voters: Vec<_> = (1..).zip(controllers).map(|(id, port)| format!("{id}@127.0.0.1:{port}")).collect();
    let controller = controllers[number - 1];
    let own = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", number.to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("listeners", format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}")),
        ("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{port}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
        ("log.dirs", data.display().to_string()),
    ];
    let shared = [KAFKA_SAFETY, KAFKA_FAILOVER, KAFKA_SMALL].into_iter().flatten();
    let shared = shared.map(|(name, value)| format!("{name}={value}\n"));
    own.into_iter().map(|(name, value)| format!("{name}={value}\n")).chain(shared).collect()
}
