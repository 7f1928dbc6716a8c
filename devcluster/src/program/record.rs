//! `cluster.json`: what runs, for scripts and tests. It is there while the program runs.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kervan_devcluster::Engine;
use serde_json::{Value, json};

use super::engines::Engines;
use super::nodes::Nodes;
use super::workers::Workers;

/// The file. Removed when dropped.
pub(super) struct Record {
    path: PathBuf,
}

impl Record {
    /// Of the cluster in `dir`; one of the last time is removed.
    pub(super) fn of(dir: &Path) -> Self {
        let record = Self { path: dir.join("cluster.json") };
        record.remove();
        record
    }

    /// Writes what runs. Whoever reads it sees the text before or this one.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn write(&self, nodes: &Nodes, workers: &Workers, engines: &Engines) -> anyhow::Result<()> {
        let node = |number| {
            let (name, port, admin) = nodes.place(number);
            json!({ "name": name, "port": port, "admin": admin, "pid": nodes.pid(number), "log": path(nodes.log(number)) })
        };
        let worker = |number| {
            let ((kind, admin), port) = (workers.place(number), workers.port(number));
            let (pid, log) = (workers.pid(number), path(workers.log(number)));
            json!({ "kind": kind, "port": port, "admin": admin, "pid": pid, "log": log })
        };
        let text = json!({
            "nodes": (1..=nodes.count()).map(node).collect::<Vec<_>>(),
            "workers": (1..=workers.count()).map(worker).collect::<Vec<_>>(),
            "brokers": servers(&engines.kafka),
            "redis": servers(&engines.redis),
            "postgres": server(&engines.postgres, 1),
        });
        let unfinished = self.path.with_extension("json.new");
        std::fs::write(&unfinished, format!("{text:#}\n")).with_context(|| unfinished.display().to_string())?;
        std::fs::rename(&unfinished, &self.path).with_context(|| self.path.display().to_string())
    }

    fn remove(&self) {
        // There is none, most of the time.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.remove();
    }
}

fn servers(engine: &dyn Engine) -> Vec<Value> {
    (1..=engine.count()).map(|number| server(engine, number)).collect()
}

fn server(engine: &dyn Engine, number: usize) -> Value {
    json!({ "port": engine.port(number), "pid": engine.pid(number), "log": path(engine.log(number)) })
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
