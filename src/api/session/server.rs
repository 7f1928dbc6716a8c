//! What all sessions of a node share.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::channels::Channels;
use super::counters::CommandCounters;
use crate::actors::gateway::hub::Hub;
use crate::actors::router::Router;
use crate::api::auth::Verifier;
use crate::api::failures::Failures;
use crate::api::operations::Handlers;
use crate::api::protocol::FrameLimits;
use crate::config::{Config, Network};
use crate::env::{Clock, Env};
use crate::epoch::History;
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// What the configuration says to sessions, and the data folder.
#[derive(Clone, Debug)]
pub struct Options {
    /// Until a client must have authenticated.
    pub handshake_timeout: Duration,
    /// Between two pings; zero for none.
    pub ping_interval: Duration,
    /// For the answer to one.
    pub pong_timeout: Duration,
    /// For a refresh after a token is over: clocks and networks are not exact.
    pub refresh_grace: Duration,
    /// Bytes that may wait for a slow reader.
    pub outbox_bytes: usize,
    /// How long a reader may be slow: to take less than `outbox_bytes` while more waits.
    pub slow_grace: Duration,
    /// Bounds of a frame.
    pub frame: FrameLimits,
    /// Proxies whose word on where a client comes from counts.
    pub trusted_proxies: Vec<Network>,
    /// Open channels.
    pub channels: Channels,
    /// What positions belong to.
    pub history: History,
}

impl Options {
    /// As configured, for the history of the journal that is served.
    #[must_use]
    pub(crate) fn new(config: &Config, history: History) -> Self {
        Self {
            handshake_timeout: config.limits.handshake_timeout,
            ping_interval: config.server.ping_interval,
            pong_timeout: config.server.pong_timeout,
            refresh_grace: Duration::from_secs(25),
            outbox_bytes: config.limits.outbox.0,
            slow_grace: config.limits.slow_grace,
            frame: FrameLimits { bytes: config.limits.frame.0, ..FrameLimits::default() },
            trusted_proxies: config.server.trusted_proxies.clone(),
            channels: Channels::new(&config.channels),
            history,
        }
    }
}

/// See the module.
pub struct Server {
    pub(super) hub: Arc<Hub>,
    pub(super) router: Arc<Router>,
    pub(super) verifier: Arc<Verifier>,
    pub(super) handlers: Arc<Handlers>,
    pub(super) env: Env,
    pub(super) metrics: Arc<Metrics>,
    pub(super) commands: CommandCounters,
    pub(super) options: Options,
    pub(super) shutdown: Shutdown,
    failures: Failures,
    /// Names this start of this node.
    node: Uuid,
    started: Instant,
}

impl Server {
    /// What sessions are made with.
    #[must_use]
    pub(crate) fn new(
        hub: Arc<Hub>,
        router: Arc<Router>,
        verifier: Arc<Verifier>,
        handlers: Arc<Handlers>,
        env: Env,
        metrics: Arc<Metrics>,
        options: Options,
        shutdown: Shutdown,
    ) -> Self {
        let failures = Failures::new(Arc::clone(&metrics), Arc::clone(&env.clock));
        let commands = CommandCounters::new(&metrics.commands);
        let (node, started) = (env.ids.next(), Instant::now());
        Self { hub, router, verifier, handlers, env, metrics, commands, options, shutdown, failures, node, started }
    }

    /// Those whose word is taken for where a client comes from.
    #[must_use]
    pub(crate) fn trusted_proxies(&self) -> &[Network] {
        &self.options.trusted_proxies
    }

    /// Where what is not good is told of, however it came.
    #[must_use]
    pub(crate) fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Names this start of this node.
    #[must_use]
    pub fn node(&self) -> Uuid {
        self.node
    }

    /// The history that positions belong to.
    #[must_use]
    pub(crate) fn history(&self) -> History {
        self.options.history
    }

    /// Since the start.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The hub of the node.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The way to the owners of rooms and users.
    #[must_use]
    pub(crate) fn router(&self) -> &Router {
        &self.router
    }

    /// The channels that there are.
    #[must_use]
    pub(crate) fn channels(&self) -> &Channels {
        &self.options.channels
    }

    /// The clock that limits go by.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.env.clock)
    }

    /// Bytes of a frame from a client.
    #[must_use]
    pub(crate) fn frame_bytes(&self) -> usize {
        self.options.frame.bytes
    }

    /// How long a socket may take nothing before it counts as dead: as long as a client may stay silent.
    #[must_use]
    pub(crate) fn stall_timeout(&self) -> Duration {
        self.options.ping_interval.max(Duration::from_secs(1)) + self.options.pong_timeout
    }

    /// The wish to drain.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}
