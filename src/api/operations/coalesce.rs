//! Many requests for one key, at most one on its way at a time; those that come meanwhile are merged into the next.
//!
//! No task and no queue: the caller that waits longest carries the merged request. A caller that goes away (its connection
//! closed) leaves its request to the others. A key is forgotten when nobody waits for it.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can be merged and carried out.
pub(crate) trait Mergeable {
    /// The wish.
    type Value: Copy + Ord + Default;
    /// What came of it.
    type Outcome: Clone;
}

/// The keys with wishes under way.
pub(crate) struct Coalescer<K, W: Mergeable> {
    slots: Mutex<HashMap<K, Arc<Slot<W>>>>,
}

struct Slot<W: Mergeable> {
    wanted: Mutex<Merged<W::Value>>,
    /// Held while a wish is carried out. Tickets below the number are answered by the outcome.
    done: tokio::sync::Mutex<(u64, Option<W::Outcome>)>,
}

struct Merged<V> {
    value: V,
    tickets: u64,
}

impl<K, W: Mergeable> Default for Coalescer<K, W> {
    fn default() -> Self {
        Self { slots: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash, W: Mergeable> Coalescer<K, W> {
    /// Wants at least `value` for `key`: the largest of all that is wanted is carried out by one `run`, and everybody
    /// whose wish is in it gets its outcome.
    pub(crate) async fn submit<F: Future<Output = W::Outcome>>(
        &self,
        key: K,
        value: W::Value,
        run: impl FnOnce(W::Value) -> F,
    ) -> W::Outcome {
        let place = Waiter { slots: &self.slots, slot: self.slot(&key), key };
        let ticket = place.slot.want(value);
        let mut done = place.slot.done.lock().await;
        if let (covered, Some(outcome)) = &*done
            && ticket < *covered
        {
            return outcome.clone();
        }
        let (value, covered) = place.slot.take();
        let outcome = run(value).await;
        *done = (covered, Some(outcome.clone()));
        drop(done);
        outcome
    }

    fn slot(&self, key: &K) -> Arc<Slot<W>> {
        let mut slots = lock(&self.slots);
        Arc::clone(slots.entry(key.clone()).or_insert_with(|| Arc::new(Slot::new())))
    }

    #[cfg(test)]
    fn keys(&self) -> usize {
        lock(&self.slots).len()
    }
}

impl<W: Mergeable> Slot<W> {
    fn new() -> Self {
        let wanted = Merged { value: W::Value::default(), tickets: 0 };
        Self { wanted: Mutex::new(wanted), done: tokio::sync::Mutex::new((0, None)) }
    }

    fn want(&self, value: W::Value) -> u64 {
        let mut wanted = lock(&self.wanted);
        wanted.value = wanted.value.max(value);
        wanted.tickets += 1;
        wanted.tickets - 1
    }

    fn take(&self) -> (W::Value, u64) {
        let wanted = lock(&self.wanted);
        (wanted.value, wanted.tickets)
    }
}

/// A place among those who wait for a key. The last one to go takes the key away.
struct Waiter<'a, K: Eq + Hash, W: Mergeable> {
    slots: &'a Mutex<HashMap<K, Arc<Slot<W>>>>,
    slot: Arc<Slot<W>>,
    key: K,
}

impl<K: Eq + Hash, W: Mergeable> Drop for Waiter<'_, K, W> {
    fn drop(&mut self) {
        let mut slots = lock(self.slots);
        // The map's and this one: nobody can come in between, new ones come by way of the map.
        if Arc::strong_count(&self.slot) == 2 {
            slots.remove(&self.key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::sync::Semaphore;

    use super::*;

    struct Numbers;

    impl Mergeable for Numbers {
        type Value = u64;
        type Outcome = Result<u64, u64>;
    }

    /// Carries wishes out, one for each permit, and remembers them.
    struct Work {
        gate: Semaphore,
        carried: RefCell<Vec<u64>>,
        fail: bool,
    }

    impl Work {
        fn new(fail: bool) -> Self {
            Self { gate: Semaphore::new(0), carried: RefCell::default(), fail }
        }

        async fn run(&self, value: u64) -> Result<u64, u64> {
            self.carried.borrow_mut().push(value);
            self.gate.acquire().await.unwrap().forget();
            if self.fail { Err(value) } else { Ok(value) }
        }
    }

    async fn three(fail: bool) -> (Vec<Result<u64, u64>>, Vec<u64>) {
        let (coalescer, work) = (Coalescer::<&str, Numbers>::default(), Work::new(fail));
        let submit = |value| coalescer.submit("k", value, |value| work.run(value));
        let opened = async {
            // Pauses: the others have their turn first; this runs in one task.
            tokio::task::yield_now().await;
            work.gate.add_permits(3);
        };
        let (a, b, c, ()) = tokio::join!(submit(1), submit(9), submit(5), opened);
        assert_eq!(coalescer.keys(), 0);
        (vec![a, b, c], work.carried.take())
    }

    #[tokio::test]
    async fn wishes_that_come_meanwhile_are_one_and_the_largest_counts() {
        let (outcomes, carried) = three(false).await;
        assert_eq!(carried, [1, 9]);
        assert_eq!(outcomes, [Ok(1), Ok(9), Ok(9)]);
    }

    #[tokio::test]
    async fn those_who_waited_for_a_failed_one_are_told_so_and_do_not_queue_up() {
        let (outcomes, carried) = three(true).await;
        assert_eq!(carried, [1, 9]);
        assert_eq!(outcomes, [Err(1), Err(9), Err(9)]);
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_wish_to_the_others() {
        let (coalescer, work) = (Coalescer::<&str, Numbers>::default(), Work::new(false));
        let mut first = Box::pin(coalescer.submit("k", 7, |value| work.run(value)));
        assert!(futures_util::poll!(&mut first).is_pending());
        let mut second = Box::pin(coalescer.submit("k", 3, |value| work.run(value)));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        work.gate.add_permits(1);
        assert_eq!(second.await, Ok(7));
        assert_eq!(work.carried.take(), [7, 7]);
        assert_eq!(coalescer.keys(), 0);
    }

    #[tokio::test]
    async fn keys_do_not_wait_for_each_other() {
        let (coalescer, work) = (Coalescer::<u8, Numbers>::default(), Work::new(false));
        let mut stuck = Box::pin(coalescer.submit(1, 1, |_| std::future::pending()));
        assert!(futures_util::poll!(&mut stuck).is_pending());
        work.gate.add_permits(1);
        assert_eq!(coalescer.submit(2, 4, |value| work.run(value)).await, Ok(4));
        assert_eq!(coalescer.keys(), 1);
    }
}
