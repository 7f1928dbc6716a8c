//! The bytes that rooms and users in memory may take, all together: what they fold with, and the recent events that the
//! store may not have yet. One budget for a node, because what fills it (a store that is away, many large rooms, a journal
//! that is folded anew) fills it for all.
//!
//! Above three quarters of it what is idle and stored leaves, however short it has been idle, and a journal that is folded
//! anew waits. When it is spent, commands and cold rooms are refused, and may be tried again; what is in the journal is
//! folded all the same. Weights are estimates: it bounds what grows, not the process to the byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of a resident besides its state: its actor, its mailbox, its places in tables.
pub(crate) const RESIDENT_BYTES: usize = 8 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory {
    used: AtomicUsize,
    max: usize,
}

impl Memory {
    /// A budget of `max` bytes.
    #[must_use]
    pub(crate) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// Bytes taken.
    #[must_use]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether so many more bytes fit.
    #[must_use]
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.max
    }

    /// Bytes above three quarters of it.
    #[must_use]
    pub(crate) fn excess(&self) -> usize {
        self.used().saturating_sub(self.max / 4 * 3)
    }

    /// That part of [`Self::excess`] which falls to somebody who has taken `own` bytes.
    #[must_use]
    pub(crate) fn excess_of(&self, own: usize) -> usize {
        let (excess, used) = (self.excess() as u128, self.used().max(own).max(1) as u128);
        usize::try_from((own as u128 * excess).div_ceil(used)).unwrap_or(usize::MAX)
    }

    fn change(&self, from: usize, to: usize) {
        if to >= from {
            self.used.fetch_add(to - from, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(from - to, Ordering::Relaxed);
        }
    }
}

/// What one resident takes, from before it is loaded until it is gone.
#[derive(Debug)]
pub struct Share {
    memory: Arc<Memory>,
    taken: Arc<AtomicUsize>,
}

impl Share {
    /// The share of a resident that is about to be loaded.
    #[must_use]
    pub(crate) fn new(memory: &Arc<Memory>) -> Self {
        memory.change(0, RESIDENT_BYTES);
        Self { memory: Arc::clone(memory), taken: Arc::new(AtomicUsize::new(RESIDENT_BYTES)) }
    }

    /// Its state and its recent events take so many bytes now.
    pub(crate) fn set(&self, bytes: usize) {
        let bytes = bytes + RESIDENT_BYTES;
        self.memory.change(self.taken.swap(bytes, Ordering::Relaxed), bytes);
    }

    /// A look at it for somebody else.
    #[must_use]
    pub(crate) fn taken(&self) -> Taken {
        Taken(Arc::clone(&self.taken))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.change(self.taken.load(Ordering::Relaxed), 0);
    }
}

/// What a resident takes at present.
#[derive(Clone, Debug)]
pub(crate) struct Taken(Arc<AtomicUsize>);

impl Taken {
    /// In bytes.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_when_the_resident_is_gone() {
        let memory = Arc::new(Memory::new(100 * RESIDENT_BYTES));
        let (one, other) = (Share::new(&memory), Share::new(&memory));
        let look = one.taken();
        one.set(50 * RESIDENT_BYTES);
        assert_eq!((memory.used(), look.bytes()), (52 * RESIDENT_BYTES, 51 * RESIDENT_BYTES));
        one.set(10);
        drop(other);
        assert_eq!(memory.used(), RESIDENT_BYTES + 10);
        drop(one);
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn everybody_gives_up_his_part_of_what_is_too_much() {
        let memory = Arc::new(Memory::new(100 * RESIDENT_BYTES));
        let shares: Vec<_> = (0..95).map(|_| Share::new(&memory)).collect();
        assert!(memory.has_room(5 * RESIDENT_BYTES) && !memory.has_room(5 * RESIDENT_BYTES + 1));
        assert_eq!(memory.excess(), 20 * RESIDENT_BYTES);
        assert_eq!(memory.excess_of(19 * RESIDENT_BYTES), 4 * RESIDENT_BYTES);
        assert_eq!(memory.excess_of(0), 0);
        drop(shares);
        assert_eq!(memory.excess(), 0);
    }
}
