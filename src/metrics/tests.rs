//! The page: its names are a promise, and each node writes its own.

use super::*;
use crate::ids::Partition;

/// A page on which every metric has a value.
fn page() -> String {
    let metrics = Metrics::new();
    metrics.messages_accepted.inc();
    metrics.commands.inc("publish");
    for codes in [&metrics.reply_errors, &metrics.disconnects] {
        codes.inc(103);
    }
    let Metrics { connections_refused, auth_failures, messages_rejected, append_errors, .. } = &metrics;
    for reasons in [connections_refused, auth_failures, messages_rejected, append_errors] {
        reasons.inc("because");
    }
    for seconds in [&metrics.append_seconds, &metrics.fsync_seconds, &metrics.send_ack_seconds] {
        seconds.record(0.002);
    }
    metrics.activation_seconds.record(0.2);
    let behind = [(Partition::FIRST, 7), (Partition::new(255).unwrap(), 1)].into();
    metrics.worker_lag.set("persistence", &behind);
    metrics.worker_lag.set("persistence", &[(Partition::FIRST, 3)].into());
    metrics.page()
}

#[test]
fn names_types_and_help_are_a_promise() {
    let page = page();
    let mut lines: Vec<&str> = page.lines().filter(|line| line.starts_with('#')).collect();
    lines.sort_by_key(|line| line.split(' ').nth(2));
    assert_eq!(lines.join("\n") + "\n", include_str!("page.golden"));
}

#[test]
fn values_stand_behind_their_names_and_labels() {
    let page = page();
    for line in [
        "kervan_messages_accepted_total 1",
        "kervan_commands_total{method=\"publish\"} 1",
        "kervan_reply_errors_total{code=\"103\"} 1",
        "kervan_journal_append_seconds_bucket{le=\"0.001\"} 0",
        "kervan_journal_append_seconds_bucket{le=\"0.0025\"} 1",
        "kervan_journal_append_seconds_bucket{le=\"+Inf\"} 1",
        "kervan_journal_append_seconds_count 1",
        "kervan_resident_rooms 0",
        "kervan_worker_lag_records{worker=\"persistence\",partition=\"0\"} 3",
        "kervan_worker_lag_records{worker=\"persistence\",partition=\"255\"} 0",
        concat!("kervan_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is missing in\n{page}");
    }
}

#[test]
fn cpu_time_keeps_its_fractions() {
    let page = page();
    let seconds = page.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total ")).unwrap();
    assert!(seconds.parse::<f64>().unwrap() > 0.0, "{seconds}");
}

#[test]
fn two_nodes_in_one_process_count_apart() {
    let (a, b) = (Metrics::new(), Metrics::new());
    a.deliveries.inc();
    a.disconnects.inc(3008);
    assert_eq!((a.deliveries.get(), b.deliveries.get()), (1, 0));
    assert!(a.page().contains("kervan_disconnects_total{code=\"3008\"} 1"));
    assert!(!b.page().contains("3008"), "each page is of its own recorder");
}

#[test]
fn times_are_sorted_into_buckets_once_whoever_asks() {
    let metrics = Metrics::new();
    for _ in 0..2 {
        metrics.fsync_seconds.record(0.3);
        metrics.upkeep();
    }
    drop(metrics.page());
    assert!(metrics.page().contains("kervan_journal_fsync_seconds_count 2"));
}
