//! How a node is told to drain, and how it knows that nothing is left: a value that everything long-lived is given.
//!
//! It never stops anything by itself and knows no signals.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// The wish to drain. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    guards: TaskTracker,
}

/// Held by whatever a drain has to wait for, such as a socket.
pub(crate) type Guard = TaskTrackerToken;

impl Shutdown {
    /// Nobody wants to drain yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everyone to drain. Again: no effect.
    pub fn begin(&self) {
        self.draining.cancel();
        self.guards.close();
    }

    /// Whether draining has begun.
    #[must_use]
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Returns when draining begins, at once if it has.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// A guard: [`Self::all_gone`] waits until it and its clones are dropped.
    pub fn guard(&self) -> Guard {
        self.guards.token()
    }

    /// Guards alive now.
    #[must_use]
    pub(crate) fn guards(&self) -> usize {
        self.guards.len()
    }

    /// Returns when draining has begun and no guard is alive.
    pub(crate) async fn all_gone(&self) {
        self.guards.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everyone_hears_of_the_drain_before_and_after_it_began() {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        let waiting = tokio::spawn(async move { other.draining().await });
        assert!(!shutdown.is_draining());
        shutdown.begin();
        waiting.await.unwrap();
        shutdown.draining().await;
        assert!(shutdown.is_draining());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_waits_for_the_last_guard_and_its_clones() {
        let shutdown = Shutdown::new();
        let guard = shutdown.guard();
        let clone = guard.clone();
        drop(guard);
        shutdown.begin();
        assert_eq!(shutdown.guards(), 1);
        let wait = std::time::Duration::from_secs(1);
        // Pauses: in a paused time.
        assert!(tokio::time::timeout(wait, shutdown.all_gone()).await.is_err());
        drop(clone);
        shutdown.all_gone().await;
    }
}
