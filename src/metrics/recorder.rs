//! The recorder of one node: which handle each value has, and the page in Prometheus' text format. It is never installed
//! for the whole process, so the macros of `metrics` reach nothing, and two nodes have two of them.

use std::sync::{Mutex, PoisonError};

use ::metrics::{Histogram, Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use super::process;
use super::values::{Counter, Gauge};

/// Buckets in seconds, from 100 µs to 10 s: a group commit takes about 1 ms, a bad one seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// What a recorder might choose by; this one keeps everything.
const METADATA: Metadata<'_> = Metadata::new("kervan", Level::INFO, None);

#[derive(Debug)]
pub(super) struct Recorder {
    prometheus: PrometheusRecorder,
    published: Mutex<Published>,
}

/// The values, each with the handle that gets it.
#[derive(Default, Debug)]
struct Published {
    counters: Vec<(Counter, ::metrics::Counter)>,
    gauges: Vec<(Gauge, ::metrics::Gauge)>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        // Only an empty list of buckets is refused.
        let builder = PrometheusBuilder::new().set_buckets(&SECONDS).unwrap_or_default();
        Self { prometheus: builder.build_recorder(), published: Mutex::default() }
    }

    pub(super) fn counter(&self, name: &'static str, help: &'static str) -> Counter {
        self.help(name, help);
        self.publish_counter(&Key::from_static_name(name))
    }

    /// What a counter with labels is about; each of its values is a counter by [`Self::labelled`].
    pub(super) fn help(&self, name: &'static str, help: &'static str) {
        self.prometheus.describe_counter(name.into(), None, help.into());
    }

    /// The counter for one value of a label.
    pub(super) fn labelled(&self, name: &'static str, label: &'static str, value: String) -> Counter {
        self.publish_counter(&Key::from_parts(name, vec![Label::new(label, value)]))
    }

    pub(super) fn gauge(&self, name: &'static str, help: &'static str) -> Gauge {
        self.gauge_of(&Key::from_static_name(name), help)
    }

    /// A gauge that is always 1 and says something by its label.
    pub(super) fn info(&self, name: &'static str, help: &'static str, label: &'static str, value: &'static str) {
        self.gauge_of(&Key::from_parts(name, vec![Label::new(label, value)]), help).set(1);
    }

    /// A gauge for each value of two labels.
    pub(super) fn labelled_gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: [(&'static str, String); 2],
    ) -> Gauge {
        let labels = labels.into_iter().map(|(label, value)| Label::new(label, value)).collect::<Vec<_>>();
        self.gauge_of(&Key::from_parts(name, labels), help)
    }

    /// Times in seconds. What is recorded takes 24 bytes until [`Self::upkeep`] or a page sorts it into the buckets.
    pub(super) fn seconds(&self, name: &'static str, help: &'static str) -> Histogram {
        self.prometheus.describe_histogram(name.into(), None, help.into());
        self.prometheus.register_histogram(&Key::from_static_name(name), &METADATA)
    }

    /// Sorts the times that were recorded since the last call into their buckets.
    pub(super) fn upkeep(&self) {
        self.prometheus.handle().run_upkeep();
    }

    pub(super) fn page(&self) -> String {
        let published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, handle) in &published.counters {
            handle.absolute(counter.get());
        }
        for (gauge, handle) in &published.gauges {
            handle.set(gauge.get() as f64);
        }
        drop(published);
        let mut page = self.prometheus.handle().render();
        process::write(&mut page);
        page
    }

    fn publish_counter(&self, key: &Key) -> Counter {
        let (counter, handle) = (Counter::default(), self.prometheus.register_counter(key, &METADATA));
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.counters.push((counter.clone(), handle));
        counter
    }

    fn gauge_of(&self, key: &Key, help: &'static str) -> Gauge {
        self.prometheus.describe_gauge(key.name().to_owned().into(), None, help.into());
        let (gauge, handle) = (Gauge::default(), self.prometheus.register_gauge(key, &METADATA));
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        published.gauges.push((gauge.clone(), handle));
        gauge
    }
}
