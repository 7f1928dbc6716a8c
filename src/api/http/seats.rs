//! Connections that have nothing to do, where places are few: one that comes when all are taken is given that of the one idle for
//! longest. So nobody locks the operator out by opening connections and saying nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Notify;
use tokio::time::Instant;

/// The places of a listener.
#[derive(Default)]
pub(super) struct Seats(Mutex<Vec<Weak<Seat>>>);

/// A connection's place.
pub(super) struct Seat {
    /// Requests under way.
    busy: AtomicU32,
    /// Since when there is none.
    idle_since: Mutex<Instant>,
    leave: Notify,
}

/// A request under way, until it is dropped.
pub(super) struct Busy(Arc<Seat>);

impl Seats {
    pub(super) fn take(&self) -> Arc<Seat> {
        let seat = Seat { busy: AtomicU32::new(0), idle_since: Mutex::new(Instant::now()), leave: Notify::new() };
        let seat = Arc::new(seat);
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|seat| seat.strong_count() > 0);
        seats.push(Arc::downgrade(&seat));
        seat
    }

    /// Asks the one that has been idle for longest to leave. Says whether there is one.
    pub(super) fn make_room(&self) -> bool {
        let mut seats = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = seats.iter().enumerate().filter_map(|(at, seat)| Some((seat.upgrade()?.idle_since()?, at)));
        let Some((_, at)) = idle.min() else { return false };
        if let Some(seat) = seats.swap_remove(at).upgrade() {
            seat.leave.notify_one();
        }
        true
    }
}

impl Seat {
    fn idle_since(&self) -> Option<Instant> {
        let since = *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner);
        (self.busy.load(Ordering::Acquire) == 0).then_some(since)
    }

    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }

    /// Ends when the place is wanted.
    pub(super) async fn is_wanted(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_idle_for_longest_leaves_and_no_busy_one_does() {
        let seats = Seats::default();
        let step = || tokio::time::advance(std::time::Duration::from_secs(1));
        let wanted = |seat: &Arc<Seat>| seat.is_wanted().now_or_never().is_some();
        let (first, second) = (seats.take(), seats.take());
        step().await;
        let third = seats.take();
        let under_way = second.busy();
        step().await;
        drop(first.busy());
        assert!(seats.make_room());
        assert!(wanted(&third) && !wanted(&first) && !wanted(&second), "it did something later");
        assert!(seats.make_room() && wanted(&first));
        assert!(!seats.make_room(), "the other one is busy");
        drop(under_way);
        assert!(seats.make_room() && wanted(&second));
        drop(second);
        assert!(!seats.make_room());
    }
}
