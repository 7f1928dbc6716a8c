//! A worker that runs: its status, its end, and whether it died.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use crate::metrics::Metrics;

/// How often whoever looks after workers looks.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

/// A running worker that tells `S` of itself. Dropping it leaves it running; [`Self::end`] ends it.
pub struct Running<S> {
    status: watch::Receiver<S>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl<S: Default> Running<S> {
    /// Starts what `run` makes of the place for its status and of the sign that it is to stop.
    pub(super) fn start<F>(run: impl FnOnce(watch::Sender<S>, watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopping) = watch::channel(false);
        let (report, status) = watch::channel(S::default());
        Self { status, stop, task: tokio::spawn(run(report, stopping)) }
    }
}

impl<S> Running<S> {
    /// How it is, now and on each change.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<S> {
        self.status.clone()
    }

    /// Whether it has ended; without [`Self::end`] that is a panic.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Tells it to end and waits until it has: the projector stores what is applied by now, if the store takes it, the
    /// others finish the step that they are in.
    ///
    /// # Errors
    /// It panicked.
    pub async fn stop(self) -> Result<(), JoinError> {
        self.stop.send_replace(true);
        self.task.await
    }

    /// Starts it again if it died. Says whether it had.
    pub(crate) fn revive(&mut self, worker: &'static str, metrics: &Metrics, start: impl FnOnce() -> Self) -> bool {
        let died = self.is_finished();
        if died {
            tracing::error!(worker, "a worker died and is started again");
            metrics.actor_restarts.inc();
            *self = start();
        }
        died
    }

    /// [`Self::stop`]; that it panicked is logged.
    pub(crate) async fn end(self, worker: &'static str) {
        if let Err(error) = self.stop().await {
            tracing::error!(worker, %error, "a worker died while it was stopped; the next start goes on where it was");
        }
    }
}

/// Waits, but not beyond the stop.
pub(crate) async fn pause(time: Duration, stopping: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}
