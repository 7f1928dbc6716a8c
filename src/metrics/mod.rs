//! What a node counts. A value, not a global: two nodes in one process count apart.
//!
//! Base units (seconds, bytes), `_total` for counters, no label with a user, a room or anything else without a bound.
//! Code that counts often keeps the child of a family (`get_or_create_owned`) instead of asking for it each time.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

mod process;
mod recent;

pub use recent::Recent;

/// Buckets in seconds, from 100 µs to about 26 s: a group commit takes about 1 ms, a bad one seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The command of a client, by the protocol's name for it; `rpc` methods as `rpc:message.send`. Unknown ones must be
/// counted as `unknown`, else clients could make up labels.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct Method {
    /// The name.
    pub method: &'static str,
}

/// A code of the protocol: of an error reply or a disconnect.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct Code {
    /// The number.
    pub code: u32,
}

/// Why something was refused, by a name from our own code.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
pub struct Reason {
    /// The name.
    pub reason: &'static str,
}

/// The metrics of a node, shared by an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Open connections, of whatever kind, on the public port.
    pub connections: Gauge,
    /// Connections taken since the start.
    pub connections_opened: Counter,
    /// Connections refused before their first request.
    pub connections_refused: Family<Reason, Counter>,
    /// Clients that have completed `connect` and are connected now.
    pub clients: Gauge,
    /// Disconnects that the server decided, by code.
    pub disconnects: Family<Code, Counter>,
    /// Commands by method.
    pub commands: Family<Method, Counter>,
    /// Error replies by code.
    pub reply_errors: Family<Code, Counter>,
    /// Passwords, tokens and keys that were shown and are not good, by what they are.
    pub auth_failures: Family<Reason, Counter>,
    /// Connections that could not be accepted: too few open files, most likely.
    pub accept_errors: Counter,
    /// By how many seconds the clock jumped, or, negative, is behind the latest time in the journal; 0 while it is right.
    pub clock_error_seconds: Gauge,
    /// When the last backup was finished, in seconds since the epoch; 0 if there is none.
    pub backup_last_seconds: Gauge,
    /// Messages accepted by the fold.
    pub messages_accepted: Counter,
    /// Messages sent again and answered with the first one's place.
    pub messages_duplicate: Counter,
    /// Messages refused, by reason.
    pub messages_rejected: Family<Reason, Counter>,
    /// An append as its caller sees it: from the call to durable.
    pub append_seconds: Histogram,
    /// A sync of the journal's file.
    pub fsync_seconds: Histogram,
    /// The same, as one number for now.
    pub fsync_recent: Recent,
    /// Records appended.
    pub appended_records: Counter,
    /// Bytes appended.
    pub appended_bytes: Counter,
    /// Appends that failed, by reason.
    pub append_errors: Family<Reason, Counter>,
    /// Reads of the journal that failed and are tried again.
    pub read_errors: Counter,
    /// From a send's arrival to its acknowledgement leaving.
    pub send_ack_seconds: Histogram,
    /// Publications put into outboxes.
    pub deliveries: Counter,
    /// Ephemeral publications dropped because an outbox was full.
    pub outbox_dropped: Counter,
    /// Connections closed because they read too slowly.
    pub slow_readers_closed: Counter,
    /// Records that the store does not have yet.
    pub projector_lag_records: Gauge,
    /// Age of the oldest record that the store does not have yet; 0 if it has all.
    pub watermark_age_seconds: Gauge,
    /// Rooms in memory.
    pub resident_rooms: Gauge,
    /// Users in memory.
    pub resident_users: Gauge,
    /// Bytes that rooms and users in memory take, about.
    pub room_memory_bytes: Gauge,
    /// Commands and cold rooms refused because that memory was spent.
    pub memory_refused: Counter,
    /// From asking for a cold room or user to having it.
    pub activation_seconds: Histogram,
    /// Actors that panicked and were started again.
    pub actor_restarts: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Process));
        let r = registry.sub_registry_with_prefix("kervan");
        r.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        Self {
            connections: add(r, "connections", "Open connections on the public port"),
            connections_opened: add(r, "connections_opened", "Connections taken"),
            connections_refused: add(r, "connections_refused", "Connections refused, by reason"),
            clients: add(r, "clients", "Clients that have completed connect"),
            disconnects: add(r, "disconnects", "Disconnects decided by the server, by code"),
            commands: add(r, "commands", "Commands of clients, by method"),
            reply_errors: add(r, "reply_errors", "Error replies, by code"),
            auth_failures: add(r, "auth_failures", "Passwords, tokens and keys that are not good, by what they are"),
            accept_errors: add(r, "accept_errors", "Connections that could not be accepted"),
            clock_error_seconds: add(r, "clock_error_seconds", "By how much the clock is wrong; 0: it is right"),
            backup_last_seconds: add(r, "backup_last_timestamp_seconds", "When the last backup was taken; 0: never"),
            messages_accepted: add(r, "messages_accepted", "Messages accepted"),
            messages_duplicate: add(r, "messages_duplicate", "Messages sent again"),
            messages_rejected: add(r, "messages_rejected", "Messages refused, by reason"),
            append_seconds: seconds(r, "journal_append", "From an append's call to durable"),
            fsync_seconds: seconds(r, "journal_fsync", "A sync of the journal's file"),
            fsync_recent: Recent::default(),
            appended_records: add(r, "journal_appended_records", "Records appended"),
            appended_bytes: add(r, "journal_appended_bytes", "Bytes appended"),
            append_errors: add(r, "journal_append_errors", "Appends that failed, by reason"),
            read_errors: add(r, "journal_read_errors", "Reads of the journal that failed and are tried again"),
            send_ack_seconds: seconds(r, "send_ack", "From a send's arrival to its acknowledgement"),
            deliveries: add(r, "deliveries", "Publications put into outboxes"),
            outbox_dropped: add(r, "outbox_dropped", "Ephemeral publications dropped, outbox full"),
            slow_readers_closed: add(r, "slow_readers_closed", "Connections closed as too slow"),
            projector_lag_records: add(r, "projector_lag_records", "Records that the store lacks"),
            watermark_age_seconds: add(r, "watermark_age_seconds", "Age of the oldest record that the store lacks"),
            resident_rooms: add(r, "resident_rooms", "Rooms in memory"),
            resident_users: add(r, "resident_users", "Users in memory"),
            room_memory_bytes: add(r, "room_memory_bytes", "Bytes that rooms and users in memory take, about"),
            memory_refused: add(r, "room_memory_refused", "Commands and cold rooms refused: that memory was spent"),
            activation_seconds: seconds(r, "activation", "From asking for a cold room or user to having it"),
            actor_restarts: add(r, "actor_restarts", "Actors that panicked and were started again"),
            registry,
        }
    }

    /// Everything in the OpenMetrics text format.
    ///
    /// # Errors
    /// A metric that can't be written; none of ours.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// One more in a gauge, as long as it lives.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Counted {
    /// Counts from now on.
    #[must_use]
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn add<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn seconds(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let histogram = Histogram::new(SECONDS);
    registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_base_units_and_the_prefix() {
        let metrics = Metrics::new();
        metrics.messages_accepted.inc();
        metrics.commands.get_or_create_owned(&Method { method: "publish" }).inc();
        metrics.reply_errors.get_or_create_owned(&Code { code: 103 }).inc();
        metrics.append_seconds.observe(0.002);
        let text = metrics.encode().unwrap();
        for line in [
            "kervan_messages_accepted_total 1",
            "kervan_commands_total{method=\"publish\"} 1",
            "kervan_reply_errors_total{code=\"103\"} 1",
            "kervan_journal_append_seconds_bucket{le=\"0.0025\"} 1",
            "kervan_journal_append_seconds_count 1",
            "kervan_resident_rooms 0",
            "process_open_fds ",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
            concat!("kervan_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|l| l.starts_with(line)), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn two_nodes_in_one_process_count_apart() {
        let (a, b) = (Metrics::new(), Metrics::new());
        a.deliveries.inc();
        assert_eq!((a.deliveries.get(), b.deliveries.get()), (1, 0));
    }
}
