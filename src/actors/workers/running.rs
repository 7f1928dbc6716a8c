//! A worker that runs: its status, its end, and whether it died.

use std::future::Future;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

/// A running worker that tells `S` of itself. Dropping it leaves it running; [`Self::stop`] ends it.
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

    /// Whether it has ended; without [`Self::stop`] that is a panic.
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
}
