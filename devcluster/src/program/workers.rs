//! The workers beside the nodes: a process of its own for each kind.

use std::path::{Path, PathBuf};

use kervan_devcluster::Engine;
use kervan_devcluster::ports::Port;
use kervan_devcluster::process::{Process, Starter, end_all};
use rustix::process::Signal;

use super::nodes::{Kervan, PATIENCE, is_ready, two_ports};

/// The kinds, and what the environment of each says in addition.
const KINDS: [(&str, &[(&str, &str)]); 3] =
    [("persistence", &[]), ("realtime", &[]), ("notification", &[("KERVAN_NOTIFICATIONS__LOG", "true")])];

/// The running workers.
pub(super) struct Workers {
    kervan: Kervan,
    workers: Vec<Worker>,
    // Before the starter: they are to have ended when its thread does.
    processes: Vec<Process>,
    starter: Starter,
}

/// A worker's place.
struct Worker {
    kind: &'static str,
    environment: &'static [(&'static str, &'static str)],
    folder: PathBuf,
    public: Port,
    admin: Port,
}

impl Workers {
    /// Starts one of each kind, and does not wait for them. Their logs are in `dir`.
    ///
    /// # Errors
    /// The program can't be started.
    pub(super) fn launch_all(kervan: Kervan, dir: &Path) -> anyhow::Result<Self> {
        let mut workers = Vec::new();
        for (kind, environment) in KINDS {
            let folder = dir.join("kervan").join(kind);
            std::fs::create_dir_all(&folder)?;
            let (public, admin) = two_ports(0)?;
            workers.push(Worker { kind, environment, folder, public, admin });
        }
        let mut all = Self { kervan, workers, processes: Vec::new(), starter: Starter::new()? };
        for place in 0..all.workers.len() {
            let process = all.process(place)?;
            all.processes.push(process);
        }
        Ok(all)
    }

    fn process(&self, place: usize) -> anyhow::Result<Process> {
        let Worker { kind, environment, folder, public, admin } = &self.workers[place];
        let mut command = self.kervan.command();
        command.args(["worker", kind, "--port", &public.number().to_string()]).envs(environment.iter().copied());
        command.env("KERVAN_SERVER__ADMIN_PORT", admin.number().to_string());
        Process::start(&self.starter, &format!("the {kind} worker"), command, &folder.join("log"))
    }

    /// Waits until all are ready.
    ///
    /// # Errors
    /// One of them ended, or takes too long: its log's end is told.
    pub(super) fn until_all_started(&mut self) -> anyhow::Result<()> {
        (1..=self.count()).try_for_each(|number| self.until_started(number))
    }

    /// Kind and admin port of worker `number`.
    pub(super) fn place(&self, number: usize) -> (&'static str, u16) {
        let worker = &self.workers[number - 1];
        (worker.kind, worker.admin.number())
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
        self.workers[number - 1].public.number()
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
