//! `kervan serve`: the life of the process, from the lock on its data folder to a drain.
//!
//! Start: configuration, log, data lock, listeners bound, admin served, engine started, public served, banner.
//! Stop: ready turns 503 and sockets say goodbye; when they are gone, or the grace is over, the journal is flushed and
//! the listeners close.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::api::admin::log::LogRing;
use crate::config::{Flag, Loaded};
use crate::env::Env;
use crate::server::Server;
use crate::storage::lock::DataLock;
use anyhow::Context as _;

use super::signals::Signals;
use super::telemetry::Telemetry;
use super::{Refused, Settings, admin_file, banner, engines, logging, open_files, print, rights, sources, token};

pub(super) fn run(settings: &Settings, role: Option<String>) -> anyhow::Result<ExitCode> {
    let role = role.map(|value| Flag { name: "--role", key: ("server", "role"), value });
    let loaded = sources::load_with(settings, role.into_iter().collect())?;
    let log = logging::start(&loaded.config.log)?;
    let telemetry = Telemetry::from_environment()?;
    open_files::raise();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the async runtime")?;
    let served = runtime.block_on(serve(loaded, log, telemetry.as_ref()));
    if let Some(telemetry) = telemetry {
        telemetry.finish();
    }
    served
}

async fn serve(loaded: Loaded, log: Arc<LogRing>, telemetry: Option<&Telemetry>) -> anyhow::Result<ExitCode> {
    // From here on a signal is a wish to drain, also while starting.
    let mut signals = Signals::new().context("signal handlers")?;
    let data = &loaded.config.data.dir;
    let lock = DataLock::acquire(data).map_err(|error| Refused(error.to_string()))?;
    let key = admin_file::key();
    let server = Server::bind(&loaded, Env::system(), log, key.clone()).await;
    let server = server.map_err(|error| Refused(error.to_string()))?;
    admin_file::clear(data).context("the address of the server before")?;
    say_settings(&loaded);
    let (public, admin) = (server.public_address(), server.admin_address());
    let started = tokio::select! {
        started = server.start() => started.map_err(|error| engines::start_error(error, &loaded))?,
        (signal, code) = signals.next() => {
            tracing::info!(signal, "stopped while starting");
            return Ok(ExitCode::from(code));
        }
    };
    if let Some(telemetry) = telemetry {
        telemetry.follow(&started.engine().node().context().trails);
    }
    let announced = admin_file::announce(data, admin, &key).context("saying where the admin port is")?;
    let mut serving = started.serve().await;
    say_hello(&loaded, public, admin)?;

    tokio::select! {
        (signal, _) = signals.next() => tracing::info!(signal, "draining; a second signal leaves at once"),
        ended = serving.ended() => anyhow::bail!("the public listener has ended: {ended:?}"),
    }
    tokio::select! {
        drained = serving.drain() => drained?,
        (signal, code) = signals.next() => {
            tracing::warn!(signal, "second signal: leaving at once");
            // Not by returning: that would wait for what the runtime still has to do.
            std::process::exit(i32::from(code));
        }
    }
    drop((announced, lock));
    tracing::info!("drained");
    Ok(ExitCode::SUCCESS)
}

/// Logs what deserves a look in the settings, and where they come from.
pub(super) fn say_settings(loaded: &Loaded) {
    for warning in loaded.warnings.iter().chain(&rights::exposed(&loaded.config)) {
        tracing::warn!("{warning}");
    }
    if let Some((path, names)) = &loaded.from_dotenv {
        tracing::info!(path = %path.display(), names = names.join(" "), "variables are read from a file");
    }
}

/// The user of the token in the banner.
const DEVELOPMENT_USER: &str = "alice";
const DEVELOPMENT_TTL: Duration = Duration::from_secs(24 * 60 * 60);

fn say_hello(loaded: &Loaded, public: SocketAddr, admin: SocketAddr) -> anyhow::Result<()> {
    let config = &loaded.config;
    let development = config.auth.is_development();
    let token = development.then(|| token::issue(&config.auth, DEVELOPMENT_USER, None, DEVELOPMENT_TTL)).transpose()?;
    let mode_from = loaded.origins.get("server.production");
    let (token, engines) = (token.map(|token| (DEVELOPMENT_USER, token)), engines::in_use(loaded));
    let facts = banner::Facts { config, mode_from, engines, public, admin, token };
    // A server does not stop because nobody reads its banner.
    if let Err(error) = print(&banner::text(&facts)) {
        tracing::warn!(%error, "the banner can't be written");
    }
    Ok(())
}
