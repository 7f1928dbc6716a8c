//! The values behind the page. Handles of `metrics` can be written and not read; operators' pages, warnings and tests read.
//! So a node counts here, at the price of one atomic addition, and the recorder's handles get the values when the page is
//! written.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use super::recorder::Recorder;

/// A number that only grows.
#[derive(Clone, Default, Debug)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub(crate) fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub(crate) fn inc_by(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    /// How many until now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Clone, Default, Debug)]
pub(crate) struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// One more.
    pub(crate) fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// One less.
    pub(crate) fn dec(&self) {
        self.0.fetch_sub(1, Relaxed);
    }

    /// So many now.
    pub(crate) fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    /// How many now.
    #[must_use]
    pub(crate) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

/// One more in a gauge, as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Gauge);

impl Counted {
    /// Counts from now on.
    #[must_use]
    pub(crate) fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A counter for each value of one label. Values must come from our own code, never from a client: each one is kept.
#[derive(Debug)]
pub(crate) struct Labelled<V> {
    name: &'static str,
    label: &'static str,
    recorder: Arc<Recorder>,
    counters: Mutex<HashMap<V, Counter>>,
}

impl<V: Copy + Eq + Hash + fmt::Display> Labelled<V> {
    pub(super) fn new(recorder: &Arc<Recorder>, name: &'static str, label: &'static str, help: &'static str) -> Self {
        recorder.help(name, help);
        Self { name, label, recorder: Arc::clone(recorder), counters: Mutex::default() }
    }

    /// The counter with this label, for code that counts often and keeps it.
    #[must_use]
    pub(crate) fn of(&self, value: V) -> Counter {
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || self.recorder.labelled(self.name, self.label, value.to_string());
        counters.entry(value).or_insert_with(made).clone()
    }

    /// One more with this label.
    pub(crate) fn inc(&self, value: V) {
        self.of(value).inc();
    }
}
