//! The listeners around the engine, in the steps of a process: [`Server::bind`] takes the addresses and serves the
//! operator, [`Server::start`] starts the engine, [`Started::serve`] lets the public in, [`Serving::drain`]
//! ends it all.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::{JoinError, JoinHandle};

use super::{Deps, Engine, StartError};
use crate::api::admin::backup::{self, Backups};
use crate::api::admin::log::LogRing;
use crate::api::admin::{self, Admin};
use crate::api::http::{self, Listener, Options};
use crate::config::{Config, Loaded};
use crate::env::Env;
use crate::health::{Check, Health};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use crate::storage::journal::JournalError;

/// A server that holds its addresses. The operator's routes say that it starts.
pub struct Server {
    deps: Deps,
    /// Ends the listeners, after the drain.
    stop: Shutdown,
    starting: Check,
    operators: Arc<Admin>,
    backups: Arc<Backups>,
    public: Listener,
    admin: JoinHandle<()>,
    admin_address: SocketAddr,
}

/// A server whose engine runs, and which the public can't reach yet.
pub struct Started {
    deps: Deps,
    stop: Shutdown,
    starting: Check,
    engine: Engine,
    public: Listener,
    admin: JoinHandle<()>,
}

/// A server that serves.
pub struct Serving {
    config: Arc<Config>,
    shutdown: Shutdown,
    stop: Shutdown,
    engine: Engine,
    public: JoinHandle<()>,
    admin: JoinHandle<()>,
}

/// Why a server can't begin: nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process listens there.
    #[error("{what} {port} is taken by another process; choose one by {hint}")]
    Taken {
        /// The public or the admin port.
        what: &'static str,
        /// Its number.
        port: u16,
        /// The setting that chooses it.
        hint: &'static str,
    },
    /// The operating system does not let it listen there.
    #[error("can't listen on {address}: {source}")]
    Address {
        /// Where.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
}

/// What went wrong while a server ended.
#[derive(Debug, thiserror::Error)]
pub enum DrainError {
    /// The journal could not be flushed.
    #[error("draining the engine: {0}")]
    Engine(#[from] JournalError),
    /// A listener has failed.
    #[error("a listener: {0}")]
    Listener(#[from] JoinError),
}

impl Server {
    /// Takes the addresses of a configuration, and serves the operator's routes. The caller holds the data folder; `key` is
    /// what its operator shows.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(loaded: &Loaded, env: Env, log: Arc<LogRing>, key: String) -> Result<Self, BindError> {
        let config = Arc::new(loaded.config.clone());
        let public = bind(config.server.public_address(), "port", "--port or PORT").await?;
        let admin = bind(config.server.admin_address(), "admin port", "KERVAN_SERVER__ADMIN_PORT").await?;
        let admin_address = admin.address();
        let (shutdown, stop, metrics) = (Shutdown::new(), Shutdown::new(), Arc::new(Metrics::new()));
        let health = Health::new(shutdown.clone());
        let starting = health.check("engine");
        let backups = Arc::new(Backups::new(key.clone()));
        let operators = Arc::new(Admin::new(admin::Deps {
            loaded: loaded.clone(),
            key,
            env: env.clone(),
            health: health.clone(),
            metrics: Arc::clone(&metrics),
            log,
        }));
        backups.note_in(Arc::clone(operators.audit()), Arc::clone(operators.failures()));
        let routes = http::admin(health.clone(), Arc::clone(&metrics));
        let routes = routes.merge(backup::routes(Arc::clone(&backups))).merge(admin::routes(Arc::clone(&operators)));
        let options = Options::admin(&config.limits);
        let admin = tokio::spawn(admin.serve(routes, options, Arc::clone(&metrics), stop.clone()));
        let deps = Deps { config, env, health, metrics, shutdown };
        Ok(Self { deps, stop, starting, operators, backups, public, admin, admin_address })
    }

    /// Where the public is going to be served.
    #[must_use]
    pub fn public_address(&self) -> SocketAddr {
        self.public.address()
    }

    /// Where the operator is served.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Starts the engine. Dropped meanwhile, nothing of it stays.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(self) -> Result<Started, StartError> {
        let Self { deps, stop, starting, operators, backups, public, admin, .. } = self;
        let engine = Engine::start(deps.clone()).await?;
        backups.open(Arc::clone(engine.retention()));
        operators.open(engine.live());
        Ok(Started { deps, stop, starting, engine, public, admin })
    }
}

impl Started {
    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes the users of the development mode, is ready, and lets the public in.
    pub async fn serve(self) -> Serving {
        let Self { deps, stop, starting, engine, public, admin } = self;
        let Deps { config, health, metrics, shutdown, .. } = deps;
        if config.auth.is_development()
            && let Err(error) = engine.provide_development().await
        {
            tracing::warn!(%error, "alice and bob were not made; the next start tries again");
        }
        starting.up();
        let routes = http::public(health, Arc::clone(&metrics)).merge(engine.routes());
        let is_for_here = config.auth.is_development() && !config.server.development_anywhere;
        let routes = if is_for_here { http::on_this_machine(routes) } else { routes };
        let options = Options::public(&config.limits).behind(&config.server.trusted_proxies);
        let public = tokio::spawn(public.serve(routes, options, metrics, stop.clone()));
        Serving { config, shutdown, stop, engine, public, admin }
    }
}

impl Serving {
    /// Returns when the public listener has ended, which it does by itself only if it fails.
    pub async fn ended(&mut self) -> Result<(), JoinError> {
        (&mut self.public).await
    }

    /// Sends the sockets away and waits for them as long as the configuration gives; what was taken is answered and stored,
    /// the journal is flushed, the listeners close.
    ///
    /// # Errors
    /// See [`DrainError`].
    pub async fn drain(self) -> Result<(), DrainError> {
        self.shutdown.begin();
        if tokio::time::timeout(self.config.server.shutdown_grace, self.shutdown.all_gone()).await.is_err() {
            tracing::warn!(left = self.shutdown.guards(), "sockets that did not leave in time are cut off");
        }
        self.engine.drain().await?;
        self.stop.begin();
        self.public.await?;
        self.admin.await?;
        Ok(())
    }
}

/// Takes an address.
pub(super) async fn bind(address: SocketAddr, what: &'static str, hint: &'static str) -> Result<Listener, BindError> {
    Listener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { what, port: address.port(), hint },
        _ => BindError::Address { address, source },
    })
}
