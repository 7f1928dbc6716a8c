//! How far workers are behind in each partition.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::recorder::Recorder;
use super::values::Gauge;
use crate::ids::Partition;

const NAME: &str = "kervan_worker_lag_records";
const HELP: &str = "Records that a worker is behind in a partition; a partition in which it never was has no value.";

/// A gauge for each kind of worker and partition: 256 of a kind at most, each from when the worker is behind there first.
#[derive(Debug)]
pub(crate) struct WorkerLag {
    recorder: Arc<Recorder>,
    gauges: Mutex<HashMap<(&'static str, Partition), Gauge>>,
}

impl WorkerLag {
    pub(super) fn new(recorder: &Arc<Recorder>) -> Self {
        Self { recorder: Arc::clone(recorder), gauges: Mutex::default() }
    }

    /// A worker is behind so much in these partitions, and not at all in the others.
    pub(crate) fn set(&self, worker: &'static str, behind: &BTreeMap<Partition, u64>) {
        let mut gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        for ((_, partition), gauge) in gauges.iter().filter(|((of, _), _)| *of == worker) {
            if !behind.contains_key(partition) {
                gauge.set(0);
            }
        }
        for (partition, records) in behind {
            let labels = || [("worker", worker.to_owned()), ("partition", partition.to_string())];
            let made = || self.recorder.labelled_gauge(NAME, HELP, labels());
            let gauge = gauges.entry((worker, *partition)).or_insert_with(made);
            gauge.set(i64::try_from(*records).unwrap_or(i64::MAX));
        }
    }
}
