//! `kervan worker`: the life of a worker that stands alone. It needs no data folder: what it has done lies in the database.

use std::process::ExitCode;

use crate::config::Loaded;
use crate::env::Env;
use crate::server::{Worker, WorkerKind};
use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::signals::Signals;
use super::{Refused, Settings, engines, logging, open_files, print, serve, sources};

#[derive(Args)]
pub(super) struct Request {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Subcommand)]
enum Kind {
    /// Make the rows in PostgreSQL of what the journal in Kafka holds.
    Persistence {
        #[command(flatten)]
        settings: Settings,
    },
    /// Tell users what happened in their rooms, and end rooms whose time is over.
    Realtime {
        #[command(flatten)]
        settings: Settings,
    },
    /// Notify people who do not look of messages that they have not seen, as [notifications] says.
    Notification {
        #[command(flatten)]
        settings: Settings,
    },
}

pub(super) fn run(request: &Request) -> anyhow::Result<ExitCode> {
    let (kind, settings) = match &request.kind {
        Kind::Persistence { settings } => (WorkerKind::Persistence, settings),
        Kind::Realtime { settings } => (WorkerKind::Realtime, settings),
        Kind::Notification { settings } => (WorkerKind::Notification, settings),
    };
    let loaded = sources::load(settings)?;
    if let Some(lacks) = Worker::lacks(&loaded.config, kind) {
        return Err(Refused(lacks).into());
    }
    logging::start(&loaded.config.log)?;
    open_files::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the async runtime")?;
    runtime.block_on(work(loaded, kind))
}

async fn work(loaded: Loaded, kind: WorkerKind) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("signal handlers")?;
    let worker = Worker::bind(&loaded, Env::system()).await.map_err(|error| Refused(error.to_string()))?;
    serve::say_settings(&loaded);
    let address = worker.address();
    let running = tokio::select! {
        started = worker.start(kind) => started.map_err(|error| engines::start_error(error, &loaded))?,
        (signal, code) = signals.next() => {
            tracing::info!(signal, "stopped while starting");
            return Ok(ExitCode::from(code));
        }
    };
    let (name, kept) = (kind.name(), engines::in_use(&loaded));
    print(&format!("Kervan worker {name}: health on http://{address}/readyz; {kept}\n"))?;
    let (signal, _) = signals.next().await;
    tracing::info!(signal, "finishing what is under way; a second signal leaves at once");
    tokio::select! {
        stopped = running.stop() => stopped?,
        (signal, code) = signals.next() => {
            tracing::warn!(signal, "second signal: leaving at once");
            std::process::exit(i32::from(code));
        }
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
