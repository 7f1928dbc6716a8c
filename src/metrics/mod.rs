//! What a node counts. A value, not a global: two nodes in one process count apart, each by a recorder of its own.
//!
//! Base units (seconds, bytes), `_total` for counters, no label with a user, a room or anything else without a bound.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::metrics::Histogram;

mod process;
mod recent;
mod recorder;
mod values;
mod worker_lag;

pub(crate) use recent::Recent;
pub(crate) use values::{Counted, Counter, Gauge, Labelled};

use recorder::Recorder;
use worker_lag::WorkerLag;

use crate::ids::Partition;

/// The metrics of a node, shared by an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    recorder: Arc<Recorder>,
    /// Open connections, of whatever kind, on the public port.
    pub(crate) connections: Gauge,
    /// Connections taken since the start.
    pub(crate) connections_opened: Counter,
    /// Connections refused before their first request.
    pub(crate) connections_refused: Labelled<&'static str>,
    /// Clients that have completed `connect` and are connected now.
    pub(crate) clients: Gauge,
    /// Disconnects that the server decided, by code.
    pub(crate) disconnects: Labelled<u32>,
    /// Commands, by the protocol's name for them or the name of the rpc method; methods that there are not as `unknown`.
    pub(crate) commands: Labelled<&'static str>,
    /// Error replies by code.
    pub(crate) reply_errors: Labelled<u32>,
    /// Passwords, tokens and keys that were shown and are not good, by what they are.
    pub(crate) auth_failures: Labelled<&'static str>,
    /// Connections that could not be accepted: too few open files, most likely.
    pub(crate) accept_errors: Counter,
    /// By how many seconds the clock jumped, or, negative, is behind the latest time in the journal; 0 while it is right.
    pub(crate) clock_error_seconds: Gauge,
    /// When the last backup was finished, in seconds since the epoch; 0 if there is none.
    pub(crate) backup_last_seconds: Gauge,
    /// Messages accepted by the fold.
    pub(crate) messages_accepted: Counter,
    /// Messages sent again and answered with the first one's place.
    pub(crate) messages_duplicate: Counter,
    /// Messages refused, by reason.
    pub(crate) messages_rejected: Labelled<&'static str>,
    /// An append as its caller sees it: from the call to durable.
    pub(crate) append_seconds: Histogram,
    /// A sync of the journal's file.
    pub(crate) fsync_seconds: Histogram,
    /// The same, as one number for now.
    pub(crate) fsync_recent: Recent,
    /// Records appended.
    pub(crate) appended_records: Counter,
    /// Bytes appended.
    pub(crate) appended_bytes: Counter,
    /// Appends that failed, by reason.
    pub(crate) append_errors: Labelled<&'static str>,
    /// Reads of the journal that failed and are tried again.
    pub(crate) read_errors: Counter,
    /// From a send's arrival to its acknowledgement leaving.
    pub(crate) send_ack_seconds: Histogram,
    /// Publications put into outboxes.
    pub deliveries: Counter,
    /// Ephemeral publications dropped because an outbox was full.
    pub(crate) outbox_dropped: Counter,
    /// Connections closed because they read too slowly.
    pub(crate) slow_readers_closed: Counter,
    /// Records that the store does not have yet.
    pub(crate) projector_lag_records: Gauge,
    pub(crate) worker_partitions: Gauge,
    /// Records that a worker is behind, by its kind and partition.
    pub(crate) worker_lag: WorkerLag,
    /// Records of sources behind the first that the relay has not told of.
    pub(crate) relay_lag_records: Gauge,
    /// Age of the oldest record that the store does not have yet; 0 if it has all.
    pub(crate) watermark_age_seconds: Gauge,
    /// Rooms in memory.
    pub(crate) resident_rooms: Gauge,
    /// Users in memory.
    pub(crate) resident_users: Gauge,
    /// Bytes that rooms and users in memory take, about.
    pub(crate) room_memory_bytes: Gauge,
    /// Commands and cold rooms refused because that memory was spent.
    pub(crate) memory_refused: Counter,
    /// From asking for a cold room or user to having it.
    pub(crate) activation_seconds: Histogram,
    /// Actors that panicked and were started again.
    pub(crate) actor_restarts: Counter,
    /// Notifications that a provider took.
    pub(crate) notifications_sent: Counter,
    /// Attempts at a provider that failed.
    pub(crate) notifications_failed: Counter,
    /// Notifications that were given up.
    pub(crate) notifications_dead: Counter,
    /// Records that the notification worker has not decided on.
    pub(crate) notification_lag_records: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// The store lacks so many records of these partitions.
    pub(crate) fn stores_less(&self, behind: &BTreeMap<Partition, u64>) {
        self.projector_lag_records.set(i64::try_from(behind.values().sum::<u64>()).unwrap_or(i64::MAX));
        self.worker_lag.set("persistence", behind);
    }

    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let r = Arc::new(Recorder::new());
        r.info("kervan_build_info", "The version that runs.", "version", env!("CARGO_PKG_VERSION"));
        Self {
            connections: r.gauge("kervan_connections", "Open connections on the public port."),
            connections_opened: r.counter("kervan_connections_opened_total", "Connections taken."),
            connections_refused: Labelled::new(
                &r,
                "kervan_connections_refused_total",
                "reason",
                "Connections refused, by reason.",
            ),
            clients: r.gauge("kervan_clients", "Clients that have completed connect."),
            disconnects: Labelled::new(
                &r,
                "kervan_disconnects_total",
                "code",
                "Disconnects decided by the server, by code.",
            ),
            commands: Labelled::new(&r, "kervan_commands_total", "method", "Commands of clients, by method."),
            reply_errors: Labelled::new(&r, "kervan_reply_errors_total", "code", "Error replies, by code."),
            auth_failures: Labelled::new(
                &r,
                "kervan_auth_failures_total",
                "reason",
                "Passwords, tokens and keys that are not good, by what they are.",
            ),
            accept_errors: r.counter("kervan_accept_errors_total", "Connections that could not be accepted."),
            clock_error_seconds: r
                .gauge("kervan_clock_error_seconds", "By how much the clock is wrong; 0: it is right."),
            backup_last_seconds: r
                .gauge("kervan_backup_last_timestamp_seconds", "When the last backup was taken; 0: never."),
            messages_accepted: r.counter("kervan_messages_accepted_total", "Messages accepted."),
            messages_duplicate: r.counter("kervan_messages_duplicate_total", "Messages sent again."),
            messages_rejected: Labelled::new(
                &r,
                "kervan_messages_rejected_total",
                "reason",
                "Messages refused, by reason.",
            ),
            append_seconds: r.seconds("kervan_journal_append_seconds", "From an append's call to durable."),
            fsync_seconds: r.seconds("kervan_journal_fsync_seconds", "A sync of the journal's file."),
            fsync_recent: Recent::default(),
            appended_records: r.counter("kervan_journal_appended_records_total", "Records appended."),
            appended_bytes: r.counter("kervan_journal_appended_bytes_total", "Bytes appended."),
            append_errors: Labelled::new(
                &r,
                "kervan_journal_append_errors_total",
                "reason",
                "Appends that failed, by reason.",
            ),
            read_errors: r
                .counter("kervan_journal_read_errors_total", "Reads of the journal that failed and are tried again."),
            send_ack_seconds: r.seconds("kervan_send_ack_seconds", "From a send's arrival to its acknowledgement."),
            deliveries: r.counter("kervan_deliveries_total", "Publications put into outboxes."),
            outbox_dropped: r.counter("kervan_outbox_dropped_total", "Ephemeral publications dropped, outbox full."),
            slow_readers_closed: r.counter("kervan_slow_readers_closed_total", "Connections closed as too slow."),
            projector_lag_records: r.gauge("kervan_projector_lag_records", "Records that the store lacks."),
            worker_partitions: r.gauge("kervan_worker_partitions", "Partitions that a worker has as its share."),
            worker_lag: WorkerLag::new(&r),
            relay_lag_records: r
                .gauge("kervan_relay_lag_records", "Records behind the first that others are not told of."),
            watermark_age_seconds: r
                .gauge("kervan_watermark_age_seconds", "Age of the oldest record that the store lacks."),
            resident_rooms: r.gauge("kervan_resident_rooms", "Rooms in memory."),
            resident_users: r.gauge("kervan_resident_users", "Users in memory."),
            room_memory_bytes: r.gauge("kervan_room_memory_bytes", "Bytes that rooms and users in memory take, about."),
            memory_refused: r
                .counter("kervan_room_memory_refused_total", "Commands and cold rooms refused: that memory was spent."),
            activation_seconds: r
                .seconds("kervan_activation_seconds", "From asking for a cold room or user to having it."),
            actor_restarts: r.counter("kervan_actor_restarts_total", "Actors that panicked and were started again."),
            notifications_sent: r.counter("kervan_notifications_sent_total", "Notifications that a provider took."),
            notifications_failed: r
                .counter("kervan_notification_attempts_failed_total", "Attempts at a provider that failed."),
            notifications_dead: r.counter("kervan_notifications_dead_total", "Notifications that were given up."),
            notification_lag_records: r
                .gauge("kervan_notification_lag_records", "Records on which notifications are not decided."),
            recorder: r,
        }
    }

    /// Everything in Prometheus' text format.
    #[must_use]
    pub(crate) fn page(&self) -> String {
        self.recorder.page()
    }

    /// Sorts the times that were recorded since the last call into their buckets. Until then each one takes 24 bytes, so
    /// a node calls this once a second.
    pub(crate) fn upkeep(&self) {
        self.recorder.upkeep();
    }
}

#[cfg(test)]
mod tests;
