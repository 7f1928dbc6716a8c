//! `kervan serve`: the life of the process, from the lock on its data folder to a drain.
//!
//! Start: configuration, log, data lock, listeners bound, admin served, engine started, public served, banner.
//! Stop: ready turns 503 and sockets say goodbye; when they are gone, or the grace is over, the journal is flushed and
//! the listeners close.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kervan::api::admin::log::LogRing;
use kervan::api::admin::{self, Admin};
use kervan::api::http::{self, Backups, Listener, Options};
use kervan::config::{Config, Loaded};
use kervan::env::Env;
use kervan::health::Health;
use kervan::metrics::Metrics;
use kervan::server::{Deps, Engine, StartError};
use kervan::shutdown::Shutdown;
use kervan::storage::lock::DataLock;

use super::signals::Signals;
use super::telemetry::Telemetry;
use super::{Refused, Settings, admin_file, banner, logging, open_files, print, rights, sources, token};

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let loaded = sources::load_to_serve(settings)?;
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
    let config = Arc::new(loaded.config.clone());
    // From here on a signal is a wish to drain, also while starting.
    let mut signals = Signals::new().context("signal handlers")?;
    let lock = DataLock::acquire(&config.data.dir).map_err(|error| Refused(error.to_string()))?;
    admin_file::clear(&config.data.dir).context("the address of the server before")?;
    let public = bind(config.server.public_address(), "port", "--port or PORT").await?;
    let admin = bind(config.server.admin_address(), "admin port", "KERVAN_SERVER__ADMIN_PORT").await?;
    let (public_address, admin_address) = (public.address(), admin.address());

    for warning in loaded.warnings.iter().chain(&rights::exposed(&config)) {
        tracing::warn!("{warning}");
    }
    if let Some((path, names)) = &loaded.from_dotenv {
        tracing::info!(path = %path.display(), names = names.join(" "), "variables are read from a file");
    }
    for name in &loaded.not_used_yet {
        tracing::info!(name, "set, and not used yet: it belongs to a later version");
    }

    let (shutdown, stop) = (Shutdown::new(), Shutdown::new());
    let metrics = Arc::new(Metrics::new());
    let health = Health::new(shutdown.clone());
    let starting = health.check("engine");
    let key = admin_file::key();
    let backups = Arc::new(Backups::new(key.clone()));
    let operators = Arc::new(Admin::new(admin::Deps {
        loaded: loaded.clone(),
        key: key.clone(),
        env: Env::system(),
        health: health.clone(),
        metrics: metrics.clone(),
        log,
    }));
    backups.note_in(Arc::clone(operators.audit()), Arc::clone(operators.failures()));
    let admin_routes = http::admin(health.clone(), metrics.clone(), Arc::clone(&backups));
    let admin_routes = admin_routes.merge(admin::routes(Arc::clone(&operators)));
    let options = Options::admin(&config.limits);
    let admin = tokio::spawn(admin.serve(admin_routes, options, metrics.clone(), stop.clone()));

    let deps = Deps {
        config: config.clone(),
        env: Env::system(),
        health: health.clone(),
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
    };
    let engine = tokio::select! {
        engine = Engine::start(deps) => engine.map_err(start_error)?,
        (signal, code) = signals.next() => {
            tracing::info!(signal, "stopped while starting");
            return Ok(ExitCode::from(code));
        }
    };
    backups.open(Arc::clone(engine.retention()));
    operators.open(engine.live());
    if let Some(telemetry) = telemetry {
        telemetry.follow(&engine.node().context().trails);
    }
    let door = admin_file::announce(&config.data.dir, admin_address, &key).context("saying where the admin port is")?;
    if config.auth.is_development()
        && let Err(error) = engine.provide_development().await
    {
        tracing::warn!(%error, "alice and bob were not made; the next start tries again");
    }
    starting.up();
    let routes = http::public(health, metrics.clone()).merge(engine.routes());
    let is_for_here = config.auth.is_development() && !config.server.development_anywhere;
    let routes = if is_for_here { http::on_this_machine(routes) } else { routes };
    let options = Options::public(&config.limits).behind(&config.server.trusted_proxies);
    let mut public = tokio::spawn(public.serve(routes, options, metrics, stop.clone()));
    say_hello(&loaded, public_address, admin_address)?;

    tokio::select! {
        (signal, _) = signals.next() => tracing::info!(signal, "draining; a second signal leaves at once"),
        ended = &mut public => anyhow::bail!("the public listener has ended: {ended:?}"),
    }
    let drained = async {
        drain(&config, &shutdown, engine).await?;
        stop.begin();
        public.await.context("the public listener")?;
        admin.await.context("the admin listener")?;
        anyhow::Ok(())
    };
    tokio::select! {
        drained = drained => drained?,
        (signal, code) = signals.next() => {
            tracing::warn!(signal, "second signal: leaving at once");
            // Not by returning: that would wait for what the runtime still has to do.
            std::process::exit(i32::from(code));
        }
    }
    drop((door, lock));
    tracing::info!("drained");
    Ok(ExitCode::SUCCESS)
}

fn start_error(error: StartError) -> anyhow::Error {
    if error.is_refusal() { Refused(error.to_string()).into() } else { error.into() }
}

async fn drain(config: &Config, shutdown: &Shutdown, engine: Engine) -> anyhow::Result<()> {
    shutdown.begin();
    if tokio::time::timeout(config.server.shutdown_grace, shutdown.all_gone()).await.is_err() {
        tracing::warn!(left = shutdown.guards(), "sockets that did not leave in time are cut off");
    }
    engine.drain().await.context("draining the engine")
}

async fn bind(address: SocketAddr, what: &str, hint: &str) -> Result<Listener, Refused> {
    Listener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            Refused(format!("{what} {} is taken by another process; choose one by {hint}", address.port()))
        }
        _ => Refused(format!("can't listen on {address}: {error}")),
    })
}

/// The user of the token in the banner.
const DEVELOPMENT_USER: &str = "alice";
const DEVELOPMENT_TTL: Duration = Duration::from_secs(24 * 60 * 60);

fn say_hello(loaded: &Loaded, public: SocketAddr, admin: SocketAddr) -> anyhow::Result<()> {
    let config = &loaded.config;
    let development = config.auth.is_development();
    let token = development.then(|| token::issue(&config.auth, DEVELOPMENT_USER, None, DEVELOPMENT_TTL)).transpose()?;
    let mode_from = loaded.origins.get("server.production");
    let facts = banner::Facts { config, mode_from, public, admin, token: token.map(|token| (DEVELOPMENT_USER, token)) };
    // A server does not stop because nobody reads its banner.
    if let Err(error) = print(&banner::text(&facts)) {
        tracing::warn!(%error, "the banner can't be written");
    }
    Ok(())
}
