//! What a run showed, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::inflict::Inflicted;
use super::stalls::Stalls;
use crate::checker::Anomaly;
use crate::history::Entry;
use crate::scenario::recoveries_refused;

/// P7: how long sends may stand still when a leader is lost, in 99 of 100 rooms that it led.
pub(crate) const LEADER_LOST_MS: u64 = 5_000;

/// All faults of one kind.
#[derive(Default)]
struct Kind {
    times: usize,
    stalls: Stalls,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Report {
    seed: u64,
    pub seconds: u64,
    kinds: BTreeMap<String, Kind>,
    pub anomalies: Vec<Anomaly>,
    pub acks: usize,
    duplicates: usize,
    deliveries: usize,
    recoveries: usize,
    recoveries_refused: usize,
}

impl Report {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// Adds a round.
    pub(crate) fn add(
        &mut self,
        entries: &[Entry],
        faults: &[Inflicted],
        stalls: Vec<Stalls>,
        anomalies: Vec<Anomaly>,
    ) {
        for (fault, stalls) in faults.iter().zip(stalls) {
            let kind = self.kinds.entry(fault.fault.to_string()).or_default();
            kind.times += 1;
            kind.stalls.sends.extend(stalls.sends);
            kind.stalls.deliveries.extend(stalls.deliveries);
            kind.stalls.leaderless.extend(stalls.leaderless);
        }
        let count = |fits: fn(&Entry) -> bool| entries.iter().filter(|entry| fits(entry)).count();
        self.acks += count(|entry| matches!(entry, Entry::Ok { .. }));
        self.duplicates += count(|entry| matches!(entry, Entry::Ok { duplicate: true, .. }));
        self.deliveries += count(|entry| matches!(entry, Entry::Delivered { .. }));
        self.recoveries += count(|entry| matches!(entry, Entry::Subscribed { recovered: true, .. }));
        self.recoveries_refused += recoveries_refused(entries);
        self.anomalies.extend(anomalies);
    }

    /// How many faults there were.
    pub(crate) fn faults(&self) -> usize {
        self.kinds.values().map(|kind| kind.times).sum()
    }

    /// The p99 of the longest stalls of rooms that lost their leader, in milliseconds.
    pub(crate) fn leader_lost_ms(&self) -> Option<u64> {
        p99(&self.kinds.values().flat_map(|kind| kind.stalls.leaderless.iter().copied()).collect::<Vec<_>>())
    }

    pub(crate) fn as_json(&self) -> Value {
        let kind = |(name, kind): (&String, &Kind)| {
            let stalls = &kind.stalls;
            json!({
                "kind": name, "times": kind.times, "acks": stalls.sends.len(),
                "send_worst_ms": stalls.sends.iter().max(), "send_p99_ms": p99(&stalls.sends),
                "delivery_worst_ms": stalls.deliveries.iter().max(), "delivery_p99_ms": p99(&stalls.deliveries),
            })
        };
        json!({
            "seed": self.seed, "seconds": self.seconds, "faults": self.faults(), "acks": self.acks,
            "duplicates": self.duplicates, "deliveries": self.deliveries, "recoveries": self.recoveries,
            "recoveries_refused": self.recoveries_refused, "leader_lost_p99_ms": self.leader_lost_ms(),
            "anomalies": self.anomalies.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "kinds": self.kinds.iter().map(kind).collect::<Vec<_>>(),
        })
    }
}

/// The value that 99 of 100 do not exceed.
fn p99(values: &[u64]) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * 99).div_ceil(100).checked_sub(1)?).copied()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{:.2}", ms as f64 / 1000.0));
        writeln!(
            f,
            "{:<38} {:>5} {:>8} {:>10} {:>8} {:>10} {:>8}",
            "fault", "times", "acks", "send worst", "p99 (s)", "seen worst", "p99 (s)"
        )?;
        for (name, Kind { times, stalls }) in &self.kinds {
            writeln!(
                f,
                "{name:<38} {times:>5} {:>8} {:>10} {:>8} {:>10} {:>8}",
                stalls.sends.len(),
                seconds(stalls.sends.iter().max().copied()),
                seconds(p99(&stalls.sends)),
                seconds(stalls.deliveries.iter().max().copied()),
                seconds(p99(&stalls.deliveries)),
            )?;
        }
        writeln!(
            f,
            "seed {}: {} faults, {} acks ({} duplicates), {} deliveries, {} recoveries (+ {} refused), {} s, leader lost p99 {} s, \
             {} anomalies",
            self.seed,
            self.faults(),
            self.acks,
            self.duplicates,
            self.deliveries,
            self.recoveries,
            self.recoveries_refused,
            self.seconds,
            seconds(self.leader_lost_ms()),
            self.anomalies.len()
        )?;
        self.anomalies.iter().take(20).try_for_each(|anomaly| writeln!(f, "  {anomaly}"))
    }
}

#[test]
fn the_99th_of_a_hundred_is_the_p99() {
    assert_eq!(p99(&(1..=100).rev().collect::<Vec<_>>()), Some(99));
    assert_eq!(p99(&[7]), Some(7));
    assert_eq!(p99(&[]), None);
}
