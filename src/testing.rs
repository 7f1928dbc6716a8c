//! What tests wait with: for an event, never for luck. Time is only the bound behind which waiting is a failure, so it may be
//! long; a test that pauses or looks once by itself is found by `tests/tidy`.

use std::pin::pin;
use std::time::Duration;

use tokio::time::Instant;

/// Longer than anything takes that comes at all, also on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what tells nobody when it changes.
const PAUSE: Duration = Duration::from_millis(2);

/// What `future` comes to. Panics with `what` if that takes longer than [`PATIENCE`].
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, pin!(future)).await {
        Ok(value) => value,
        Err(_) => panic!("not in {PATIENCE:?}: {what}"),
    }
}

/// Looks again and again until something is found. Panics with `what` after [`PATIENCE`].
pub(crate) async fn found<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = look().await {
            return value;
        }
        assert!(Instant::now() < end, "not in {PATIENCE:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks again and again until it is so. Panics with `what` after [`PATIENCE`].
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    found(what, async || holds().await.then_some(())).await;
}

/// Gives every other task of this single-threaded runtime its turn: for tests that show that something does *not* go on. It
/// proves nothing in a runtime of several threads.
pub(crate) async fn everyone_else_runs() {
    assert_eq!(tokio::runtime::Handle::current().metrics().num_workers(), 1, "turns are counted on one thread only");
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
