//! Log lines: to stderr, as text or JSON, filtered as configured; and into a ring for operators. Set once, for the whole
//! process.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use crate::api::admin::log::{LogRing, RingLayer};
use crate::config::{Log, LogFormat};
use crate::env::Env;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

/// Starts logging. The ring holds the last lines.
///
/// # Errors
/// If it was started before, or the filter is none; the configuration has checked that.
pub(super) fn start(log: &Log) -> anyhow::Result<Arc<LogRing>> {
    let filter: Targets = log.filter.0.parse()?;
    let ring = Arc::new(LogRing::new(Env::system().clock));
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let started = registry().with(filter).with(lines).with(RingLayer(Arc::clone(&ring))).try_init();
    started.map_err(|error| anyhow::anyhow!("logging: {error}"))?;
    Ok(ring)
}
