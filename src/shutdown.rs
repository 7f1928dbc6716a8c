//! How a node is told to drain, and how it knows that nothing is left: a value that everything long-lived is given.
//!
//! It never stops anything by itself and knows no signals.

use std::sync::Arc;

use tokio::sync::watch;

/// The wish to drain. Clones share it.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    draining: watch::Sender<bool>,
    /// Has a receiver for each guard that is alive.
    guards: watch::Sender<()>,
}

/// Held by whatever a drain has to wait for, such as a socket.
#[derive(Clone, Debug)]
pub struct Guard {
    _alive: watch::Receiver<()>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(Inner { draining: watch::Sender::new(false), guards: watch::Sender::new(()) }))
    }
}

impl Shutdown {
    /// Nobody wants to drain yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everyone to drain. Again: no effect.
    pub fn begin(&self) {
        self.0.draining.send_replace(true);
    }

    /// Whether draining has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.0.draining.borrow()
    }

    /// Returns when draining begins, at once if it has.
    pub async fn draining(&self) {
        // The sender lives as long as self: waiting can't fail.
        let _ = self.0.draining.subscribe().wait_for(|draining| *draining).await;
    }

    /// A guard: [`Self::all_gone`] waits until it and its clones are dropped.
    #[must_use]
    pub fn guard(&self) -> Guard {
        Guard { _alive: self.0.guards.subscribe() }
    }

    /// Guards alive now.
    #[must_use]
    pub fn guards(&self) -> usize {
        self.0.guards.receiver_count()
    }

    /// Returns when no guard is alive. To be asked after [`Self::begin`]: before, new ones may come at any time.
    pub async fn all_gone(&self) {
        self.0.guards.closed().await;
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
        assert_eq!(shutdown.guards(), 1);
        let wait = std::time::Duration::from_secs(1);
        // Pauses: in a paused time.
        assert!(tokio::time::timeout(wait, shutdown.all_gone()).await.is_err());
        drop(clone);
        shutdown.all_gone().await;
    }
}
