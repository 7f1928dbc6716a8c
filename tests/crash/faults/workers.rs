//! The workers beside the node, which leaves rows and relay to them: two of a kind, so that one of them may die or hang.

use std::path::{Path, PathBuf};

use kervan_devcluster::Engine;
use kervan_devcluster::ports::Port;
use kervan_devcluster::process::{Process, Starter, bound_to_parent, end_all};
use rustix::process::Signal;

use super::site::PATIENCE;
use crate::server::{binary, is_ready};

/// How many there are of a kind.
const COUNT: usize = 2;

/// The workers of a kind. They end with this program.
pub(crate) struct Workers {
    kind: &'static str,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    ports: Vec<Port>,
    // Before the starter: they are to have ended when its thread does.
    processes: Vec<Process>,
    starter: Starter,
}

impl Workers {
    /// Starts them with this environment and no other, and waits until they are ready. Their logs are in `folder`.
    pub(crate) fn start(kind: &'static str, folder: &Path, environment: &[(String, String)]) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        let ports = (0..COUNT).map(|_| Port::free()).collect::<Result<_, _>>()?;
        let (folder, environment) = (folder.to_owned(), environment.to_vec());
        let mut workers = Self { kind, folder, environment, ports, processes: Vec::new(), starter: Starter::new()? };
        for number in 1..=COUNT {
            let process = workers.process(number)?;
            workers.processes.push(process);
        }
        (1..=COUNT).try_for_each(|number| workers.until_started(number))?;
        Ok(workers)
    }

    fn process(&self, number: usize) -> anyhow::Result<Process> {
        let mut command = bound_to_parent(&binary());
        command.args(["worker", self.kind, "--port", &self.port(number).to_string()]).current_dir(&self.folder);
        command.env_clear().envs(self.environment.iter().cloned()).env("PATH", std::env::var_os("PATH").unwrap());
        command.env("KERVAN_SERVER__ADMIN_PORT", "0");
        let name = format!("the {} worker", self.kind);
        Process::start(&self.starter, &name, command, &self.folder.join(format!("log{number}")))
    }
}

impl Engine for Workers {
    fn processes(&self) -> &[Process] {
        &self.processes
    }

    fn processes_mut(&mut self) -> &mut [Process] {
        &mut self.processes
    }

    fn port(&self, number: usize) -> u16 {
        self.ports[number - 1].number()
    }

    fn launch(&mut self, number: usize) -> anyhow::Result<()> {
        self.must_have_ended(number)?;
        self.processes[number - 1] = self.process(number)?;
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
